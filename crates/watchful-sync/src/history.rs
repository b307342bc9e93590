//! The engine's questions about the past, and the answers.

use std::sync::Arc;

use hashbrown::HashMap;
use watchful_revision::{Event, EventKind, Revision};
use watchful_watcher_index::{GroupId, WatcherIndex};

use crate::spec::{GroupOptions, LagPolicy};

/// Which scan a chunk is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ScanId {
    /// The head's own: what all synced watchers missed when the queue of published batches was full.
    Head,
    /// A shared scan of unsynced watchers.
    Shared(u32),
}

/// Please read this part of the log.
///
/// The reader walks the rows from `from` on, in order, up to the end of main revision `to`, in one short read
/// transaction. It asks the matcher about each row's key and keeps the rows that match. It stops early before a row
/// that would take the charge of what it keeps (see [`HistoryChunk::charge_bytes`]) above `bytes_max`, or when it has
/// passed `revisions_max` revisions; it always takes at least one row. When it stops for bytes inside a revision that is not the chunk's
/// first, it leaves that whole revision to the next chunk.
#[derive(Clone, Debug)]
pub struct ReadRequest {
    /// Who asks.
    pub scan: ScanId,
    /// The first row, which may be inside a revision.
    pub from: Revision,
    /// The last main revision.
    pub to: u64,
    /// Where to stop, by charge.
    pub bytes_max: usize,
    /// Where to stop, by count.
    pub revisions_max: u64,
    /// Whose rows to keep.
    pub matcher: Matcher,
}

/// Says which groups want a row, on any thread.
#[derive(Clone, Debug)]
pub struct Matcher {
    pub(crate) index: Arc<WatcherIndex>,
    pub(crate) options: Arc<OptionsMap>,
}

/// The options of groups that have any; a group that is not in it has the defaults.
pub(crate) type OptionsMap = HashMap<GroupId, GroupOptions, foldhash::fast::RandomState>;

/// Which groups want one row, and what they want of it.
#[derive(Clone, Debug, Default)]
pub struct Matches {
    groups: Vec<GroupId>,
    prev_kv: bool,
    /// How many of the groups conflate.
    conflating: usize,
}

impl Matcher {
    /// Who wants an event of `key` and `kind`.
    #[must_use]
    pub fn matches(&self, key: &[u8], kind: EventKind) -> Matches {
        let mut matches = Matches::default();
        self.match_into(key, kind, &mut matches);
        matches
    }

    /// As [`Matcher::matches`], into what an earlier call used, so that a scan allocates nothing a row.
    pub fn match_into(&self, key: &[u8], kind: EventKind, matches: &mut Matches) {
        matches.groups.clear();
        (matches.prev_kv, matches.conflating) = (false, 0);
        self.index.stab(key, &mut matches.groups);
        if self.options.is_empty() {
            return;
        }
        matches.groups.retain(|group| {
            let Some(options) = self.options.get(group) else { return true };
            let takes = options.filter.takes(kind);
            matches.prev_kv |= takes && options.prev_kv;
            matches.conflating += usize::from(takes && options.lag == LagPolicy::Conflate);
            takes
        });
    }
}

impl Matches {
    /// Nobody wants it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// How many groups want it. A row's charge counts once for each.
    #[must_use]
    pub fn len(&self) -> usize {
        self.groups.len()
    }

    /// Whether somebody wants the key's record just before it.
    #[must_use]
    pub fn wants_prev(&self) -> bool {
        self.prev_kv
    }

    /// Whether somebody who wants it conflates, and so has to know whether the row is superseded.
    #[must_use]
    pub fn wants_superseded(&self) -> bool {
        self.conflating > 0
    }

    /// Whether all who want it conflate: then a put that is superseded need not be read at all.
    #[must_use]
    pub fn is_conflated(&self) -> bool {
        self.conflating > 0 && self.conflating == self.groups.len()
    }
}

/// One bounded read.
#[derive(Debug)]
pub struct HistoryChunk {
    pub(crate) scan: ScanId,
    pub(crate) rows: Vec<HistoryRow>,
    pub(crate) groups: Vec<GroupId>,
    pub(crate) next: Revision,
    pub(crate) charge_bytes: usize,
}

#[derive(Debug)]
pub(crate) struct HistoryRow {
    pub(crate) event: Event,
    /// A newer change of the key was known when the row was read.
    pub(crate) superseded: bool,
    /// Where the row's groups end in [`HistoryChunk::groups`]; they begin where the row before it ends.
    pub(crate) groups_end: usize,
}

impl HistoryChunk {
    /// A chunk of no rows that was read up to, but without, `next`.
    #[must_use]
    pub fn empty(scan: ScanId, next: Revision) -> Self {
        Self { scan, rows: Vec::new(), groups: Vec::new(), next, charge_bytes: 0 }
    }

    /// Adds the next row, for those who want it. `superseded` says that the key has a newer change at or below the
    /// request's `to`; it is looked at for conflating groups only.
    pub fn push(&mut self, event: Event, superseded: bool, matches: &Matches) {
        self.charge_bytes += event.charge_bytes() * matches.len();
        self.groups.extend_from_slice(&matches.groups);
        self.rows.push(HistoryRow { event, superseded, groups_end: self.groups.len() });
    }

    /// What the rows count as so far: each row's charge, once for each group that wants it. No outbox is charged more.
    #[must_use]
    pub fn charge_bytes(&self) -> usize {
        self.charge_bytes
    }

    /// How many rows there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Nothing matched.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Says how far the reader came: the first revision it did not look at. `sub` above 0 means the chunk ends inside
    /// a revision that alone is larger than a chunk.
    pub fn end_at(&mut self, next: Revision) {
        self.next = next;
    }

    /// Leaves the rows of main revision `main` out again, and ends the chunk before it.
    pub fn leave_out(&mut self, main: u64) {
        let keep = self.rows.partition_point(|row| row.event.revision().main < main);
        let groups_keep = keep.checked_sub(1).map_or(0, |last| self.rows[last].groups_end);
        let mut groups_start = groups_keep;
        for row in self.rows.drain(keep..) {
            self.charge_bytes -= row.event.charge_bytes() * (row.groups_end - groups_start);
            groups_start = row.groups_end;
        }
        self.groups.truncate(groups_keep);
        self.next = Revision::start_of(main);
    }
}

/// Why history could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HistoryFailure {
    /// The store has been compacted past the request's start.
    Compacted {
        /// Whose question it was.
        scan: ScanId,
        /// The oldest revision that is kept.
        compact_revision: u64,
    },
    /// The disk failed, or a record is damaged.
    Unreadable {
        /// Whose question it was.
        scan: ScanId,
        /// What failed, for people.
        reason: Arc<str>,
    },
}
