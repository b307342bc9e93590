//! A data file, read page by page and never mapped: a page that is not there is an error, and not a signal.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::layout::{META_LEN, Meta, Misfit};

/// What the two meta pages of a file tell.
pub(super) struct Metas {
    /// The one that counts: the newer of those that can be read.
    pub(super) newest: Meta,
    /// The other one, if it can be read.
    pub(super) older: Option<Meta>,
    /// Whether the other one could be followed too. It need not be: after a failed commit LMDB puts back the number of
    /// the commit before on the page it tried to write, and leaves the roots of the failed one.
    pub(super) is_older_usable: bool,
    /// What is wrong with the pages themselves; LMDB opens no such file, or would go astray in it.
    pub(super) misfit: Option<(u64, Misfit)>,
}

/// Why the first pages of a file do not tell where the others are.
pub(super) enum NoMeta {
    Io(io::Error),
    /// The file ends before both are read; this is the least it needs.
    Short {
        needed_bytes: u64,
    },
    Misfit(Misfit),
}

/// A data file whose pages can be read.
pub(super) struct PageFile {
    file: File,
    file_bytes: u64,
    page_bytes: u32,
}

impl PageFile {
    /// Opens the file and finds out where its trees are.
    pub(super) fn open(path: &Path) -> Result<(Self, Metas), NoMeta> {
        let file = File::open(path).map_err(NoMeta::Io)?;
        let file_bytes = file.metadata().map_err(NoMeta::Io)?.len();
        let metas = read_metas(&file, file_bytes)?;
        let page_bytes = metas.newest.page_bytes;
        Ok((Self { file, file_bytes, page_bytes }, metas))
    }

    pub(super) fn file_bytes(&self) -> u64 {
        self.file_bytes
    }

    pub(super) fn page_bytes(&self) -> u32 {
        self.page_bytes
    }

    /// How many whole pages the file has.
    pub(super) fn len(&self) -> u64 {
        self.file_bytes / u64::from(self.page_bytes)
    }

    /// Reads `count` pages from `first` on, all of which the file has.
    pub(super) fn read(&self, first: u64, count: u64) -> io::Result<Vec<u8>> {
        let past_end = || io::Error::from(io::ErrorKind::UnexpectedEof);
        if first.checked_add(count).is_none_or(|end| end > self.len()) {
            return Err(past_end());
        }
        let page_bytes = u64::from(self.page_bytes);
        let len = usize::try_from(count * page_bytes).map_err(|_| past_end())?;
        let mut bytes = vec![0; len];
        self.file.read_exact_at(&mut bytes, first * page_bytes)?;
        Ok(bytes)
    }
}

fn read_metas(file: &File, file_bytes: u64) -> Result<Metas, NoMeta> {
    // The second page's place depends on the page size, which the first tells. When the first cannot be read, the sizes
    // in use are tried.
    match read_meta(file, file_bytes, 0) {
        Ok(first) => match read_meta(file, file_bytes, first.page_bytes.into()) {
            Ok(second) => Ok(choose(first, second)),
            Err(NoMeta::Misfit(misfit)) => Ok(Metas::alone(first, (1, misfit))),
            Err(other) => Err(other),
        },
        Err(NoMeta::Misfit(misfit)) => {
            let mut tried = [4096, 16384, 8192, 32768].into_iter();
            let second = tried.find_map(|at| read_meta(file, file_bytes, at).ok());
            let second = second.ok_or_else(|| NoMeta::Misfit(misfit.clone()))?;
            Ok(Metas::alone(second, (0, misfit)))
        }
        Err(other) => Err(other),
    }
}

impl Metas {
    fn alone(newest: Meta, misfit: (u64, Misfit)) -> Self {
        Self { newest, older: None, is_older_usable: false, misfit: Some(misfit) }
    }
}

fn choose(first: Meta, second: Meta) -> Metas {
    // As LMDB has it: of two that are as old, the first.
    let is_second = first.commit < second.commit;
    let misplaced = misplaced(&first, &second);
    let (newest, older) = if is_second { (second, first) } else { (first, second) };
    let astray = newest.check_trees().err().map(|misfit| (u64::from(is_second), misfit));
    let is_older_usable = older.check_trees().is_ok();
    Metas { newest, older: Some(older), is_older_usable, misfit: misplaced.or(astray) }
}

/// An even commit is written to page 0, an odd one to page 1. LMDB finds the page of a commit by that, so a pair that
/// does not keep to it would lead it to the wrong one. One of the two is the commit after the other, or both are of a new
/// file: with a number that is damaged, the older one would be taken for the newer, and the last commit for none.
fn misplaced(first: &Meta, second: &Meta) -> Option<(u64, Misfit)> {
    let told = |commit| format!("it says that it is of commit {commit}, which has its place on the other");
    if first.page_bytes != second.page_bytes {
        return Some((1, format!("it has pages of {} bytes, unlike the first", second.page_bytes)));
    }
    if !first.commit.is_multiple_of(2) {
        return Some((0, told(first.commit)));
    }
    if second.commit.is_multiple_of(2) && second.commit != 0 {
        return Some((1, told(second.commit)));
    }
    let follows = first.commit.abs_diff(second.commit) == 1 || first.commit == 0 && second.commit == 0;
    (!follows).then(|| (1, format!("it is of commit {}, and the first of {}", second.commit, first.commit)))
}

fn read_meta(file: &File, file_bytes: u64, at: u64) -> Result<Meta, NoMeta> {
    let mut bytes = [0; META_LEN];
    let needed_bytes = at + META_LEN as u64;
    if file_bytes < needed_bytes {
        return Err(NoMeta::Short { needed_bytes });
    }
    file.read_exact_at(&mut bytes, at).map_err(NoMeta::Io)?;
    Meta::parse(&bytes).map_err(NoMeta::Misfit)
}
