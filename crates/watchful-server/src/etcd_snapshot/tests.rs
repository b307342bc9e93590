//! The two golden files, which are committed and never made anew: a snapshot of a real etcd 3.4.23, and one of ours.
//! `docs/SNAPSHOT_FORMAT.md` tells what was done to the two servers. And what etcd may leave that is rare.

use std::fs::File;
use std::io::Cursor;
use std::path::PathBuf;

use watchful::{Revision, Settings, Store};
use watchful_bbolt::Writer;
use watchful_revision::EtcdRow;

use super::read::Room;
use super::{EtcdSnapshot, From, SnapshotStatus, bucket, meta, write};

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
    let from = From { member_id: 4_720_219_772_307_982_335, raft_term: open(OURS).raft_term };
    let mut written = Cursor::new(Vec::new());
    let bytes = write(&store.export().unwrap(), from, &mut written).unwrap();
    let expected = std::fs::read(golden(OURS)).unwrap();
    assert_eq!((bytes, open(OURS).bytes()), (expected.len() as u64 - 32, bytes));
    assert!(written.into_inner() == expected[..expected.len() - 32], "the bytes are others");
}

/// A store's snapshot, in a file.
fn snapshot_of(store: &Store) -> EtcdSnapshot {
    let file = tempfile::tempfile().unwrap();
    write(&store.export().unwrap(), From { member_id: 7, raft_term: 2 }, file.try_clone().unwrap()).unwrap();
    EtcdSnapshot::open(file).unwrap()
}

/// Users, roles and alarms go out as they came in.
#[test]
fn what_is_noted_goes_out_as_it_came_in() {
    let (_folder, store) = restored(ETCD);
    let again = snapshot_of(&store);
    let status = again.status().unwrap();
    assert_eq!((status.users, status.roles, status.rows), (2, 2, 9));
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("data");
    again.restore(&dir).unwrap();
    let back = Store::open(dir, Settings::default()).unwrap();
    assert_eq!(back.notes("").unwrap(), store.notes("").unwrap());
    assert_eq!(back.hash(0).unwrap(), store.hash(0).unwrap());
}

/// A snapshot with these rows and this in `meta`.
fn made(rows: &[(u64, &[u8])], meta: &[(&[u8], u64)]) -> EtcdSnapshot {
    let file = tempfile::tempfile().unwrap();
    let mut writer = Writer::new(file.try_clone().unwrap()).unwrap();
    let revision = |main| EtcdRow::put_key(Revision::start_of(main));
    writer.bucket(bucket::KEY).unwrap();
    for (main, message) in rows {
        writer.put(&revision(*main), message).unwrap();
    }
    writer.bucket(bucket::META).unwrap();
    for (name, main) in meta {
        writer.put(name, &revision(*main)).unwrap();
    }
    writer.finish().unwrap();
    EtcdSnapshot::open(file).unwrap()
}

/// Rows that overlapped counted each in full, so a bucket could hold any times the bytes of its file.
#[test]
fn a_bucket_holds_no_more_than_the_file() {
    let mut room = Room(100);
    room.take(bucket::KEY, 60).unwrap();
    room.take(bucket::KEY, 40).unwrap();
    let error = room.take(bucket::KEY, 1).unwrap_err().to_string();
    assert!(error.contains("its bucket `key` holds more bytes than the file has"), "{error}");
}

/// A snapshot could tell the highest number there is for its term. It was restored, and the server that was started on it
/// panicked when it added one.
#[test]
fn a_term_that_nothing_can_follow_is_refused() {
    let opened = |term: u64| {
        let file = tempfile::tempfile().unwrap();
        let mut writer = Writer::new(file.try_clone().unwrap()).unwrap();
        writer.bucket(bucket::KEY).unwrap();
        writer.bucket(bucket::META).unwrap();
        writer.put(meta::TERM, &term.to_be_bytes()).unwrap();
        writer.finish().unwrap();
        EtcdSnapshot::open(file)
    };
    let highest = i64::MAX.cast_unsigned();
    assert_eq!(opened(highest).unwrap().raft_term, highest);
    for term in [highest + 1, u64::MAX] {
        let error = opened(term).unwrap_err().to_string();
        assert!(error.contains(&format!("its term {term} is higher than any cluster gets")), "{error}");
    }
}

fn opened(snapshot: &EtcdSnapshot) -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("data");
    snapshot.restore(&dir).unwrap();
    let store = Store::open(dir, Settings::default()).unwrap();
    (folder, store)
}

/// `a` at revisions 2 and 3, and 7 after a compaction.
const A_AT_2: &[u8] = b"\x0a\x01a\x10\x02\x18\x02\x20\x01\x2a\x011";
const A_AT_3: &[u8] = b"\x0a\x01a\x10\x02\x18\x03\x20\x02\x2a\x012";
const A_AT_7: &[u8] = b"\x0a\x01a\x10\x02\x18\x07\x20\x03\x2a\x013";

/// `etcdutl snapshot restore --bump-revision 1000 --mark-compacted` raises the revision with a row that has no key.
#[test]
fn a_revision_that_was_bumped_counts() {
    let bumped = made(&[(2, A_AT_2), (1002, b"")], &[(meta::SCHEDULED_COMPACT, 1002)]);
    assert_eq!((bumped.revision(), bumped.status().unwrap().keys), (1002, 1));
    let (_folder, store) = opened(&bumped);
    assert_eq!((store.current_revision(), store.compact_revision()), (1002, 1002));
    assert_eq!(store.get("a").unwrap().unwrap().mod_revision(), 2);
    assert_eq!(store.put("b", "1").wait().unwrap().revision, 1003);
}

/// An etcd that was stopped in the middle of a compaction goes on with it, and so does what is made of its snapshot.
#[test]
fn a_compaction_that_was_broken_off_goes_on() {
    let broken_off = made(
        &[(2, A_AT_2), (3, A_AT_3), (7, A_AT_7)],
        &[(meta::FINISHED_COMPACT, 2), (meta::SCHEDULED_COMPACT, 6)],
    );
    let (_folder, store) = opened(&broken_off);
    assert_eq!((store.current_revision(), store.compact_revision()), (7, 6));
    assert_eq!(store.view_at(6).unwrap().get("a").unwrap().unwrap().value(), b"2");
    store.compacted().wait().unwrap();
    assert_eq!(store.export().unwrap().rows().unwrap().count(), 2, "the row of revision 2 is gone");
}
