//! LMDB alone: the ceiling of every write. The same rows are appended, in groups of the same size, and nothing else is
//! done: no index, no watchers, no waiting callers.
//!
//! LMDB is opened through `watchful-backend`, the one crate that may promise LMDB what no type can check. It adds a lock
//! that nobody else wants, a look at the key's length, and a count of pages at each commit.

use std::path::Path;

use watchful_backend::{Backend, BackendSettings, Durability, Table};
use watchful_revision::{Put, Revision, encode_put};

use crate::Outcome;

const TABLE: &str = "log";

pub(crate) struct Lmdb {
    backend: Backend,
    log: Table,
    next: u64,
}

/// Rows ready to be appended: the work of making them is not LMDB's.
pub(crate) struct Rows(Vec<([u8; 12], Vec<u8>)>);

impl Lmdb {
    pub(crate) fn open(dir: &Path, durability: Durability) -> Outcome<Self> {
        let settings = BackendSettings::default().with_durability(durability);
        let backend = Backend::open(dir, &settings, &[TABLE])?;
        let log = backend.table(TABLE).ok_or("the table was not made")?;
        Ok(Self { backend, log, next: 2 })
    }

    /// The rows that come next, of these keys and values.
    pub(crate) fn rows(&mut self, puts: impl Iterator<Item = (Vec<u8>, Vec<u8>)>) -> Outcome<Rows> {
        let mut rows = Vec::new();
        for (key, value) in puts {
            let (revision, mut bytes) = (Revision::new(self.next, 0), Vec::new());
            let put = Put { key: &key, value: &value, create_revision: self.next, version: 1, lease: 0 };
            encode_put(revision, &put, &mut bytes)?;
            rows.push((revision.to_bytes(), bytes));
            self.next += 1;
        }
        Ok(Rows(rows))
    }

    /// Appends the rows, `group` of them a commit.
    pub(crate) fn append(&self, rows: &Rows, group: usize) -> Outcome {
        for group in rows.0.chunks(group) {
            let mut txn = self.backend.write()?;
            for (key, value) in group {
                txn.append(self.log, key, value)?;
            }
            txn.commit()?;
        }
        Ok(())
    }
}

impl Rows {
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}
