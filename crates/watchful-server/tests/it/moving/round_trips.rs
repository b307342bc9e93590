//! There and back, with a little of everything.

use std::path::Path;

use serde_json::Value;

use super::{ROOT, assert_same, hash, moved, revision, run_watchful, save};
use crate::support::{Etcdctl, Server, json_bytes, json_number};

/// Writes something of every kind. Answers with the lease that lives on.
fn fill(etcdctl: &Etcdctl) -> String {
    for value in 1..=5 {
        etcdctl.ok(&["put", "counter", &value.to_string()]);
    }
    let lease = grant(etcdctl, "5000");
    let gone = grant(etcdctl, "6000");
    etcdctl.ok(&["put", "leased", "x", &format!("--lease={lease}")]);
    etcdctl.ok(&["put", "leased too", "y", &format!("--lease={lease}")]);
    etcdctl.ok(&["put", "brief", "z", &format!("--lease={gone}")]);
    etcdctl.ok(&["lease", "revoke", &gone]);
    etcdctl.ok_with(&["txn"], "version(\"none\") = \"0\"\n\nput both 1\nput ways 2\ndel counter\n\n\n");
    etcdctl.ok(&["put", "counter", "again"]);
    etcdctl.ok(&["put", "empty", ""]);
    etcdctl.ok(&["put", "large", &"large ".repeat(20_000)]);
    etcdctl.ok(&["del", "both"]);
    lease
}

pub(super) fn grant(etcdctl: &Etcdctl, ttl: &str) -> String {
    let told = etcdctl.ok(&["lease", "grant", ttl]);
    told.split_whitespace().nth(1).unwrap().to_owned()
}

/// Users and roles, and auth turned on.
pub(super) fn turn_auth_on(etcdctl: &Etcdctl) {
    etcdctl.ok(&["user", "add", "root:secret"]);
    etcdctl.ok(&["user", "add", "rose:thorn"]);
    etcdctl.ok(&["user", "add", "certified", "--no-password"]);
    for role in ["root", "reader", "writer"] {
        etcdctl.ok(&["role", "add", role]);
    }
    etcdctl.ok(&["role", "grant-permission", "reader", "read", "a", "m"]);
    etcdctl.ok(&["role", "grant-permission", "writer", "readwrite", "--prefix=true", "leased"]);
    etcdctl.ok(&["user", "grant-role", "root", "root"]);
    etcdctl.ok(&["user", "grant-role", "rose", "reader"]);
    etcdctl.ok(&["user", "grant-role", "rose", "writer"]);
    etcdctl.ok(&["auth", "enable"]);
}

/// What a client sees of a store: its newest revision, its hash, its keys, its leases.
#[derive(Debug, PartialEq)]
struct Seen {
    revision: u64,
    hash: (u64, String),
    keys: Vec<String>,
    granted: u64,
    attached: Vec<String>,
}

impl Seen {
    fn of(etcdctl: &Etcdctl, lease: &str) -> Self {
        let time = etcdctl.json(&[ROOT, "lease", "timetolive", lease, "--keys"]);
        let keys = etcdctl.json(&[ROOT, "get", "", "--from-key"]);
        let mut attached: Vec<_> = time["keys"].as_array().unwrap().iter().map(json_bytes).collect();
        // An etcd tells them in any order.
        attached.sort();
        Self {
            revision: revision(etcdctl),
            hash: hash(etcdctl),
            keys: keys["kvs"].as_array().unwrap().iter().map(shown).collect(),
            granted: json_number(&time["granted-ttl"]),
            attached,
        }
    }
}

/// A key with all its fields, short enough to be read when a test fails.
fn shown(kv: &Value) -> String {
    let (key, value) = (json_bytes(&kv["key"]), json_bytes(&kv["value"]));
    let numbers = ["create_revision", "mod_revision", "version", "lease"].map(|name| json_number(&kv[name]));
    format!("{key} = {:.20} of {} bytes, {numbers:?}", value, value.len())
}

fn check_status(snapshot: &Path) {
    let told = run_watchful(&["check", "--json", snapshot.to_str().unwrap()]);
    let ours: Value = serde_json::from_slice(&told.stdout).unwrap_or_else(|_| panic!("{told:?}"));
    assert_eq!((&ours["ok"], &ours["sha256"]), (&true.into(), &true.into()), "{ours}");
    let Some(etcdctl) = crate::support::peer("etcdctl") else { return };
    let mut command = crate::support::clean(&etcdctl);
    command.env("ETCDCTL_API", "3").args(["snapshot", "status", "-w", "json"]).arg(snapshot);
    let told = command.output().unwrap();
    let theirs: Value = serde_json::from_slice(&told.stdout).unwrap_or_else(|_| panic!("{told:?}"));
    assert_eq!(ours["hash"], theirs["hash"], "{ours} {theirs}");
    // It knows rows only: an empty store is at 1, and it says 0.
    if ours["rows"] != 0 {
        assert_eq!(ours["current_revision"], theirs["revision"], "{ours} {theirs}");
    }
    assert_eq!(ours["bytes"], theirs["totalSize"], "{ours} {theirs}");
}

/// From a real etcd with auth, leases, and a compaction behind it, and back to one.
#[test]
fn from_etcd_and_back() {
    let Some(etcd) = Server::etcd() else { return };
    let Some(etcdctl) = Etcdctl::of(&etcd) else { return };
    let lease = fill(&etcdctl);
    etcdctl.ok(&["compaction", "5", "--physical"]);
    turn_auth_on(&etcdctl);
    let (seen, first) = (Seen::of(&etcdctl, &lease), save(&etcd, &etcdctl, "first"));
    check_status(&first);

    let watchful = Server::watchful_of(&first);
    let etcdctl = Etcdctl::of(&watchful).unwrap();
    assert_eq!(Seen::of(&etcdctl, &lease), seen);
    let second = save(&watchful, &etcdctl, "second");
    check_status(&second);
    assert_same(&first, &second);
    let users = moved(&second).remove("authUsers").unwrap();
    assert_eq!(users.keys().collect::<Vec<_>>(), [&b"certified"[..], b"root", b"rose"]);

    check_auth(&etcdctl);

    let back = Server::etcd_of(&second).unwrap();
    let etcdctl = Etcdctl::of(&back).unwrap();
    assert_eq!(Seen::of(&etcdctl, &lease), seen);
    assert_same(&first, &save(&back, &etcdctl, "third"));
    check_auth(&etcdctl);
}

/// The users can do what they could, with the passwords they had.
fn check_auth(etcdctl: &Etcdctl) {
    const ROSE: &str = "--user=rose:thorn";
    assert_eq!(etcdctl.ok(&[ROSE, "get", "counter"]), "counter\nagain\n");
    assert_eq!(etcdctl.ok(&[ROSE, "put", "leased/new", "1"]), "OK\n");
    for (user, arguments, expected) in [
        (ROSE, &["put", "counter", "1"][..], "permission denied"),
        (ROSE, &["get", "ways"], "permission denied"),
        ("--user=rose:wrong", &["get", "counter"], "authentication failed"),
    ] {
        let refused = etcdctl.fails(&[&[user], arguments].concat());
        assert!(refused.contains(expected), "{arguments:?}: {refused}");
    }
    let refused = etcdctl.fails(&["get", "counter"]);
    assert!(refused.contains("user name is empty"), "{refused}");
    assert_eq!(etcdctl.ok(&[ROOT, "user", "list"]), "certified\nroot\nrose\n");
    assert_eq!(etcdctl.ok(&[ROOT, "role", "list"]), "reader\nroot\nwriter\n");
}

/// From a server of ours to a real etcd, written to there, and back to a server of ours.
#[test]
fn to_etcd_and_back() {
    let watchful = Server::watchful();
    let Some(etcdctl) = Etcdctl::of(&watchful) else { return };
    let lease = fill(&etcdctl);
    // Not waited for: what is left of it goes on in the etcd.
    etcdctl.ok(&["compaction", "7"]);
    let (seen, first) = (Seen::of(&etcdctl, &lease), save(&watchful, &etcdctl, "first"));
    check_status(&first);

    let Some(etcd) = Server::etcd_of(&first) else { return };
    let etcdctl = Etcdctl::of(&etcd).unwrap();
    assert_eq!(Seen::of(&etcdctl, &lease), seen);
    assert_eq!(etcdctl.ok(&["get", "counter", "--rev=7"]), "counter\n5\n");
    assert!(etcdctl.fails(&["get", "counter", "--rev=6"]).contains("required revision has been compacted"));
    etcdctl.ok(&["put", "counter", "in etcd"]);
    assert_eq!(revision(&etcdctl), seen.revision + 1);
    let (seen, second) = (Seen::of(&etcdctl, &lease), save(&etcd, &etcdctl, "second"));

    let back = Server::watchful_of(&second);
    let etcdctl = Etcdctl::of(&back).unwrap();
    assert_eq!(Seen::of(&etcdctl, &lease), seen);
    assert_same(&second, &save(&back, &etcdctl, "third"));
    etcdctl.ok(&["put", "counter", "home"]);
    assert_eq!(revision(&etcdctl), seen.revision + 1);
}

#[test]
fn an_empty_store_both_ways() {
    let watchful = Server::watchful();
    let Some(etcdctl) = Etcdctl::of(&watchful) else { return };
    let first = save(&watchful, &etcdctl, "first");
    check_status(&first);
    let Some(etcd) = Server::etcd_of(&first) else { return };
    let etcdctl = Etcdctl::of(&etcd).unwrap();
    assert_eq!(revision(&etcdctl), 1);
    let second = save(&etcd, &etcdctl, "second");
    let back = Server::watchful_of(&second);
    let etcdctl = Etcdctl::of(&back).unwrap();
    assert_eq!(revision(&etcdctl), 1);
    assert_same(&first, &save(&back, &etcdctl, "third"));
    etcdctl.ok(&["put", "a", "1"]);
    assert_eq!(revision(&etcdctl), 2);
}

/// Everything was deleted and compacted away: no row is left to tell the revision.
#[test]
fn a_store_of_which_only_the_revision_is_left() {
    let Some(etcd) = Server::etcd() else { return };
    let Some(etcdctl) = Etcdctl::of(&etcd) else { return };
    etcdctl.ok(&["put", "a", "1"]);
    etcdctl.ok(&["del", "a"]);
    etcdctl.ok(&["compaction", "3", "--physical"]);
    let first = save(&etcd, &etcdctl, "first");
    assert!(moved(&first)["key"].is_empty(), "this etcd deletes the tombstone that is compacted to");
    let back = Server::watchful_of(&first);
    let etcdctl = Etcdctl::of(&back).unwrap();
    assert_eq!(revision(&etcdctl), 3);
    let second = save(&back, &etcdctl, "second");
    let again = Server::etcd_of(&second).unwrap();
    assert_eq!(revision(&Etcdctl::of(&again).unwrap()), 3);
}

/// An etcd's own file, copied while nobody had it open.
#[test]
fn an_etcds_own_file_is_restored_where_that_is_asked_for() {
    let Some(mut etcd) = Server::etcd() else { return };
    let Some(etcdctl) = Etcdctl::of(&etcd) else { return };
    etcdctl.ok(&["put", "a", "1"]);
    etcd.terminate();
    let db = etcd.data_dir().join("member/snap/db");
    let folder = etcd.scratch().join("new");
    let arguments = ["restore", db.to_str().unwrap(), "--data-dir", folder.to_str().unwrap()];
    let refused = run_watchful(&arguments);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("give --skip-hash-check"), "{refused:?}");
    let taken = run_watchful(&[&arguments[..], &["--skip-hash-check"]].concat());
    assert!(taken.status.success(), "{taken:?}");
    let checked = run_watchful(&["check", folder.to_str().unwrap()]);
    assert!(String::from_utf8_lossy(&checked.stdout).contains("nothing is wrong"), "{checked:?}");
    assert!(String::from_utf8_lossy(&checked.stdout).starts_with("current revision  2\n"), "{checked:?}");
}
