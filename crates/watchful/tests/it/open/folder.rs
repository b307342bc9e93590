//! Folders that cannot be used, and folders that somebody uses already.

use std::fs;
use std::path::Path;
use std::process::Command;

use watchful::{Error, Store};

use super::check_says;
use super::child::{self, Program, Working};
use crate::support::{Twin, eventually, settings};

fn refused(path: &Path) -> Error {
    let error = Store::open(path, settings()).expect_err("it should be refused");
    check_says(&error, &[&path.display().to_string()]);
    error
}

/// Root may write everywhere but where the system itself says no, so that is where this looks.
#[test]
fn what_cannot_be_a_folder_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "text").unwrap();
    for path in [file.as_path(), &file.join("below"), Path::new("/proc/watchful")] {
        check_says(
            &refused(path),
            &["is not a folder and cannot be made one", "give the store a folder of its own"],
        );
    }
    assert_eq!(fs::read(&file).unwrap(), b"text");
}

#[test]
fn folders_are_made_where_there_are_none() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path().join("a/b"), settings()).unwrap();
    assert_eq!(store.current_revision(), 1);
}

#[test]
fn a_folder_that_may_only_be_read_is_told_and_loses_nothing() {
    let Some(disk) = Disk::mount("4m") else { return };
    let path = disk.path().join("store");
    let store = Store::open(&path, settings()).unwrap();
    store.put("a", "1").wait().unwrap();
    drop(store);
    // A child that another test starts has the file open for writing until it is another program.
    eventually("the last who can write there", || disk.remount("ro").then_some(()));
    for path in [path.clone(), disk.path().join("new")] {
        check_says(&refused(&path), &["cannot be written", "give this user the right to write it"]);
    }
    assert!(watchful::check(&path).unwrap().is_ok());
    assert!(disk.remount("rw"));
    let store = Store::open(&path, settings()).unwrap();
    assert_eq!(store.get("a").unwrap().unwrap().value(), b"1");
    assert_eq!(store.put("a", "2").wait().unwrap().revision, 3);
}

#[test]
fn a_second_handle_is_refused_until_the_first_is_gone() {
    let mut twin = Twin::of("put a 1");
    check_says(&refused(twin.path()), &["is open already", "one program at a time"]);
    let view = twin.view().unwrap();
    twin.close();
    check_says(&refused(twin.path()), &["is open already"]);
    assert_eq!(view.get("a").unwrap().unwrap().value(), b"1");
    drop(view);
    twin.reopen();
    twin.run("put a 2");
    twin.check();
}

/// Two programs on one file would each have an index of their own, and overwrite what the other knows.
#[test]
fn a_second_process_is_refused() {
    if let Some((folder, _)) = child::task() {
        let error = refused(&folder);
        assert!(matches!(&error, Error::AlreadyOpen { path } if *path == folder), "{error:?}");
        return child::tell(&error.to_string());
    }
    let mut twin = Twin::of("put a 1");
    let child = Working::spawn(Program::Test("open::folder::a_second_process_is_refused"), twin.path(), 0);
    let told = child.finish();
    assert!(matches!(&told[..], [text] if text.contains("is open already")), "{told:?}");
    twin.run("put a 2");
    twin.check();
}

/// A file system of its own, in memory; its drop takes it away.
pub(super) struct Disk {
    dir: tempfile::TempDir,
}

impl Disk {
    /// None when this user or this machine may not mount: then the test says so and checks nothing.
    pub(super) fn mount(size: &str) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("disk");
        fs::create_dir(&path).unwrap();
        let size = format!("size={size}");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(path).output();
        if mounted.is_ok_and(|output| output.status.success()) {
            return Some(Self { dir });
        }
        eprintln!("SKIPPED: no small disk could be mounted, which takes root");
        None
    }

    pub(super) fn path(&self) -> std::path::PathBuf {
        self.dir.path().join("disk")
    }

    /// Mounts it again with an option.
    pub(super) fn remount(&self, option: &str) -> bool {
        let option = format!("remount,{option}");
        Command::new("mount")
            .args(["-o", &option])
            .arg(self.path())
            .status()
            .is_ok_and(|status| status.success())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: a test that fails may still hold files on it.
        let unmounted = Command::new("umount").arg("--lazy").arg(self.path()).status();
        assert!(unmounted.is_ok_and(|status| status.success()) || std::thread::panicking());
    }
}
