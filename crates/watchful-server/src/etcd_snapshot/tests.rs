//! The two golden files, which are committed and never made anew: a snapshot of a real etcd 3.4.23, and one of ours.
//!
//! `docs/SNAPSHOT_FORMAT.md` tells what was done to the two servers.

use std::fs::File;
use std::io::Cursor;
use std::path::PathBuf;

use watchful::{Settings, Store};

use super::{EtcdSnapshot, From, SnapshotStatus, write};

fn golden(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

fn open(name: &str) -> EtcdSnapshot {
    EtcdSnapshot::open(File::open(golden(name)).unwrap()).unwrap()
}

/// A store made of a golden file, with its compaction done.
fn restored(name: &str) -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("data");
    open(name).restore(&dir).unwrap();
    let store = Store::open(dir, Settings::default()).unwrap();
    store.compacted().wait().unwrap();
    (folder, store)
}

const ETCD: &str = "etcd-3.4.23.snapshot";
const OURS: &str = "watchful.snapshot";

/// What both servers were told, and so what is in both files.
fn check_content(store: &Store) {
    assert_eq!((store.current_revision(), store.compact_revision()), (11, 5));
    let value_at = |key: &str, revision| {
        let record = store.view_at(revision).unwrap().get(key).unwrap();
        record.map(|record| String::from_utf8(record.value().to_vec()).unwrap())
    };
    assert_eq!(value_at("counter", 5).as_deref(), Some("4"));
    assert_eq!(value_at("counter", 10), None);
    assert_eq!(value_at("counter", 11).as_deref(), Some("again"));
    assert_eq!(value_at("ways", 11).as_deref(), Some("2"));
    let large = store.get("large").unwrap().unwrap();
    assert_eq!((large.value().len(), large.create_revision(), large.version()), (6000, 9, 1));
    let lease = store.lease(0x0102_0304_0506_0708).unwrap();
    assert_eq!((lease.ttl_seconds, lease.keys), (5000, vec![b"leased".to_vec()]));
    let brief = store.view_at(7).unwrap().get("brief").unwrap().unwrap();
    assert_eq!((brief.lease(), store.get("brief").unwrap()), (0x1112_1314_1516_1718, None));
    assert_eq!(store.leases(), [0x0102_0304_0506_0708]);
}

/// With the hash that its own etcdctl tells of it.
#[test]
fn the_snapshot_of_an_etcd_is_read() {
    let expected = SnapshotStatus {
        hash: 920_114_341,
        revision: 11,
        compact_revision: Some(5),
        keys: 5,
        rows: 9,
        leases: 1,
        users: 2,
        roles: 2,
        bytes: 53_248,
    };
    assert_eq!(open(ETCD).status().unwrap(), expected);
    let (_folder, store) = restored(ETCD);
    check_content(&store);
    let names: Vec<_> = store.notes("").unwrap().into_iter().map(|(name, _)| name).collect();
    let expected = [
        "alarm/NOSPACE",
        "auth/enabled",
        "auth/revision",
        "auth/role/reader",
        "auth/role/root",
        "auth/user/root",
        "auth/user/rose",
    ];
    assert_eq!(names, expected);
    assert_eq!(store.note("auth/revision").unwrap().as_deref(), Some(&[0, 0, 0, 0, 0, 0, 0, 8][..]));
    assert_eq!(store.epoch(), 2);
}

/// What was written then is read now, and what is written now is the same, byte for byte.
#[test]
fn the_snapshot_of_ours_is_read_and_written() {
    let (_folder, store) = restored(OURS);
    check_content(&store);
    let from = From { member_id: 1, raft_term: open(OURS).raft_term };
    let mut written = Cursor::new(Vec::new());
    let bytes = write(&store.export().unwrap(), from, &mut written).unwrap();
    let expected = std::fs::read(golden(OURS)).unwrap();
    assert_eq!((bytes, open(OURS).bytes()), (expected.len() as u64 - 32, bytes));
    assert!(written.into_inner() == expected[..expected.len() - 32], "the bytes are others");
}
