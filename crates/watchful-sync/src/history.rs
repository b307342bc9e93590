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

/// Which groups want each of the rows of a read, in two lists however many rows there are.
///
/// A reader notes down what it is about to take, and hands the list over with the events it took.
#[derive(Debug, Default)]
pub struct WantedRows {
    groups: Vec<GroupId>,
    rows: Vec<WantedRow>,
    wanting: Wanting,
}

/// Who wants the rows, over all. Known while they are noted, so that the engine's thread need not look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Wanting {
    #[default]
    Nobody,
    One(GroupId),
    Several,
}

#[derive(Debug)]
struct WantedRow {
    /// A newer change of the key was known when the row was read.
    superseded: bool,
    /// Where the row's groups end in [`WantedRows::groups`]; they begin where those of the row before it end.
    groups_end: usize,
}

impl WantedRows {
    /// Notes the next row, for those who want it. `superseded` says that the key has a newer change at or below the
    /// request's `to`; it is looked at for conflating groups only.
    pub fn note(&mut self, superseded: bool, matches: &Matches) {
        self.wanting = match (self.wanting, &matches.groups[..]) {
            (Wanting::Nobody, &[group]) => Wanting::One(group),
            (Wanting::One(sole), &[group]) if sole == group => Wanting::One(sole),
            _ => Wanting::Several,
        };
        self.groups.extend_from_slice(&matches.groups);
        self.rows.push(WantedRow { superseded, groups_end: self.groups.len() });
    }

    /// Each row's groups.
    pub(crate) fn groups(&self) -> impl Iterator<Item = &[GroupId]> {
        let mut start = 0;
        self.rows
            .iter()
            .map(move |row| &self.groups[std::mem::replace(&mut start, row.groups_end)..row.groups_end])
    }

    /// The group that wants every row, if no other wants one.
    pub(crate) fn sole_group(&self) -> Option<GroupId> {
        match self.wanting {
            Wanting::One(group) => Some(group),
            Wanting::Nobody | Wanting::Several => None,
        }
    }

    /// How many wants there are, over all rows.
    pub(crate) fn groups_len(&self) -> usize {
        self.groups.len()
    }

    pub(crate) fn is_superseded(&self, row: usize) -> bool {
        self.rows[row].superseded
    }

    fn truncate(&mut self, rows: usize) {
        self.rows.truncate(rows);
        self.groups.truncate(self.rows.last().map_or(0, |last| last.groups_end));
        if self.rows.is_empty() {
            self.wanting = Wanting::Nobody;
        }
    }
}

/// One bounded read.
#[derive(Debug)]
pub struct HistoryChunk {
    pub(crate) scan: ScanId,
    pub(crate) events: Vec<Event>,
    /// As many rows as there are events.
    pub(crate) wanted: WantedRows,
    pub(crate) next: Revision,
    pub(crate) charge_bytes: usize,
    /// What the events' own records take, as they lie in the reader's buffer.
    pub(crate) record_bytes: usize,
    /// Whether an event carries the record before it.
    pub(crate) has_prev: bool,
}

impl HistoryChunk {
    /// A chunk of no rows that was read up to, but without, `next`.
    #[must_use]
    pub fn empty(scan: ScanId, next: Revision) -> Self {
        Self::of(scan, next, WantedRows::default(), Vec::new())
    }

    /// A chunk that was read up to, but without, `next`, of these events, whom `wanted` says whose they are. Rows that
    /// were noted after the last event are not in it.
    #[must_use]
    pub fn of(scan: ScanId, next: Revision, mut wanted: WantedRows, events: Vec<Event>) -> Self {
        wanted.truncate(events.len());
        let (charge_bytes, record_bytes, has_prev) = (0, 0, false);
        let mut chunk = Self { scan, events, wanted, next, charge_bytes, record_bytes, has_prev };
        for (event, groups) in chunk.events.iter().zip(chunk.wanted.groups()) {
            chunk.charge_bytes += event.charge_bytes() * groups.len();
            chunk.record_bytes += event.record().encoded_len();
            chunk.has_prev |= event.prev().is_some();
        }
        chunk
    }

    /// Adds the next row, for those who want it. As [`WantedRows::note`].
    pub fn push(&mut self, event: Event, superseded: bool, matches: &Matches) {
        self.charge_bytes += event.charge_bytes() * matches.len();
        self.record_bytes += event.record().encoded_len();
        self.has_prev |= event.prev().is_some();
        self.wanted.note(superseded, matches);
        self.events.push(event);
    }

    /// What the rows count as so far: each row's charge, once for each group that wants it. No outbox is charged more.
    #[must_use]
    pub fn charge_bytes(&self) -> usize {
        self.charge_bytes
    }

    /// How many rows there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// Nothing matched.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// Says how far the reader came: the first revision it did not look at. `sub` above 0 means the chunk ends inside
    /// a revision that alone is larger than a chunk.
    pub fn end_at(&mut self, next: Revision) {
        self.next = next;
    }

    /// Leaves the rows of main revision `main` out again, and ends the chunk before it.
    pub fn leave_out(&mut self, main: u64) {
        let keep = self.events.partition_point(|event| event.revision().main < main);
        for (event, groups) in self.events[keep..].iter().zip(self.wanted.groups().skip(keep)) {
            self.charge_bytes -= event.charge_bytes() * groups.len();
            self.record_bytes -= event.record().encoded_len();
        }
        self.events.truncate(keep);
        self.wanted.truncate(keep);
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

#[cfg(test)]
mod tests {
    use watchful_revision::{Put, Record, encode_put};

    use super::*;

    fn event(main: u64) -> Event {
        let (at, mut bytes) = (Revision::start_of(main), Vec::new());
        let put = Put { key: b"k", value: b"v", create_revision: 2, version: 1, lease: 0 };
        encode_put(at, &put, &mut bytes).unwrap();
        Event::new(Record::parse(at, bytes.into()).unwrap(), None)
    }

    fn matches(groups: &[u32]) -> Matches {
        Matches { groups: groups.iter().copied().map(GroupId).collect(), ..Matches::default() }
    }

    #[test]
    fn a_row_that_was_noted_and_not_taken_is_not_in_the_chunk() {
        let mut wanted = WantedRows::default();
        wanted.note(false, &matches(&[1, 2]));
        wanted.note(true, &matches(&[1]));
        let chunk = HistoryChunk::of(ScanId::Head, Revision::start_of(3), wanted, vec![event(2)]);
        assert_eq!(chunk.wanted.groups().collect::<Vec<_>>(), [[GroupId(1), GroupId(2)]]);
        assert_eq!(chunk.charge_bytes(), 2 * event(2).charge_bytes());
    }

    #[test]
    fn what_is_left_out_is_not_charged() {
        let mut chunk = HistoryChunk::empty(ScanId::Head, Revision::start_of(4));
        chunk.push(event(2), false, &matches(&[1]));
        chunk.push(event(3), false, &matches(&[1, 2]));
        chunk.leave_out(3);
        assert_eq!((chunk.len(), chunk.charge_bytes()), (1, event(2).charge_bytes()));
        assert_eq!(
            (chunk.record_bytes, chunk.next),
            (event(2).record().encoded_len(), Revision::start_of(3))
        );
    }

    #[test]
    fn a_group_is_the_only_one_if_no_row_is_wanted_by_another() {
        let sole = |rows: &[&[u32]]| {
            let mut wanted = WantedRows::default();
            rows.iter().for_each(|groups| wanted.note(false, &matches(groups)));
            wanted.sole_group()
        };
        assert_eq!(sole(&[]), None);
        assert_eq!(sole(&[&[7], &[7]]), Some(GroupId(7)));
        assert_eq!(sole(&[&[7], &[8]]), None);
        assert_eq!(sole(&[&[7, 8]]), None);
        assert_eq!(sole(&[&[7, 8], &[7]]), None);
    }
}
