//! Transactions: one revision, their own writes, compares, and all or nothing.

use watchful::{Compare, CompareResult, CompareTarget, Error, KeyRange, TxnRequest};

use crate::support::{Twin, check};

#[test]
fn several_operations_take_one_revision_and_are_counted_in_sub() {
    let mut twin = Twin::of("put c 0");
    assert_eq!(twin.run("txn { put a 1; put b 2; del c }"), "3 deleted 1\n");
    assert_eq!(twin.watch_lines(3), ["3.0 put a=1", "3.1 put b=2", "3.2 del c"]);
    twin.check();
}

#[test]
fn a_transaction_reads_its_own_writes() {
    check(
        "put a 1\n txn { put a 2; get a; del a; get a; put b 3; get * }",
        "2
         3 [a=2 (create 2, mod 3.0, version 2)] of 1 deleted 1 [] of 0 [b=3 (create 3, mod 3.2, version 1)] of 1",
    );
    let twin = Twin::of("put a 1");
    let seen = twin.transact(|txn| {
        txn.put("a", "2")?;
        let own = txn.get("a")?.map(|record| record.value().to_vec());
        txn.delete("a")?;
        Ok::<_, Error>((own, txn.get("a")?, txn.revision()))
    });
    assert_eq!(seen.wait().unwrap().value, (Some(b"2".to_vec()), None, 3));
}

/// etcd refuses a request that names a key twice; in a closure it is natural. Each change is an event.
#[test]
fn a_key_may_change_more_than_once_and_each_change_is_an_event() {
    let mut twin = Twin::new();
    twin.run("txn { put a 1; put a 2; del a; put a 3 }");
    assert_eq!(twin.watch_lines(2), ["2.0 put a=1", "2.1 put a=2", "2.2 del a", "2.3 put a=3"]);
    assert_eq!(twin.run("get a"), "- [a=3 (create 2, mod 2.3, version 1)] of 1\n");
    twin.check();
}

#[test]
fn an_empty_or_read_only_transaction_takes_no_revision() {
    check(
        "put a 1\n txn { get a }\n txn { if version a = 9; put a 2; else; get a }\n put a 3",
        "2\n - [a=1 (create 2, mod 2.0, version 1)] of 1\n - else( [a=1 (create 2, mod 2.0, version 1)] of 1 )\n 3",
    );
    let twin = Twin::of("put a 1");
    let nothing = twin.execute(TxnRequest::default()).wait().unwrap();
    assert_eq!((nothing.revision, nothing.changed, nothing.value.succeeded), (2, false, true));
    let closure = twin.transact(|_| Ok::<_, Error>(())).wait().unwrap();
    assert_eq!((closure.revision, closure.changed), (2, false));
    assert_eq!(twin.current_revision(), 2);
}

#[test]
fn one_operation_that_fails_takes_all_of_them_back() {
    check(
        "put a 1\n txn { put a 2; put b 1 lease=99 }\n txn { put a 3; get a @9 }\n get a",
        "2\n LeaseNotFound 99\n FutureRevision 2\n - [a=1 (create 2, mod 2.0, version 1)] of 1",
    );
}

#[test]
fn a_read_at_a_revision_sees_the_store_before_the_transaction() {
    check(
        "put a 1\n put a 2\n txn { put a 3; get a @2; get a @3; get a }",
        "2
         3
         4 [a=1 (create 2, mod 2.0, version 1)] of 1 [a=2 (create 2, mod 3.0, version 2)] of 1 [a=3 (create 2, mod 4.0, version 3)] of 1",
    );
}

#[test]
fn compares_look_at_version_create_mod_lease_and_value() {
    let mut script = String::from("grant 7 60\n put a 1\n put a m lease=7\n");
    let mut expected = String::from("ok\n 2\n 3\n");
    let holding = [
        "version a = 2",
        "version a < 3",
        "create a = 2",
        "mod a > 2",
        "mod a != 2",
        "lease a = 7",
        "value a = m",
        "value a > l",
        "value a != x",
    ];
    let failing = [
        "version a = 1",
        "version a > 2",
        "create a < 2",
        "mod a < 3",
        "lease a != 7",
        "value a < m",
        "value a = 1",
    ];
    for (compares, answer) in [(&holding[..], "then"), (&failing[..], "else")] {
        for compare in compares {
            script += &format!("txn {{ if {compare}; get z; else; get z }}\n");
            expected += &format!("- {answer}( [] of 0 )\n");
        }
    }
    check(&script, &expected);
}

#[test]
fn a_missing_key_compares_as_zeroes_and_fails_a_value_compare() {
    let mut script = String::from("put b 1\n");
    let mut expected = String::from("2\n");
    for (compare, answer) in [
        ("version a = 0", "then"),
        ("create a = 0", "then"),
        ("mod a = 0", "then"),
        ("lease a = 0", "then"),
        ("version a > 0", "else"),
        ("value a = \"\"", "else"),
        ("value a != x", "else"),
    ] {
        script += &format!("txn {{ if {compare}; get z; else; get z }}\n");
        expected += &format!("- {answer}( [] of 0 )\n");
    }
    check(&script, &expected);
}

#[test]
fn a_compare_over_a_range_holds_for_every_key_in_it() {
    check(
        "put a1 1\n put a2 1\n put a2 2\n txn { if version a* > 0; put y 1; else; put n 1 }\n txn { if version a* = 1; put y 2; else; put n 2 }",
        "2\n 3\n 4\n 5 then( )\n 6 else( )",
    );
}

/// Facts of etcd's code: all compares, those of nested transactions too, are answered before anything is written.
#[test]
fn compares_of_nested_transactions_see_the_store_before_everything() {
    let nested = "put a 1\n txn { if version a = 1; put a 2; else; put n 1 }";
    check(nested, "2\n 3 then( )");
    let twin = Twin::of("put a 1");
    let compare = |version| Compare {
        range: Some(KeyRange::key("a")),
        target: CompareTarget::Version(version),
        result: CompareResult::Equal,
    };
    let put = |value: &'static str| watchful::RequestOp::Put {
        key: "a".into(),
        value: value.into(),
        options: Default::default(),
    };
    let inner =
        TxnRequest { compares: vec![compare(1)], then: vec![put("then")], or_else: vec![put("else")] };
    let outer = TxnRequest { then: vec![put("2"), watchful::RequestOp::Txn(inner)], ..Default::default() };
    twin.execute(outer).wait().unwrap();
    assert_eq!(twin.get("a").unwrap().unwrap().value(), b"then");
}
