//! fjall: a log-structured merge tree, which appends to a journal and sorts later.

use std::path::Path;

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};

use crate::{Durability, Outcome, Row, Storage};

/// One keyspace of a database of its own.
pub struct Fjall {
    database: Database,
    keyspace: Keyspace,
    persist: PersistMode,
}

impl Fjall {
    /// Makes a database in the folder `dir`.
    ///
    /// # Errors
    ///
    /// Whatever fjall fails with.
    pub fn open(dir: &Path, durability: Durability) -> Outcome<Self> {
        let database = Database::builder(dir.join("fjall")).open()?;
        let keyspace = database.keyspace("table", KeyspaceCreateOptions::default)?;
        let persist = match durability {
            // What LMDB does, too. The journal's length is part of the data that is synced.
            Durability::Synced => PersistMode::SyncData,
            Durability::Unsynced => PersistMode::Buffer,
        };
        Ok(Self { database, keyspace, persist })
    }
}

impl Storage for Fjall {
    fn name(&self) -> &'static str {
        "fjall"
    }

    fn put(&self, rows: &[Row]) -> Outcome {
        let mut batch = self.database.batch().durability(Some(self.persist));
        for (key, value) in rows {
            batch.insert(&self.keyspace, key.as_slice(), value.as_slice());
        }
        Ok(batch.commit()?)
    }

    fn get(&self, key: &[u8], show: &mut dyn FnMut(&[u8]) -> Outcome) -> Outcome {
        self.keyspace.get(key)?.map_or(Ok(()), |value| show(&value))
    }

    fn range(&self, from: &[u8], limit: usize, show: &mut dyn FnMut(&[u8], &[u8]) -> Outcome) -> Outcome {
        for row in self.keyspace.range(from..).take(limit) {
            let (key, value) = row.into_inner()?;
            show(&key, &value)?;
        }
        Ok(())
    }
}
