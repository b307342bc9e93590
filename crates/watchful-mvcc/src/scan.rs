//! What is made of a log's rows, one after the other: the index, the list of superseded rows, and which keys hang on
//! leases. It serves both who opens a store and who loads one.

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use watchful_revision::{KeyValueRef, LeaseId, RecordKind, Revision};

use crate::index::{Guess, IndexBuilder, KeyIndex, Newest};
use crate::lives::Life;
use crate::superseded::{Change, Superseded};

/// Why a row cannot follow the ones before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Misfit {
    /// It does not come after them.
    NotAfter,
    /// Above the compact revision every revision must be there, and every change in it.
    Gap,
    /// Above the compact revision the row before it of its key must be there.
    CutLife,
    /// There are more keys than an index can hold.
    TooMany,
}

/// A scan under way.
pub(crate) struct LogScan {
    compact_revision: u64,
    builder: IndexBuilder,
    superseded: Superseded,
    /// The changes of the revision under way.
    changes: Vec<Change>,
    /// The lease of each key that hangs on one, by the key's number.
    leases: HashMap<u32, LeaseId, RandomState>,
    last: Revision,
    rows: u64,
    guesses: Vec<Guess>,
}

/// So many rows are worth adding together: their keys are looked up at once.
pub(crate) const TOGETHER: usize = 64;

/// A row of the log.
pub(crate) struct LogRow<'a> {
    pub(crate) revision: Revision,
    pub(crate) kind: RecordKind,
    pub(crate) fields: KeyValueRef<'a>,
}

/// What a scan has made.
pub(crate) struct Scanned {
    pub(crate) index: KeyIndex,
    pub(crate) superseded: Superseded,
    pub(crate) leased: Vec<(Box<[u8]>, LeaseId)>,
    /// The newest main revision; 0 when there was no row.
    pub(crate) newest: u64,
    pub(crate) rows: u64,
}

impl LogScan {
    /// A scan of a log that is compacted to `compact_revision` and has about so many rows.
    pub(crate) fn new(compact_revision: u64, rows: u64) -> Self {
        Self {
            compact_revision,
            builder: IndexBuilder::with_room(usize::try_from(rows).unwrap_or(usize::MAX)),
            superseded: Superseded::default(),
            changes: Vec::new(),
            leases: HashMap::default(),
            last: Revision::default(),
            rows: 0,
            guesses: Vec::new(),
        }
    }

    /// Adds the next rows of the log. Tells the revision of the first that does not fit, and why.
    pub(crate) fn add(&mut self, rows: &[LogRow<'_>]) -> Result<(), (Revision, Misfit)> {
        let mut guesses = std::mem::take(&mut self.guesses);
        self.builder.guess(rows.iter().map(|row| row.fields.key), &mut guesses);
        for (row, guess) in rows.iter().zip(&guesses) {
            self.add_row(row, *guess).map_err(|misfit| (row.revision, misfit))?;
        }
        self.guesses = guesses;
        Ok(())
    }

    fn add_row(&mut self, row: &LogRow<'_>, guess: Guess) -> Result<(), Misfit> {
        let LogRow { revision, kind, fields } = *row;
        self.check_order(revision)?;
        let tombstone = kind == RecordKind::Tombstone;
        let newest = if tombstone {
            Newest::tombstone(revision)
        } else {
            Newest::put(revision, fields.create_revision, fields.version)
        };
        let (number, before) = self.builder.add(fields.key, guess, newest).ok_or(Misfit::TooMany)?;
        let life = |newest: &Newest| Life::of(newest.is_live(), newest.create_revision, newest.changes);
        if revision.main > self.compact_revision && !life(&newest).follows(before.as_ref().map(life)) {
            return Err(Misfit::CutLife);
        }
        let prev = before.filter(Newest::is_live).map(|before| before.revision());
        if fields.lease != 0 {
            self.leases.insert(number, fields.lease);
        } else if !self.leases.is_empty() {
            self.leases.remove(&number);
        }
        if revision.main != self.last.main {
            self.end_revision();
        }
        self.changes.push(Change { revision, prev, tombstone });
        self.last = revision;
        self.rows += 1;
        Ok(())
    }

    fn check_order(&self, revision: Revision) -> Result<(), Misfit> {
        if revision <= self.last {
            return Err(Misfit::NotAfter);
        }
        if revision.main <= self.compact_revision {
            return Ok(());
        }
        // The first revision a store gives out is 2.
        let next_main = self.last.main.max(self.compact_revision).max(1) + 1;
        let follows = revision == self.last.next() && revision.main == self.last.main
            || revision == Revision::start_of(next_main);
        if follows { Ok(()) } else { Err(Misfit::Gap) }
    }

    /// The newest main revision so far.
    pub(crate) fn newest(&self) -> u64 {
        self.last.main
    }

    fn end_revision(&mut self) {
        self.superseded.push_revision(self.last.main, self.changes.iter().copied());
        self.changes.clear();
    }

    pub(crate) fn finish(mut self) -> Scanned {
        self.end_revision();
        let builder = self.builder;
        let leased =
            self.leases.iter().map(|(&number, &lease)| (builder.key(number).into(), lease)).collect();
        Scanned {
            index: builder.finish(),
            superseded: self.superseded,
            leased,
            newest: self.last.main,
            rows: self.rows,
        }
    }
}
