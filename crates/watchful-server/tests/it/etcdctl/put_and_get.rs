//! `put`, and `get` in all its forms.

use super::server_and_etcdctl;
use crate::support::{Etcdctl, json_bytes, json_number};

/// Four keys at revisions 2 to 6: `b` is written twice, and values, versions and revisions each sort differently.
fn fill(etcdctl: &Etcdctl) {
    for (key, value) in [("a", "3"), ("b", "x"), ("c", "1"), ("b", "2"), ("d", "0")] {
        assert_eq!(etcdctl.ok(&["put", key, value]), "OK\n");
    }
}

/// Runs `get` with `--keys-only`, which prints a blank line after each key.
fn keys(etcdctl: &Etcdctl, arguments: &[&str]) -> String {
    let text = etcdctl.ok(&[&["get", "--keys-only"], arguments].concat());
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn what_is_put_is_got() {
    let Some((_server, etcdctl)) = server_and_etcdctl() else { return };
    assert_eq!(etcdctl.ok(&["put", "greeting", "hello"]), "OK\n");
    assert_eq!(etcdctl.ok(&["get", "greeting"]), "greeting\nhello\n");
    assert_eq!(etcdctl.ok(&["get", "greeting", "--print-value-only"]), "hello\n");
    assert_eq!(etcdctl.ok(&["get", "nothing"]), "");
    assert_eq!(etcdctl.ok_with(&["put", "piped"], "from stdin\n"), "OK\n");
    assert_eq!(etcdctl.ok(&["get", "piped", "--print-value-only"]), "from stdin\n\n");
}

#[test]
fn put_tells_what_was_there_and_keeps_what_it_is_told_to_keep() {
    let Some((_server, etcdctl)) = server_and_etcdctl() else { return };
    assert_eq!(etcdctl.ok(&["put", "a", "1", "--prev-kv"]), "OK\n");
    assert_eq!(etcdctl.ok(&["put", "a", "2", "--prev-kv"]), "OK\na\n1\n");
    let lease = etcdctl.ok(&["lease", "grant", "600"]);
    let lease = lease.split_whitespace().nth(1).unwrap();
    assert_eq!(etcdctl.ok(&["put", "a", "--ignore-value", "--lease", lease]), "OK\n");
    let got = etcdctl.json(&["get", "a"]);
    assert_eq!(json_bytes(&got["kvs"][0]["value"]), "2");
    assert_eq!(json_number(&got["kvs"][0]["lease"]), u64::from_str_radix(lease, 16).unwrap());
    assert_eq!(etcdctl.ok(&["put", "a", "3", "--ignore-lease"]), "OK\n");
    let got = etcdctl.json(&["get", "a"]);
    assert_eq!(json_number(&got["kvs"][0]["lease"]), u64::from_str_radix(lease, 16).unwrap());
    assert_eq!(json_number(&got["kvs"][0]["version"]), 4);

    assert!(etcdctl.fails(&["put", "new", "--ignore-value"]).contains("Error: etcdserver: key not found"));
    assert!(etcdctl.fails(&["put", "", "x"]).contains("Error: etcdserver: key is not provided"));
    let unknown = etcdctl.fails(&["put", "a", "1", "--lease", "77"]);
    assert!(unknown.contains("Error: etcdserver: requested lease not found"), "{unknown}");
}

#[test]
fn get_reads_a_prefix_a_range_and_everything_from_a_key() {
    let Some((_server, etcdctl)) = server_and_etcdctl() else { return };
    for key in ["app/1", "app/2", "apq", "b"] {
        etcdctl.ok(&["put", key, key]);
    }
    assert_eq!(keys(&etcdctl, &["--prefix", "app/"]), "app/1 app/2");
    assert_eq!(keys(&etcdctl, &["--prefix", ""]), "app/1 app/2 apq b");
    assert_eq!(keys(&etcdctl, &["--from-key", "app/2"]), "app/2 apq b");
    assert_eq!(keys(&etcdctl, &["app/1", "apq"]), "app/1 app/2");
    assert_eq!(keys(&etcdctl, &["b", "a"]), "");
    assert_eq!(keys(&etcdctl, &["--consistency=s", "b"]), "b");
    assert_eq!(etcdctl.ok(&["get", "--prefix", "app/", "--print-value-only"]), "app/1\napp/2\n");
}

#[test]
fn get_sorts_by_each_target_in_either_order() {
    let Some((_server, etcdctl)) = server_and_etcdctl() else { return };
    fill(&etcdctl);
    for (target, ascending) in [
        ("KEY", "a b c d"),
        ("VALUE", "d c b a"),
        ("CREATE", "a b c d"),
        ("MODIFY", "a c b d"),
        ("VERSION", "a c d b"),
    ] {
        let sort = format!("--sort-by={target}");
        assert_eq!(keys(&etcdctl, &["--prefix", "", &sort, "--order=ASCEND"]), ascending, "by {target}");
        // Rows that are equal in the target stay in key order.
        let descending = match target {
            "VERSION" => "b a c d".to_owned(),
            _ => ascending.split(' ').rev().collect::<Vec<_>>().join(" "),
        };
        assert_eq!(keys(&etcdctl, &["--prefix", "", &sort, "--order=DESCEND"]), descending, "by {target}");
    }
    assert_eq!(keys(&etcdctl, &["--prefix", "", "--sort-by=VALUE", "--order=ASCEND", "--limit=2"]), "d c");
}

#[test]
fn get_reads_the_past() {
    let Some((_server, etcdctl)) = server_and_etcdctl() else { return };
    fill(&etcdctl);
    assert_eq!(etcdctl.ok(&["get", "b", "--rev=3", "--print-value-only"]), "x\n");
    assert_eq!(etcdctl.ok(&["get", "b", "--rev=2"]), "");
    assert_eq!(keys(&etcdctl, &["--prefix", "", "--rev=4"]), "a b c");
    let future = etcdctl.fails(&["get", "b", "--rev=100"]);
    assert!(future.contains("Error: etcdserver: mvcc: required revision is a future revision"), "{future}");
}

#[test]
fn a_limit_cuts_and_says_so_and_the_count_does_not_mind() {
    let Some((_server, etcdctl)) = server_and_etcdctl() else { return };
    fill(&etcdctl);
    let cut = etcdctl.json(&["get", "--prefix", "", "--limit=3"]);
    assert_eq!(cut["kvs"].as_array().unwrap().len(), 3);
    assert_eq!((cut["more"].as_bool(), json_number(&cut["count"])), (Some(true), 4));
    let whole = etcdctl.json(&["get", "--prefix", "", "--limit=4"]);
    assert_eq!((whole["more"].as_bool(), json_number(&whole["count"])), (None, 4));
    let without_values = etcdctl.json(&["get", "--prefix", "", "--keys-only"]);
    assert!(without_values["kvs"].as_array().unwrap().iter().all(|kv| kv["value"].is_null()));
}

#[test]
fn every_output_format_tells_the_same() {
    let Some((_server, etcdctl)) = server_and_etcdctl() else { return };
    fill(&etcdctl);
    let json = etcdctl.json(&["get", "b"]);
    let kv = &json["kvs"][0];
    assert_eq!((json_bytes(&kv["key"]).as_str(), json_bytes(&kv["value"]).as_str()), ("b", "2"));
    let numbers = ["create_revision", "mod_revision", "version", "lease"].map(|name| json_number(&kv[name]));
    assert_eq!(numbers, [3, 5, 2, 0]);
    let header = &json["header"];
    assert_eq!(json_number(&header["revision"]), 6);
    assert!(
        ["cluster_id", "member_id", "raft_term"].iter().all(|id| json_number(&header[id]) > 0),
        "{header}"
    );

    let fields = etcdctl.ok(&["get", "b", "-w", "fields"]);
    let expected = concat!(
        "\"Key\" : \"b\"\n\"CreateRevision\" : 3\n\"ModRevision\" : 5\n\"Version\" : 2\n",
        "\"Value\" : \"2\"\n\"Lease\" : 0\n\"More\" : false\n\"Count\" : 1\n",
    );
    assert!(fields.contains("\"Revision\" : 6\n") && fields.ends_with(expected), "{fields}");

    // The value is the last field of the key-value message, and the count the last of the answer.
    let protobuf = etcdctl.ok(&["get", "b", "-w", "protobuf"]);
    assert!(protobuf.contains("\u{a}\u{1}b\u{10}\u{3}\u{18}\u{5}\u{20}\u{2}*\u{1}2 \u{1}"), "{protobuf:?}");
}
