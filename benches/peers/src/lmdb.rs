//! LMDB alone, through heed: the ceiling of every write. No index, no watchers, no waiting callers.

use std::ops::Bound;
use std::path::Path;

use heed::types::Bytes;
use heed::{CommitOrAbort, Database, Env, EnvFlags, EnvOpenOptions, PutFlags, WithoutTls};

use crate::{Durability, Outcome, Row, Storage};

/// As much as a store of ours maps by default.
const MAP_BYTES: usize = 32 << 30;

/// As many as a store of ours allows by default.
const READERS_MAX: u32 = 1024;

/// One table of an environment of its own.
pub struct Lmdb {
    env: Env<WithoutTls>,
    table: Database<'static, Bytes, Bytes>,
}

impl Lmdb {
    /// Opens an environment in `dir`, which must be a new folder that nobody else uses.
    ///
    /// # Errors
    ///
    /// Where `dir` is not empty, and whatever LMDB fails with.
    pub fn open(dir: &Path, durability: Durability) -> Outcome<Self> {
        if dir.read_dir()?.next().is_some() {
            return Err(format!("{} is not empty: give the peer a new folder", dir.display()).into());
        }
        let env = map(dir, durability)?;
        let txn = env.write_txn()?;
        let made = env.create_databases_and_commit(txn, |opener, txn| {
            opener.create_database::<Bytes, Bytes>(txn, Some("table")).map(CommitOrAbort::<_, ()>::Commit)
        })?;
        Ok(Self { env, table: made.unwrap_commit() })
    }

    fn write(&self, flags: PutFlags, rows: &[Row]) -> Outcome {
        let mut txn = self.env.write_txn()?;
        for (key, value) in rows {
            self.table.put_with_flags(&mut txn, flags, key, value)?;
        }
        Ok(txn.commit()?)
    }
}

/// The same flags as a store of ours has for the same durability.
#[expect(unsafe_code, reason = "LMDB maps a file, and only its caller can promise that nobody changes it")]
fn map(dir: &Path, durability: Durability) -> Outcome<Env<WithoutTls>> {
    let mut options = EnvOpenOptions::new().read_txn_without_tls();
    options.map_size(MAP_BYTES).max_readers(READERS_MAX).max_dbs(1);
    let flags = match durability {
        Durability::Synced => EnvFlags::empty(),
        Durability::Unsynced => EnvFlags::NO_SYNC,
    };
    // SAFETY: neither flag gives up memory safety. NO_SYNC gives up durability, and a file is not opened again after a
    // power failure, because one that exists is refused.
    unsafe { options.flags(flags) };
    // SAFETY: a map is sound while nobody but LMDB changes the file. The folder was empty a moment ago, so the file is
    // new: it is made here, well formed, and not cut short. It belongs to one run of a benchmark, which tells its path to
    // nobody; heed refuses to open a path twice in one process. WRITE_MAP is not set, so no stray write of this process
    // reaches the file.
    Ok(unsafe { options.open(dir) }?)
}

impl Storage for Lmdb {
    fn name(&self) -> &'static str {
        "LMDB"
    }

    fn put(&self, rows: &[Row]) -> Outcome {
        self.write(PutFlags::empty(), rows)
    }

    fn append(&self, rows: &[Row]) -> Outcome {
        self.write(PutFlags::APPEND, rows)
    }

    fn get(&self, key: &[u8], show: &mut dyn FnMut(&[u8]) -> Outcome) -> Outcome {
        let txn = self.env.read_txn()?;
        self.table.get(&txn, key)?.map_or(Ok(()), show)
    }

    fn range(&self, from: &[u8], limit: usize, show: &mut dyn FnMut(&[u8], &[u8]) -> Outcome) -> Outcome {
        let txn = self.env.read_txn()?;
        for row in self.table.range(&txn, &(Bound::Included(from), Bound::Unbounded))?.take(limit) {
            let (key, value) = row?;
            show(key, value)?;
        }
        Ok(())
    }
}
