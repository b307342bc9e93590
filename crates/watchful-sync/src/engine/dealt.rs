//! A chunk's rows by group, and the batches that are built of them: once a group, and once more only for a member that
//! is owed less of the chunk than the others.

use std::sync::Arc;

use hashbrown::HashMap;
use watchful_revision::{Event, EventKind, Revision};
use watchful_watcher_index::GroupId;

use super::live::{own, pins_too_much};
use super::members::Cursor;
use crate::spec::{GroupOptions, LagPolicy};
use crate::{Batch, HistoryChunk};

/// A chunk's rows by group, and the batches that were built of them.
pub(super) struct Dealt<'a> {
    pub(super) chunk: &'a HistoryChunk,
    /// Group and row, sorted.
    pub(super) picks: Vec<(GroupId, u32)>,
    /// By group, and by where its member starts and ends: all but those picked up on the way start where the chunk
    /// does, and most end where it does.
    batches: HashMap<(u32, Revision, Revision), Option<Arc<Batch>>, foldhash::fast::RandomState>,
    buffer_bytes: usize,
    pub(super) head: u64,
}

impl<'a> Dealt<'a> {
    pub(super) fn new(chunk: &'a HistoryChunk, head: u64) -> Self {
        let (mut picks, mut start) = (Vec::with_capacity(chunk.groups.len()), 0);
        for (at, row) in (0_u32..).zip(&chunk.rows) {
            picks.extend(chunk.groups[start..row.groups_end].iter().map(|group| (*group, at)));
            start = row.groups_end;
        }
        picks.sort_unstable();
        let buffer_bytes = chunk.rows.iter().map(|row| row.event.record().encoded_len()).sum();
        Self { chunk, picks, batches: HashMap::default(), buffer_bytes, head }
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
        let built = self.build(group, from, to, options).map(Arc::new);
        self.batches.insert((group, from, to), built.clone());
        built
    }

    fn build(&self, group: u32, from: Revision, to: Revision, options: GroupOptions) -> Option<Batch> {
        let conflate = options.lag == LagPolicy::Conflate;
        let events: Vec<&Event> = self
            .rows_of(group)
            .filter(|row| {
                (from..to).contains(&row.event.revision()) && options.filter.takes(row.event.kind())
            })
            .filter(|row| !(conflate && row.superseded && row.event.kind() == EventKind::Put))
            .map(|row| &row.event)
            .collect();
        let last_main = events.last()?.revision().main;
        let bytes = events.iter().map(|event| event.record().encoded_len()).sum();
        let batch = own(&events, options, self.head, pins_too_much(bytes, self.buffer_bytes));
        let fragment = to.sub > 0 && last_main == to.main;
        let stands_up_to = if fragment { to.main } else { to.main - 1 };
        let batch = if conflate { batch.into_conflated(from.main, stands_up_to) } else { batch };
        Some(batch.into_fragment(fragment))
    }

    fn rows_of(&self, group: u32) -> impl Iterator<Item = &'a crate::history::HistoryRow> + '_ {
        let start = self.picks.partition_point(|(of, _)| of.0 < group);
        let picks = self.picks[start..].iter().take_while(move |(of, _)| of.0 == group);
        picks.map(|(_, row)| &self.chunk.rows[*row as usize])
    }
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
