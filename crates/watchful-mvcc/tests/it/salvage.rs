//! What is saved of a damaged store, and what is told of the rest.

#![allow(clippy::host_endian_bytes, reason = "LMDB writes numbers in the machine's own byte order")]

use std::fs;

use watchful_backend::{Backend, BackendSettings};
use watchful_mvcc::{LostRevisions, Mvcc, MvccError, PutOptions, SalvageReport, check, salvage, savable};
use watchful_revision::Revision;

use crate::support::{Store, rows_at, settings};

pub(crate) const PAGE_BYTES: usize = 4096;

/// Closes a store and changes its file.
pub(crate) fn damage(store: &mut Store, change: impl FnOnce(&mut Vec<u8>)) {
    store.close();
    let mut bytes = fs::read(store.data_file()).unwrap();
    change(&mut bytes);
    fs::write(store.data_file(), bytes).unwrap();
}

/// The places of some bytes, everywhere: LMDB leaves old copies of pages behind.
pub(crate) fn places(bytes: &[u8], wanted: &[u8]) -> Vec<usize> {
    let places: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at..].starts_with(wanted)).collect();
    assert!(!places.is_empty(), "{wanted:?} is not in the file");
    places
}

/// Changes the byte that is `offset` bytes behind the start of `wanted`.
pub(crate) fn flip(bytes: &mut [u8], wanted: &[u8], offset: usize) {
    for place in places(bytes, wanted) {
        bytes[place + offset] ^= 1;
    }
}

/// Saves what is left of a store, checks that, and opens it.
pub(crate) fn save(store: &Store) -> (tempfile::TempDir, Mvcc, SalvageReport) {
    let dir = tempfile::tempdir().unwrap();
    let report = salvage(store.path(), dir.path(), &settings()).unwrap();
    assert_eq!(savable(store.path()).map_err(|error| error.to_string()), Ok(report.clone()));
    let checked = check(dir.path()).unwrap();
    assert!(checked.is_ok(), "{checked:?}");
    let (mvcc, _) = Mvcc::open(dir.path(), &settings()).unwrap();
    assert_eq!(
        (mvcc.compact_revision(), mvcc.current_revision()),
        (report.compact_revision, report.current_revision)
    );
    (dir, mvcc, report)
}

/// Whether the report says that `revision` is lost.
pub(crate) fn is_lost(report: &SalvageReport, revision: u64) -> bool {
    let is_in =
        |lost: &LostRevisions| lost.first <= revision && lost.last.is_none_or(|last| revision <= last);
    report.lost.iter().any(is_in)
}

/// The number that starts at `at`.
pub(crate) fn u64_at(bytes: &[u8], at: usize) -> usize {
    usize::try_from(u64::from_ne_bytes(*bytes[at..].first_chunk().unwrap())).unwrap()
}

/// Where the newest of the two first pages begins.
pub(crate) fn newest(bytes: &[u8]) -> usize {
    if u64_at(bytes, PAGE_BYTES + 144) > u64_at(bytes, 144) { PAGE_BYTES } else { 0 }
}

/// The page with the list of tables.
pub(crate) fn list(bytes: &[u8]) -> usize {
    u64_at(bytes, newest(bytes) + 128)
}

pub(crate) fn keys(mvcc: &Mvcc, revision: u64) -> Vec<String> {
    rows_at(mvcc, revision)
        .iter()
        .map(|row| format!("{}={}", row.key.escape_ascii(), row.value.escape_ascii()))
        .collect()
}

/// The check told keys apart by a hash of fixed seeds, and every key of sixteen bytes with this end had the same: a client that
/// wrote two of them made a healthy store "damaged" for good. Its backup could not be restored, and what was salvaged of it had
/// no history.
#[test]
fn keys_that_were_made_to_share_a_hash_are_told_apart() {
    const END: [u8; 8] = [0x17, 0x09, 0x47, 0xb5, 0xb5, 0xd5, 0x84, 0x3f];
    let mut store = Store::new();
    for (head, value) in [(b"aaaaaaaa", "1"), (b"bbbbbbbb", "1"), (b"aaaaaaaa", "2")] {
        put(&store, &[head, &END[..]].concat(), value.as_bytes());
    }
    store.close();
    let report = check(store.path()).unwrap();
    assert!(report.is_ok(), "{report:?}");
    let (_dir, saved, report) = save(&store);
    assert!(report.is_whole(), "{report:?}");
    assert_eq!(rows_at(&saved, 3).len(), 2);
}

pub(crate) fn put(store: &Store, key: &[u8], value: &[u8]) {
    let mut group = store.begin_group().unwrap();
    group.txn(|txn| txn.put(key, value, PutOptions::default())).unwrap();
    group.commit().unwrap();
}

/// A bit in the compact revision, which had no checksum, made revisions readable again from which compaction had deleted
/// rows: keys were missing there, and neither the check nor the open noticed.
#[test]
fn damage_in_what_a_store_keeps_about_itself_is_told() {
    for name in ["compact_scheduled", "compact_finished", "epoch", "store_id"] {
        let mut store = Store::new();
        store.run("put a 1\ntxn { put b 1; put c 1 }\nput c 2\nput d 1");
        store.compact(4);
        damage(&mut store, |bytes| flip(bytes, name.as_bytes(), name.len() + 7));
        let error = Mvcc::open(store.path(), &store.settings).err().unwrap();
        assert!(matches!(&error, MvccError::DamagedStore { what } if what.contains(name)), "{error}");
        assert!(!check(store.path()).unwrap().is_ok(), "{name}");
        let (_dir, saved, report) = save(&store);
        assert!(!report.is_whole(), "{name}: {report:?}");
        assert_eq!(keys(&saved, 5), ["a=1", "b=1", "c=2", "d=1"]);
    }
}

/// Of a store of users and leases alone, in which no key was put yet, nothing was saved when its epoch was damaged.
#[test]
fn a_store_without_changes_is_saved_for_its_notes_and_leases() {
    let mut store = Store::new();
    store.run("grant 7 60");
    let mut group = store.begin_group().unwrap();
    group.txn(|txn| txn.set_note(b"user/a", b"secret")).unwrap();
    group.commit().unwrap();
    damage(&mut store, |bytes| flip(bytes, b"epoch", 12));
    let (_dir, saved, report) = save(&store);
    assert!(!report.is_whole(), "{report:?}");
    assert_eq!((report.leases, report.notes, saved.leases().len()), (1, 1, 1));
}

/// The same in a lease: it lived for another time than it was granted for.
#[test]
fn damage_in_a_lease_is_told() {
    const ID: i64 = 0x0102_0304_0506_0708;
    let mut store = Store::new();
    store.run(&format!("grant {ID} 60\nput a 1 lease={ID}\nput b 1"));
    // Its time comes right after its id; a record has no such place.
    damage(&mut store, |bytes| flip(bytes, &[&ID.to_be_bytes()[..], &60_i64.to_be_bytes()].concat(), 12));
    let error = Mvcc::open(store.path(), &store.settings).err().unwrap();
    assert!(matches!(&error, MvccError::DamagedStore { what } if what.contains("lease")), "{error}");
    let (_dir, saved, report) = save(&store);
    assert_eq!(report.remarks, ["leases are lost; 1 keys hung on them and now stay until they are deleted"]);
    assert_eq!((keys(&saved, 3), saved.leases().len()), (vec!["a=1".to_owned(), "b=1".to_owned()], 0));
}

/// A bit in the number of the format, which has no sum, and nothing could be saved of a store that was whole: it was taken for
/// one of another version. What else it keeps about itself tells that it is not.
#[test]
fn a_damaged_number_of_the_format_does_not_keep_a_store_from_being_saved() {
    for bit in [1, 4, 128] {
        let mut store = Store::new();
        store.run("put a 1\nput b 1");
        damage(&mut store, |bytes| {
            for place in places(bytes, b"format\0\0\0\x02") {
                bytes[place + 9] ^= bit;
            }
        });
        let refused = Mvcc::open(store.path(), &store.settings);
        assert!(matches!(refused, Err(MvccError::FormatVersion { .. })));
        assert!(!check(store.path()).unwrap().is_ok());
        let (_dir, saved, report) = save(&store);
        assert!(report.lost.is_empty() && !report.is_whole(), "{report:?}");
        assert!(report.remarks.iter().any(|remark| remark.contains("format")), "{report:?}");
        assert_eq!(keys(&saved, 3), ["a=1", "b=1"]);
    }
}

#[test]
fn a_lost_change_that_a_later_one_tells_of_leaves_no_doubt() {
    let mut store = Store::new();
    store.run("put a 1\nput b unmistakable\nput c 1\nput b 2\nput d 1");
    damage(&mut store, |bytes| flip(bytes, b"unmistakable", 3));
    let (_dir, saved, report) = save(&store);
    assert_eq!(report.lost, [LostRevisions { first: 3, last: Some(3) }]);
    assert_eq!((report.compact_revision, report.doubtful_keys), (5, 0));
    assert_eq!(keys(&saved, 5), ["a=1", "b=2", "c=1"]);
    assert_eq!(keys(&saved, 6), ["a=1", "b=2", "c=1", "d=1"]);
}

#[test]
fn a_lost_change_that_nothing_tells_of_makes_older_keys_doubtful() {
    let mut store = Store::new();
    store.run("put a 1\nput x 1\nput b unmistakable\nput c 1\nput x 2");
    damage(&mut store, |bytes| flip(bytes, b"unmistakable", 3));
    let (_dir, saved, report) = save(&store);
    assert_eq!(report.lost, [LostRevisions { first: 4, last: Some(4) }]);
    // `x` was changed again, and its version says that nothing came in between.
    assert_eq!((report.compact_revision, report.doubtful), (4, vec![b"a".to_vec()]));
    assert_eq!(keys(&saved, 4), ["a=1", "x=1"]);
    assert_eq!(keys(&saved, 6), ["a=1", "c=1", "x=2"]);
}

/// Of what was lost at the end only the first part was told: a client that had a key of the last one looked for it in vain, and
/// in the report too.
#[test]
fn everything_that_is_lost_at_the_end_is_told() {
    let mut store = Store::new();
    store.run("put a 1\nput b 1\nput c unmistakable\nput d unmistakable");
    damage(&mut store, |bytes| flip(bytes, b"unmistakable", 3));
    let (_dir, saved, report) = save(&store);
    assert_eq!(report.lost, [LostRevisions { first: 4, last: Some(5) }]);
    assert_eq!((report.current_revision, report.doubtful_keys), (3, 0));
    assert_eq!(keys(&saved, 3), ["a=1", "b=1"]);

    // The leaf with the newest records, and the last record but one before it.
    let mut store = long();
    for revision in 45..105 {
        store.run(&format!("put n {revision:0100}"));
    }
    let mut first = 0;
    damage(&mut store, |bytes| {
        let leaves = (2..bytes.len() / PAGE_BYTES).map(|page| page * PAGE_BYTES);
        let last = leaves.max_by_key(|at| last_revision(&bytes[*at..][..PAGE_BYTES])).unwrap();
        first = first_revision(&bytes[last..]).unwrap() - 2;
        bytes[last..last + PAGE_BYTES].fill(0);
        flip(bytes, format!("{first:0100}").as_bytes(), 99);
    });
    let (_dir, saved, report) = save(&store);
    assert_eq!(report.lost, [LostRevisions { first, last: None }], "{report:?}");
    assert_eq!(saved.current_revision(), first - 1);
}

/// Of the newest revision one change is lost: it is left off as a whole.
#[test]
fn half_a_revision_is_not_saved() {
    let mut store = Store::new();
    store.run("put a 1\nput b 1\ntxn { put a 2; put b unmistakable; put c 1 }");
    damage(&mut store, |bytes| flip(bytes, b"unmistakable", 3));
    let (_dir, saved, report) = save(&store);
    assert_eq!((report.current_revision, report.doubtful_keys), (3, 0));
    assert_eq!(keys(&saved, 3), ["a=1", "b=1"]);
}

/// The newest commit had four revisions, the last of them damaged, and a slice of a compaction. The commit before was taken in its
/// place, because it had more rows: those that were deleted since. Three revisions that were whole were lost.
#[test]
fn rows_that_compaction_has_deleted_do_not_speak_for_the_commit_before() {
    let mut store = Store::new();
    for round in 0..20 {
        store.run(&format!("put a {round}"));
    }
    {
        let mut group = store.begin_group().unwrap();
        group.schedule_compaction(20).unwrap();
        group.commit().unwrap();
        let mut group = store.begin_group().unwrap();
        for value in ["1", "2", "3", "unmistakable"] {
            group.txn(|txn| txn.put(b"b", value.as_bytes(), PutOptions::default())).unwrap();
        }
        group.compact_slice(1000).unwrap();
        group.commit().unwrap();
    }
    damage(&mut store, |bytes| flip(bytes, b"unmistakable", 3));
    let (_dir, saved, report) = save(&store);
    assert_eq!(report.lost, [LostRevisions { first: 25, last: Some(25) }]);
    assert_eq!(keys(&saved, 24), ["a=19", "b=3"]);
}

/// A log with branch pages, and keys that were compacted away.
pub(crate) fn long() -> Store {
    let store = Store::new();
    for round in 0..40 {
        let puts: Vec<_> = (0..20).map(|key| format!("put k{key} {round:0100}")).collect();
        store.run(&format!("txn {{ {} }}", puts.join("; ")));
    }
    store.run("del k7");
    store.compact(30);
    store.run("put last 1\nput last 2");
    store
}

pub(crate) fn is_branch(page: &[u8]) -> bool {
    page[10..12] == 1_u16.to_ne_bytes()
}

pub(crate) fn zero_branches(bytes: &mut [u8]) {
    let branches = bytes.chunks_exact_mut(PAGE_BYTES).skip(2).filter(|page| is_branch(page));
    assert!(branches.map(|page| page.fill(0)).count() > 0, "there is a branch page");
}

#[test]
fn what_a_damaged_branch_led_to_is_found() {
    let mut store = long();
    let newest = keys(&store, 44);
    let kept = keys(&store, 30);
    damage(&mut store, |bytes| zero_branches(bytes));
    assert!(!check(store.path()).unwrap().is_ok());
    let (_dir, saved, report) = save(&store);
    assert!(report.is_whole(), "{report:?}");
    assert_eq!((keys(&saved, 44), keys(&saved, 30)), (newest, kept));
}

/// With the lists of free pages lost as well, a leaf that nothing leads to may be an old one.
#[test]
fn nothing_is_taken_from_pages_that_may_be_old() {
    let mut store = long();
    damage(&mut store, |bytes| {
        let free = u64_at(bytes, newest(bytes) + 80);
        bytes[free * PAGE_BYTES..][..PAGE_BYTES].fill(0);
        zero_branches(bytes);
    });
    let dir = tempfile::tempdir().unwrap();
    let refused = salvage(store.path(), dir.path(), &settings());
    assert!(
        matches!(&refused, Err(MvccError::DamagedStore { what }) if what.contains("no change")),
        "{refused:?}"
    );
    assert!(savable(store.path()).is_err());
}

/// The number that a key begins with, of a node of a page that is a leaf with keys of this length, or looks like one.
fn number_at(page: &[u8], key_len: usize, node: impl FnOnce(usize) -> usize) -> Option<u64> {
    let u16_at = |at: usize| usize::from(u16::from_ne_bytes(page[at..at + 2].try_into().unwrap()));
    let nodes = u16_at(12).checked_sub(16)? / 2;
    if u16_at(10) != 2 || nodes == 0 || u16_at(12) > page.len() {
        return None;
    }
    let at = u16_at(16 + 2 * node(nodes));
    let has_key = at + 8 + key_len <= page.len() && u16_at(at + 6) == key_len;
    has_key.then(|| u64::from_be_bytes(page[at + 8..at + 16].try_into().unwrap()))
}

/// The first main revision on a leaf of the log.
fn first_revision(page: &[u8]) -> Option<u64> {
    number_at(page, 12, |_| 0)
}

pub(crate) fn last_revision(page: &[u8]) -> Option<u64> {
    number_at(page, 12, |nodes| nodes - 1)
}

/// The check, and with it the salvage that people turn to then, ended in a panic over a row whose key was twelve bytes of 0xff.
#[test]
fn the_last_revision_there_can_be_is_damage_like_any_other() {
    for key in [[0xff; 12], [0; 12]] {
        let mut store = Store::new();
        store.run("put a 1\nput b 1\nput c 1");
        // A key comes after its length.
        let row = [&12_u16.to_ne_bytes()[..], &Revision::start_of(4).to_bytes()].concat();
        damage(&mut store, |bytes| {
            for place in places(bytes, &row) {
                bytes[place + 2..place + 14].copy_from_slice(&key);
            }
        });
        assert!(!check(store.path()).unwrap().is_ok());
        let (_dir, saved, report) = save(&store);
        assert!(!report.is_whole(), "{report:?}");
        assert_eq!(
            (saved.current_revision(), keys(&saved, 3)),
            (3, vec!["a=1".to_owned(), "b=1".to_owned()])
        );
    }
}

/// A store of the first format has no sums in `meta`. With a compact revision of 2^64-1 the check found nothing wrong with it, the
/// server started, and ended in a panic at the first write.
#[test]
fn a_compact_revision_that_no_store_gets_to_is_damage() {
    let mut store = Store::new();
    store.run("put a 1\nput b 1\nput c 1");
    store.close();
    {
        let tables = ["log", "meta", "lease", "note"];
        let backend = Backend::open(store.path(), &BackendSettings::default(), &tables).unwrap();
        let meta = backend.table("meta").unwrap();
        let mut txn = backend.write().unwrap();
        txn.put(meta, b"format", &1_u32.to_be_bytes()).unwrap();
        txn.put(meta, b"store_id", &[7; 16]).unwrap();
        txn.put(meta, b"epoch", &1_u64.to_be_bytes()).unwrap();
        txn.put(meta, b"compact_scheduled", &u64::MAX.to_be_bytes()).unwrap();
        txn.commit().unwrap();
    }
    let report = check(store.path()).unwrap();
    assert!(report.problems.iter().any(|problem| problem.contains("compact_scheduled")), "{report:?}");
    let error = Mvcc::open(store.path(), &store.settings).err().unwrap();
    assert!(
        matches!(&error, MvccError::DamagedStore { what } if what.contains("compact_scheduled")),
        "{error}"
    );
    let (_dir, saved, report) = save(&store);
    assert!(!report.is_whole(), "{report:?}");
    assert_eq!(keys(&saved, 4), ["a=1", "b=1", "c=1"]);
}

/// With a leaf gone from a compacted log, one more row that was missing without a trace (a tombstone, say) was not missed: its key
/// was back, and no line said that it might be.
#[test]
fn what_cannot_be_counted_is_told() {
    let mut store = long();
    damage(&mut store, |bytes| {
        for page in bytes.chunks_exact_mut(PAGE_BYTES) {
            let revisions = first_revision(page).zip(last_revision(page));
            if revisions.is_some_and(|(first, last)| (first..=last).contains(&35)) {
                page.fill(0);
            }
        }
    });
    let (_dir, _saved, report) = save(&store);
    assert!(report.remarks.iter().any(|remark| remark.contains("may be back")), "{report:?}");
}

/// Where the compact revision was lost too, half of the newest revision was shown as if it were all of it.
#[test]
fn half_a_revision_is_not_saved_without_the_compact_revision_either() {
    let mut store = Store::new();
    store.run("put a 1\nput b 1");
    store.compact(2);
    store.run("txn { put a 2; put b unmistakable; put c 1 }");
    damage(&mut store, |bytes| {
        flip(bytes, b"unmistakable", 3);
        flip(bytes, b"compact_scheduled", 24);
    });
    let (_dir, saved, report) = save(&store);
    assert_eq!(keys(&saved, 3), ["a=1", "b=1"]);
    assert_eq!((report.current_revision, report.doubtful_keys), (3, 2));
}

/// A compaction deletes what later changes replace. Where those were lost at the end, and the compact revision too, keys were
/// missing in the state before them that had been there, and no line of the report said so.
#[test]
fn a_compaction_that_may_have_gone_beyond_the_end_is_told() {
    let mut store = Store::new();
    store.run("put a 1\nput b 1\nput a unmistakable");
    store.compact(4);
    damage(&mut store, |bytes| {
        flip(bytes, b"unmistakable", 3);
        flip(bytes, b"compact_scheduled", 24);
    });
    let (_dir, saved, report) = save(&store);
    assert_eq!(keys(&saved, 3), ["b=1"]);
    assert_eq!(report.lost, [LostRevisions { first: 1, last: Some(4) }]);
    assert!(report.remarks.iter().any(|remark| remark.contains("beyond")), "{report:?}");
}

/// A row that is missing where no gap is, and where the number of rows says nothing, was known from its key's next change, and
/// no key was doubtful for it.
#[test]
fn a_change_that_is_missing_where_nothing_shows_it_makes_keys_doubtful() {
    let mut store = Store::new();
    store.run("put a 1\nput b 1\nput c 1");
    store.close();
    let dir = store.path().to_owned();
    {
        let tables = ["log", "meta", "lease", "note"];
        let backend = Backend::open(&dir, &BackendSettings::default(), &tables).unwrap();
        let log = backend.table("log").unwrap();
        // A put of version 7 with no put before it, as a record of a log whose rows before it are gone.
        let put = watchful_revision::Put { key: b"d", value: b"1", create_revision: 2, version: 7, lease: 0 };
        let (revision, mut record) = (Revision::start_of(5), Vec::new());
        watchful_revision::encode_put(revision, &put, &mut record).unwrap();
        let mut txn = backend.write().unwrap();
        txn.append(log, &revision.to_bytes(), &record).unwrap();
        txn.commit().unwrap();
    }
    let error = Mvcc::open(&dir, &store.settings).err().unwrap().to_string();
    assert!(error.contains("of its key is missing"), "{error}");
    let report = check(&dir).unwrap();
    assert!(report.problems.iter().any(|problem| problem.contains("of its key is missing")), "{report:?}");
    let (_dir, saved, report) = save(&store);
    assert_eq!(report.doubtful, [b"a".to_vec(), b"b".to_vec(), b"c".to_vec(), b"d".to_vec()]);
    assert_eq!((saved.compact_revision(), saved.current_revision()), (5, 5));
}

/// Puts what is on the page at `old` into the one at `at`. False where nothing refers to that.
fn takes_its_place(store: &Store, good: &[u8], old: usize, at: usize) -> bool {
    let mut bytes = good.to_owned();
    bytes[at + 8..at + PAGE_BYTES].copy_from_slice(&good[old + 8..old + PAGE_BYTES]);
    fs::write(store.data_file(), bytes).unwrap();
    !check(store.path()).unwrap().is_ok()
}

/// A leaf that was exchanged for an older page with rows of higher revisions was taken for what it said, and every good row
/// of lower ones behind it was dropped: keys were gone, and the report told of other revisions, or named the wrong ones.
#[test]
fn a_leaf_of_another_time_takes_no_good_row_with_it() {
    let mut store = Store::new();
    for round in 0..200 {
        store.run(&format!("put k{} {round:0200}", round % 90));
    }
    store.compact(60);
    store.run("put last 1\nput last 2");
    let (compact, current) = (store.compact_revision(), store.current_revision());
    let owed_at: Vec<_> =
        (0..=current).map(|at| if at < compact { Vec::new() } else { rows_at(&store, at) }).collect();
    store.close();
    let good = fs::read(store.data_file()).unwrap();
    let leaves: Vec<_> = (2..good.len() / PAGE_BYTES)
        .map(|page| page * PAGE_BYTES)
        .filter_map(|at| {
            let page = &good[at..at + PAGE_BYTES];
            Some((first_revision(page)?, last_revision(page)?, at))
        })
        .collect();
    let mut tried = 0;
    for (index, (from, upto, at)) in leaves.iter().enumerate() {
        // Some of those before and of those behind, near and far.
        for (other, _, old) in leaves.iter().skip(index % 3).step_by(3).filter(|(other, ..)| other != from) {
            if !takes_its_place(&store, &good, *old, *at) {
                break;
            }
            tried += 1;
            let (_dir, saved, report) = save(&store);
            assert!(report.compact_revision >= compact && !report.is_whole(), "{report:?}");
            let (rows, owed) = (
                rows_at(&saved, report.current_revision),
                &owed_at[usize::try_from(report.current_revision).unwrap()],
            );
            for row in owed.iter().filter(|row| !rows.contains(row)) {
                let was_on_it = (*from..=*upto).contains(&row.revision.main);
                assert!(was_on_it, "{row:?} is gone, and was not on {from} where {other} is: {report:?}");
                assert!(
                    is_lost(&report, row.revision.main),
                    "{row:?} is gone with {other} at {from}: {report:?}"
                );
            }
            for row in rows.iter().filter(|row| !owed.contains(row)) {
                let is_doubtful = report.doubtful.iter().any(|key| *key == row.key);
                assert!(is_doubtful, "{row:?} is not doubted with {other} at {from}: {report:?}");
            }
        }
    }
    assert!(tried > 20, "{tried} leaves took the place of others");
}

/// The same in the table of leases: a row of an older page, with the id of a good one, took its place, and went with that page.
/// Leases that were whole were told as lost.
#[test]
fn a_leaf_of_another_time_takes_no_good_lease_with_it() {
    let mut store = Store::new();
    let mut group = store.begin_group().unwrap();
    for id in 1..=600 {
        group.txn(|txn| txn.lease_grant(id, 60)).unwrap();
    }
    group.commit().unwrap();
    store.close();
    let good = fs::read(store.data_file()).unwrap();
    let leaves: Vec<_> = (2..good.len() / PAGE_BYTES)
        .map(|page| page * PAGE_BYTES)
        .filter_map(|at| {
            let page = &good[at..at + PAGE_BYTES];
            Some((number_at(page, 8, |_| 0)?, number_at(page, 8, |nodes| nodes - 1)?, at))
        })
        // The lists of free pages have keys of that length too, in the machine's byte order.
        .filter(|(from, ..)| *from <= 600)
        .collect();
    assert!(leaves.len() > 4, "{leaves:?}");
    let mut tried = 0;
    for (from, upto, at) in &leaves {
        for (other, _, old) in leaves.iter().filter(|(other, ..)| other != from) {
            if !takes_its_place(&store, &good, *old, *at) {
                break;
            }
            tried += 1;
            let (_dir, saved, report) = save(&store);
            assert!(report.remarks.iter().any(|remark| remark.contains("leases are lost")), "{report:?}");
            let leases: Vec<_> = saved.leases().iter().map(|lease| lease.id.cast_unsigned()).collect();
            let owed = (1..=600_u64).filter(|id| !(*from..=*upto).contains(id));
            assert!(owed.eq(leases.iter().copied()), "with {other} at {from} there are {leases:?}");
        }
    }
    assert_eq!(tried, leaves.len() * (leaves.len() - 1), "each leaf should take each other's place");
}

/// A row whose key's row before was not loaded would be told as damage by every later check.
#[test]
fn a_history_without_a_change_of_a_key_is_not_loaded() {
    use watchful_mvcc::{LoadPlan, LoadRow};
    use watchful_revision::Put;
    let store = Store::new();
    let mut loader = store.loader(LoadPlan { compact_revision: None, current_revision: 2 }).unwrap();
    let put = Put { key: b"a", value: b"", create_revision: 2, version: 2, lease: 0 };
    let refused = loader.row(Revision::start_of(2), &LoadRow::Put(put));
    assert!(matches!(refused, Err(MvccError::LoadRefused { .. })), "{refused:?}");
}

#[test]
fn a_mark_of_another_version_is_refused_by_it() {
    let mut store = Store::new();
    store.close();
    fs::write(store.path().join("MARK"), "watchful mark 7\nopen\nsynced\n\n").unwrap();
    let error = Mvcc::open(store.path(), &store.settings).err().unwrap().to_string();
    assert!(error.contains("version 7") && error.contains("use the version that wrote it"), "{error}");
}

/// The list of tables once told of the log as it was a commit earlier, for a sector of an older list had come into its page:
/// all of that log was whole, and it was saved as if it were all there was. That its pages are free tells.
#[test]
fn what_may_be_of_an_earlier_moment_is_not_called_whole() {
    let mut store = long();
    let older = fs::read(store.data_file()).unwrap();
    store.run("put last 3");
    damage(&mut store, |bytes| {
        let (from, to) = (list(&older) * PAGE_BYTES, list(bytes) * PAGE_BYTES);
        bytes[to + 8..to + PAGE_BYTES].copy_from_slice(&older[from + 8..from + PAGE_BYTES]);
    });
    assert!(!check(store.path()).unwrap().is_ok());
    let (_dir, saved, report) = save(&store);
    assert!(!report.is_whole(), "{report:?}");
    assert_eq!((saved.current_revision(), saved.compact_revision()), (44, 30));
}
