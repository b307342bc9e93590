//! Coming from etcd and going to it: a snapshot of the one is a store of the other, with every key, revision, lease, user and
//! role, there and back.
//!
//! What was moved is compared as what it is: the buckets of the two snapshots, byte for byte.

mod round_trips;

mod large;

mod watching;

mod damage;

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use watchful_bbolt::{Reader, Value};

use crate::support::{Etcdctl, Server, json_number};

/// The name and password that a test of auth sets, and that every other test may give as well.
const ROOT: &str = "--user=root:secret";

/// Has a server's snapshot saved by `etcdctl`, beside its data.
fn save(server: &Server, etcdctl: &Etcdctl, name: &str) -> PathBuf {
    let file = server.scratch().join(name);
    etcdctl.ok(&[ROOT, "snapshot", "save", file.to_str().unwrap()]);
    file
}

/// A snapshot's buckets, with their entries.
type Buckets = BTreeMap<String, BTreeMap<Vec<u8>, Vec<u8>>>;

/// What has to be the same on both sides: everything but what an etcd's members agreed on, and how far its log is.
fn moved(snapshot: &Path) -> Buckets {
    let reader = Reader::open(File::open(snapshot).unwrap()).unwrap();
    let mut buckets = Buckets::new();
    for name in ["alarm", "auth", "authRoles", "authUsers", "key", "lease"] {
        let mut content = BTreeMap::new();
        let bucket = reader.bucket(name.as_bytes()).unwrap().unwrap_or_else(|| panic!("there is no {name}"));
        let mut entries = reader.entries(&bucket).unwrap();
        while let Some(entry) = entries.next().unwrap() {
            let Value::Bytes(value) = entry.value else { panic!("a bucket in {name}") };
            content.insert(entry.key.to_vec(), value.to_vec());
        }
        buckets.insert(name.to_owned(), content);
    }
    buckets
}

fn assert_same(one: &Path, other: &Path) {
    let (one, other) = (moved(one), moved(other));
    for (name, content) in &one {
        // Not `assert_eq!`: nobody could read what it would show of a large store.
        let differs = |(key, value): &(&Vec<u8>, &Vec<u8>)| other[name].get(*key) != Some(*value);
        let first = content.iter().find(differs).map(|(key, _)| key.escape_ascii().to_string());
        assert_eq!(first, None, "the bucket {name} differs");
        assert_eq!(content.len(), other[name].len(), "the bucket {name} differs");
    }
}

/// What `etcdctl endpoint hashkv` tells: the hash of the whole history, and the compact revision.
fn hash(etcdctl: &Etcdctl) -> (u64, String) {
    let answer = etcdctl.json(&[ROOT, "endpoint", "hashkv"]);
    let told = &answer[0]["HashKV"];
    (json_number(&told["hash"]), told["compact_revision"].to_string())
}

fn revision(etcdctl: &Etcdctl) -> u64 {
    json_number(&etcdctl.json(&[ROOT, "get", "no such key"])["header"]["revision"])
}

fn run_watchful(arguments: &[&str]) -> std::process::Output {
    std::process::Command::new(env!("CARGO_BIN_EXE_watchful")).args(arguments).output().unwrap()
}
