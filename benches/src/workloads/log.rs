//! The rows that a store of ours appends for its puts, for a peer to append them too.

use watchful_peers::Row;
use watchful_revision::{Put, Revision, encode_put};

use crate::Outcome;

/// The log of one peer: its rows' keys are revisions, as in a store, one a put.
#[derive(Clone)]
pub(crate) struct Log {
    next_revision: u64,
}

impl Log {
    pub(crate) fn new() -> Self {
        Self { next_revision: 2 }
    }

    /// The rows that come next, of these keys and values. To make them is not the peer's work, so it is not timed.
    pub(crate) fn rows(&mut self, puts: impl Iterator<Item = Row>) -> Outcome<Vec<Row>> {
        puts.map(|(key, value)| self.row(&key, &value)).collect()
    }

    fn row(&mut self, key: &[u8], value: &[u8]) -> Outcome<Row> {
        let (main, mut record) = (self.next_revision, Vec::new());
        self.next_revision += 1;
        let revision = Revision::new(main, 0);
        encode_put(revision, &Put { key, value, create_revision: main, version: 1, lease: 0 }, &mut record)?;
        Ok((revision.to_bytes().to_vec(), record))
    }
}
