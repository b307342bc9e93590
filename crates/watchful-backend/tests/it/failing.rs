//! When the disk refuses: what was not committed is gone whole, what may be is not guessed at, and reads go on.
//!
//! The faults are made by putting another file under LMDB's open descriptors: `/dev/full` has no room, a file opened for
//! reading refuses every write, and a device cannot be synced. Linux only, as that is where descriptors have names.
#![cfg(target_os = "linux")]
#![allow(unsafe_code, reason = "a descriptor of another owner can be replaced by the system call alone")]

use std::fs::{self, File};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};
use std::process::Command;

use watchful_backend::{Backend, BackendError, CommitError, Durability, Table};

use crate::{TABLES, append, data_file, entries, key, open, small};

/// Which of LMDB's two descriptors of the data file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Descriptor {
    /// Pages are written and synced through it.
    Pages,
    /// The page that makes a commit valid is written through it. It syncs by itself.
    Meta,
}

/// Another file under a descriptor; its drop puts the first one back.
struct Fault {
    descriptor: RawFd,
    original: OwnedFd,
}

impl Fault {
    fn put(dir: &Path, which: Descriptor, replacement: &File) -> Self {
        let descriptor = find_descriptor(dir, which);
        // SAFETY: both descriptors are open, and the copy made has no other owner.
        let original = unsafe { OwnedFd::from_raw_fd(libc::dup(descriptor)) };
        // SAFETY: both descriptors are open; LMDB goes on with the other file, and that is what is tested.
        assert_eq!(unsafe { libc::dup2(replacement.as_raw_fd(), descriptor) }, descriptor);
        Self { descriptor, original }
    }
}

impl Drop for Fault {
    fn drop(&mut self) {
        // SAFETY: both descriptors are open: the backend that owns the one outlives the fault in every test.
        unsafe { libc::dup2(self.original.as_raw_fd(), self.descriptor) };
    }
}

/// LMDB's descriptor of the data file in `dir`, found by what the system tells of this process's descriptors.
fn find_descriptor(dir: &Path, which: Descriptor) -> RawFd {
    let data = data_file(&dir.canonicalize().unwrap());
    let is_it = |descriptor: &RawFd| {
        let flags = fs::read_to_string(format!("/proc/self/fdinfo/{descriptor}")).unwrap_or_default();
        let flags = flags.lines().find_map(|line| line.strip_prefix("flags:")).unwrap_or("0").trim();
        let flags = i32::from_str_radix(flags, 8).unwrap();
        let syncs = flags & libc::O_DSYNC != 0;
        let points_at_data = fs::read_link(format!("/proc/self/fd/{descriptor}")).is_ok_and(|to| to == data);
        points_at_data && syncs == (which == Descriptor::Meta)
    };
    let names = fs::read_dir("/proc/self/fd").unwrap();
    let descriptors = names.filter_map(|name| name.unwrap().file_name().to_str()?.parse().ok());
    descriptors.into_iter().find(is_it).expect("the data file should be open")
}

/// A store with one row, and a commit of another that meets a fault.
struct Scene {
    dir: tempfile::TempDir,
    backend: Backend,
    log: Table,
}

impl Scene {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (backend, log) = open(dir.path());
        append(&backend, log, 1, 5000);
        Self { dir, backend, log }
    }

    fn commit_with(&self, which: Descriptor, replacement: &File) -> CommitError {
        let mut txn = self.backend.write().unwrap();
        txn.append(self.log, &key(2), &[2; 5000]).unwrap();
        let fault = Fault::put(self.dir.path(), which, replacement);
        let error = txn.commit().unwrap_err();
        drop(fault);
        error
    }

    /// Writes are refused, reads go on, and a store opened anew takes writes.
    fn check_poisoned(self) {
        let Self { dir, backend, log } = self;
        assert!(matches!(backend.write().map(drop), Err(BackendError::Poisoned)));
        assert!(matches!(backend.sync(), Err(BackendError::Poisoned)));
        assert!(matches!(backend.defragment(), Err(BackendError::Poisoned)));
        assert!(backend.stats().poisoned);
        assert_eq!(entries(&backend, log)[0], (key(1).to_vec(), vec![1; 5000]));
        let copy = dir.path().join("copy");
        backend.copy_compact(&copy).unwrap();
        drop(backend);
        let (backend, log) = open(dir.path());
        append(&backend, log, 3, 10);
        assert!(entries(&backend, log).len() >= 2);
    }
}

fn full_disk() -> File {
    File::options().write(true).open("/dev/full").unwrap()
}

#[test]
fn a_full_disk_takes_the_commit_back_and_the_next_goes_on() {
    let scene = Scene::new();
    let error = scene.commit_with(Descriptor::Pages, &full_disk());
    assert!(matches!(error, CommitError::NoSpace { .. }), "{error:?}");
    assert_eq!(entries(&scene.backend, scene.log).len(), 1);
    append(&scene.backend, scene.log, 2, 5000);
    assert_eq!(entries(&scene.backend, scene.log).len(), 2);
    assert!(!scene.backend.stats().poisoned);
}

/// The store was once refused as damaged when it was opened anew: LMDB leaves the roots of the failed commit beside the
/// number of an older one on the page it could not write well, and the check wanted both pages to be sound.
#[test]
fn a_commit_whose_last_page_fails_is_of_unknown_outcome() {
    for replacement in [full_disk(), File::open("/dev/null").unwrap()] {
        let scene = Scene::new();
        let reader = scene.backend.read().unwrap();
        let error = scene.commit_with(Descriptor::Meta, &replacement);
        assert!(matches!(error, CommitError::OutcomeUnknown { .. }), "{error:?}");
        assert_eq!(reader.get(scene.log, &key(1)).unwrap().map(<[u8]>::len), Some(5000), "views go on");
        drop(reader);
        scene.check_poisoned();
    }
}

#[test]
fn a_commit_that_cannot_be_synced_is_of_unknown_outcome() {
    let scene = Scene::new();
    let cannot_sync = File::options().write(true).open("/dev/null").unwrap();
    let error = scene.commit_with(Descriptor::Pages, &cannot_sync);
    assert!(matches!(error, CommitError::OutcomeUnknown { .. }), "{error:?}");
    scene.check_poisoned();
}

#[test]
fn a_sync_that_fails_stops_writes() {
    let dir = tempfile::tempdir().unwrap();
    let settings = small().with_durability(Durability::Unsynced);
    let backend = Backend::open(dir.path(), &settings, &TABLES).unwrap();
    let log = backend.table("log").unwrap();
    append(&backend, log, 1, 5000);
    backend.sync().unwrap();
    let fault =
        Fault::put(dir.path(), Descriptor::Pages, &File::options().write(true).open("/dev/null").unwrap());
    assert!(matches!(backend.sync(), Err(BackendError::Io { .. })));
    drop(fault);
    Scene { dir, backend, log }.check_poisoned();
}

/// A restore into a folder below one that its user may enter and not read told that it had failed, and had not: the store was in
/// its place, and the next try said that the folder was not empty.
#[test]
fn a_folder_above_that_may_not_be_read_is_no_obstacle() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let above = dir.path().join("above");
    let folder = above.join("store");
    fs::create_dir_all(&folder).unwrap();
    for (path, mode) in [(dir.path(), 0o755), (&*folder, 0o777), (&*above, 0o311)] {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
    let forced = std::thread::spawn(move || {
        // SAFETY: it changes what files this thread may open, and nothing else; root may open all.
        unsafe { libc::setfsuid(65534) };
        (File::open(&above).map(drop), watchful_backend::force_names(&folder))
    });
    let (opened, forced) = forced.join().unwrap();
    fs::set_permissions(dir.path().join("above"), fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(opened.unwrap_err().kind(), std::io::ErrorKind::PermissionDenied);
    assert!(forced.is_ok(), "{forced:?}");
}

/// Set in a child that is to open a folder with few descriptors.
const CHILD_FOLDER: &str = "WATCHFUL_TEST_FEW_DESCRIPTORS";

/// Where no descriptor was left to ask the disk with, a failed sync that called itself a full disk was believed: the commit was said
/// to be taken back, and what came after it was written over pages that may have been lost.
#[test]
fn a_store_that_could_not_ask_its_disk_is_not_opened() {
    if let Some(folder) = std::env::var_os(CHILD_FOLDER) {
        return open_with_few_descriptors(folder.as_ref());
    }
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()));
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "failing::a_store_that_could_not_ask_its_disk_is_not_opened"])
        .env(CHILD_FOLDER, dir.path())
        .output()
        .unwrap();
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stdout));
}

/// With each number of descriptors a store is either not opened, or has all three of its data file.
fn open_with_few_descriptors(dir: &Path) {
    let data = data_file(&dir.canonicalize().unwrap());
    let (mut opened, mut refused) = (0, 0);
    for descriptors in 3..64 {
        limit_descriptors(descriptors);
        let backend = Backend::open(dir, &small(), &TABLES);
        limit_descriptors(1024);
        let Ok(backend) = backend else {
            refused += 1;
            continue;
        };
        opened += 1;
        let names = fs::read_dir("/proc/self/fd").unwrap();
        let of_data =
            names.filter(|name| fs::read_link(name.as_ref().unwrap().path()).is_ok_and(|to| to == data));
        assert_eq!(of_data.count(), 3, "with {descriptors} descriptors");
        drop(backend);
    }
    assert!(opened > 0 && refused > 0, "{opened} opened, {refused} refused");
}

fn limit_descriptors(count: libc::rlim_t) {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointer is to a value of the right type.
    assert_eq!(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) }, 0);
    limit.rlim_cur = count.min(limit.rlim_max);
    // SAFETY: the same.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) }, 0);
}

#[test]
fn a_copy_to_a_full_disk_is_told_and_removed() {
    let Some(disk) = SmallDisk::mount() else { return };
    let dir = tempfile::tempdir().unwrap();
    let (backend, log) = open(dir.path());
    append(&backend, log, 1, 3 << 20);
    let error = backend.copy_compact(&disk.path.join("copy")).unwrap_err();
    assert!(matches!(error, BackendError::NoSpace { .. }), "{error:?}");
    assert_eq!(fs::read_dir(&disk.path).unwrap().count(), 0);
}

/// A defragmentation needs room for the smaller file. Where there is none, the old one stays.
#[test]
fn a_defragmentation_on_a_full_disk_changes_nothing() {
    let Some(mut disk) = SmallDisk::mount() else { return };
    let (backend, log) = open(&disk.path.join("store"));
    for number in 1..=12 {
        append(&backend, log, number, 100_000);
    }
    let (rows, files) = (entries(&backend, log), fs::read_dir(disk.path.join("store")).unwrap().count());
    let error = backend.defragment().unwrap_err();
    assert!(matches!(error, BackendError::NoSpace { .. }), "{error:?}");
    assert_eq!(fs::read_dir(disk.path.join("store")).unwrap().count(), files);
    assert_eq!(entries(&backend, log), rows);
    disk.enlarge();
    append(&backend, log, 13, 1000);
    disk.enlarge();
    assert!(backend.defragment().is_ok());
    assert_eq!(entries(&backend, log).len(), 13);
}

#[test]
fn a_disk_fills_and_when_there_is_room_again_it_goes_on() {
    let Some(mut disk) = SmallDisk::mount() else { return };
    let (backend, log) = open(&disk.path.join("store"));
    // Large commits meet the end of the disk in the middle of a call, small ones at its start.
    for len in [100_000, 3000] {
        let mut number = 1;
        let error = loop {
            let mut txn = backend.write().unwrap();
            let appended =
                (0..10u32).try_for_each(|more| txn.append(log, &key(number + more), &vec![7; len]));
            match appended.map(|()| txn.commit()) {
                Ok(Ok(())) => number += 10,
                Ok(Err(error)) => break error,
                Err(error) => panic!("{error}"),
            }
        };
        assert!(matches!(error, CommitError::NoSpace { .. }), "{error:?}");
        assert_eq!(entries(&backend, log).len(), usize::try_from(number - 1).unwrap());
        // LMDB writes pages anew before it frees the old, so even to delete takes some room: the operator makes it.
        disk.enlarge();
        let mut txn = backend.write().unwrap();
        assert_eq!(txn.delete_range(log, ..).unwrap(), u64::from(number - 1));
        txn.commit().unwrap();
        append(&backend, log, 1, len);
        let mut txn = backend.write().unwrap();
        assert!(txn.delete(log, &key(1)).unwrap());
        txn.commit().unwrap();
    }
}

/// A file system of two megabytes; its drop takes it away.
struct SmallDisk {
    path: PathBuf,
    megabytes: u32,
    _dir: tempfile::TempDir,
}

impl SmallDisk {
    /// None when this user or this machine may not mount: then the test tells so and checks nothing.
    fn mount() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("disk");
        fs::create_dir(&path).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=2m", "tmpfs"])
            .arg(&path)
            .output()
            .is_ok_and(|output| output.status.success());
        if !mounted {
            eprintln!("SKIPPED: no small disk could be mounted, which takes root");
            return None;
        }
        Some(Self { path, megabytes: 2, _dir: dir })
    }
}

impl SmallDisk {
    fn enlarge(&mut self) {
        self.megabytes += 1;
        let size = format!("remount,size={}m", self.megabytes);
        assert!(Command::new("mount").args(["-o", &size]).arg(&self.path).status().unwrap().success());
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a test that fails may still hold files on it.
        let unmounted = Command::new("umount").arg("--lazy").arg(&self.path).status();
        assert!(unmounted.is_ok_and(|status| status.success()) || std::thread::panicking());
    }
}
