//! What the trials of this folder have found, each as small as it can be: a story, and every image of it.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use watchful_mvcc::{CommitFailure, Durability, Mvcc, MvccError, MvccSettings, PutOptions};
use watchful_testkit::SplitMix64;

use super::images::Loss;
use super::judge::says_damaged;
use super::platter::Platter;
use super::power::scratch;
use super::tape::{Call, Change, Fault, How, Running};
use super::work::settings;

const ALL: [Durability; 3] = [Durability::Synced, Durability::Relaxed, Durability::Unsynced];

/// A disk, whose store is in several new folders.
struct Scene {
    scratch: tempfile::TempDir,
    platter: Platter,
    lives: u32,
}

impl Scene {
    fn new() -> Self {
        Self { scratch: scratch().unwrap(), platter: Platter::new(), lives: 0 }
    }

    fn folder(root: &Path) -> PathBuf {
        root.join("new/deeper/store")
    }

    /// Lives on this disk, and tells what happened to it. What the system has then is what the next life finds.
    fn live(&mut self, live: impl FnOnce(&Path, &Running)) -> (Platter, Vec<Change>) {
        self.lives += 1;
        let disk = self.scratch.path().join(format!("life-{}", self.lives));
        self.platter.cached().write(&disk).unwrap();
        let disk = disk.canonicalize().unwrap();
        let tape = Running::start(&disk).unwrap();
        self.platter.bind(&disk).unwrap();
        live(&Self::folder(&disk), &tape);
        let changes = tape.changes();
        let before = self.platter.clone();
        changes.iter().for_each(|change| self.platter.play(change));
        (before, changes)
    }

    /// Shows the folders that a power failure leaves, at any moment of a life.
    fn images(&self, (mut platter, changes): (Platter, Vec<Change>), mut look: impl FnMut(usize, &Path)) {
        let mut rng = SplitMix64::new(7);
        let root = self.scratch.path().join("image");
        for (at, change) in changes.iter().enumerate() {
            platter.play(change);
            let loose = platter.loose();
            for loss in Loss::all(&loose, &mut rng, 12) {
                loss.image(&platter, &loose, 0).write(&root).unwrap();
                look(at, &Self::folder(&root));
            }
        }
    }
}

fn put(mvcc: &Mvcc, key: &str, len: usize) -> Result<(), CommitFailure> {
    let mut group = mvcc.begin_group().unwrap();
    group.txn(|txn| txn.put(key.as_bytes(), &vec![b'v'; len], PutOptions::default())).unwrap();
    group.commit().map(drop)
}

fn open(folder: &Path, settings: &MvccSettings) -> Mvcc {
    Mvcc::open(folder, settings).unwrap().0
}

/// After a power failure, in whichever durability the store was.
fn check_opens(folder: &Path, durability: Durability) -> Option<Mvcc> {
    match Mvcc::open(folder, &settings(durability, 1000)) {
        Ok((mvcc, _)) => Some(mvcc),
        Err(error) if durability == Durability::Unsynced && says_damaged(&error) => None,
        Err(error) => panic!("{durability:?}: {error}"),
    }
}

/// A power failure in the first moments of a new store left a folder that every later start refused, because the data file
/// had its name before its pages, or because the store was said to be made before the file's name was on the disk; with
/// `Unsynced` it left one that killed whoever opened it. Of several new folders only the last name was on the disk.
#[test]
fn a_store_whose_making_was_broken_off_is_made_again() {
    for durability in ALL {
        let mut scene = Scene::new();
        let life = scene.live(|folder, tape| {
            let mvcc = open(folder, &settings(durability, 1));
            tape.say(mvcc.epoch());
        });
        let made = life.1.iter().position(|change| matches!(change, Change::Said(_))).unwrap();
        scene.images(life, |at, folder| {
            assert!(at < made || folder.exists(), "{durability:?}: the store is gone, that was there");
            check_opens(folder, durability);
        });
    }
}

/// A store that was killed in another durability was opened with `Unsynced`, and what was written then could be damaged by
/// a power failure, while its mark still said that there was nothing to check: whoever opened it was killed.
#[test]
fn a_store_that_is_opened_unsynced_after_a_kill_is_checked_after_a_power_failure() {
    for before in ALL {
        let mut scene = Scene::new();
        scene.live(|folder, _| {
            let mvcc = open(folder, &settings(before, 1));
            put(&mvcc, "a", 5000).unwrap();
            put(&mvcc, "b", 100).unwrap();
            // Killed: what closing writes is not on the tape that the next life begins with.
            std::mem::forget(mvcc);
        });
        let life = scene.live(|folder, _| drop(open(folder, &settings(Durability::Unsynced, 1))));
        scene.images(life, |_, folder| {
            let is_whole = watchful_mvcc::check(folder).is_ok_and(|report| report.is_ok());
            let mark = std::fs::read_to_string(folder.join("MARK")).unwrap();
            assert!(
                is_whole || mark.contains("open\nunsynced\n"),
                "{before:?}: damaged, and marked {mark:?}"
            );
            check_opens(folder, Durability::Unsynced);
        });
    }
}

/// The last page of a commit could not be forced to the disk, and LMDB took it back; but the disk had it. The store was
/// opened again, and its first commit wrote over pages that the failed one refers to. A power failure in the middle left
/// a file in which nothing could be found, with everything that was ever acknowledged.
#[test]
fn a_commit_that_was_taken_back_does_not_come_back_over_later_ones() {
    for durability in [Durability::Synced, Durability::Relaxed] {
        let mut scene = Scene::new();
        let fault =
            Fault { call: Some(Call::WriteThrough), after: 0, how: How::Loses(libc::EIO), for_ever: false };
        scene.live(|folder, tape| {
            let mvcc = open(folder, &settings(durability, 1));
            put(&mvcc, "a", 5000).unwrap();
            tape.set_fault(Some(fault));
            let failed = put(&mvcc, "b", 100);
            assert_eq!(failed.is_err(), durability == Durability::Synced);
            assert!(failed.is_ok() || matches!(mvcc.begin_group().err(), Some(MvccError::OutcomeUnknown)));
        });
        let life = scene.live(|folder, _| {
            let mvcc = open(folder, &settings(durability, 1));
            put(&mvcc, "c", 3000).unwrap();
            put(&mvcc, "d", 20).unwrap();
        });
        scene.images(life, |_, folder| {
            let mvcc = check_opens(folder, durability).unwrap();
            assert!(mvcc.view(None).unwrap().get(b"a").unwrap().is_some(), "{durability:?}");
        });
    }
}

/// A restored store was on the disk, and the name of its new folder was not: a power failure took it, after its backup
/// may have been deleted.
#[test]
fn a_restored_store_stays() {
    let from = scratch().unwrap();
    let backup = from.path().join("backup");
    let mvcc = open(&from.path().join("store"), &settings(Durability::Synced, 1));
    put(&mvcc, "a", 5000).unwrap();
    mvcc.backup(&backup).unwrap();
    let mut scene = Scene::new();
    let life = scene.live(|folder, tape| {
        watchful_mvcc::restore_backup(&backup, folder).unwrap();
        tape.say(0);
    });
    let restored = life.1.iter().position(|change| matches!(change, Change::Said(_))).unwrap();
    scene.images(life, |at, folder| {
        if at >= restored {
            let mvcc = check_opens(folder, Durability::Synced).unwrap();
            assert!(mvcc.view(None).unwrap().get(b"a").unwrap().is_some());
            assert_eq!(mvcc.epoch(), 2);
        }
    });
}

/// A backup that was told of is whole, and stays.
#[test]
fn a_backup_stays() {
    let mut scene = Scene::new();
    let life = scene.live(|folder, tape| {
        let mvcc = open(folder, &settings(Durability::Synced, 1));
        put(&mvcc, "a", 5000).unwrap();
        mvcc.backup(&folder.join("backup")).unwrap();
        tape.say(0);
    });
    let made = life.1.iter().position(|change| matches!(change, Change::Said(_))).unwrap();
    scene.images(life, |at, folder| {
        let backup = folder.join("backup");
        assert!(at < made || backup.exists());
        if backup.exists() {
            assert_eq!(watchful_mvcc::check(&backup).unwrap().problems, [""; 0]);
        }
    });
}

/// The trials judge what they see: a commit is pages, a sync, and one page that is written through.
#[test]
fn what_lmdb_does_is_on_the_tape() {
    for durability in ALL {
        Scene::new().live(|folder, tape| {
            let mvcc = open(folder, &settings(durability, 1));
            let before = tape.changes().len();
            put(&mvcc, "a", 5000).unwrap();
            let changes = tape.changes();
            let kinds = changes[before..].iter().map(|change| match change {
                Change::Wrote { at, .. } if *at < 8192 => "head",
                Change::Wrote { .. } => "pages",
                Change::Synced { range: None, .. } => "sync",
                Change::Synced { range: Some(_), .. } => "through",
                _ => "other",
            });
            let mut kinds: Vec<&str> = kinds.collect();
            kinds.dedup();
            let expected: &[&str] = match durability {
                Durability::Synced => &["pages", "sync", "head", "through"],
                Durability::Relaxed => &["pages", "sync", "head"],
                Durability::Unsynced => &["pages", "head"],
            };
            assert_eq!(kinds, expected, "{durability:?}");
        });
    }
}

/// With `Relaxed`, a sync that failed for want of room was taken for a write that did: the store went on, though the commit
/// before was not on the disk and no later sync would bring it there.
#[test]
fn a_sync_that_fails_for_want_of_room_is_no_full_disk() {
    for durability in [Durability::Synced, Durability::Relaxed] {
        Scene::new().live(|folder, tape| {
            let mvcc = open(folder, &settings(durability, 1));
            put(&mvcc, "a", 100).unwrap();
            let mut fault =
                Fault { call: Some(Call::Write), after: 0, how: How::Refuses(libc::ENOSPC), for_ever: false };
            tape.set_fault(Some(fault));
            assert!(matches!(put(&mvcc, "b", 100), Err(CommitFailure::NoSpace { .. })));
            put(&mvcc, "b", 100).unwrap();
            fault.call = Some(Call::Sync);
            tape.set_fault(Some(fault));
            assert!(matches!(put(&mvcc, "c", 100), Err(CommitFailure::OutcomeUnknown(_))));
            assert!(matches!(mvcc.begin_group().err(), Some(MvccError::OutcomeUnknown)));
        });
    }
}

/// A sync failed, and the system forgot pages that it had not brought to the disk. The store was opened again in the same run
/// of the machine, which was taken for a promise that nothing was lost: no epoch rose, and nothing was checked.
#[test]
fn after_a_sync_that_failed_the_machine_is_not_trusted() {
    for durability in ALL {
        Scene::new().live(|folder, tape| {
            let mvcc = open(folder, &settings(durability, 1));
            put(&mvcc, "a", 100).unwrap();
            tape.set_fault(Some(Fault {
                call: Some(Call::Sync),
                after: 0,
                how: How::Refuses(libc::EIO),
                for_ever: false,
            }));
            assert!(mvcc.sync().is_err());
            tape.set_fault(None);
            drop(mvcc);
            let (_, report) = Mvcc::open(folder, &settings(durability, 1)).unwrap();
            assert_eq!((report.unclean, report.epoch_raised), (true, durability != Durability::Synced));
        });
    }
}

/// A store was killed, and what it had committed could not be forced to the disk when it was opened again. That opening
/// failed, and the next one trusted the machine, which had been up all the while: where the system had dropped what it
/// could not write, an acknowledged write was gone, its revision was given out again, and no epoch told.
#[test]
fn after_an_opening_that_could_not_force_the_machine_is_not_trusted() {
    for durability in [Durability::Relaxed, Durability::Unsynced] {
        for leave in [leave_killed, leave_without_notes] {
            // Whichever of its syncs it is that fails.
            let failed =
                (0..).take_while(|after| an_opening_that_cannot_force(durability, *after, leave)).count();
            assert!(failed > 2, "{failed} syncs failed, {durability:?}");
        }
    }
}

/// A store that was killed. Tells its newest revision.
fn leave_killed(folder: &Path, durability: Durability) -> u64 {
    let mvcc = open(folder, &settings(durability, 1));
    put(&mvcc, "a", 100).unwrap();
    let revision = mvcc.current_revision();
    std::mem::forget(mvcc);
    revision
}

/// The same of the first format, from before there were notes: their table is made before anything else.
fn leave_without_notes(folder: &Path, durability: Durability) -> u64 {
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/../crates/watchful/tests/golden/format-1/data.mdb");
    let other = tempfile::tempdir().unwrap();
    leave_killed(other.path(), durability);
    fs::create_dir_all(folder).unwrap();
    for (name, bytes) in
        [("data.mdb", fs::read(golden).unwrap()), ("MARK", fs::read(other.path().join("MARK")).unwrap())]
    {
        let mut file = File::create(folder.join(name)).unwrap();
        file.write_all(&bytes).unwrap();
        file.sync_all().unwrap();
    }
    for folder in folder.ancestors().take(2) {
        File::open(folder).unwrap().sync_all().unwrap();
    }
    watchful_mvcc::check(folder).unwrap().current_revision
}

/// Whether the opening of a store that was left so has a sync number `after` that can fail.
fn an_opening_that_cannot_force(
    durability: Durability,
    after: u64,
    leave: fn(&Path, Durability) -> u64,
) -> bool {
    let mut scene = Scene::new();
    let mut revision = 0;
    scene.live(|folder, _| revision = leave(folder, durability));
    let mut error = None;
    scene.live(|folder, tape| {
        let (call, how) = (Some(Call::Sync), How::Refuses(libc::EIO));
        tape.set_fault(Some(Fault { call, after, how, for_ever: false }));
        let opened = Mvcc::open(folder, &settings(durability, 1));
        tape.set_fault(None);
        error = opened.as_ref().err().cloned();
        assert_eq!(error.is_some(), tape.hits() > 0, "{durability:?}, sync {after}");
        std::mem::forget(opened);
    });
    // Where the mark, a name or a new table could not be forced, the pages that were there before have been.
    let is_in_doubt = error.as_ref().is_some_and(|error| {
        let told = error.to_string();
        let is_beside = ["making a table", "files durable"].iter().any(|beside| told.contains(beside));
        !is_beside && !matches!(error, MvccError::NotUsable { .. })
    });
    let root = scene.scratch.path().join("image");
    scene.platter.evicted().write(&root).unwrap();
    match Mvcc::open(&Scene::folder(&root), &settings(durability, 1)) {
        Ok((mvcc, report)) => {
            let is_all_there = mvcc.current_revision() >= revision;
            let is_trusted = !report.epoch_raised;
            assert!(!is_trusted || is_all_there && !is_in_doubt, "{durability:?}, sync {after}: {error:?}");
        }
        Err(error) => assert!(durability == Durability::Unsynced && says_damaged(&error), "{error}"),
    }
    error.is_some()
}
