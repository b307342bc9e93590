//! The text form.

use watchful_revision::KeyRange;
use watchful_testkit::script::{Step, parse, parse_bytes, parse_range};
use watchful_testkit::{Compare, CompareTarget, Comparison, Op, Txn};

#[test]
fn a_script_is_its_lines() {
    let steps =
        parse("  put a 1 # a comment\n\n# nothing\ncompact 5\ngrant 7 60\nrevoke 7\n!crash after commit");
    let expected = [
        Step::Txn(vec![Op::put("a", "1")]),
        Step::Compact(5),
        Step::Grant { id: 7, ttl: 60 },
        Step::Revoke { id: 7 },
        Step::Call { name: "crash".into(), arguments: vec!["after".into(), "commit".into()] },
    ];
    assert_eq!(steps, expected);
}

#[test]
fn a_transaction_is_its_operations_unless_it_compares() {
    let plain = parse("txn { put a 1; del b; }");
    assert_eq!(plain, [Step::Txn(vec![Op::put("a", "1"), Op::delete("b")])]);
    let compare = Compare::key("a", Comparison::NotEqual, CompareTarget::Value("x".into()));
    let txn =
        Txn { compares: vec![compare], then_ops: vec![Op::delete("b")], else_ops: vec![Op::put("c", "")] };
    assert_eq!(parse("txn {if value a != x;del b;else;put c}"), [Step::Txn(vec![Op::Txn(txn)])]);
}

#[test]
fn nested_transactions_keep_their_braces() {
    let inner = Op::Txn(Txn { then_ops: vec![Op::put("a", "1")], ..Txn::default() });
    assert_eq!(parse("txn{txn{put a 1};del b}"), [Step::Txn(vec![inner, Op::delete("b")])]);
}

#[test]
fn ranges_have_every_shape() {
    assert_eq!(parse_range("a"), KeyRange::key("a"));
    assert_eq!(parse_range("a*"), KeyRange::prefix("a"));
    assert_eq!(parse_range("a..c"), KeyRange::between("a", "c").unwrap());
    assert_eq!(parse_range("a.."), KeyRange::from_key("a"));
    assert_eq!(parse_range("*"), KeyRange::everything());
    assert_eq!(parse_range("\\xff*"), KeyRange::prefix([0xff]));
}

#[test]
fn any_byte_can_be_written() {
    assert_eq!(parse_bytes("a\\x00b\\xff")[..], *b"a\0b\xff");
    assert_eq!(parse_bytes("\\x20")[..], *b" ");
    assert_eq!(parse_bytes("\"\"")[..], *b"");
}

#[test]
fn a_line_that_means_nothing_says_where_it_is() {
    for (script, problem) in [
        ("put a 1\nputt b", "line 2 of the script, `putt b`: `putt` is no step"),
        ("put", "line 1 of the script, `put`: a word is missing"),
        ("compact x", "line 1 of the script, `compact x`: `x` is no number that fits"),
        ("compact 5 6", "line 1 of the script, `compact 5 6`: `6` is too much"),
        ("txn { put a 1", "line 1 of the script, `txn { put a 1`: a `;` is missing"),
        ("get a limit", "line 1 of the script, `get a limit`: `` is no number that fits"),
        ("get a lim=2", "line 1 of the script, `get a lim=2`: `lim=2` is no option of a read"),
        (
            "txn { if size a = 1 }",
            "line 1 of the script, `txn { if size a = 1 }`: `size` is nothing to compare",
        ),
        ("del b..a", "the range `b..a` holds no key"),
    ] {
        let panic = std::panic::catch_unwind(|| parse(script)).expect_err("the script is bad");
        assert_eq!(panic.downcast_ref::<String>().map(String::as_str), Some(problem));
    }
}
