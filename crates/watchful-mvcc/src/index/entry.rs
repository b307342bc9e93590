//! What the index keeps of a key, packed: 32 bytes for its newest version, 12 for each older one.

use watchful_revision::Revision;

/// The most changes one revision may have: the tombstone mark takes a bit of `sub`.
pub(crate) const CHANGES_MAX: u32 = TOMBSTONE - 1;

const TOMBSTONE: u32 = 1 << 31;

/// One version of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Version {
    pub(crate) revision: Revision,
    pub(crate) tombstone: bool,
}

/// The newest version of a key, and what the next change of it must know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Newest {
    pub(crate) version: Version,
    /// The main revision that created the key; 0 in a tombstone.
    pub(crate) create_revision: u64,
    /// How many changes the key has had; 0 in a tombstone.
    pub(crate) changes: u64,
}

impl Newest {
    pub(crate) fn put(revision: Revision, create_revision: u64, changes: u64) -> Self {
        Self { version: Version { revision, tombstone: false }, create_revision, changes }
    }

    pub(crate) fn tombstone(revision: Revision) -> Self {
        Self { version: Version { revision, tombstone: true }, create_revision: 0, changes: 0 }
    }

    pub(crate) fn revision(&self) -> Revision {
        self.version.revision
    }

    pub(crate) fn is_live(&self) -> bool {
        !self.version.tombstone
    }
}

/// A key's place in the index.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    main: u64,
    create_revision: u64,
    changes: u64,
    sub: u32,
    /// The key's slot among the histories; [`NO_HISTORY`] when it has no older version.
    pub(super) history: u32,
}

/// The slot of a key without older versions.
pub(super) const NO_HISTORY: u32 = u32::MAX;

const _: () = assert!(size_of::<Entry>() == 32);

impl Entry {
    pub(super) fn new(newest: &Newest, history: u32) -> Self {
        Self {
            main: newest.revision().main,
            create_revision: newest.create_revision,
            changes: newest.changes,
            sub: pack_sub(newest.version),
            history,
        }
    }

    pub(super) fn version(&self) -> Version {
        unpack(self.main, self.sub)
    }

    pub(super) fn newest(&self) -> Newest {
        Newest { version: self.version(), create_revision: self.create_revision, changes: self.changes }
    }
}

/// An older version. Three words of 32 bits, because a fourth would be padding.
#[derive(Clone, Copy, Debug)]
pub(super) struct Packed([u32; 3]);

const _: () = assert!(size_of::<Packed>() == 12);

impl Packed {
    pub(super) fn new(version: Version) -> Self {
        let main = version.revision.main;
        #[expect(clippy::cast_possible_truncation, reason = "the two halves of the number")]
        let halves = ((main >> 32) as u32, main as u32);
        Self([halves.0, halves.1, pack_sub(version)])
    }

    pub(super) fn version(self) -> Version {
        let [high, low, sub] = self.0;
        unpack(u64::from(high) << 32 | u64::from(low), sub)
    }
}

fn pack_sub(version: Version) -> u32 {
    debug_assert!(version.revision.sub <= CHANGES_MAX, "a transaction counts its changes");
    version.revision.sub | if version.tombstone { TOMBSTONE } else { 0 }
}

fn unpack(main: u64, sub: u32) -> Version {
    Version { revision: Revision::new(main, sub & !TOMBSTONE), tombstone: sub & TOMBSTONE != 0 }
}
