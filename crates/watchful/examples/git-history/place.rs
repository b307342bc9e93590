//! Where the store of a repository is, and how it is opened or begun again.
//!
//! By default it is in the user's cache, in a folder of its own for each repository and work tree, so that a second run
//! finds it. Nothing is ever written into the repository.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use watchful::{Error, Settings, Store};

use crate::failure::Failure;
use crate::git::Repository;

/// The folder of the store for `repository`, unless the user has chosen one.
pub(crate) fn folder(repository: &Repository, chosen: Option<PathBuf>) -> Result<PathBuf, Failure> {
    match chosen {
        Some(folder) => Ok(folder),
        None => Ok(cache_folder().join("watchful/git-history").join(name_of(&repository.git_folder()?))),
    }
}

/// Opens the store in `folder`, or begins one there.
pub(crate) fn open(folder: &Path) -> Result<Store, Failure> {
    make(folder)?;
    Ok(Store::open(folder, Settings::default())?)
}

/// Begins the store in `folder` again, from nothing.
///
/// Only what is certainly a store's is removed: in a folder with anything else in it, nothing is.
pub(crate) fn open_fresh(folder: &Path) -> Result<Store, Failure> {
    make(folder)?;
    let files = store_files(folder)?;
    if !files.is_empty() {
        // Whoever has it open keeps it. One that cannot be opened for another reason is what `--fresh` is good for.
        if let Err(error @ Error::AlreadyOpen { .. }) = Store::open(folder, Settings::default()) {
            return Err(error.into());
        }
        for file in files {
            fs::remove_file(&file).map_err(|error| failed("removing", &file, &error))?;
        }
    }
    open(folder)
}

fn make(folder: &Path) -> Result<(), Failure> {
    fs::create_dir_all(folder).map_err(|error| failed("making", folder, &error))
}

/// The files in a store's folder, if it is one.
fn store_files(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let read = || fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>();
    let files = read().map_err(|error| failed("reading", folder, &error))?;
    match files.iter().find(|file| !is_store_file(file)) {
        None => Ok(files),
        Some(other) => Err(Failure::said(format!(
            "{} is not a store's: nothing was removed; choose another folder with --store",
            other.display()
        ))),
    }
}

fn is_store_file(file: &Path) -> bool {
    let name = file.file_name().and_then(|name| name.to_str());
    name.is_some_and(|name| STORE_FILES.contains(&name))
}

/// What the backend makes in a store's folder.
const STORE_FILES: &[&str] = &["data.mdb", "lock.mdb", "LOCK", "MARK"];

fn failed(doing: &str, path: &Path, error: &io::Error) -> Failure {
    Failure::said(format!("{doing} {} failed: {error}", path.display()))
}

fn cache_folder() -> PathBuf {
    let folder = |name| std::env::var_os(name).map(PathBuf::from).filter(|folder| folder.is_absolute());
    let cache = folder("XDG_CACHE_HOME").or_else(|| folder("LOCALAPPDATA"));
    cache.or_else(|| Some(folder("HOME")?.join(".cache"))).unwrap_or_else(std::env::temp_dir)
}

/// The folder's own name for people, and a hash of the whole path, which tells two of that name apart.
fn name_of(git_folder: &Path) -> String {
    let own = match git_folder.file_name() {
        Some(name) if name == ".git" => git_folder.parent().and_then(Path::file_name),
        name => name,
    };
    let own = own.unwrap_or_default().to_string_lossy();
    format!("{own}-{:016x}", fnv_1a(git_folder.as_os_str().as_encoded_bytes()))
}

/// The hash FNV-1a of 64 bits: unlike the standard library's, it is the same in every version.
fn fnv_1a(bytes: &[u8]) -> u64 {
    let add = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, add)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_repositories_apart_and_stay() {
        assert_eq!(fnv_1a(b"foobar"), 0x8594_4171_f739_67e8, "as its authors' test says");
        let names =
            ["/a/project/.git", "/b/project/.git", "/a/bare.git"].map(|path| name_of(Path::new(path)));
        assert!(names[0].starts_with("project-") && names[2].starts_with("bare.git-"), "{names:?}");
        assert_ne!(names[0], names[1]);
    }

    #[test]
    fn a_folder_with_somebody_elses_files_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        drop(open(folder.path()).unwrap());
        assert!(store_files(folder.path()).unwrap().len() > 1, "a store's own files are known");
        drop(open_fresh(folder.path()).unwrap());
        let other = folder.path().join("letter.txt");
        fs::write(&other, "mine").unwrap();
        assert!(open_fresh(folder.path()).is_err());
        assert_eq!(fs::read(&other).unwrap(), b"mine");
    }
}
