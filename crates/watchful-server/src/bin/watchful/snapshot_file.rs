//! A file that was saved, before anything is made of it: whose it is, and whether its SHA-256 is right.
//!
//! An etcd's snapshot and a Watchful store are told apart by their first page. Behind either there may be the SHA-256 of all
//! that comes before it; whether it is there is told by the length, as etcd does it.

use std::fs::File;
use std::io::{self, Read, Seek as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use sha2::{Digest as _, Sha256};
use watchful_server::EtcdSnapshot;

use crate::failure::Failure;
use crate::snapshot::TRAILER_LEN;

/// The length of a page, which every store's file is a multiple of.
const PAGE_LEN: u64 = 4096;

/// Where LMDB's files have their mark, and what it is.
const LMDB_MAGIC_AT: usize = 16;
const LMDB_MAGIC: u32 = 0xBEEF_C0DE;

/// How much of a file tells whose it is.
const BEGINNING_LEN: usize = 80;

/// Whose a file is, by its beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// etcd's format: of an etcd, or a snapshot of ours.
    Etcd,
    /// A Watchful store: a copy of a data file.
    Watchful,
    Unknown,
}

/// A file that is open.
pub(crate) struct SnapshotFile<'p> {
    path: &'p Path,
    file: File,
    len: u64,
    pub(crate) kind: Kind,
}

impl<'p> SnapshotFile<'p> {
    pub(crate) fn open(path: &'p Path) -> Result<Self, Failure> {
        let unusable =
            |error: io::Error| Failure::told(format!("{} cannot be read: {error}", path.display()));
        let file = File::open(path).map_err(unusable)?;
        let len = file.metadata().map_err(unusable)?.len();
        let mut beginning = [0; BEGINNING_LEN];
        let kind = match file.read_exact_at(&mut beginning, 0) {
            Ok(()) => Kind::of(&beginning),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Kind::Unknown,
            Err(error) => return Err(unusable(error)),
        };
        Ok(Self { path, file, len, kind })
    }

    /// How many bytes are in front of the SHA-256; all where there is none.
    pub(crate) fn content_len(&self) -> u64 {
        if self.has_sum() { self.len - TRAILER_LEN as u64 } else { self.len }
    }

    pub(crate) fn has_sum(&self) -> bool {
        self.len > PAGE_LEN && self.len % PAGE_LEN == TRAILER_LEN as u64
    }

    /// Refuses what is no snapshot, was cut short, or is not what its SHA-256 is of. `may_lack_sum`: a copy of a store's own
    /// file has none.
    pub(crate) fn check(&mut self, may_lack_sum: bool) -> Result<(), Failure> {
        self.check_len(may_lack_sum).map_err(|what| self.refuse(what))?;
        if self.has_sum() && !self.is_sum_right()? {
            return Err(
                self.refuse("is damaged: its SHA-256 is not the one at its end; use another snapshot")
            );
        }
        match self.kind {
            Kind::Unknown => Err(self.refuse(
                "is no snapshot: it begins neither as an etcd's store does nor as a Watchful store; `etcdctl snapshot \
                 save` makes one, and an etcd's files *.snap and *.wal are none",
            )),
            _ => Ok(()),
        }
    }

    fn check_len(&self, may_lack_sum: bool) -> Result<(), &'static str> {
        match self.len % PAGE_LEN {
            _ if self.len < PAGE_LEN => Err("is too short for a snapshot: save it again"),
            0 if may_lack_sum => Ok(()),
            0 => Err(
                "has no SHA-256 at its end: it was cut short, or is a copy of a store's own file and no snapshot; \
                      for a copy, give --skip-hash-check",
            ),
            _ if self.has_sum() => Ok(()),
            _ => Err("has the length of no snapshot: it was cut short, or is something else; save it again"),
        }
    }

    pub(crate) fn refuse(&self, what: &str) -> Failure {
        Failure::told(format!("{} {what}", self.path.display()))
    }

    fn is_sum_right(&mut self) -> Result<bool, Failure> {
        let read = self.copy_content(&mut io::sink());
        read.map_err(|error| self.refuse(&format!("cannot be read: {error}")))
    }

    /// Copies what is in front of the SHA-256. Tells whether that is the one at the end.
    pub(crate) fn copy_content(&mut self, to: &mut impl io::Write) -> io::Result<bool> {
        self.file.rewind()?;
        let mut sum = Sha256::new();
        let mut left = self.content_len();
        let mut part = vec![0; 1 << 20];
        while left > 0 {
            let wanted = part.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            self.file.read_exact(&mut part[..wanted])?;
            sum.update(&part[..wanted]);
            to.write_all(&part[..wanted])?;
            left -= wanted as u64;
        }
        let mut trailer = [0; TRAILER_LEN];
        self.file.read_exact(&mut trailer)?;
        Ok(trailer == sum.finalize()[..])
    }

    /// The snapshot of an etcd that it is.
    pub(crate) fn into_etcd(self) -> Result<EtcdSnapshot, Failure> {
        let path = self.path;
        EtcdSnapshot::open(self.file).map_err(|error| {
            Failure::told(format!("{}: {}", path.display(), crate::failure::with_causes(&error)))
        })
    }
}

impl Kind {
    fn of(beginning: &[u8]) -> Self {
        let magic = beginning.get(LMDB_MAGIC_AT..).and_then(<[u8]>::first_chunk).copied();
        if EtcdSnapshot::is_one(beginning) {
            Self::Etcd
        } else if magic.is_some_and(is_lmdb) {
            Self::Watchful
        } else {
            Self::Unknown
        }
    }
}

#[expect(clippy::host_endian_bytes, reason = "LMDB writes numbers in the machine's own byte order")]
fn is_lmdb(magic: [u8; 4]) -> bool {
    u32::from_ne_bytes(magic) == LMDB_MAGIC
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_len(len: u64, may_lack_sum: bool, expected: Option<u64>) {
        let file = tempfile::tempfile().unwrap();
        let file = SnapshotFile { path: Path::new("file"), file, len, kind: Kind::Etcd };
        let content = file.check_len(may_lack_sum).ok().map(|()| file.content_len());
        assert_eq!(content, expected, "{len}");
    }

    #[test]
    fn the_length_tells_a_snapshot() {
        check_len(8192 + 32, false, Some(8192));
        check_len(8192 + 32, true, Some(8192));
        check_len(8192, false, None);
        check_len(8192, true, Some(8192));
        check_len(8191, true, None);
        check_len(32, true, None);
        check_len(0, true, None);
    }
}
