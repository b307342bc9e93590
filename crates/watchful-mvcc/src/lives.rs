//! Whether a log tells the whole life of each key: every change of a key names, by its version and its create revision, the
//! change before it. Above the compact revision that one must be there, or a row has been lost.

use std::hash::BuildHasher;

use foldhash::quality::FixedState;
use hashbrown::HashMap;
use watchful_revision::{KeyValueRef, RecordKind};

/// Stands for a key. Two keys of a store never share one: it has 128 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct KeyMark(u64, u64);

impl KeyMark {
    pub(crate) fn of(key: &[u8]) -> Self {
        Self(FixedState::with_seed(1).hash_one(key), FixedState::with_seed(2).hash_one(key))
    }
}

/// What a change made of its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    Put { create_revision: u64, version: u64 },
    Deleted,
}

impl Life {
    pub(crate) fn of(is_live: bool, create_revision: u64, version: u64) -> Self {
        if is_live { Self::Put { create_revision, version } } else { Self::Deleted }
    }

    pub(crate) fn of_record(kind: RecordKind, fields: &KeyValueRef<'_>) -> Self {
        Self::of(kind == RecordKind::Put, fields.create_revision, fields.version)
    }

    pub(crate) fn is_live(self) -> bool {
        self != Self::Deleted
    }

    /// Whether it can be the change right after `before`; none is a key that never was.
    pub(crate) fn follows(self, before: Option<Self>) -> bool {
        match (before, self) {
            (
                Some(Self::Put { create_revision: created, version: before }),
                Self::Put { create_revision, version },
            ) => create_revision == created && version == before.saturating_add(1),
            (Some(Self::Put { .. }), Self::Deleted) => true,
            (None | Some(Self::Deleted), Self::Put { version, .. }) => version == 1,
            (None | Some(Self::Deleted), Self::Deleted) => false,
        }
    }
}

/// Every key as of the row that was looked at last.
#[derive(Default)]
pub(crate) struct Lives(HashMap<KeyMark, Life, foldhash::fast::RandomState>);

impl Lives {
    /// Takes the next change. Tells whether the one before it was there.
    pub(crate) fn follow(&mut self, key: KeyMark, life: Life) -> bool {
        let before = self.0.insert(key, life);
        life.follows(before)
    }
}
