//! A revision and its bytes.

use std::fmt;

/// How many bytes a revision takes on disk: eight for `main`, four for `sub`, both big-endian.
pub const REVISION_LEN: usize = 12;

/// When a change happened: `main` counts the store's transactions, `sub` the changes inside one.
///
/// Revisions are ordered by `main`, then `sub`. An empty store is at main revision 1; its first write is 2.
///
/// ```
/// use watchful_revision::Revision;
/// assert!(Revision::new(2, 7) < Revision::new(3, 0));
/// assert_eq!(Revision::new(3, 1).to_string(), "3.1");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision {
    /// The transaction.
    pub main: u64,
    /// The change inside the transaction, counted from 0.
    pub sub: u32,
}

impl Revision {
    /// The revision of change `sub` in transaction `main`.
    #[must_use]
    pub const fn new(main: u64, sub: u32) -> Self {
        Self { main, sub }
    }

    /// The first change of transaction `main`.
    #[must_use]
    pub const fn start_of(main: u64) -> Self {
        Self::new(main, 0)
    }

    /// The revision that may come right after this one inside the same transaction; after the last possible `sub`, the
    /// start of the next transaction. Nothing comes after the last revision there can be, which only damaged bytes name: after it
    /// comes itself.
    #[must_use]
    pub const fn next(self) -> Self {
        match (self.sub.checked_add(1), self.main.checked_add(1)) {
            (Some(sub), _) => Self::new(self.main, sub),
            (None, Some(main)) => Self::start_of(main),
            (None, None) => self,
        }
    }

    /// The twelve bytes this revision is stored under. They sort as revisions do.
    #[must_use]
    pub fn to_bytes(self) -> [u8; REVISION_LEN] {
        let mut bytes = [0; REVISION_LEN];
        bytes[..8].copy_from_slice(&self.main.to_be_bytes());
        bytes[8..].copy_from_slice(&self.sub.to_be_bytes());
        bytes
    }

    /// The revision stored under `bytes`.
    ///
    /// # Errors
    ///
    /// [`MalformedRevision`] when there are not exactly [`REVISION_LEN`] bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, MalformedRevision> {
        let (Some((main, sub)), REVISION_LEN) = (bytes.split_first_chunk::<8>(), bytes.len()) else {
            return Err(MalformedRevision { len: bytes.len() });
        };
        let sub = sub.try_into().map_err(|_| MalformedRevision { len: bytes.len() })?;
        Ok(Self::new(u64::from_be_bytes(*main), u32::from_be_bytes(sub)))
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.main, self.sub)
    }
}

/// A table key that is not a revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a revision has {REVISION_LEN} bytes, and this key has {len}")]
pub struct MalformedRevision {
    /// How many bytes there were.
    pub len: usize,
}
