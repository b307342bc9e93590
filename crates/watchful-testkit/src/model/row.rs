//! What a key is at a revision, and what a watch is told about a change.

use std::fmt;

use bytes::Bytes;
use watchful_revision::{Event, EventKind, LeaseId, Put, Record, Revision, encode_put, encode_tombstone};

/// A key as it is at some revision.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Row {
    /// The key.
    pub key: Bytes,
    /// The value.
    pub value: Bytes,
    /// The main revision that created the key.
    pub create_revision: u64,
    /// The revision of the last change.
    pub revision: Revision,
    /// 1 on create, one more on each change.
    pub version: u64,
    /// The lease the key is attached to; 0 for none.
    pub lease: LeaseId,
}

impl Row {
    /// The main revision of the last change.
    #[must_use]
    pub fn mod_revision(&self) -> u64 {
        self.revision.main
    }

    /// The record that a store would keep of this row.
    ///
    /// # Panics
    ///
    /// When key and value together come near 4 GiB.
    #[must_use]
    pub fn to_record(&self) -> Record {
        let put = Put {
            key: &self.key,
            value: &self.value,
            create_revision: self.create_revision,
            version: self.version,
            lease: self.lease,
        };
        let mut bytes = Vec::new();
        encode_put(self.revision, &put, &mut bytes).expect("tests use small values");
        Record::parse(self.revision, bytes.into()).expect("what was just encoded is a record")
    }
}

impl From<&Record> for Row {
    fn from(record: &Record) -> Self {
        Self {
            key: Bytes::copy_from_slice(record.key()),
            value: record.value_bytes(),
            create_revision: record.create_revision(),
            revision: record.revision(),
            version: record.version(),
            lease: record.lease(),
        }
    }
}

/// For people: `a=1 (create 2, mod 3.0, version 2)`, and the lease where there is one.
impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={} ", self.key.escape_ascii(), self.value.escape_ascii())?;
        write!(f, "(create {}, mod {}, version {}", self.create_revision, self.revision, self.version)?;
        match self.lease {
            0 => write!(f, ")"),
            lease => write!(f, ", lease {lease})"),
        }
    }
}

impl fmt::Debug for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A change, as a watch must tell it. A delete has an empty value, and 0 for its numbers.
#[derive(Clone, PartialEq, Eq)]
pub struct ModelEvent {
    /// When it happened.
    pub revision: Revision,
    /// Whether the key was put or deleted.
    pub kind: EventKind,
    /// The key.
    pub key: Bytes,
    /// The new value; empty for a delete.
    pub value: Bytes,
    /// The main revision that created the key; 0 for a delete.
    pub create_revision: u64,
    /// The key's version after the change; 0 for a delete.
    pub version: u64,
    /// The lease after the change; 0 for none and for a delete.
    pub lease: LeaseId,
    /// The key's row just before this change, by `sub`; none where the key was absent.
    pub prev: Option<Row>,
}

impl ModelEvent {
    /// Whether the change created the key.
    #[must_use]
    pub fn is_create(&self) -> bool {
        self.kind == EventKind::Put && self.prev.is_none()
    }

    /// The record that a store would keep of this change.
    ///
    /// # Panics
    ///
    /// When key and value together come near 4 GiB.
    #[must_use]
    pub fn to_record(&self) -> Record {
        if self.kind == EventKind::Put {
            return self.row().to_record();
        }
        let mut bytes = Vec::new();
        encode_tombstone(self.revision, &self.key, &mut bytes).expect("tests use small keys");
        Record::parse(self.revision, bytes.into()).expect("what was just encoded is a record")
    }

    /// The event a watcher would receive, with what came before it where the watcher asked for that.
    #[must_use]
    pub fn to_event(&self, prev_kv: bool) -> Event {
        let prev = self.prev.as_ref().filter(|_| prev_kv);
        Event::new(self.to_record(), prev.map(Row::to_record))
    }

    /// Whether `event` tells this change, whatever it says about what came before.
    #[must_use]
    pub fn is_told_by(&self, event: &Event) -> bool {
        self.kind == event.kind() && self.row() == Row::from(event.record())
    }

    fn row(&self) -> Row {
        Row {
            key: self.key.clone(),
            value: self.value.clone(),
            create_revision: self.create_revision,
            revision: self.revision,
            version: self.version,
            lease: self.lease,
        }
    }
}

/// For people: `put a=1 (create 2, mod 2.0, version 1)`, `delete a at 3.0`, and what was before.
impl fmt::Display for ModelEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            EventKind::Put => write!(f, "put {}", self.row())?,
            EventKind::Delete => write!(f, "delete {} at {}", self.key.escape_ascii(), self.revision)?,
        }
        match &self.prev {
            Some(prev) => write!(f, " after {prev}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for ModelEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// One entry of the log. What came before is kept as a place in the log, so that a long history stays small.
#[derive(Clone, Debug)]
pub(super) struct Change {
    pub(super) kind: EventKind,
    /// As the change left the key; a tombstone's value is empty and its numbers are 0.
    pub(super) row: Row,
    /// Where the change before this one is, if it left a row.
    pub(super) prev: Option<usize>,
}

impl Change {
    pub(super) fn is_put(&self) -> bool {
        self.kind == EventKind::Put
    }
}
