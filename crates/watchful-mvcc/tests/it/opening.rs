//! Opening: what is refused, and what an unclean end means.

use std::fs;
use std::path::Path;

use tempfile::TempDir;
use watchful_backend::{Backend, BackendSettings};
use watchful_mvcc::{Durability, Mvcc, MvccError, MvccSettings, OpenReport};

use crate::support::{Store, settings};

/// What a kill would leave: the files as they are, while the store is open.
fn crash_image(store: &Store) -> TempDir {
    let image = tempfile::tempdir().unwrap();
    for file in ["data.mdb", "MARK"] {
        fs::copy(store.path().join(file), image.path().join(file)).unwrap();
    }
    image
}

fn reopened(dir: &Path, settings: &MvccSettings) -> (Mvcc, OpenReport) {
    Mvcc::open(dir, settings).unwrap()
}

#[test]
fn a_store_is_made_once() {
    let mut store = Store::new();
    let id = store.store_id();
    assert_ne!(id, [0; 16]);
    assert_ne!(id, Store::new().store_id());
    store.run("put a 1\nput b 1\ndel a\ngrant 7 60");
    let report = store.reopen();
    assert_eq!((report.created, report.keys, report.rows, report.leases), (false, 2, 3, 1));
    assert_eq!((store.store_id(), store.epoch()), (id, 1));
}

/// A process was killed between the tables' making and the first that was written into them. The check said of what it left that
/// it does not have the format, and whoever asked it would have thrown away a folder that only needs to be opened.
#[test]
fn a_store_whose_making_was_broken_off_is_sound() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("store");
    drop(Backend::open(&folder, &BackendSettings::default(), &["log", "meta", "lease", "note"]).unwrap());
    let report = watchful_mvcc::check(&folder).unwrap();
    assert_eq!((report.problems, report.current_revision), (Vec::new(), 1));
    let (store, report) = reopened(&folder, &settings());
    assert!(report.created);
    assert_eq!(store.current_revision(), 1);
}

/// After a power failure with `Unsynced`, the page that lists the tables was an old one, of the moment in which they were empty.
/// The store was taken for one that is yet to be made: it was opened without a word, empty and with another id, and written to,
/// where everything that was synced before could have been saved.
#[test]
fn a_store_that_was_written_to_and_is_empty_is_not_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("store");
    let backend =
        Backend::open(&folder, &BackendSettings::default(), &["log", "meta", "lease", "note"]).unwrap();
    for _ in 0..2 {
        let mut write = backend.write().unwrap();
        write.put(backend.table("meta").unwrap(), b"a", b"1").unwrap();
        write.delete(backend.table("meta").unwrap(), b"a").unwrap();
        write.commit().unwrap();
    }
    drop(backend);
    let error = Mvcc::open(&folder, &settings()).err().unwrap();
    assert!(matches!(error, MvccError::DamagedStore { .. }), "{error}");
    assert!(!watchful_mvcc::check(&folder).unwrap().is_ok());
}

#[test]
fn a_store_is_opened_by_one_at_a_time() {
    let store = Store::new();
    assert!(matches!(Mvcc::open(store.path(), &settings()), Err(MvccError::AlreadyOpen { .. })));
    assert_eq!(store.current_revision(), 1);
}

#[test]
fn a_folder_that_cannot_be_one_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "text").unwrap();
    let error = Mvcc::open(&file.join("store"), &settings()).err().unwrap();
    assert!(matches!(error, MvccError::NotUsable { .. }), "{error}");
    assert!(error.to_string().contains("file"), "{error}");
}

/// A store of another format is refused by its number, whatever else it holds.
#[test]
fn another_format_is_refused() {
    let mut store = Store::new();
    store.close();
    {
        let backend =
            Backend::open(store.path(), &BackendSettings::default(), &["log", "meta", "lease", "note"])
                .unwrap();
        let mut txn = backend.write().unwrap();
        txn.put(backend.table("meta").unwrap(), b"format", &7_u32.to_be_bytes()).unwrap();
        txn.put(backend.table("log").unwrap(), b"not a revision", b"").unwrap();
        txn.commit().unwrap();
    }
    let refused = Mvcc::open(store.path(), &store.settings);
    assert!(matches!(refused, Err(MvccError::FormatVersion { found: 7, supported: 2 })));
}

/// Tables of the right names that are no store's.
#[test]
fn something_else_in_a_stores_place_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    {
        let backend =
            Backend::open(dir.path(), &BackendSettings::default(), &["log", "meta", "lease", "note"])
                .unwrap();
        let mut txn = backend.write().unwrap();
        txn.put(backend.table("log").unwrap(), b"a", b"b").unwrap();
        txn.commit().unwrap();
    }
    assert!(matches!(Mvcc::open(dir.path(), &settings()), Err(MvccError::NotAStore { .. })));
}

/// A folder with leases and notes that does not say which format it has was taken for a store that is yet to be made, and written
/// to.
#[test]
fn what_has_leases_or_notes_is_no_new_store() {
    for table in ["lease", "note"] {
        let dir = tempfile::tempdir().unwrap();
        {
            let tables = ["log", "meta", "lease", "note"];
            let backend = Backend::open(dir.path(), &BackendSettings::default(), &tables).unwrap();
            let mut txn = backend.write().unwrap();
            txn.put(backend.table(table).unwrap(), b"a", b"b").unwrap();
            txn.commit().unwrap();
        }
        assert!(matches!(Mvcc::open(dir.path(), &settings()), Err(MvccError::NotAStore { .. })), "{table}");
    }
}

/// Writes what a store of the first format keeps about itself over what a closed store does.
fn make_first_format(store: &Store, more: impl FnOnce(&Backend, &mut watchful_backend::WriteTxn<'_>)) {
    let backend =
        Backend::open(store.path(), &BackendSettings::default(), &["log", "meta", "lease", "note"]).unwrap();
    let meta = backend.table("meta").unwrap();
    let mut txn = backend.write().unwrap();
    txn.put(meta, b"format", &1_u32.to_be_bytes()).unwrap();
    txn.put(meta, b"store_id", &[7; 16]).unwrap();
    txn.put(meta, b"epoch", &3_u64.to_be_bytes()).unwrap();
    more(&backend, &mut txn);
    txn.commit().unwrap();
}

#[test]
fn a_store_of_the_first_format_is_made_one_of_this() {
    let mut store = Store::new();
    store.run("put a 1\nput b 1\nput b 2");
    store.compact(3);
    store.close();
    make_first_format(&store, |backend, txn| {
        txn.put(backend.table("meta").unwrap(), b"compact_scheduled", &3_u64.to_be_bytes()).unwrap();
        txn.put(backend.table("meta").unwrap(), b"compact_finished", &3_u64.to_be_bytes()).unwrap();
        txn.put(backend.table("lease").unwrap(), &7_u64.to_be_bytes(), &60_u64.to_be_bytes()).unwrap();
    });
    let report = store.reopen();
    assert_eq!((report.rows, report.leases, store.epoch(), store.store_id()), (3, 1, 3, [7; 16]));
    assert_eq!((store.compact_revision(), store.current_revision()), (3, 4));
    store.close();
    let report = watchful_mvcc::check(store.path()).unwrap();
    assert!(report.is_ok(), "{report:?}");
}

/// A store of the first format with a damaged record was made one of this format, and refused only then: the program that wrote it
/// could not be asked about it any more. With a damaged lease its mark said, from then on, that it had been left open.
#[test]
fn a_damaged_store_of_the_first_format_is_left_as_it_is() {
    let record = watchful_revision::Revision::start_of(2).to_bytes();
    for (table, row) in [("log", &record[..]), ("lease", &[7; 8]), ("meta", b"store_id"), ("meta", b"epoch")]
    {
        let mut store = Store::new();
        store.run("put a 1\nput b 1");
        store.close();
        make_first_format(&store, |backend, txn| {
            txn.put(backend.table(table).unwrap(), row, b"not what it should be").unwrap();
        });
        let mark = fs::read(store.path().join("MARK")).unwrap();
        let error = Mvcc::open(store.path(), &store.settings).err().unwrap();
        assert!(matches!(error, MvccError::Damaged { .. } | MvccError::DamagedStore { .. }), "{error:?}");
        assert_eq!(fs::read(store.path().join("MARK")).unwrap(), mark, "{table}");
        let tables = ["log", "meta", "lease", "note"];
        let backend = Backend::open(store.path(), &BackendSettings::default(), &tables).unwrap();
        let format = backend.read().unwrap();
        let format = format.get(backend.table("meta").unwrap(), b"format").unwrap();
        assert_eq!(format, Some(&1_u32.to_be_bytes()[..]));
    }
}

/// A row that is gone from the middle of the log is found at open, and by the check, since no revision may be missing.
#[test]
fn a_lost_row_is_found() {
    let mut store = Store::new();
    store.run("put a 1\ntxn { put b 1; put c 1 }\nput d 1");
    store.close();
    {
        let backend =
            Backend::open(store.path(), &BackendSettings::default(), &["log", "meta", "lease", "note"])
                .unwrap();
        let mut txn = backend.write().unwrap();
        let row = watchful_revision::Revision::new(3, 0).to_bytes();
        assert!(txn.delete(backend.table("log").unwrap(), &row).unwrap());
        txn.commit().unwrap();
    }
    let lost = Mvcc::open(store.path(), &store.settings);
    assert!(
        matches!(lost, Err(MvccError::Damaged { revision, .. }) if (revision.main, revision.sub) == (3, 1))
    );
    let report = watchful_mvcc::check(store.path()).unwrap();
    assert!(!report.is_ok());
}

/// Killed while the machine stayed up: nothing was lost, whatever the durability, and the epoch stays.
#[test]
fn a_kill_loses_nothing() {
    for durability in [Durability::Synced, Durability::Relaxed, Durability::Unsynced] {
        let settings = settings().with_durability(durability).with_boot_id(Some("boot 1".to_owned()));
        let store = Store::with(settings.clone());
        store.run("put a 1\ngrant 7 60\ncompact 2");
        let image = crash_image(&store);
        let (mvcc, report) = reopened(image.path(), &settings);
        assert!(report.unclean && !report.epoch_raised && !report.created);
        assert_eq!((mvcc.current_revision(), mvcc.epoch(), mvcc.compact_revision()), (2, 1, 2));
    }
}

/// The machine was started again, or nobody knows: where the disk was not waited for, revisions may be given out again.
#[test]
fn an_unclean_end_raises_the_epoch_where_commits_may_be_lost() {
    let cases = [
        (Durability::Synced, Some("boot 2"), false),
        (Durability::Relaxed, Some("boot 2"), true),
        (Durability::Unsynced, Some("boot 2"), true),
        (Durability::Unsynced, None, true),
    ];
    for (durability, boot_id, epoch_raised) in cases {
        let before = settings().with_durability(durability).with_boot_id(Some("boot 1".to_owned()));
        let store = Store::with(before.clone());
        store.run("put a 1");
        let image = crash_image(&store);
        let after = before.with_boot_id(boot_id.map(str::to_owned));
        let (mvcc, report) = reopened(image.path(), &after);
        assert_eq!(report.epoch_raised, epoch_raised, "{durability:?} {boot_id:?}");
        assert_eq!(mvcc.epoch(), 1 + u64::from(epoch_raised));
        let epoch = mvcc.epoch();
        drop(mvcc);
        let (mvcc, report) = reopened(image.path(), &after);
        assert!(!report.epoch_raised && !report.unclean, "closed in between");
        assert_eq!(mvcc.epoch(), epoch);
    }
}

/// After a power failure in the unsynced mode the pages are checked as a file before anybody maps them.
#[test]
fn damaged_pages_are_found_before_they_are_mapped() {
    let before = settings().with_boot_id(Some("boot 1".to_owned()));
    let store = Store::with(before.clone());
    for number in 0..300 {
        store.run(&format!("put key{number} {}", "v".repeat(500)));
    }
    let image = crash_image(&store);
    let file = image.path().join("data.mdb");
    let mut bytes = fs::read(&file).unwrap();
    let torn = bytes.len() / 2..bytes.len() - 8192;
    bytes[torn].fill(0);
    fs::write(&file, bytes).unwrap();
    let refused = Mvcc::open(image.path(), &before.with_boot_id(Some("boot 2".to_owned())));
    assert!(matches!(refused, Err(MvccError::DamagedStore { .. })), "{:?}", refused.err());
}

#[test]
fn a_mark_that_is_none_is_refused() {
    let mut store = Store::new();
    store.close();
    fs::write(store.path().join("MARK"), "what?").unwrap();
    assert!(matches!(Mvcc::open(store.path(), &store.settings), Err(MvccError::NotAStore { .. })));
}
