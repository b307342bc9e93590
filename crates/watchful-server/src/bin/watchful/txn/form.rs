//! The form in which people write a transaction: compares, operations, other operations, with empty lines between.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;

use clap::{Parser, Subcommand};
use watchful_wire::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use watchful_wire::etcdserverpb::request_op::Request;
use watchful_wire::etcdserverpb::{Compare, RequestOp, TxnRequest};

use crate::del::DelArgs;
use crate::get::GetArgs;
use crate::lease_id::LeaseId;
use crate::put::PutArgs;
use crate::text::{word, words};

/// One operation, in the words of the commands.
#[derive(Parser)]
#[command(no_binary_name = true, disable_help_subcommand = true, disable_help_flag = true)]
struct Line {
    #[command(subcommand)]
    op: Op,
    /// There for the options that cannot stand with it.
    #[arg(long, hide = true, global = true)]
    json: bool,
}

#[derive(Subcommand)]
enum Op {
    Put(PutArgs),
    Get(GetArgs),
    Del(DelArgs),
}

/// Reads the form. The error names the line.
pub(super) fn parse(text: &str) -> Result<TxnRequest, String> {
    let mut request = TxnRequest::default();
    let mut part = 0;
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        let wrong = |what| format!("line {number}, `{line}`: {what}; see `watchful txn --help`");
        match part {
            _ if line.is_empty() => part += 1,
            0 => request.compare.push(compare(line).map_err(wrong)?),
            1 => request.success.push(operation(line).map_err(wrong)?),
            2 => request.failure.push(operation(line).map_err(wrong)?),
            _ => return Err(wrong("there are three parts, and this is after the last one".to_owned())),
        }
    }
    Ok(request)
}

fn operation(line: &str) -> Result<RequestOp, String> {
    let words = words(line)?.into_iter().map(OsString::from_vec);
    let line = Line::try_parse_from(words).map_err(|error| brief(&error))?;
    let request = match line.op {
        Op::Put(args) => Request::RequestPut(args.request(None)?),
        Op::Get(args) => Request::RequestRange(args.request()),
        Op::Del(args) => Request::RequestDeleteRange(args.request()),
    };
    Ok(RequestOp { request: Some(request) })
}

/// What clap says, without the usage that follows it.
fn brief(error: &clap::Error) -> String {
    let text = error.to_string();
    let lines = text.lines().map(str::trim).take_while(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join(" ").trim_start_matches("error: ").to_owned()
}

/// As in `mod("key") > "5"`; quotes are needed only where they would be needed anyway.
fn compare(line: &str) -> Result<Compare, String> {
    const FORM: &str = "a compare is as mod(\"key\") > \"5\"";
    let (target, rest) = line.split_once('(').ok_or(FORM)?;
    let (key, rest) = word(rest.trim_start(), |one| one == ')' || one.is_whitespace())?;
    let rest = rest.trim_start().strip_prefix(')').ok_or(FORM)?.trim_start();
    let (result, rest) = result(rest).ok_or("compare by =, !=, < or >")?;
    let value = match <[Vec<u8>; 1]>::try_from(words(rest)?) {
        Ok([value]) => value,
        Err(_) => return Err(FORM.to_owned()),
    };
    let (target, target_union) = against(target.trim(), value)?;
    Ok(Compare {
        result: result.into(),
        target: target.into(),
        key: key.into(),
        range_end: Vec::new().into(),
        target_union: Some(target_union),
    })
}

fn result(text: &str) -> Option<(CompareResult, &str)> {
    const RESULTS: &[(&str, CompareResult)] = &[
        ("!=", CompareResult::NotEqual),
        ("=", CompareResult::Equal),
        (">", CompareResult::Greater),
        ("<", CompareResult::Less),
    ];
    RESULTS.iter().find_map(|(sign, result)| Some((*result, text.strip_prefix(sign)?)))
}

fn against(target: &str, value: Vec<u8>) -> Result<(CompareTarget, TargetUnion), String> {
    let text = || String::from_utf8_lossy(&value).into_owned();
    let number = || text().parse().map_err(|_| format!("`{}` is no whole number", text()));
    Ok(match target {
        "version" | "ver" => (CompareTarget::Version, TargetUnion::Version(number()?)),
        "create" | "c" => (CompareTarget::Create, TargetUnion::CreateRevision(number()?)),
        "mod" | "m" => (CompareTarget::Mod, TargetUnion::ModRevision(number()?)),
        "lease" => (CompareTarget::Lease, TargetUnion::Lease(text().parse::<LeaseId>()?.0)),
        "value" | "val" => (CompareTarget::Value, TargetUnion::Value(value.into())),
        other => return Err(format!("`{other}` is not one of create, mod, version, value and lease")),
    })
}

#[cfg(test)]
mod tests {
    use watchful_wire::etcdserverpb::{DeleteRangeRequest, PutRequest, RangeRequest};

    use super::*;

    fn check_compare(line: &str, target: CompareTarget, result: CompareResult, against: TargetUnion) {
        let expected = Compare {
            result: result.into(),
            target: target.into(),
            key: "a b".into(),
            target_union: Some(against),
            ..Default::default()
        };
        assert_eq!(compare(line), Ok(expected), "{line}");
    }

    #[test]
    fn compares() {
        use CompareResult::{Equal, Greater, Less, NotEqual};
        use CompareTarget::{Create, Lease, Mod, Value, Version};
        check_compare(r#"mod("a b") > "5""#, Mod, Greater, TargetUnion::ModRevision(5));
        check_compare(r#"m("a b")<5"#, Mod, Less, TargetUnion::ModRevision(5));
        check_compare(r#"create( "a b" ) = "0""#, Create, Equal, TargetUnion::CreateRevision(0));
        check_compare(r#"c('a b') != -1"#, Create, NotEqual, TargetUnion::CreateRevision(-1));
        check_compare(r#"ver("a b") = 1"#, Version, Equal, TargetUnion::Version(1));
        check_compare(r#"value("a b") = "x \x00""#, Value, Equal, TargetUnion::Value("x \0".into()));
        check_compare(r#"val("a b") = """#, Value, Equal, TargetUnion::Value("".into()));
        check_compare(r#"lease("a b") = "1f""#, Lease, Equal, TargetUnion::Lease(31));
    }

    fn put(key: &'static str, value: &'static str) -> RequestOp {
        let put = PutRequest { key: key.into(), value: value.into(), ..Default::default() };
        RequestOp { request: Some(Request::RequestPut(put)) }
    }

    #[test]
    fn the_whole_form() {
        let text =
            "mod(a) > 0\nvalue(a) = 1\n\nput a \"1 2\"\ndel a b --prev-kv\n\nget a --prefix\nput a -\n\n";
        let request = parse(text).unwrap();
        assert_eq!(request.compare.len(), 2);
        let del = DeleteRangeRequest { key: "a".into(), range_end: "b".into(), prev_kv: true };
        let del = RequestOp { request: Some(Request::RequestDeleteRange(del)) };
        assert_eq!(request.success, [put("a", "1 2"), del]);
        let get = RangeRequest { key: "a".into(), range_end: "b".into(), ..Default::default() };
        let get = RequestOp { request: Some(Request::RequestRange(get)) };
        // A value is not read from stdin here: the form comes from there.
        assert_eq!(request.failure, [get, put("a", "-")]);
    }

    #[test]
    fn parts_may_be_empty_or_left_out() {
        assert_eq!(parse("").unwrap(), TxnRequest::default());
        assert_eq!(parse("\nput a 1").unwrap().success, [put("a", "1")]);
        assert_eq!(parse("\n\nput a 1\n").unwrap().failure, [put("a", "1")]);
    }

    fn check_mistake(text: &str, expected: &str) {
        let error = parse(text).unwrap_err();
        assert!(error.contains(expected), "{text:?}: {error}");
        assert!(!error.contains('\n'), "{error}");
    }

    #[test]
    fn mistakes_name_their_line() {
        check_mistake("mod(a) > 0\nmod(a > 0", "line 2, `mod(a > 0`: a compare is as");
        check_mistake("mod(a) ~ 0", "compare by =");
        check_mistake("mod(a) > x", "`x` is no whole number");
        check_mistake("mod(a) > 1 2", "a compare is as");
        check_mistake("lease(a) = xyz", "hexadecimal");
        check_mistake("size(a) > 1", "`size` is not one of");
        check_mistake("put a 1", "a compare is as");
        check_mistake("\nset a 1", "line 2, `set a 1`: unrecognized subcommand 'set'");
        check_mistake("\nput a", "required arguments");
        check_mistake("\nput a \"1", "not closed");
        check_mistake("\nput --help", "unexpected argument");
        check_mistake("\n\n\nput a 1", "after the last one");
    }
}
