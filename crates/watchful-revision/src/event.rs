//! A change on its way to a watcher.

use crate::{Record, RecordKind, Revision};

/// What an event tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// The key was created or changed.
    Put,
    /// The key was deleted.
    Delete,
}

/// One change of one key, and, for those who asked, what the key was just before it.
///
/// 88 bytes beside the record's own, which are shared: a clone copies no key and no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    record: Record,
    prev: Option<Box<Record>>,
}

impl Event {
    /// What an event costs beside its record's bytes: its own 88 bytes, rounded up for the allocator.
    pub const OVERHEAD_BYTES: usize = 96;

    /// The event of a record; `prev` is the key's record just before it, where a watcher asked for it and it is kept.
    #[must_use]
    pub fn new(record: Record, prev: Option<Record>) -> Self {
        Self { record, prev: prev.map(Box::new) }
    }

    /// Whether the key was put or deleted.
    #[must_use]
    pub fn kind(&self) -> EventKind {
        match self.record.kind() {
            RecordKind::Put => EventKind::Put,
            RecordKind::Tombstone => EventKind::Delete,
        }
    }

    /// The revision of the change. Its `main` is the revision a user names; `sub` orders changes inside it.
    #[must_use]
    pub fn revision(&self) -> Revision {
        self.record.revision()
    }

    /// The key.
    #[must_use]
    pub fn key(&self) -> &[u8] {
        self.record.key()
    }

    /// The new value; empty for a delete.
    #[must_use]
    pub fn value(&self) -> &[u8] {
        self.record.value()
    }

    /// The key's record as this change made it.
    #[must_use]
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// What the key was just before this change: none where nobody asked, where the key was created, and where that
    /// version has been compacted away.
    #[must_use]
    pub fn prev(&self) -> Option<&Record> {
        self.prev.as_deref()
    }

    /// Whether this change created the key: it was absent just before.
    #[must_use]
    pub fn is_create(&self) -> bool {
        self.kind() == EventKind::Put && self.record.version() == 1
    }

    /// The same event without what came before it.
    #[must_use]
    pub fn without_prev(&self) -> Self {
        Self { record: self.record.clone(), prev: None }
    }

    /// The same event in buffers of its own.
    #[must_use]
    pub fn copy_out(&self) -> Self {
        Self::new(self.record.copy_out(), self.prev().map(Record::copy_out))
    }

    /// What the event is counted as in an outbox: its records' bytes and [`Event::OVERHEAD_BYTES`].
    #[must_use]
    pub fn charge_bytes(&self) -> usize {
        let prev = self.prev().map_or(0, |prev| prev.encoded_len() + size_of::<Record>());
        Self::OVERHEAD_BYTES + self.record.encoded_len() + prev
    }
}
