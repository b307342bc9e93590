//! What is made sure of before a data file is mapped: to read a mapped page that is not there kills the process.

use std::fs::File;
use std::io;
use std::path::Path;

use super::layout::Meta;
use super::pages::{NoMeta, PageFile};
use super::walk::{Piece, Walk};
use crate::error::BackendError;

/// A store has a handful of tables; a file whose list has more entries than this is somebody else's.
const TABLES_MAX: u64 = 1000;

/// Tables of up to so many pages are looked at whole: 4 MiB take a millisecond. Of larger ones so many pages are, and all
/// branches, which are a hundredth of them. What the other pages of a larger table hold is for whoever reads them to find
/// damaged: that is the log, whose records have sums and follow each other.
const WHOLE_PAGES_MAX: u64 = 1024;

/// Makes sure that the data file at `path` is a whole one of ours: that it has these `tables` or the first of them, and
/// every page that its newest commit refers to, and that small tables, the lists of free pages, and the branches of large
/// tables are not damaged.
///
/// A file may be shorter than its pages say: LMDB does not write pages at the end that a transaction used and freed again. Then
/// every page is looked at, and if only such pages are missing, the file is made longer.
pub(crate) fn verify_file(path: &Path, tables: &[&str]) -> Result<(), BackendError> {
    let (file, metas) = PageFile::open(path).map_err(|error| refuse(path, error))?;
    if let Some((page, what)) = metas.misfit {
        return Err(damaged(path, format!("page {page}: {what}")));
    }
    let meta = &metas.newest;
    verify_tables(path, &file, meta, tables)?;
    let is_short = file.file_bytes() < meta.full_bytes();
    verify_pages(path, &file, meta, if is_short { u64::MAX } else { WHOLE_PAGES_MAX })?;
    if is_short {
        let lengthen = || File::options().write(true).open(path)?.set_len(meta.full_bytes());
        lengthen().map_err(|source| BackendError::NotWritable { path: path.to_owned(), source })?;
    }
    Ok(())
}

fn verify_tables(path: &Path, file: &PageFile, meta: &Meta, tables: &[&str]) -> Result<(), BackendError> {
    let foreign = |reason: &str| BackendError::NotAStore { path: path.to_owned(), reason: reason.to_owned() };
    if meta.main.counts.entries > TABLES_MAX {
        return Err(foreign("it holds another program's entries"));
    }
    let mut visitor = |_: Piece<'_>| {};
    let mut walk = Walk::new(file, meta, &mut visitor);
    let found = walk.main(meta).map_err(reading)?;
    let (ours, others): (Vec<_>, Vec<_>) =
        found.iter().map(|(name, _)| name.as_str()).partition(|name| tables.contains(name));
    if ours.is_empty() && !others.is_empty() {
        return Err(foreign("it holds another program's tables"));
    }
    // Tables are made in their order, so whoever broke that off left the first ones, and so did a version that had fewer. One
    // that is not there otherwise would be made anew: empty, in the place of what was in it. A later version may have more.
    let missing = tables.iter().find(|name| !ours.contains(name));
    let may_be_missing = others.is_empty() && tables[..ours.len()].iter().all(|name| ours.contains(name));
    match missing {
        Some(missing) if !may_be_missing => {
            let what = format!("its list of tables has no `{missing}`, and has {others:?}");
            Err(damaged(path, what))
        }
        _ => Ok(()),
    }
}

fn verify_pages(path: &Path, file: &PageFile, meta: &Meta, leaves_max: u64) -> Result<(), BackendError> {
    let mut visitor = |_: Piece<'_>| {};
    let mut walk = Walk::new(file, meta, &mut visitor);
    walk.leaves_max = leaves_max;
    walk.all(meta).map_err(reading)?;
    if walk.marks.needed_pages() > file.len() {
        return Err(cut_short(path, file, walk.marks.needed_pages()));
    }
    walk.problems.first().map_or(Ok(()), |problem| Err(damaged(path, problem.to_string())))
}

fn refuse(path: &Path, error: NoMeta) -> BackendError {
    let path = path.to_owned();
    match error {
        NoMeta::Io(source) if source.kind() == io::ErrorKind::PermissionDenied => {
            BackendError::NotWritable { path, source }
        }
        NoMeta::Io(source) => reading(source),
        NoMeta::Short { needed_bytes } => {
            let file_bytes = path.metadata().map_or(0, |data| data.len());
            BackendError::CutShort { path, file_bytes, needed_bytes }
        }
        NoMeta::Misfit(reason) => BackendError::NotAStore { path, reason },
    }
}

fn reading(source: io::Error) -> BackendError {
    BackendError::Io { what: "reading the data file", source }
}

fn damaged(path: &Path, what: String) -> BackendError {
    BackendError::Damaged { path: path.to_owned(), what }
}

fn cut_short(path: &Path, file: &PageFile, needed_pages: u64) -> BackendError {
    BackendError::CutShort {
        path: path.to_owned(),
        file_bytes: file.file_bytes(),
        needed_bytes: needed_pages * u64::from(file.page_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Backend, BackendSettings};

    /// A number without a checksum said that the lists of free pages were large, and so nobody looked at them. Those that are
    /// too large for the rule of tables are of 2 GiB; with a rule of no pages at all, lists on a few leaves are.
    #[test]
    fn all_lists_of_free_pages_are_looked_at_where_leaves_are_skipped() {
        let dir = tempfile::tempdir().unwrap();
        let backend = Backend::open(dir.path(), &BackendSettings::default(), &["log"]).unwrap();
        let log = backend.table("log").unwrap();
        // What somebody reads is not used again: each commit leaves a list.
        let reader = backend.read().unwrap();
        for number in 0..400_u32 {
            let mut write = backend.write().unwrap();
            write.append(log, &number.to_be_bytes(), &[1; 100]).unwrap();
            write.commit().unwrap();
        }
        drop((reader, backend));
        let (file, metas) = PageFile::open(&Backend::data_file(dir.path())).unwrap_or_else(|_| panic!());
        let found = |leaves_max| {
            let mut entries = 0;
            let mut visitor = |_: Piece<'_>| entries += 1;
            let mut walk = Walk::new(&file, &metas.newest, &mut visitor);
            walk.leaves_max = leaves_max;
            walk.all(&metas.newest).unwrap();
            (walk.marks.free(), entries)
        };
        let (free, entries) = found(u64::MAX);
        assert!(free > 800 && metas.newest.free.counts.leaf_pages > 1, "{free} in {:?}", metas.newest.free);
        let (free_where_skipped, entries_where_skipped) = found(0);
        assert_eq!(free_where_skipped, free);
        assert!(entries_where_skipped < entries, "leaves of the table should be skipped");
    }
}
