//! `watchful get`: reads keys, now or as they were.

use clap::{Args, ValueEnum};
use serde::Serialize;
use watchful_wire::KeyValue;
use watchful_wire::etcdserverpb::range_request::{SortOrder, SortTarget};
use watchful_wire::etcdserverpb::{RangeRequest, RangeResponse};

use crate::failure::Failure;
use crate::json::{JsonKeyValue, key_value_help, revision};
use crate::output::Output;
use crate::pages::Pages;
use crate::range::RangeArgs;
use crate::server::Server;
use crate::text::shown;

const HELP: &str = concat!(
    r#"Prints each key on a line and its value on the next. A key that is not there prints nothing, and is
no error. A range in the order of its keys is fetched in parts, all of one revision, and printed as
they come, whatever its size; other orders come in one answer, of 256 MiB at most.
JSON: a KV for each key, a line each, and one line at the end:
  {"revision":9,"count":2,"more":false}
  the revision that was read, how many keys the range has, and whether --limit left some out"#,
    key_value_help!()
);

/// Read a key, or a range of them, now or as they were at a revision
#[derive(Args, Clone, Debug)]
#[command(after_help = HELP)]
pub(crate) struct GetArgs {
    #[command(flatten)]
    range: RangeArgs,
    /// The most keys to give; 0 for all
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(i64).range(0..))]
    limit: i64,
    /// Read at this revision; 0 for the newest
    #[arg(
        long,
        value_name = "REV",
        alias = "revision",
        default_value_t = 0,
        value_parser = clap::value_parser!(i64).range(0..)
    )]
    rev: i64,
    /// Sort by this
    #[arg(long, value_enum, ignore_case = true, default_value_t = SortBy::Key)]
    sort_by: SortBy,
    /// Sort in this order
    #[arg(long, value_enum, ignore_case = true, default_value_t = Order::Ascend)]
    order: Order,
    /// Give the keys only
    #[arg(long)]
    keys_only: bool,
    /// Give the number of keys only
    #[arg(long, conflicts_with = "keys_only")]
    count_only: bool,
    /// Print the values only
    #[arg(long, conflicts_with_all = ["keys_only", "count_only", "json"])]
    print_value_only: bool,
    /// Print the values' bytes as they are and nothing else, no line ends either
    #[arg(long, conflicts_with_all = ["keys_only", "count_only", "print_value_only", "json"])]
    raw: bool,
    /// Leave out keys that were changed last before this revision
    #[arg(long, value_name = "REV", default_value_t = 0)]
    min_mod_rev: i64,
    /// Leave out keys that were changed last after this revision
    #[arg(long, value_name = "REV", default_value_t = 0)]
    max_mod_rev: i64,
    /// Leave out keys that were created before this revision
    #[arg(long, value_name = "REV", default_value_t = 0)]
    min_create_rev: i64,
    /// Leave out keys that were created after this revision
    #[arg(long, value_name = "REV", default_value_t = 0)]
    max_create_rev: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum SortBy {
    Key,
    Version,
    Create,
    #[value(alias = "modify")]
    Mod,
    Value,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Order {
    Ascend,
    Descend,
}

/// What of a key is printed.
#[derive(Clone, Copy)]
enum Parts {
    KeyAndValue,
    Key,
    Value,
    Raw,
}

pub(crate) async fn run(args: GetArgs, server: &Server, out: &mut Output<'_>) -> Result<(), Failure> {
    let parts = args.parts();
    let mut pages = Pages::new(args.request());
    let mut told = Told::default();
    while let Some(request) = pages.next() {
        let answer = server.in_time(server.kv().range(request)).await?;
        let response = match answer {
            Ok(response) => response.into_inner(),
            Err(status) if pages.is_too_large(&status) => continue,
            Err(status) => return Err(server.failure(&status)),
        };
        pages.took(&response)?;
        told.first(&response);
        response.kvs.iter().try_for_each(|kv| print(kv, parts, out))?;
        told.more = response.more;
        out.flush()?;
    }
    if out.json {
        return out.object(&told);
    }
    if pages.count_only() { out.line(told.count) } else { Ok(()) }
}

impl GetArgs {
    pub(crate) fn request(self) -> RangeRequest {
        let range = self.range.range();
        let is_natural = (self.sort_by, self.order) == (SortBy::Key, Order::Ascend);
        let order = match self.order {
            _ if is_natural => SortOrder::None,
            Order::Ascend => SortOrder::Ascend,
            Order::Descend => SortOrder::Descend,
        };
        let target = match self.sort_by {
            SortBy::Key => SortTarget::Key,
            SortBy::Version => SortTarget::Version,
            SortBy::Create => SortTarget::Create,
            SortBy::Mod => SortTarget::Mod,
            SortBy::Value => SortTarget::Value,
        };
        RangeRequest {
            key: range.key.into(),
            range_end: range.range_end.into(),
            limit: self.limit,
            revision: self.rev,
            sort_order: order.into(),
            sort_target: target.into(),
            serializable: false,
            keys_only: self.keys_only,
            count_only: self.count_only,
            min_mod_revision: self.min_mod_rev,
            max_mod_revision: self.max_mod_rev,
            min_create_revision: self.min_create_rev,
            max_create_revision: self.max_create_rev,
        }
    }

    fn parts(&self) -> Parts {
        match self {
            Self { raw: true, .. } => Parts::Raw,
            Self { print_value_only: true, .. } => Parts::Value,
            Self { keys_only: true, .. } => Parts::Key,
            _ => Parts::KeyAndValue,
        }
    }
}

/// What a program is told at the end.
#[derive(Default, Serialize)]
struct Told {
    revision: i64,
    count: i64,
    more: bool,
}

impl Told {
    /// The first part counts the whole range; each later one counts what is left.
    fn first(&mut self, response: &RangeResponse) {
        if self.revision == 0 {
            (self.revision, self.count) = (revision(response.header.as_ref()), response.count);
        }
    }
}

fn print(kv: &KeyValue, parts: Parts, out: &mut Output<'_>) -> Result<(), Failure> {
    match parts {
        _ if out.json => out.object(&JsonKeyValue::from(kv)),
        Parts::KeyAndValue => out.line(key_and_value(kv)),
        Parts::Key => out.line(shown(kv.key())),
        Parts::Value => out.line(shown(kv.value())),
        Parts::Raw => out.bytes(kv.value()),
    }
}

/// A key on a line, and its value on the next.
pub(crate) fn key_and_value(kv: &KeyValue) -> String {
    format!("{}\n{}", shown(kv.key()), shown(kv.value()))
}

/// A whole answer, for programs: that of a transaction's part.
#[derive(Serialize)]
pub(crate) struct JsonRange<'a> {
    revision: i64,
    count: i64,
    more: bool,
    kvs: Vec<JsonKeyValue<'a>>,
}

impl<'a> From<&'a RangeResponse> for JsonRange<'a> {
    fn from(response: &'a RangeResponse) -> Self {
        Self {
            revision: revision(response.header.as_ref()),
            count: response.count,
            more: response.more,
            kvs: response.kvs.iter().map(JsonKeyValue::from).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use watchful_revision::KeyValue as Fields;

    use super::*;
    use crate::output::printed;

    #[derive(Parser)]
    struct Line {
        /// The client's, which `print_value_only` and `raw` cannot stand with.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        get: GetArgs,
    }

    fn line(words: &str) -> Line {
        Line::try_parse_from(std::iter::once("get").chain(words.split_whitespace())).unwrap()
    }

    fn check(words: &str, expected: RangeRequest) {
        assert_eq!(line(words).get.request(), expected, "{words}");
    }

    #[test]
    fn requests() {
        let key = |key: &'static str| RangeRequest { key: key.into(), ..Default::default() };
        check("a", key("a"));
        check(
            "a b --limit 3 --rev 7",
            RangeRequest { range_end: "b".into(), limit: 3, revision: 7, ..key("a") },
        );
        check("a --sort-by key --order ASCEND", key("a"));
        let descend = SortOrder::Descend.into();
        check("a --order DESCEND", RangeRequest { sort_order: descend, ..key("a") });
        let (sort_order, sort_target) = (SortOrder::Ascend.into(), SortTarget::Mod.into());
        check("a --sort-by modify", RangeRequest { sort_order, sort_target, ..key("a") });
        check("a --keys-only", RangeRequest { keys_only: true, ..key("a") });
        check("a --count-only", RangeRequest { count_only: true, ..key("a") });
        check(
            "a --min-mod-rev 1 --max-mod-rev 2 --min-create-rev 3 --max-create-rev 4",
            RangeRequest {
                min_mod_revision: 1,
                max_mod_revision: 2,
                min_create_revision: 3,
                max_create_revision: 4,
                ..key("a")
            },
        );
    }

    fn check_print(words: &str, expected: &str) {
        let kv = KeyValue::from_fields(Fields {
            key: b"a\n".to_vec().into(),
            create_revision: 2,
            mod_revision: 5,
            version: 3,
            value: b"1\t".to_vec().into(),
            lease: 16,
        });
        let line = line(words);
        assert_eq!(printed(line.json, |out| print(&kv, line.get.parts(), out)), expected, "{words}");
    }

    #[test]
    fn keys_and_values_are_printed() {
        check_print("a", "\"a\\n\"\n\"1\\t\"\n");
        check_print("a --keys-only", "\"a\\n\"\n");
        check_print("a --print-value-only", "\"1\\t\"\n");
        check_print("a --raw", "1\t");
        check_print(
            "a --json",
            "{\"key\":\"YQo=\",\"value\":\"MQk=\",\"create_revision\":2,\"mod_revision\":5,\"version\":3,\
             \"lease\":\"0000000000000010\"}\n",
        );
    }
}
