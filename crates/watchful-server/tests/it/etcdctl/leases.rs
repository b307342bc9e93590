//! `lease`: grant, time to live, list, keep-alive, revoke, and expiry.

use super::server_and_etcdctl;
use crate::support::{Etcdctl, json_bytes, json_number};

/// Grants a lease. Answers with its id as etcdctl writes it.
fn grant(etcdctl: &Etcdctl, ttl: &str) -> String {
    let text = etcdctl.ok(&["lease", "grant", ttl]);
    let id = text.split_whitespace().nth(1).unwrap().to_owned();
    assert_eq!(text, format!("lease {id} granted with TTL({ttl}s)\n"));
    id
}

#[test]
fn a_lease_is_granted_listed_kept_alive_and_revoked() {
    let Some((_server, etcdctl)) = server_and_etcdctl() else { return };
    assert_eq!(etcdctl.ok(&["lease", "list"]), "found 0 leases\n");
    let lease = grant(&etcdctl, "600");
    assert_eq!(etcdctl.ok(&["lease", "list"]), format!("found 1 leases\n{lease}\n"));
    let kept = etcdctl.ok(&["lease", "keep-alive", "--once", &lease]);
    assert_eq!(kept, format!("lease {lease} keepalived with TTL(600)\n"));
    assert_eq!(etcdctl.ok(&["lease", "revoke", &lease]), format!("lease {lease} revoked\n"));
    assert_eq!(etcdctl.ok(&["lease", "timetolive", &lease]), format!("lease {lease} already expired\n"));
    let gone = etcdctl.fails(&["lease", "revoke", &lease]);
    assert!(gone.contains("etcdserver: requested lease not found"), "{gone}");
    let gone = etcdctl.fails(&["lease", "keep-alive", "--once", &lease]);
    assert!(gone.contains("etcdserver: requested lease not found"), "{gone}");
}

#[test]
fn time_to_live_names_the_keys() {
    let Some((_server, etcdctl)) = server_and_etcdctl() else { return };
    let lease = grant(&etcdctl, "600");
    for key in ["b", "a"] {
        assert_eq!(etcdctl.ok(&["put", key, "1", "--lease", &lease]), "OK\n");
    }
    let told = etcdctl.json(&["lease", "timetolive", &lease, "--keys"]);
    let keys: Vec<String> = told["keys"].as_array().unwrap().iter().map(json_bytes).collect();
    let mut sorted = keys.clone();
    sorted.sort();
    assert_eq!(sorted, ["a", "b"]);
    assert_eq!(json_number(&told["granted-ttl"]), 600);
    assert!((1..=600).contains(&json_number(&told["ttl"])), "{told}");
    let without = etcdctl.ok(&["lease", "timetolive", &lease]);
    assert!(without.starts_with(&format!("lease {lease} granted with TTL(600s), remaining(")), "{without}");
    assert!(!without.contains("keys"), "{without}");
}

#[test]
fn what_hangs_on_a_lease_goes_with_it_in_one_revision() {
    let Some((_server, etcdctl)) = server_and_etcdctl() else { return };
    let lease = grant(&etcdctl, "600");
    for key in ["b", "a", "c"] {
        etcdctl.ok(&["put", key, "1", "--lease", &lease]);
    }
    etcdctl.ok(&["put", "c", "no longer"]);
    let mut watch = etcdctl.start(&["watch", "--prefix", "", "--rev=6", "-w", "json"]);
    etcdctl.ok(&["lease", "revoke", &lease]);
    let line = watch.expect("the deletes", |line| Some(line.to_owned()));
    let answer: serde_json::Value = serde_json::from_str(&line).unwrap();
    let told = answer["Events"].as_array().unwrap().iter().map(|event| {
        let kv = &event["kv"];
        (json_number(&event["type"]), json_bytes(&kv["key"]), json_number(&kv["mod_revision"]))
    });
    let told: Vec<_> = told.collect();
    assert_eq!(told, [(1, "a".to_owned(), 6), (1, "b".to_owned(), 6)]);
    assert_eq!(etcdctl.ok(&["get", "--prefix", "", "--keys-only"]).trim(), "c");
}

#[test]
fn a_lease_that_nobody_keeps_alive_expires() {
    let Some((_server, etcdctl)) = server_and_etcdctl() else { return };
    // Long enough that a machine which stands still for some seconds ends neither before its time.
    let (kept, short) = (grant(&etcdctl, "10"), grant(&etcdctl, "10"));
    etcdctl.ok(&["put", "short", "1", "--lease", &short]);
    etcdctl.ok(&["put", "kept", "1", "--lease", &kept]);
    let mut keeper = etcdctl.start(&["lease", "keep-alive", &kept]);
    keeper.expect_line(&format!("lease {kept} keepalived with TTL(10)"));
    let mut watch = etcdctl.start(&["watch", "short", "--rev=2"]);
    watch.expect_next(&["PUT", "short", "1", "DELETE", "short", ""]);
    // It is kept past its own time: the other had as much, and was granted later. Three more rounds were in that time.
    for _ in 0..3 {
        keeper.expect_line(&format!("lease {kept} keepalived with TTL(10)"));
    }
    assert_eq!(etcdctl.ok(&["get", "kept"]), "kept\n1\n");
    keeper.kill();
    let mut watch = etcdctl.start(&["watch", "kept", "--rev=2"]);
    watch.expect_next(&["PUT", "kept", "1", "DELETE", "kept", ""]);
    assert_eq!(etcdctl.ok(&["lease", "list"]), "found 0 leases\n");
}

#[test]
fn a_time_to_live_beyond_all_reason_is_refused() {
    let Some((_server, etcdctl)) = server_and_etcdctl() else { return };
    let refused = etcdctl.fails(&["lease", "grant", "9000000001"]);
    assert!(refused.contains("etcdserver: too large lease TTL"), "{refused}");
}
