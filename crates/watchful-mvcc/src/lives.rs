//! Whether a log tells the whole life of each key: every change of a key names, by its version and its create revision, the
//! change before it. Above the compact revision that one must be there, or a row has been lost.

use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;

use hashbrown::HashMap;
use watchful_revision::{KeyValueRef, RecordKind};

/// What keys are hashed with: SipHash, with seeds of this process's own. Whoever writes keys must not be able to make two that
/// share a mark, so no hash will do that is made for speed, nor seeds that can be read in this source.
static HASHERS: LazyLock<[RandomState; 2]> = LazyLock::new(|| [RandomState::new(), RandomState::new()]);

/// Stands for a key, in this process. Two keys of a store never share one: it has 128 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct KeyMark(u64, u64);

impl KeyMark {
    pub(crate) fn of(key: &[u8]) -> Self {
        let [first, second] = &*HASHERS;
        Self(first.hash_one(key), second.hash_one(key))
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
