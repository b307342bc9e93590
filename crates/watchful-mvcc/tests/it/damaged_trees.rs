//! One number in what a file says of its trees: how deep they are, where they begin, how many pages a value has. A store and a
//! backup of it, in which there is no commit before.

#![allow(clippy::host_endian_bytes, reason = "LMDB writes numbers in the machine's own byte order")]

use std::collections::BTreeMap;
use std::fs;

use bytes::Bytes;
use watchful_mvcc::{Mvcc, SalvageReport, check, salvage};
use watchful_testkit::Row;

use crate::damaged_nodes::{put_many, u16_at};
use crate::salvage::{PAGE_BYTES, is_lost, list, newest, places, put, u64_at, zero_branches};
use crate::support::{Store, rows_at, settings};

const TABLES: [&str; 4] = ["log", "meta", "lease", "note"];

/// A file, and what was in it.
struct Scene {
    what: &'static str,
    bytes: Vec<u8>,
    changes: u64,
    current: u64,
    compact: u64,
    states: BTreeMap<u64, Vec<Row>>,
    leases: Vec<(i64, i64)>,
    notes: Vec<(Bytes, Bytes)>,
}

/// Changes on several leaves, deleted keys, values with pages of their own, leases, notes, old pages, and a compaction that leaves
/// gaps that nothing shows.
fn store() -> Store {
    let store = Store::new();
    for round in 0..6 {
        for key in 0..60 {
            put(&store, format!("k{round}{}", key % 50).as_bytes(), &[round; 90]);
        }
        let mut group = store.begin_group().unwrap();
        group.txn(|txn| txn.set_note(b"auth/enabled", &[round])).unwrap();
        group.txn(|txn| txn.set_note(format!("note/{round}").as_bytes(), &[round; 3000])).unwrap();
        group.txn(|txn| txn.lease_grant(i64::from(round) + 1, 60)).unwrap();
        group.commit().unwrap();
    }
    store.run("put gone 1\ntxn { put x 1; put gone 2 }\ntxn { put y 1; del gone }");
    store.compact(store.current_revision());
    put(&store, b"large", &[7; 9000]);
    put_many(&store);
    store
}

/// The store, and a backup of it.
fn scenes(mut store: Store) -> [Scene; 2] {
    let dir = tempfile::tempdir().unwrap();
    let backup = dir.path().join("backup");
    store.backup(&backup).unwrap();
    let (current, compact) = (store.current_revision(), store.compact_revision());
    let states = (compact.max(1)..=current).map(|revision| (revision, rows_at(&store, revision))).collect();
    let (notes, leases) = (store.notes(b"").unwrap(), leases(&store));
    store.close();
    let changes = check(store.path()).unwrap().rows;
    let scene = |what, bytes| Scene { what, bytes, changes, current, compact, states, leases, notes };
    let of_store = scene("a store", fs::read(store.data_file()).unwrap());
    let Scene { states, leases, notes, .. } = &of_store;
    let (states, leases, notes) = (states.clone(), leases.clone(), notes.clone());
    let bytes = fs::read(&backup).unwrap();
    let of_backup = Scene { what: "a backup", bytes, changes, current, compact, states, leases, notes };
    [of_store, of_backup]
}

fn leases(mvcc: &Mvcc) -> Vec<(i64, i64)> {
    mvcc.leases().iter().map(|lease| (lease.id, lease.ttl_seconds)).collect()
}

impl Scene {
    /// Damages a copy, saves it, and sees that nothing is in it that never was, and that whatever is missing is told. None where
    /// nothing can be saved.
    fn try_one(&self, story: &str, change: impl FnOnce(&mut Vec<u8>)) -> Option<SalvageReport> {
        let story = format!("{}: {story}", self.what);
        let mut bytes = self.bytes.clone();
        change(&mut bytes);
        let (dir, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let file = dir.path().join("data.mdb");
        fs::write(&file, &bytes).unwrap();
        let is_said_whole = check(&file).is_ok_and(|report| report.is_ok());
        let report = salvage(&file, to.path(), &settings()).ok();
        assert!(
            !is_said_whole || report.as_ref().is_some_and(SalvageReport::is_whole),
            "{story}: {report:?}"
        );
        let report = report?;
        let (saved, _) = Mvcc::open(to.path(), &settings()).unwrap();
        let says = |what: &str| report.remarks.iter().any(|remark| remark.contains(what));
        for revision in report.compact_revision.max(1)..=report.current_revision {
            let (owed, rows) = (&self.states[&revision], rows_at(&saved, revision));
            for row in owed.iter().filter(|row| !rows.contains(row)) {
                assert!(
                    is_lost(&report, row.revision.main),
                    "{story}: at {revision} {row:?} is gone: {report:?}"
                );
            }
            for row in rows.iter().filter(|row| !owed.contains(row)) {
                let is_doubted = report.doubtful.iter().any(|key| *key == row.key);
                assert!(is_doubted, "{story}: at {revision} {row:?} is not doubted: {report:?}");
            }
        }
        let is_older = says("this is the one before it") || says("of an earlier moment");
        let (notes, leases) = (saved.notes(b"").unwrap(), leases(&saved));
        assert!(is_older || notes.iter().all(|note| self.notes.contains(note)), "{story}: {report:?}");
        assert!(is_older || leases.iter().all(|lease| self.leases.contains(lease)), "{story}: {report:?}");
        for (name, _) in self.notes.iter().filter(|note| !notes.contains(note)) {
            let line = format!("the note `{}` is lost", name.escape_ascii());
            assert!(
                is_older || says("notes are lost") || says(&line),
                "{story}: {name:?} is gone: {report:?}"
            );
        }
        assert!(is_older || says("leases are lost") || leases == self.leases, "{story}: {report:?}");
        if report.is_whole() {
            assert_eq!((report.current_revision, report.compact_revision), (self.current, self.compact));
        }
        Some(report)
    }

    /// Whether all is there, whatever had to be remarked.
    fn has_all(&self, report: Option<&SalvageReport>) -> bool {
        report.is_some_and(|report| {
            let of_others = (report.notes, report.leases);
            report.changes == self.changes && of_others == (self.notes.len() as u64, self.leases.len() as u64)
        })
    }

    /// Where the list of tables says what a tree is.
    fn tree(&self, table: &str) -> usize {
        let at = list(&self.bytes) * PAGE_BYTES;
        at + places(&self.bytes[at..at + PAGE_BYTES], table.as_bytes())[0] + table.len()
    }

    fn pages(&self) -> usize {
        self.bytes.len() / PAGE_BYTES
    }
}

const DEPTH: usize = 6;
const ROOT: usize = 40;

/// With one bit in how deep a tree is, every leaf of it was of the wrong kind for its level, and was not looked at again: of a
/// backup with all its records whole nothing was saved.
#[test]
fn a_tree_that_is_said_to_be_deeper_is_saved() {
    for scene in scenes(store()) {
        for table in TABLES {
            for bit in 0..8 {
                let at = scene.tree(table) + DEPTH;
                let is_deeper = scene.bytes[at] & (1 << bit) == 0;
                let report =
                    scene.try_one(&format!("{table}: depth, bit {bit}"), |bytes| bytes[at] ^= 1 << bit);
                assert!(!is_deeper || scene.has_all(report.as_ref()), "{table}, bit {bit}: {report:?}");
            }
        }
    }
}

/// The list of tables begins at a leaf of notes, and these were gone without their line; or at what the store keeps about itself,
/// and it was saved as one that was never compacted, with states that never were. Or one table begins at a page of another.
#[test]
fn a_tree_that_is_said_to_begin_elsewhere_is_told() {
    for scene in scenes(store()) {
        let first = newest(&scene.bytes);
        for page in 2..scene.pages() {
            let lead = |at: usize| {
                move |bytes: &mut Vec<u8>| bytes[at..at + 8].copy_from_slice(&(page as u64).to_ne_bytes())
            };
            scene.try_one(&format!("the list of tables at {page}"), lead(first + 128));
            for table in TABLES {
                scene.try_one(&format!("{table} at {page}"), lead(scene.tree(table) + ROOT));
            }
        }
        for bit in 0..8 {
            scene.try_one(&format!("the last page, bit {bit}"), |bytes| bytes[first + 136] ^= 1 << bit);
        }
    }
}

/// What the store keeps about itself begins at a free page, with a compact revision of before: states with holes were saved as
/// they never were.
#[test]
fn a_compact_revision_of_an_earlier_moment_is_not_believed() {
    let store = Store::new();
    // What is compacted at once leaves more free pages than the next commits take.
    (0..400).for_each(|_| put(&store, b"old", &[7; 90]));
    for _ in 0..4 {
        (0..10).for_each(|key| put(&store, format!("k{key}").as_bytes(), &[7; 90]));
        store.run("txn { put x 1; put gone 2 }\ntxn { put y 1; del gone }");
        store.compact(store.current_revision());
    }
    put_many(&store);
    let mut olds = 0;
    for scene in scenes(store) {
        let at = scene.tree("meta") + ROOT;
        for page in (2..scene.pages()).filter(|page| *page != u64_at(&scene.bytes, at)) {
            let report = scene.try_one(&format!("meta at {page}"), |bytes| {
                bytes[at..at + 8].copy_from_slice(&(page as u64).to_ne_bytes());
            });
            let is_old = |report: &SalvageReport| {
                report.remarks.iter().any(|remark| remark.contains("of an earlier moment"))
            };
            olds += usize::from(report.as_ref().is_some_and(is_old));
            let compact = report.and_then(|report| report.compact_revision_before);
            assert!(compact.is_none_or(|compact| compact == scene.compact), "{page}: {compact:?}");
        }
    }
    assert!(olds > 0);
}

/// A list of free pages that is empty by damage leaves out pages with old rows, which look as if a lost branch had led to them.
#[test]
fn what_an_empty_list_of_free_pages_leaves_out_is_not_believed() {
    for scene in scenes(store()) {
        let root = u64_at(&scene.bytes, newest(&scene.bytes) + 80);
        // A backup has none.
        let Some(root) = scene.bytes.get(root.saturating_mul(PAGE_BYTES)..) else { continue };
        let begin = scene.bytes.len() - root.len();
        let nodes = usize::from(u16_at(root, 12) - 16) / 2;
        for node in 0..nodes {
            let list = begin + usize::from(u16_at(root, 16 + 2 * node)) + 16;
            scene.try_one(&format!("list {node} is empty, and no branch is left"), |bytes| {
                bytes[list..list + 8].fill(0);
                zero_branches(bytes);
            });
        }
    }
}

/// A branch of a backup that leads to pages which there cannot be: the leaves that it led to were found, and all called lost.
#[test]
fn what_a_branch_that_leads_nowhere_led_to_is_saved() {
    for scene in scenes(store()) {
        let root = u64_at(&scene.bytes, scene.tree("log") + ROOT) * PAGE_BYTES;
        let report = scene.try_one("the log's root leads to page 0", |bytes| {
            for place in (root + 16..root + usize::from(u16_at(bytes, root + 12))).step_by(2) {
                let node = root + usize::from(u16_at(bytes, place));
                bytes[node..node + 6].fill(0);
            }
        });
        assert!(scene.has_all(report.as_ref()), "{report:?}");
    }
}

/// A table that begins at the leaf of another: both are found.
#[test]
fn tables_that_are_said_to_begin_at_the_same_page_are_saved() {
    for scene in scenes(store()) {
        let root = |table: &str| u64_at(&scene.bytes, scene.tree(table) + ROOT);
        for table in ["meta", "lease", "note"] {
            for other in ["meta", "lease", "note"].into_iter().filter(|other| *other != table) {
                let (at, to) = (scene.tree(table) + ROOT, root(other) as u64);
                let report = scene.try_one(&format!("{table} at that of {other}"), |bytes| {
                    bytes[at..at + 8].copy_from_slice(&to.to_ne_bytes());
                });
                assert!(scene.has_all(report.as_ref()), "{table} at that of {other}: {report:?}");
            }
        }
    }
}

/// A value that says that it has more pages than it needs had those of its neighbours taken along: leaves, notes, and what the
/// store keeps about itself.
#[test]
fn a_value_that_says_that_it_has_more_pages_takes_nothing_along() {
    const VALUE: u16 = 4;
    const PAGES: usize = 12;
    for scene in scenes(store()) {
        let in_use = |page: &usize| u16_at(&scene.bytes, page * PAGE_BYTES + 10) == VALUE;
        for page in (2..scene.pages()).filter(in_use) {
            for bit in 0..32 {
                let at = page * PAGE_BYTES + PAGES + bit / 8;
                let report =
                    scene.try_one(&format!("page {page}: bit {bit}"), |bytes| bytes[at] ^= 1 << (bit % 8));
                let report = report.unwrap_or_else(|| panic!("page {page}, bit {bit}: nothing is saved"));
                // The value that says so may be lost; with the newest revision, all of that.
                let is_end_lost = report.current_revision < scene.current;
                let least = (scene.changes - 1, scene.notes.len() as u64 - 1, scene.leases.len() as u64);
                let found = (report.changes, report.notes, report.leases);
                let has_least = found.0 >= least.0 && found.1 >= least.1 && found.2 >= least.2;
                assert!(has_least || is_end_lost, "page {page}, bit {bit}: {report:?}");
            }
        }
    }
}

/// The newest commit had everything, under a table's damaged name; and because it changed nothing but a note, the commit before had
/// as many changes, and was taken in its place: the password of before was back.
#[test]
fn a_commit_that_can_be_read_whole_is_the_one_that_is_saved() {
    let store = store();
    let mut group = store.begin_group().unwrap();
    group.txn(|txn| txn.set_note(b"auth/user/ann", b"the new password")).unwrap();
    group.commit().unwrap();
    let [scene, _] = scenes(store);
    for table in TABLES {
        let name = scene.tree(table) - 1;
        let report = scene.try_one(&format!("the name of {table}"), |bytes| bytes[name] ^= 1);
        assert!(scene.has_all(report.as_ref()), "{table}: {report:?}");
        let is_older = |remark: &String| remark.contains("the one before it");
        assert!(!report.unwrap().remarks.iter().any(is_older), "{table}");
    }
}
