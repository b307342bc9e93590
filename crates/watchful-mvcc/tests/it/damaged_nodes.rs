//! One bit in what a page says of its nodes, which has no checksum: a name, how many there are, a key, what one leads to.

#![allow(clippy::host_endian_bytes, reason = "LMDB writes numbers in the machine's own byte order")]

use watchful_mvcc::{LostRevisions, Mvcc, MvccError, SalvageReport, check};
use watchful_revision::Revision;
use watchful_testkit::Row;

use crate::salvage::{
    PAGE_BYTES, damage, flip, is_branch, is_lost, keys, last_revision, list, long, newest, places, put, save,
    u64_at,
};
use crate::support::{Store, rows_at};

/// A store with changes, a lease and a note.
fn store() -> Store {
    let store = Store::new();
    store.run("put a 1");
    let mut group = store.begin_group().unwrap();
    group.txn(|txn| txn.lease_grant(7, 60)).unwrap();
    group.txn(|txn| txn.set_note(b"x/0", b"1")).unwrap();
    group.txn(|txn| txn.set_note(b"x/1", b"1")).unwrap();
    group.commit().unwrap();
    // The commit before has less, so it is not taken in the place of the newest one.
    store.run("put b 1");
    store
}

/// Puts of one commit: the one before has so much less that it is not taken in the place of the newest one.
pub(crate) fn put_many(store: &Store) {
    let puts: Vec<_> = (0..200).map(|key| format!("put n{key} 1")).collect();
    store.run(&format!("txn {{ {} }}", puts.join("; ")));
}

/// The place of a page's number of nodes, which is the end of their list.
fn lower(bytes: &mut [u8], page: usize) -> &mut [u8; 2] {
    bytes[page * PAGE_BYTES + 12..].first_chunk_mut().unwrap()
}

fn less_by_a_node(bytes: &mut [u8], page: usize) {
    let lower = lower(bytes, page);
    *lower = (u16::from_ne_bytes(*lower) - 2).to_ne_bytes();
}

/// With one bit in the name of the log, a server started with a new and empty one: all keys were gone without a word, and revisions
/// were given out again. With one in that of the notes, users, roles and alarms were gone. The check told of a table too many,
/// and what was saved had nothing of that table and was called whole.
#[test]
fn a_table_that_lost_its_name_is_not_made_anew_and_is_saved() {
    for name in ["log", "meta", "lease", "note"] {
        let mut store = store();
        let owed = keys(&store, 3);
        damage(&mut store, |bytes| flip(bytes, name.as_bytes(), name.len() - 1));
        let error = Mvcc::open(store.path(), &store.settings).err().unwrap();
        assert!(matches!(&error, MvccError::DamagedStore { .. }), "{error:?}");
        assert!(error.to_string().contains(&format!("has no `{name}`")), "{error}");
        assert!(!check(store.path()).unwrap().is_ok(), "{name}");
        let (_dir, saved, report) = save(&store);
        assert!(report.remarks.iter().any(|remark| remark.contains("none that a store has")), "{report:?}");
        assert_eq!((keys(&saved, 3), report.leases, report.notes), (owed, 1, 2), "{name}: {report:?}");
        assert!(report.lost.is_empty(), "{name}: {report:?}");
    }
}

/// With one bit in the name of the compact revision a store opened as one that was never compacted, and answered reads from a
/// history with holes. The check told of it, and what was saved was right.
#[test]
fn a_name_that_no_store_has_in_meta_is_damage() {
    let store = || {
        let mut store = store();
        store.run("put a 2\nput a 3");
        store.compact(4);
        store.close();
        store
    };
    for name in ["compact_scheduled", "compact_finished", "epoch", "format", "store_id"] {
        for at in 0..name.len() {
            let mut store = store();
            damage(&mut store, |bytes| flip(bytes, name.as_bytes(), at));
            assert!(!check(store.path()).unwrap().is_ok(), "{name}, {at}");
            let error = Mvcc::open(store.path(), &store.settings).err();
            assert!(error.is_some(), "{name}, {at}");
        }
    }
}

pub(crate) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_ne_bytes(*bytes[at..].first_chunk().unwrap())
}

/// The page at which the log begins, and the places in the file of the nodes' places on it.
fn root_of_log(bytes: &[u8]) -> (usize, Vec<usize>) {
    let at = list(bytes) * PAGE_BYTES;
    let tree = at + places(&bytes[at..at + PAGE_BYTES], b"log")[0] + 3;
    let root = u64_at(bytes, tree + 40);
    let nodes = usize::from(u16_at(bytes, root * PAGE_BYTES + 12) - 16) / 2;
    (root, (0..nodes).map(|node| root * PAGE_BYTES + 16 + 2 * node).collect())
}

/// A list of tables that says too few leaves out the last one, and the notes on it were not missed.
#[test]
fn a_list_of_tables_that_is_too_short_is_told() {
    let mut store = store();
    damage(&mut store, |bytes| {
        let page = list(bytes);
        less_by_a_node(bytes, page);
        for place in places(bytes, b"x/0") {
            bytes[place / PAGE_BYTES * PAGE_BYTES..][..PAGE_BYTES].fill(0);
        }
    });
    assert!(Mvcc::open(store.path(), &store.settings).is_err());
    let (_dir, saved, report) = save(&store);
    assert_eq!((keys(&saved, 3).len(), report.notes), (2, 0));
    assert!(report.remarks.iter().any(|remark| remark.contains("notes are lost")), "{report:?}");
}

/// A leaf that says that it has one node less has lost its last one. Of the newest revision half was gone, all keys were doubtful
/// for that, and all revisions but that one were told as lost.
#[test]
fn a_leaf_that_says_too_few_has_lost_its_end() {
    let mut store = Store::new();
    store.run("put a 1\nput b 1\nput c 1\ntxn { put a 2; put b 2 }");
    damage(&mut store, |bytes| {
        let leaves = 2..bytes.len() / PAGE_BYTES;
        let newest = leaves.max_by_key(|page| last_revision(&bytes[page * PAGE_BYTES..][..PAGE_BYTES]));
        less_by_a_node(bytes, newest.unwrap());
    });
    let (_dir, saved, report) = save(&store);
    assert_eq!(keys(&saved, 4), ["a=1", "b=1", "c=1"]);
    assert_eq!((saved.current_revision(), report.doubtful_keys), (4, 0), "{report:?}");
    assert_eq!(report.lost, [LostRevisions { first: 5, last: None }]);
}

/// A branch that says too few leaves out its last leaf, with the newest changes. They are all there, and were given up.
#[test]
fn what_a_branch_that_says_too_few_leaves_out_is_found() {
    let mut store = long();
    let newest = keys(&store, 44);
    damage(&mut store, |bytes| {
        let branches: Vec<_> = (2..bytes.len() / PAGE_BYTES)
            .filter(|page| is_branch(&bytes[page * PAGE_BYTES..][..PAGE_BYTES]))
            .collect();
        assert!(!branches.is_empty());
        branches.into_iter().for_each(|page| less_by_a_node(bytes, page));
    });
    assert!(!check(store.path()).unwrap().is_ok());
    let (_dir, saved, report) = save(&store);
    assert!(report.is_whole(), "{report:?}");
    assert_eq!(keys(&saved, 44), newest);
}

/// The number of the page where a value begins took that page for the value, whatever it was: leases, notes and what the store
/// keeps about itself were lost with one record.
#[test]
fn a_value_that_is_sought_elsewhere_takes_nothing_along() {
    let mut good = store();
    put(&good, b"large", &[7; 10_000]);
    put(&good, b"last", b"1");
    good.close();
    let row = [&12_u16.to_ne_bytes()[..], &Revision::start_of(4).to_bytes()].concat();
    let bytes = std::fs::read(good.data_file()).unwrap();
    let is_node = |page: &usize| matches!(bytes[page * PAGE_BYTES + 10], 1 | 2);
    let pages: Vec<_> = (2..bytes.len() / PAGE_BYTES).filter(is_node).collect();
    assert!(pages.len() > 4, "{pages:?}");
    for page in pages {
        let mut store = Store::new();
        damage(&mut store, |file| {
            file.clone_from(&bytes);
            for place in places(file, &row) {
                file[place + row.len()..][..8].copy_from_slice(&(page as u64).to_ne_bytes());
            }
        });
        let (_dir, saved, report) = save(&store);
        assert_eq!(report.lost, [LostRevisions { first: 4, last: Some(4) }], "page {page}: {report:?}");
        assert_eq!((report.leases, report.notes, &report.remarks[..]), (1, 2, &[][..]), "page {page}");
        assert_eq!(rows_at(&saved, 5).len(), 3);
    }
}

/// A note whose name became that of another was not told as lost, and the other one was, which is saved.
#[test]
fn a_note_with_the_name_of_another_is_told() {
    let mut store = store();
    damage(&mut store, |bytes| flip(bytes, b"x/1", 2));
    let (_dir, _saved, report) = save(&store);
    assert_eq!(report.notes, 1);
    assert!(report.remarks.iter().any(|remark| remark.starts_with("notes are lost")), "{report:?}");
}

/// Where compaction leaves gaps, a damaged revision may be any. It was believed: another revision than that of the change that is
/// gone was told as lost.
#[test]
fn a_damaged_revision_is_not_believed() {
    let mut store = Store::new();
    store.run("put a 1\nput x 1\nput x 2\nput b 1\nput c 1");
    store.compact(6);
    let row = |revision| [&12_u16.to_ne_bytes()[..], &Revision::start_of(revision).to_bytes()].concat();
    damage(&mut store, |bytes| {
        for place in places(bytes, &row(4)) {
            bytes[place..place + 14].copy_from_slice(&row(3));
        }
    });
    let (_dir, saved, report) = save(&store);
    assert_eq!(keys(&saved, 6), ["a=1", "b=1", "c=1"]);
    assert!(is_lost(&report, 4), "{report:?}");
}

/// Each row that is gone was in a lost revision, and each that is there again is doubted.
fn assert_told(story: &str, owed: &[Row], saved: &Mvcc, report: &SalvageReport) {
    let rows = rows_at(saved, report.current_revision);
    for row in owed.iter().filter(|row| !rows.contains(row)) {
        assert!(is_lost(report, row.revision.main), "{story}: {row:?} is gone: {report:?}");
    }
    for row in rows.iter().filter(|row| !owed.contains(row)) {
        assert!(
            report.doubtful.iter().any(|key| *key == row.key),
            "{story}: {row:?} is not doubted: {report:?}"
        );
    }
}

/// What a branch leads to may be anywhere: on a page that there is not, on one of its other leaves, on one of another kind, or
/// where no node is. The leaf that it should lead to is whole then, and is found; and what is not found is told.
#[test]
fn a_leaf_that_a_branch_does_not_lead_to_is_found() {
    let mut good = long();
    // On one page: of more, the others would not be accounted for.
    put(&good, b"large", &[7; 3000]);
    put_many(&good);
    let (current, owed) = (good.current_revision(), rows_at(&good, good.current_revision()));
    good.close();
    let bytes = std::fs::read(good.data_file()).unwrap();
    let changes = check(good.path()).unwrap().rows;
    let (root, nodes) = root_of_log(&bytes);
    assert!(nodes.len() > 8, "{} leaves", nodes.len());
    let at = |place: usize| root * PAGE_BYTES + usize::from(u16_at(&bytes, place));
    // The lower half of a child's number is all there is of it in a small file.
    let child = |place: usize| usize::from(u16_at(&bytes, at(place)));
    let rows_of = |leaf: usize| u64::from(u16_at(&bytes, leaf * PAGE_BYTES + 12) - 16) / 2;
    let between = |one: usize, other: usize| -> u64 {
        (one.min(other)..=one.max(other)).map(|node| rows_of(child(nodes[node]))).sum()
    };
    let large =
        (2..bytes.len() / PAGE_BYTES).find(|page| u16_at(&bytes, page * PAGE_BYTES + 10) == 4).unwrap();
    let try_one = |story: &str, changes_min: u64, change: &dyn Fn(&mut Vec<u8>)| {
        let mut store = Store::new();
        damage(&mut store, |file| {
            file.clone_from(&bytes);
            change(file);
        });
        assert!(!check(store.path()).unwrap().is_ok(), "{story}");
        let (_dir, saved, report) = save(&store);
        // Of the newest revision nothing is kept where a part of it is lost.
        let is_end_lost = report.current_revision < current;
        assert!(report.changes >= changes_min || is_end_lost, "{story}: {report:?}");
        assert_told(story, &owed, &saved, &report);
    };
    let lead = |place: usize, page: usize| {
        let at = at(place);
        move |file: &mut Vec<u8>| {
            file[at..at + 2].copy_from_slice(&u16::try_from(page).unwrap().to_ne_bytes())
        }
    };
    for (number, place) in nodes.iter().enumerate() {
        try_one(&format!("{number} beyond the end"), changes, &lead(*place, 60_000));
        try_one(&format!("{number} at a value"), changes - 1, &lead(*place, large));
        try_one(&format!("{number} nowhere"), changes, &|file| {
            file[*place..place + 2].copy_from_slice(&5000_u16.to_ne_bytes());
        });
        for (other, to) in nodes.iter().enumerate().filter(|(other, _)| *other != number) {
            // A leaf that is met first where it does not belong is not looked at again.
            let lost = if other > number { rows_of(child(*to)) } else { 0 };
            try_one(&format!("{number} at {other}"), changes - lost, &lead(*place, child(*to)));
            // Of two nodes in one place, the key is another too. The leaves between them may be met out of their order.
            try_one(
                &format!("{number} in the place of {other}"),
                changes - between(number, other),
                &|file| {
                    file.copy_within(*to..to + 2, *place);
                },
            );
        }
    }
}

/// Where a branch leads to the same leaf twice by the same key, that leaf is met where the one should be that it does not lead to.
/// That something is missing there showed in the numbers of revisions alone, of which compaction leaves out some: the changes of
/// the missing leaf were gone, and others told as lost.
#[test]
fn a_leaf_that_is_missed_where_compaction_left_gaps_is_told() {
    let mut good = Store::new();
    for round in 0..4 {
        (0..100).for_each(|key| put(&good, format!("k{round}{}", key % 90).as_bytes(), &[round; 90]));
    }
    good.compact(400);
    put_many(&good);
    let (current, owed) = (good.current_revision(), rows_at(&good, good.current_revision()));
    good.close();
    let bytes = std::fs::read(good.data_file()).unwrap();
    let (_, nodes) = root_of_log(&bytes);
    assert!(nodes.len() > 8, "{} leaves", nodes.len());
    for (number, place) in nodes.iter().enumerate() {
        for (other, to) in nodes.iter().enumerate().filter(|(other, _)| *other != number) {
            let mut store = Store::new();
            damage(&mut store, |file| {
                file.clone_from(&bytes);
                file.copy_within(*to..to + 2, *place);
            });
            let (_dir, saved, report) = save(&store);
            assert!(report.current_revision + 1 >= current, "{number} in the place of {other}: {report:?}");
            assert_told(&format!("{number} in the place of {other}"), &owed, &saved, &report);
        }
    }
}

/// Of two places on a page that are the same, either may be that of another record, and where compaction leaves gaps that one
/// is missed by nothing but the number of records. The revision of the first was not told as lost.
#[test]
fn a_record_in_the_place_of_another_is_told() {
    let mut good = Store::new();
    (10..30).for_each(|key| put(&good, format!("k{key}").as_bytes(), b"1"));
    good.compact(21);
    good.close();
    let bytes = std::fs::read(good.data_file()).unwrap();
    let (_, nodes) = root_of_log(&bytes);
    assert_eq!(nodes.len(), 20);
    for (number, pair) in nodes.windows(2).enumerate().take(18) {
        let mut store = Store::new();
        damage(&mut store, |file| {
            file.clone_from(&bytes);
            file.copy_within(pair[1]..pair[1] + 2, pair[0]);
        });
        let (_dir, saved, report) = save(&store);
        let gone = number as u64 + 2;
        assert!(!keys(&saved, report.current_revision).contains(&format!("k{}=1", number + 10)));
        assert!(is_lost(&report, gone), "{gone}: {report:?}");
    }
}

/// Takes bytes out of a node on the page that begins at `page`: what lies below moves up.
fn take_out(file: &mut [u8], page: usize, at: usize, len: u16) {
    let upper = u16_at(file, page + 14);
    file.copy_within(page + usize::from(upper)..at, page + usize::from(upper + len));
    for place in (page + 16..page + usize::from(u16_at(file, page + 12))).step_by(2) {
        let node = u16_at(file, place);
        if page + usize::from(node) <= at {
            file[place..place + 2].copy_from_slice(&(node + len).to_ne_bytes());
        }
    }
    file[page + 14..page + 16].copy_from_slice(&(upper + len).to_ne_bytes());
}

/// Lists of free pages that say too few leave out pages with old rows, and nothing that is read loses anything by it. A note of
/// before came back in the place of its newest value, and was called whole: the password of a user, say, that had been changed.
/// A compact revision could have come back too.
#[test]
fn what_a_list_of_free_pages_leaves_out_is_not_believed() {
    let mut good = Store::new();
    for round in 0..8_u64 {
        good.run(&format!("put a {round}"));
        let mut group = good.begin_group().unwrap();
        group.txn(|txn| txn.set_note(b"alarm/1", format!("of round {round}").as_bytes())).unwrap();
        group.txn(|txn| txn.lease_grant(i64::try_from(round).unwrap() + 1, 60)).unwrap();
        group.commit().unwrap();
        good.compact(round + 2);
        good.run(&format!("put b {round}"));
    }
    // Of these, what is freed has notes alone.
    for round in 5..8 {
        let mut group = good.begin_group().unwrap();
        group.txn(|txn| txn.set_note(b"alarm/1", format!("of round {round}").as_bytes())).unwrap();
        group.commit().unwrap();
    }
    let (current, compact) = (good.current_revision(), good.compact_revision());
    let owed = rows_at(&good, current);
    good.close();
    let bytes = std::fs::read(good.data_file()).unwrap();
    let root = u64_at(&bytes, newest(&bytes) + 80) * PAGE_BYTES;
    let place = |node: usize| root + 16 + 2 * node;
    let nodes = usize::from(u16_at(&bytes, root + 12) - 16) / 2;
    let try_one = |story: &str, change: &dyn Fn(&mut Vec<u8>)| {
        let mut store = Store::new();
        damage(&mut store, |file| {
            file.clone_from(&bytes);
            change(file);
        });
        assert!(!check(store.path()).unwrap().is_ok(), "{story}");
        let (_dir, saved, report) = save(&store);
        assert!(report.is_whole(), "{story}: {report:?}");
        assert_eq!((saved.current_revision(), saved.compact_revision()), (current, compact));
        assert_eq!(rows_at(&saved, current), owed);
        assert_eq!(saved.note(b"alarm/1").unwrap().as_deref(), Some(&b"of round 7"[..]), "{story}");
        assert_eq!(report.leases, 8);
    };
    for node in 0..nodes {
        let list = root + usize::from(u16_at(&bytes, place(node))) + 16;
        for less in 0..u64_at(&bytes, list) {
            try_one(&format!("list {node} says {less}"), &|file| {
                file[list..list + 8].copy_from_slice(&(less as u64).to_ne_bytes());
            });
        }
    }
    // As a lost write would leave it: all fits, and a page is not there.
    for node in 0..nodes {
        let at = root + usize::from(u16_at(&bytes, place(node)));
        let (list, list_bytes) = (at + 16, u16_at(&bytes, at));
        for page in 1..=u64_at(&bytes, list) {
            try_one(&format!("list {node} without its page {page}"), &|file| {
                file[list] -= 1;
                file[at..at + 2].copy_from_slice(&(list_bytes - 8).to_ne_bytes());
                take_out(file, root, list + 8 * page, 8);
            });
        }
    }
}
