//! Folders of each format version, as some version wrote them: every later one must read them.
//!
//! `tests/golden/format-2/data.mdb` is a backup of the store that `write` makes, and `format-1` the same of the version before,
//! which had no notes. A format that changes gets a folder of its own beside them, written by
//! `WATCHFUL_GOLDEN=<new file> cargo test -p watchful golden`, and the old ones stay.

use std::path::{Path, PathBuf};

use watchful::{Error, KeyRange, PutOptions, RangeOptions, Settings, Store};

fn golden(version: u32) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/format-{version}/data.mdb"))
}

/// One of each thing that a store can hold.
fn write(store: &Store) -> Result<(), Error> {
    store.put("a", "gone after compaction").wait()?; // 2
    store.put("a", "1").wait()?; // 3
    store.lease_grant(7, 60).wait()?;
    store.put_with("leased", "x", PutOptions { lease: 7, ..PutOptions::default() }).wait()?; // 4
    store.put("dead", "x").wait()?; // 5
    store.delete("dead").wait()?; // 6
    let again = store.transact(|txn| {
        txn.delete("a")?;
        txn.put("a", "2")?;
        txn.put(b"\x00\xff", vec![7; 5_000])?;
        Ok::<_, Error>(())
    });
    again.wait()?; // 7, with a value that has pages of its own
    store.compact(6).wait()?;
    store.put("last", "").wait()?; // 8
    let noted = store.transact(|txn| NOTES.iter().try_for_each(|(name, value)| txn.set_note(*name, *value)));
    noted.wait()?;
    Ok(())
}

/// What a server keeps beside the keys: an alarm, a role, and a user with it who has no password.
const NOTES: [(&str, &str); 3] = [
    ("alarm/NOSPACE", ""),
    ("auth/role/guests", "\n\u{6}guests"),
    ("auth/user/ann", "\n\u{3}ann\u{1a}\u{6}guests\"\u{2}\u{8}\u{1}"),
];

fn rows(store: &Store, revision: u64) -> Vec<String> {
    let all =
        store.view_at(revision).unwrap().range(&KeyRange::everything(), &RangeOptions::default()).unwrap();
    let row = |record: &watchful::Record| {
        let value = if record.value().len() > 30 {
            "(long)".into()
        } else {
            record.value().escape_ascii().to_string()
        };
        let (key, created, version) =
            (record.key().escape_ascii(), record.create_revision(), record.version());
        format!(
            "{key}={value} created {created} changed {} version {version} lease {}",
            record.revision(),
            record.lease()
        )
    };
    all.records.iter().map(row).collect()
}

fn check(store: &Store) {
    assert_eq!((store.current_revision(), store.compact_revision(), store.leases()), (8, 6, vec![7]));
    assert_eq!(store.lease(7).unwrap().keys, [b"leased".to_vec()]);
    assert_eq!(
        rows(store, 6),
        ["a=1 created 2 changed 3.0 version 2 lease 0", "leased=x created 4 changed 4.0 version 1 lease 7",]
    );
    assert_eq!(
        rows(store, 8),
        [
            "\\x00\\xff=(long) created 7 changed 7.2 version 1 lease 0",
            "a=2 created 7 changed 7.1 version 1 lease 0",
            "last= created 8 changed 8.0 version 1 lease 0",
            "leased=x created 4 changed 4.0 version 1 lease 7",
        ]
    );
    assert!(matches!(store.view_at(5), Err(Error::Compacted { compact_revision: 6 })));
}

fn check_notes(store: &Store, expected: &[(&str, &str)]) {
    let notes = store.notes("").unwrap();
    let notes: Vec<_> = notes.iter().map(|(name, value)| (&name[..], &value[..])).collect();
    let expected: Vec<_> = expected.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
    assert_eq!(notes, expected);
}

/// Restores the folder of a version, opens it, closes it, checks it, and opens it again; and saves it, as if it were damaged.
fn check_version(version: u32, notes: &[(&str, &str)]) {
    let dir = tempfile::tempdir().unwrap();
    let (folder, saved) = (dir.path().join("store"), dir.path().join("saved"));
    let is_whole = |path: &Path| {
        let report = watchful::check(path).unwrap();
        assert!(report.is_ok(), "{report:?}");
    };
    is_whole(&golden(version));
    watchful::restore(golden(version), &folder).unwrap();
    let check = |folder: &Path| {
        let store = Store::open(folder, Settings::default()).unwrap();
        check(&store);
        check_notes(&store, notes);
    };
    check(&folder);
    is_whole(&folder);
    check(&folder);
    let report = watchful::salvage(golden(version), &saved).unwrap();
    assert!(report.is_whole(), "{report:?}");
    check(&saved);
    is_whole(&saved);
}

#[test]
fn every_version_reads_the_folders_of_the_ones_before() {
    check_version(1, &[]);
    check_version(2, &NOTES);
}

/// With a damaged name in what a store of format 1 keeps about itself, it was made into one of format 2 that had never been
/// compacted, and what was saved of it had never been compacted either. It is refused now, and stays what it is, so that who mends it, or the program that wrote it, can go on.
#[test]
fn a_damaged_folder_of_the_version_before_stays_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let (folder, file) = (dir.path().join("store"), dir.path().join("store/data.mdb"));
    for name in ["compact_finished", "compact_scheduled", "epoch", "store_id"] {
        // In order, so that its page is as it should be.
        let damaged = format!("{}~", &name[..name.len() - 1]);
        let rename = |from: &str, to: &str| {
            let mut bytes = std::fs::read(&file).unwrap();
            let places: Vec<_> =
                (0..bytes.len()).filter(|at| bytes[*at..].starts_with(from.as_bytes())).collect();
            assert!(!places.is_empty(), "{from}");
            places.iter().for_each(|at| bytes[*at..][..to.len()].copy_from_slice(to.as_bytes()));
            std::fs::write(&file, bytes).unwrap();
        };
        watchful::restore(golden(1), &folder).unwrap();
        rename(name, &damaged);
        let error = Store::open(&folder, Settings::default()).err().unwrap();
        assert!(error.to_string().contains("`meta`"), "{name}: {error}");
        // Where it is not known what was compacted, nothing but the newest revision can be trusted.
        let report = watchful::savable(&folder).unwrap();
        let is_known = report.compact_revision_before == Some(6);
        assert!(!report.is_whole() && is_known == (name != "compact_scheduled"), "{name}: {report:?}");
        rename(&damaged, name);
        check(&Store::open(&folder, Settings::default()).unwrap());
        std::fs::remove_dir_all(&folder).unwrap();
    }
}

#[test]
fn the_golden_folder_is_what_this_version_writes() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), Settings::default()).unwrap();
    write(&store).unwrap();
    check(&store);
    check_notes(&store, &NOTES);
    if let Some(file) = std::env::var_os("WATCHFUL_GOLDEN") {
        store.backup(file).unwrap();
    }
}
