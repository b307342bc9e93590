//! redb: a B+tree that copies pages on writing, as LMDB, in Rust alone.

use std::ops::Bound;
use std::path::Path;

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};

use crate::{Durability, Outcome, Row, Storage};

const TABLE: TableDefinition<'static, &[u8], &[u8]> = TableDefinition::new("table");

/// One table of a database of its own.
pub struct Redb {
    database: Database,
    durability: redb::Durability,
}

impl Redb {
    /// Makes a database in the folder `dir`.
    ///
    /// # Errors
    ///
    /// Whatever redb fails with.
    pub fn open(dir: &Path, durability: Durability) -> Outcome<Self> {
        let durability = match durability {
            Durability::Synced => redb::Durability::Immediate,
            // Such a commit is in the process's memory only: less than LMDB without its sync, which a killed process does
            // not lose. redb has nothing between the two.
            Durability::Unsynced => redb::Durability::None,
        };
        let this = Self { database: Database::create(dir.join("redb"))?, durability };
        // A read of a table that nobody has made is an error.
        this.put(&[])?;
        Ok(this)
    }
}

impl Storage for Redb {
    fn name(&self) -> &'static str {
        "redb"
    }

    fn put(&self, rows: &[Row]) -> Outcome {
        let mut txn = self.database.begin_write()?;
        txn.set_durability(self.durability)?;
        {
            let mut table = txn.open_table(TABLE)?;
            for (key, value) in rows {
                table.insert(key.as_slice(), value.as_slice())?;
            }
        }
        Ok(txn.commit()?)
    }

    fn get(&self, key: &[u8], show: &mut dyn FnMut(&[u8]) -> Outcome) -> Outcome {
        let table = self.database.begin_read()?.open_table(TABLE)?;
        table.get(key)?.map_or(Ok(()), |value| show(value.value()))
    }

    fn range(&self, from: &[u8], limit: usize, show: &mut dyn FnMut(&[u8], &[u8]) -> Outcome) -> Outcome {
        let table = self.database.begin_read()?.open_table(TABLE)?;
        for row in table.range::<&[u8]>((Bound::Included(from), Bound::Unbounded))?.take(limit) {
            let (key, value) = row?;
            show(key.value(), value.value())?;
        }
        Ok(())
    }
}
