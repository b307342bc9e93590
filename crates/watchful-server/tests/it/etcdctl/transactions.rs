//! `txn`: compares of each kind, both branches, reads between writes.

use super::server_and_etcdctl;
use crate::support::{Etcdctl, Process, json_number};

/// Runs a transaction from its three parts, each a list of lines.
fn txn(etcdctl: &Etcdctl, compares: &[&str], then: &[&str], otherwise: &[&str]) -> String {
    etcdctl.ok_with(&["txn"], &script(compares, then, otherwise))
}

fn script(compares: &[&str], then: &[&str], otherwise: &[&str]) -> String {
    [compares, then, otherwise]
        .iter()
        .flat_map(|part| part.iter().copied().chain([""]))
        .fold(String::new(), |text, line| text + line + "\n")
}

#[test]
fn each_compare_holds_and_fails() {
    let Some((_server, etcdctl)) = server_and_etcdctl() else { return };
    etcdctl.ok(&["put", "a", "1"]);
    etcdctl.ok(&["put", "a", "2"]);
    // `a` is at create revision 2, mod revision 3, version 2, value "2".
    for (compare, holds) in [
        (r#"value("a") = "2""#, true),
        (r#"value("a") != "2""#, false),
        (r#"value("a") > "1""#, true),
        (r#"value("a") < "10""#, false),
        (r#"version("a") = "2""#, true),
        (r#"version("a") > "2""#, false),
        (r#"create("a") = "2""#, true),
        (r#"create("a") != "2""#, false),
        (r#"mod("a") = "3""#, true),
        (r#"mod("a") < "3""#, false),
        (r#"create("missing") = "0""#, true),
        (r#"version("missing") < "1""#, true),
        (r#"mod("missing") > "0""#, false),
        (r#"value("missing") = """#, false),
        (r#"value("missing") != "2""#, false),
    ] {
        let expected = if holds { "SUCCESS\n" } else { "FAILURE\n" };
        assert_eq!(txn(&etcdctl, &[compare], &[], &[]), expected, "{compare}");
    }
    assert_eq!(etcdctl.revision(), 3, "transactions that change nothing take no revision");
}

#[test]
fn all_compares_have_to_hold() {
    let Some((_server, etcdctl)) = server_and_etcdctl() else { return };
    etcdctl.ok(&["put", "a", "1"]);
    let both = [r#"value("a") = "1""#, r#"version("a") = "1""#];
    assert_eq!(txn(&etcdctl, &both, &["put b then"], &["put b else"]), "SUCCESS\n\nOK\n");
    assert_eq!(etcdctl.ok(&["get", "b", "--print-value-only"]), "then\n");
    let one = [r#"value("a") = "1""#, r#"version("a") = "2""#];
    assert_eq!(txn(&etcdctl, &one, &["put b then"], &["put b else"]), "FAILURE\n\nOK\n");
    assert_eq!(etcdctl.ok(&["get", "b", "--print-value-only"]), "else\n");
}

#[test]
fn a_read_in_a_transaction_sees_what_it_wrote_before() {
    let Some((_server, etcdctl)) = server_and_etcdctl() else { return };
    etcdctl.ok(&["put", "a", "1"]);
    let operations = ["get a", "put a 2", "get a", "del b", r#"get "" --prefix --keys-only"#];
    let expected = "SUCCESS\n\na\n1\n\nOK\n\na\n2\n\n0\n\na\n\n";
    assert_eq!(txn(&etcdctl, &[], &operations, &[]), expected);
    assert_eq!(etcdctl.revision(), 3);
}

#[test]
fn a_transaction_is_one_revision_and_says_what_it_did() {
    let Some((_server, etcdctl)) = server_and_etcdctl() else { return };
    etcdctl.ok(&["put", "c", "0"]);
    let input = script(&[], &["put a 1", "put b 2", "del c --prev-kv"], &[]);
    let text = etcdctl.ok_with(&["txn", "-w", "json"], &input);
    let answer: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(answer["succeeded"].as_bool(), Some(true));
    assert_eq!(json_number(&answer["header"]["revision"]), 3);
    let responses = answer["responses"].as_array().unwrap();
    assert_eq!(json_number(&responses[0]["Response"]["ResponsePut"]["header"]["revision"]), 3);
    let deleted = &responses[2]["Response"]["ResponseDeleteRange"];
    assert_eq!((json_number(&deleted["deleted"]), deleted["prev_kvs"].as_array().unwrap().len()), (1, 1));
    let all = etcdctl.json(&["get", "--prefix", ""]);
    let revisions: Vec<u64> =
        all["kvs"].as_array().unwrap().iter().map(|kv| json_number(&kv["mod_revision"])).collect();
    assert_eq!(revisions, [3, 3]);
}

#[test]
fn a_bad_transaction_is_refused_and_changes_nothing() {
    let Some((_server, etcdctl)) = server_and_etcdctl() else { return };
    let refusal = |operations: &[&str]| {
        let input = script(&[], operations, &[]);
        let mut command = etcdctl.command(&["txn"]);
        let ended = Process::spawn_with_input(&mut command, &input).finish();
        assert!(!ended.status.success(), "{operations:?}: {ended:?}");
        ended.stderr
    };
    let twice = refusal(&["put a 1", "put a 2"]);
    assert!(twice.contains("Error: etcdserver: duplicate key given in txn request"), "{twice}");
    let covered = refusal(&["put a 1", "del a --prefix"]);
    assert!(covered.contains("Error: etcdserver: duplicate key given in txn request"), "{covered}");
    let many: Vec<String> = (0..129).map(|at| format!("put key{at} 1")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let refused = refusal(&many);
    assert!(refused.contains("Error: etcdserver: too many operations in txn request"), "{refused}");
    assert_eq!(etcdctl.revision(), 1);
}
