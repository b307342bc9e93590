//! Zeros ahead of the end of the data file, so that a commit does not wait for the file to grow.
//!
//! A commit writes to pages that the file has, and to a few behind them. Where the file has all of them, on blocks that
//! were written before, the disk's sync is one flush; where it grows, the file system has to make its own records durable
//! too, which takes as long again (ext4, measured on 2026-11-26: 103 µs and 212 µs; to reserve the blocks with `fallocate`
//! does not help, because the blocks have to be marked as written all the same). So, before a commit that is about to
//! grow the file, as many zeros are written behind the end as the next few dozen commits of its size need. They go to the
//! disk with that commit's own sync, and nothing is synced for them.
//!
//! # Invariants
//!
//! - Nothing that LMDB wrote is ever overwritten: zeros begin at the end of the file as it is at that moment, and LMDB writes
//!   only in the turn to write, which the caller holds. The file is the one that was opened, and not whatever has its name
//!   by now: a folder may be moved and another put in its place, whose turn to write is somebody else's.
//! - No page of them means anything: LMDB reads no page behind the last one of its newest commit, and neither does a check,
//!   a copy, or the count of pages in use. A crash at any moment leaves a file that is whole, and longer.
//! - At most [`AHEAD_BYTES_MAX`] of them lie behind the newest commit, within the map, and are left out where the disk is nearly full: whatever goes
//!   wrong here, the commit goes on without them.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::disk::{file_bytes_max, free_bytes};

/// The most that is written ahead: what a commit that carries it waits longer is little beside its two syncs.
pub(crate) const AHEAD_BYTES_MAX: u64 = 512 << 10;

/// The least, so that a writer that adds a page now and then is not behind again at once.
const AHEAD_BYTES_MIN: u64 = 64 << 10;

/// For how many commits like the last one zeros are written.
const COMMITS: u64 = 32;

/// Commits that add more than this are left alone: their own pages take as long as the file system's records, and to
/// write each twice would take longer.
const GROWN_BYTES_MAX: u64 = 128 << 10;

/// Below this much room on the disk nothing is written ahead.
const FREE_BYTES_MIN: u64 = 64 << 20;

/// The file, and what is known of its end. Whoever calls has the turn to write.
#[derive(Debug)]
pub(crate) struct Ahead {
    file: File,
    /// Where the pages of the last commit but one ended; 0 when no commit was seen yet.
    end: AtomicU64,
    /// How long the file was when it was last looked at; it may be longer.
    file_bytes: AtomicU64,
}

impl Ahead {
    pub(crate) fn of(data_file: &Path) -> io::Result<Self> {
        let file = File::options().write(true).open(data_file)?;
        Ok(Self { file, end: AtomicU64::default(), file_bytes: AtomicU64::default() })
    }

    /// Forces the file to the disk through this descriptor of it.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// The last commit's pages end at `end`: makes sure that the next one, if it adds as much, finds room in the file,
    /// which may not become longer than `bytes_max`. The disk of `data_file` is asked for its room.
    pub(crate) fn prepare(&self, data_file: &Path, end: u64, bytes_max: u64) {
        let before = self.end.swap(end, Ordering::Relaxed);
        let grown = end.saturating_sub(before);
        let needed = end + 2 * grown;
        if before == 0
            || grown == 0
            || grown > GROWN_BYTES_MAX
            || self.file_bytes.load(Ordering::Relaxed) >= needed
        {
            return;
        }
        // What cannot be written now is not tried again before the file has grown.
        let file_bytes = self.lengthen(data_file, needed, end + wanted(grown), bytes_max).unwrap_or_default();
        self.file_bytes.store(file_bytes, Ordering::Relaxed);
    }

    /// Writes zeros from the end of the file to `until`, unless it has `needed` bytes already. Tells how long it is.
    fn lengthen(&self, data_file: &Path, needed: u64, until: u64, bytes_max: u64) -> io::Result<u64> {
        let file_bytes = self.file.metadata()?.len();
        if file_bytes >= needed {
            return Ok(file_bytes);
        }
        let has_room = free_bytes(data_file).is_some_and(|free| free >= FREE_BYTES_MIN);
        let until = until.min(bytes_max);
        if !has_room || until <= file_bytes || file_bytes_max() < until {
            return Ok(file_bytes);
        }
        write_zeros(&self.file, file_bytes, until)?;
        Ok(until)
    }
}

fn wanted(grown: u64) -> u64 {
    (grown * COMMITS).clamp(AHEAD_BYTES_MIN, AHEAD_BYTES_MAX)
}

fn write_zeros(file: &File, from: u64, until: u64) -> io::Result<()> {
    const ZEROS: &[u8] = &[0; 64 << 10];
    let mut at = from;
    while at < until {
        let len = usize::try_from(until - at).map_or(ZEROS.len(), |left| left.min(ZEROS.len()));
        file.write_all_at(&ZEROS[..len], at)?;
        at += len as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: u64 = 4096;

    /// A file of ones, and what is known of it after a commit that ended where it ends.
    fn scene(pages: u64) -> (tempfile::NamedTempFile, Ahead) {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().write_all_at(&vec![1; usize::try_from(pages * PAGE).unwrap()], 0).unwrap();
        let ahead = Ahead::of(file.path()).unwrap();
        ahead.prepare(file.path(), pages * PAGE, u64::MAX);
        (file, ahead)
    }

    fn len(file: &tempfile::NamedTempFile) -> u64 {
        file.as_file().metadata().unwrap().len()
    }

    #[test]
    fn zeros_follow_what_was_written_and_nothing_else_changes() {
        let (file, ahead) = scene(100);
        ahead.prepare(file.path(), 101 * PAGE, u64::MAX);
        let bytes = std::fs::read(file.path()).unwrap();
        assert_eq!(bytes.len() as u64, 101 * PAGE + COMMITS * PAGE);
        assert!(bytes.iter().position(|byte| *byte == 0) == Some(100 * 4096));
        assert!(bytes[100 * 4096..].iter().all(|byte| *byte == 0));
    }

    #[test]
    fn a_file_with_room_is_left_alone() {
        let (file, ahead) = scene(100);
        ahead.prepare(file.path(), 101 * PAGE, u64::MAX);
        let before = len(&file);
        for pages in 102..120 {
            ahead.prepare(file.path(), pages * PAGE, u64::MAX);
            ahead.prepare(file.path(), pages * PAGE, u64::MAX);
        }
        assert_eq!(len(&file), before);
        ahead.prepare(file.path(), 132 * PAGE, u64::MAX);
        assert!(len(&file) > before);
    }

    #[test]
    fn they_are_bounded() {
        let (file, ahead) = scene(1000);
        ahead.prepare(file.path(), 1030 * PAGE, u64::MAX);
        assert_eq!(len(&file), 1030 * PAGE + AHEAD_BYTES_MAX);
        // Those that are there already count.
        ahead.prepare(file.path(), 1060 * PAGE, u64::MAX);
        ahead.prepare(file.path(), 1090 * PAGE, u64::MAX);
        ahead.prepare(file.path(), 1120 * PAGE, u64::MAX);
        assert_eq!(len(&file), 1120 * PAGE + AHEAD_BYTES_MAX);
        let (file, ahead) = scene(100);
        ahead.prepare(file.path(), 102 * PAGE, 110 * PAGE);
        assert_eq!(len(&file), 110 * PAGE, "the map ends there");
        ahead.prepare(file.path(), 109 * PAGE, 110 * PAGE);
        assert_eq!(len(&file), 110 * PAGE);
    }

    #[test]
    fn large_commits_and_those_that_add_nothing_are_left_alone() {
        let (file, ahead) = scene(100);
        ahead.prepare(file.path(), 100 * PAGE, u64::MAX);
        ahead.prepare(file.path(), 90 * PAGE, u64::MAX);
        ahead.prepare(file.path(), 1000 * PAGE, u64::MAX);
        assert_eq!(len(&file), 100 * PAGE);
    }

    #[test]
    fn a_file_that_cannot_be_written_is_left_alone() {
        let (file, ahead) = scene(100);
        // Nobody can tell how much room is where nothing is.
        ahead.prepare(&file.path().with_extension("gone"), 101 * PAGE, u64::MAX);
        assert_eq!(len(&file), 100 * PAGE);
        let full = Ahead::of(Path::new("/dev/full")).unwrap();
        full.prepare(file.path(), 100 * PAGE, u64::MAX);
        full.prepare(file.path(), 101 * PAGE, u64::MAX);
        ahead.prepare(file.path(), 102 * PAGE, u64::MAX);
        assert!(len(&file) > 102 * PAGE, "and it is tried again");
    }
}
