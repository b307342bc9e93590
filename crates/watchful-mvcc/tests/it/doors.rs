//! The other doors: loading a history into an empty store, backup, and check.

use watchful_mvcc::{LoadPlan, LoadRow, Loader, Mvcc, MvccError, check};
use watchful_revision::{Put, Revision};

use crate::support::{Store, read_all, rows_at, settings};

fn plan(compact_revision: Option<u64>, current_revision: u64) -> LoadPlan {
    LoadPlan { compact_revision, current_revision }
}

fn put(key: &str, create_revision: u64, version: u64) -> LoadRow<'_> {
    LoadRow::Put(Put { key: key.as_bytes(), value: b"v", create_revision, version, lease: 0 })
}

fn load(store: &Store, plan: LoadPlan, rows: Rows<'_>) -> Result<(), MvccError> {
    let mut loader = store.loader(plan)?;
    for (revision, row) in rows {
        loader.row(*revision, row)?;
    }
    loader.finish()
}

/// Everything that a compacted store can tell, read out and loaded, makes a store that tells the same.
#[test]
fn a_history_that_is_loaded_tells_the_same() {
    let from = Store::new();
    from.run("grant 7 60\nput a 1\nput b 1 lease=7\nput a 2\ntxn { del a; put a 3; put c 1 }\ndel b\nput b 2 lease=7");
    from.compact(4);
    let mut to = Store::new();
    {
        let mut loader = to.loader(plan(Some(4), from.current_revision())).unwrap();
        loader.lease(7, 60).unwrap();
        let mut rows = Vec::new();
        for row in rows_at(&from, 4) {
            rows.push((row.revision, row));
        }
        for row in read_all(&from, 5, &watchful_mvcc::HistoryLimits::default()).unwrap() {
            rows.push((row.record.revision(), watchful_testkit::Row::from(&row.record)));
        }
        rows.sort_by_key(|(revision, _)| *revision);
        for (revision, row) in &rows {
            load_row(&mut loader, *revision, row);
        }
        loader.finish().unwrap();
    }
    for _ in 0..2 {
        assert_eq!((to.current_revision(), to.compact_revision()), (7, 4));
        for revision in 4..=7 {
            assert_eq!(rows_at(&to, revision), rows_at(&from, revision));
        }
        assert_eq!(to.lease_keys(7).unwrap(), [b"b"]);
        assert_eq!(to.lease(7).unwrap().ttl_seconds, 60);
        to.reopen();
    }
    to.run("put a 4");
    to.compact(8);
    assert_eq!(to.all_at(8), ["a=4", "b=2", "c=1"]);
    assert_eq!(to.stats().versions, 3);
    to.close();
    assert!(check(to.path()).unwrap().is_ok());
}

fn load_row(loader: &mut Loader<'_>, revision: Revision, row: &watchful_testkit::Row) {
    let put = Put {
        key: &row.key,
        value: &row.value,
        create_revision: row.create_revision,
        version: row.version,
        lease: row.lease,
    };
    let row = if row.version == 0 { LoadRow::Tombstone { key: &row.key } } else { LoadRow::Put(put) };
    loader.row(revision, &row).unwrap();
}

type Rows<'a> = &'a [(Revision, LoadRow<'a>)];

/// At or below the compact revision rows may be missing; above it none may.
#[test]
fn only_a_history_without_gaps_can_be_loaded() {
    let at = Revision::new;
    let refused = |compact: Option<u64>, current: u64, rows: Rows<'_>| {
        let store = Store::new();
        let loaded = load(&store, plan(compact, current), rows);
        assert_eq!(loaded.is_err(), rows_at(&store, store.current_revision()).is_empty());
        loaded.err().map(|error| error.to_string())
    };
    assert_eq!(refused(Some(9), 9, &[(at(3, 0), put("a", 3, 1)), (at(7, 2), put("b", 7, 1))]), None);
    assert_eq!(refused(Some(5), 6, &[(at(3, 0), put("a", 3, 1)), (at(6, 0), put("b", 6, 1))]), None);
    let gap = "are missing, above the compact revision";
    let cases: [(Option<u64>, u64, Rows<'_>, &str); 9] = [
        (None, 3, &[(at(3, 0), put("a", 3, 1))], gap),
        (None, 3, &[(at(2, 0), put("a", 2, 1))], gap),
        (Some(5), 7, &[(at(3, 0), put("a", 3, 1)), (at(7, 0), put("b", 7, 1))], gap),
        (None, 2, &[(at(2, 0), put("a", 2, 1)), (at(2, 2), put("b", 2, 1))], gap),
        (None, 2, &[(at(2, 1), put("a", 2, 1))], gap),
        (Some(9), 9, &[(at(7, 0), put("a", 7, 1)), (at(3, 0), put("b", 3, 1))], "does not come after"),
        (None, 2, &[(at(2, 0), put("a", 2, 1)), (at(3, 0), put("b", 3, 1))], "above the newest"),
        (None, 2, &[(at(2, 0), put("a", 3, 1))], "not one a store writes"),
        (Some(3), 3, &[(at(1, 0), put("a", 1, 1))], "no store gives out"),
    ];
    for (compact, current, rows, reason) in cases {
        let told = refused(compact, current, rows).unwrap();
        assert!(told.contains(reason), "{told}");
    }
    let store = Store::new();
    assert!(matches!(store.loader(plan(Some(5), 4)), Err(MvccError::LoadRefused { .. })));
}

/// A history could end at the last revision there can be: the next write had none, or clients saw it as negative.
#[test]
fn a_history_at_the_end_of_all_revisions_cannot_be_loaded() {
    let newest = 1 << 62;
    let too_far = [i64::MAX.cast_unsigned(), u64::MAX].map(|last| plan(Some(last), last));
    for plan in too_far.into_iter().chain([plan(None, newest + 1), plan(Some(newest + 1), newest + 1)]) {
        let store = Store::new();
        let told = store.loader(plan).err().unwrap().to_string();
        assert!(told.contains("no store gets to a revision above 2^62"), "{told}");
    }
    let store = Store::new();
    let mut loader = store.loader(plan(Some(newest), newest)).unwrap();
    let told = loader.row(Revision::new(2, 0), &put("a", 2, newest + 1)).unwrap_err().to_string();
    assert!(told.contains("not one a store writes"), "{told}");
    loader.row(Revision::new(newest, 0), &put("a", 2, newest)).unwrap();
    loader.finish().unwrap();
    store.run("put b 1");
    assert_eq!(store.current_revision(), newest + 1);
}

#[test]
fn only_an_empty_store_can_be_loaded() {
    for script in ["put a 1", "compact 0", "grant 7 60"] {
        let store = Store::new();
        store.run(script);
        assert!(matches!(store.loader(plan(None, 2)), Err(MvccError::NotEmpty)), "{script}");
    }
}

#[test]
fn a_load_that_is_dropped_leaves_no_trace() {
    let mut store = Store::new();
    let mut loader = store.loader(plan(None, 2)).unwrap();
    loader.lease(7, 60).unwrap();
    assert!(matches!(loader.lease(7, 60), Err(MvccError::LeaseExists { id: 7 })));
    loader.row(Revision::new(2, 0), &put("a", 2, 1)).unwrap();
    loader.note(b"n", b"1").unwrap();
    assert!(matches!(loader.note(b"", b""), Err(MvccError::NoteName { len: 0, .. })));
    assert!(matches!(loader.note(b"n", &vec![0; (1 << 20) + 1]), Err(MvccError::TooLarge { .. })));
    drop(loader);
    for _ in 0..2 {
        assert_eq!((store.current_revision(), store.leases().len()), (1, 0));
        assert_eq!(store.note(b"n").unwrap(), None);
        store.reopen();
    }
    store.run("put a 1");
}

/// A backup is a store of its own, as of its newest commit.
#[test]
fn a_backup_opens_as_a_store() {
    let store = Store::new();
    store.run("grant 7 60\nput a 1 lease=7\nput b 1\ndel b\ncompact 3");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("data.mdb");
    let bytes = store.backup(&file).unwrap();
    assert_eq!(std::fs::metadata(&file).unwrap().len(), bytes);
    assert!(matches!(store.backup(&file), Err(MvccError::TargetExists { .. })));
    store.run("put c 1");
    assert!(check(&file).unwrap().is_ok());
    let (copy, report) = Mvcc::open(folder.path(), &settings()).unwrap();
    assert!(!report.created && !report.unclean && report.compaction_pending);
    assert_eq!((copy.current_revision(), copy.compact_revision()), (4, 3));
    assert_eq!(rows_at(&copy, 4), rows_at(&store, 4));
    assert_eq!(copy.lease_of(b"a"), 7);
    assert_eq!(copy.store_id(), store.store_id());
}

#[test]
fn a_check_tells_what_a_store_holds() {
    let mut store = Store::new();
    store.run("grant 7 60\nput a 1 lease=7\nput a 2\ndel a");
    store.compact(3);
    store.close();
    let report = check(store.path()).unwrap();
    assert!(report.is_ok(), "{:?}", report.problems);
    assert_eq!((report.current_revision, report.compact_revision), (4, 3));
    assert_eq!((report.rows, report.leases), (2, 1));
    assert!(report.used_pages <= report.pages);
    let nothing = tempfile::tempdir().unwrap();
    assert!(check(nothing.path()).is_err());
}

/// A value that was changed on the disk is found by its checksum, at open and by the check, and both name its revision.
#[test]
fn a_damaged_record_is_named() {
    let mut store = Store::new();
    store.run("put a first\nput b unmistakable\nput c third");
    store.close();
    let mut bytes = std::fs::read(store.data_file()).unwrap();
    let places: Vec<_> =
        (0..bytes.len() - 12).filter(|at| bytes[*at..].starts_with(b"unmistakable")).collect();
    for at in places {
        bytes[at] ^= 1;
    }
    std::fs::write(store.data_file(), &bytes).unwrap();
    let report = check(store.path()).unwrap();
    assert!(report.problems.iter().any(|problem| problem.contains("3.0")), "{:?}", report.problems);
    match Mvcc::open(store.path(), &store.settings) {
        Err(MvccError::Damaged { revision, .. }) => assert_eq!(revision, Revision::new(3, 0)),
        other => panic!("{:?}", other.map(|(_, report)| report)),
    }
}

/// What was written after the backup is gone, and its revisions come again: so the epoch is another.
#[test]
fn a_restored_backup_has_another_epoch() {
    let store = Store::new();
    store.run("grant 7 60\nput a 1 lease=7");
    let folder = tempfile::tempdir().unwrap();
    let (backup, target) = (folder.path().join("backup"), folder.path().join("restored"));
    store.backup(&backup).unwrap();
    store.run("put b 1");
    watchful_mvcc::restore_backup(&backup, &target).unwrap();
    let again = watchful_mvcc::restore_backup(&backup, &target);
    assert!(matches!(again, Err(MvccError::TargetExists { .. })));
    for epoch_raised in [true, false] {
        let (restored, report) = Mvcc::open(&target, &settings()).unwrap();
        assert_eq!(report.epoch_raised, epoch_raised);
        assert_eq!((restored.epoch(), restored.store_id()), (store.epoch() + 1, store.store_id()));
        assert_eq!(rows_at(&restored, restored.current_revision()), rows_at(&store, 2));
        assert_eq!(restored.lease_keys(7).unwrap(), [b"a"]);
    }
}

/// A damaged backup is refused before there is a store.
#[test]
fn a_damaged_backup_is_not_restored() {
    let store = Store::new();
    store.run("put a unmistakable");
    let folder = tempfile::tempdir().unwrap();
    let (backup, target) = (folder.path().join("backup"), folder.path().join("restored"));
    store.backup(&backup).unwrap();
    let mut bytes = std::fs::read(&backup).unwrap();
    let at = bytes.windows(12).position(|bytes| bytes == b"unmistakable").unwrap();
    bytes[at] ^= 1;
    std::fs::write(&backup, bytes).unwrap();
    let refused = watchful_mvcc::restore_backup(&backup, &target);
    assert!(matches!(refused, Err(MvccError::DamagedStore { .. })));
    assert!(!target.join("data.mdb").exists());
}
