//! A chunk's rows by group, and the batches that are built of them: once a group, and once more only for a member that
//! is owed less of the chunk than the others. A batch that is the whole chunk is built of the chunk's own events.

use std::cell::OnceCell;
use std::sync::Arc;

use hashbrown::HashMap;
use watchful_revision::{Event, EventKind, Revision};
use watchful_watcher_index::GroupId;

use super::live::{own, pins_too_much};
use super::members::Cursor;
use crate::spec::{EventFilter, GroupOptions, LagPolicy};
use crate::{Batch, HistoryChunk};

/// A chunk's rows by group, and the batches that were built of them.
pub(super) struct Dealt {
    chunk: HistoryChunk,
    /// What became of the chunk's events, once somebody was owed all of them.
    whole: Option<Arc<Batch>>,
    /// Group and row, sorted; made once somebody asks.
    picks: OnceCell<Vec<(GroupId, u32)>>,
    /// By group, and by where its member starts and ends: all but those picked up on the way start where the chunk
    /// does, and most end where it does.
    batches: HashMap<(u32, Revision, Revision), Option<Arc<Batch>>, foldhash::fast::RandomState>,
    pub(super) head: u64,
}

impl Dealt {
    pub(super) fn new(chunk: HistoryChunk, head: u64) -> Self {
        Self { chunk, whole: None, picks: OnceCell::new(), batches: HashMap::default(), head }
    }

    /// The groups that have rows in the chunk.
    pub(super) fn groups(&self) -> Vec<u32> {
        if let Some(GroupId(sole)) = self.chunk.wanted.sole_group() {
            return vec![sole];
        }
        let mut groups: Vec<u32> = self.picks().iter().map(|(group, _)| group.0).collect();
        groups.dedup();
        groups
    }

    fn picks(&self) -> &[(GroupId, u32)] {
        self.picks.get_or_init(|| {
            let mut picks = Vec::with_capacity(self.chunk.wanted.groups_len());
            for (at, groups) in (0_u32..).zip(self.chunk.wanted.groups()) {
                picks.extend(groups.iter().map(|group| (*group, at)));
            }
            picks.sort_unstable();
            picks
        })
    }

    /// The first row that was not read.
    pub(super) fn next(&self) -> Revision {
        self.chunk.next
    }

    pub(super) fn charge_bytes(&self) -> usize {
        self.chunk.charge_bytes
    }

    /// What is built from now on says that the head is there. What was built says that it was where it was.
    pub(super) fn move_head(&mut self, head: u64) {
        if self.head != head {
            self.batches.clear();
            self.head = head;
        }
    }

    /// Forgets the batches of those that were owed a part of the chunk that starts at `from`.
    pub(super) fn forget_parts(&mut self, from: Revision) {
        let next = self.chunk.next;
        self.batches.retain(|(_, start, end), _| (*start, *end) == (from, next));
    }

    /// What a member of the group that is owed `from` gets of the chunk, up to and without `to`.
    pub(super) fn batch(
        &mut self,
        group: u32,
        from: Revision,
        to: Revision,
        options: GroupOptions,
    ) -> Option<Arc<Batch>> {
        if let Some(built) = self.batches.get(&(group, from, to)) {
            return built.clone();
        }
        let built = if self.is_whole(group, from, to, options) {
            self.take_whole(to)
        } else {
            self.build(group, from, to, options).map(Arc::new)
        };
        self.batches.insert((group, from, to), built.clone());
        built
    }

    /// Whether all events are the group's, just as they are, and nobody has taken them yet. It looks at no event but the
    /// first and last: they were made on another thread, and each would be a miss.
    fn is_whole(&self, group: u32, from: Revision, to: Revision, options: GroupOptions) -> bool {
        let events = &self.chunk.events;
        self.chunk.wanted.sole_group() == Some(GroupId(group))
            && events.first().is_some_and(|first| from <= first.revision())
            && events.last().is_some_and(|last| last.revision() < to)
            && options.lag != LagPolicy::Conflate
            && options.filter == EventFilter::default()
            && (options.prev_kv || !self.chunk.has_prev)
    }

    fn take_whole(&mut self, to: Revision) -> Option<Arc<Batch>> {
        let events = std::mem::take(&mut self.chunk.events);
        let last_main = events.last()?.revision().main;
        let batch = Batch::charged(events, self.head, self.chunk.charge_bytes)
            .into_fragment(ends_inside(to, last_main));
        self.whole = Some(Arc::new(batch));
        self.whole.clone()
    }

    fn build(&self, group: u32, from: Revision, to: Revision, options: GroupOptions) -> Option<Batch> {
        let conflate = options.lag == LagPolicy::Conflate;
        let takes_all = options.filter == EventFilter::default();
        let is_owed = |(at, event): &(usize, &Event)| {
            let left_out = conflate && self.chunk.wanted.is_superseded(*at) && event.kind() == EventKind::Put;
            (from..to).contains(&event.revision())
                && (takes_all || options.filter.takes(event.kind()))
                && !left_out
        };
        let events: Vec<&Event> = self.rows_of(group).filter(is_owed).map(|(_, event)| event).collect();
        let last_main = events.last()?.revision().main;
        let bytes = events.iter().map(|event| event.record().encoded_len()).sum();
        let batch = own(&events, options, self.head, pins_too_much(bytes, self.chunk.record_bytes));
        let fragment = ends_inside(to, last_main);
        let stands_up_to = if fragment { to.main } else { to.main - 1 };
        let batch = if conflate { batch.into_conflated(from.main, stands_up_to) } else { batch };
        Some(batch.into_fragment(fragment))
    }

    fn rows_of(&self, group: u32) -> impl Iterator<Item = (usize, &Event)> {
        let events = self.whole.as_ref().map_or(&self.chunk.events[..], |whole| whole.events());
        let picks = self.picks();
        let start = picks.partition_point(|(of, _)| of.0 < group);
        let picks = picks[start..].iter().take_while(move |(of, _)| of.0 == group);
        picks.map(move |(_, row)| (*row as usize, &events[*row as usize]))
    }
}

/// Whether what was read up to `to` ends inside the revision of its last event.
fn ends_inside(to: Revision, last_main: u64) -> bool {
    to.sub > 0 && last_main == to.main
}

impl Cursor {
    /// Where a member is that was here, and has been given `batch` and everything else up to `next`.
    pub(super) fn moved(self, next: Revision, batch: Option<&Batch>) -> Self {
        let given = batch.is_some_and(|batch| batch.is_fragment());
        let still_open = self.open && self.next.main == next.main;
        Self { next, open: next.sub > 0 && (given || still_open) }
    }

    /// Whether the member was sent a part of a revision that is whole at `next`, and that nothing in `batch` belongs to.
    pub(super) fn closes(self, next: Revision, batch: Option<&Batch>) -> bool {
        let done = next.main > self.next.main;
        self.open && done && batch.is_none_or(|batch| batch.first_revision() != self.next.main)
    }
}
