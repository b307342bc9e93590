//! The thread that reads history for the sync engine, so that a cold page never holds up the tail.
//!
//! One read is one short transaction. Each row is matched on its key before its value is touched; what matched is copied
//! once, into one buffer that all its watchers share, charged to the store-wide budget.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Receiver;

use bytes::Bytes;
use watchful_mvcc::{HistoryLimits, Mvcc, MvccError, RowView, Want};
use watchful_revision::{Event, EventKind, RecordKind, Revision};
use watchful_sync::{HistoryChunk, HistoryFailure, Matches, ReadRequest, ScanId};

use crate::budget::Budget;
use crate::feed::{Command, Feed};

/// What an event is charged beside its record, so that the read stops where the engine's count will.
const EVENT_OVERHEAD: usize = Event::OVERHEAD_BYTES;

pub(crate) struct Reader {
    pub(crate) mvcc: Mvcc,
    pub(crate) feed: Arc<Feed>,
    pub(crate) budget: Arc<Budget>,
    pub(crate) counts: Arc<ReadCounts>,
}

/// How much history was read.
#[derive(Debug, Default)]
pub(crate) struct ReadCounts {
    pub(crate) reads: AtomicU64,
    pub(crate) rows: AtomicU64,
    pub(crate) revisions: AtomicU64,
}

impl Reader {
    /// Answers requests until the driver is gone.
    pub(crate) fn run(self, requests: &Receiver<ReadRequest>) {
        give_way();
        for request in requests {
            let answer = self.read(&request).map_err(|error| failure(request.scan, &error));
            if !self.feed.command(Command::History(answer)) {
                return;
            }
        }
    }

    fn read(&self, request: &ReadRequest) -> Result<HistoryChunk, MvccError> {
        let limits = HistoryLimits::default()
            .with_bytes_max(request.bytes_max)
            .with_revisions_max(request.revisions_max);
        // Whose each taken row is; the last may turn out not to have been taken.
        let mut wanted: Vec<Matches> = Vec::new();
        let mut matches = Matches::default();
        let found = self.mvcc.read_history(request.from, request.to, &limits, &mut |row| {
            request.matcher.match_into(row.key(), event_kind(row), &mut matches);
            let want = self.want(row, &matches, request.to);
            if !matches!(want, Want::Skip) {
                wanted.push(matches.clone());
            }
            want
        })?;
        self.count(found.rows_read, found.revisions_read);
        let next = found.next;
        let mut rows_alone = false;
        let rows = found.into_rows(|bytes| match self.budget.share(bytes) {
            Ok(shared) => shared,
            Err(bytes) => {
                rows_alone = true;
                Bytes::from(bytes)
            }
        })?;
        let mut chunk = HistoryChunk::empty(request.scan, next);
        for (row, matches) in rows.into_iter().zip(&wanted) {
            let superseded = matches.wants_superseded()
                && self.mvcc.is_superseded(row.record.key(), row.record.revision(), request.to);
            let event = Event::new(row.record, row.prev);
            let event = if rows_alone { event.copy_out() } else { event };
            chunk.push(event, superseded, matches);
        }
        leave_out_a_part(&mut chunk, request.from, next);
        Ok(chunk)
    }

    fn want(&self, row: &RowView<'_>, matches: &Matches, to: u64) -> Want {
        if matches.is_empty() || self.is_conflated_away(row, matches, to) {
            return Want::Skip;
        }
        let charge_bytes = (row.encoded_len() + EVENT_OVERHEAD) * matches.len();
        if matches.wants_prev() { Want::TakeWithPrev { charge_bytes } } else { Want::Take { charge_bytes } }
    }

    /// Only conflating watchers want the row, and its key has a newer one.
    fn is_conflated_away(&self, row: &RowView<'_>, matches: &Matches, to: u64) -> bool {
        matches.is_conflated()
            && event_kind(row) == EventKind::Put
            && self.mvcc.is_superseded(row.key(), row.revision(), to)
    }

    fn count(&self, rows: u64, revisions: u64) {
        self.counts.reads.fetch_add(1, Ordering::Relaxed);
        self.counts.rows.fetch_add(rows, Ordering::Relaxed);
        self.counts.revisions.fetch_add(revisions, Ordering::Relaxed);
    }
}

/// How much this thread gives way to others: at 10, Linux gives it a tenth of what a writer's thread gets where both want
/// the same core.
const NICENESS: i32 = 10;

/// Catching up is the one thing a watcher does that costs much, and writers must not feel it: where cores are scarce, this
/// thread comes last. On Linux that is for this thread alone. Where it is refused, catching up just competes.
fn give_way() {
    #[cfg(target_os = "linux")]
    let _ = rustix::process::setpriority_process(None, NICENESS);
}

/// A chunk that stopped for its bytes inside a revision that is not its first leaves that revision whole to the next.
fn leave_out_a_part(chunk: &mut HistoryChunk, from: Revision, next: Revision) {
    if next.sub > 0 && next.main > from.main {
        chunk.leave_out(next.main);
    }
}

fn event_kind(row: &RowView<'_>) -> EventKind {
    match row.kind() {
        RecordKind::Put => EventKind::Put,
        RecordKind::Tombstone => EventKind::Delete,
    }
}

fn failure(scan: ScanId, error: &MvccError) -> HistoryFailure {
    match error {
        MvccError::Compacted { compact_revision } => {
            HistoryFailure::Compacted { scan, compact_revision: *compact_revision }
        }
        other => HistoryFailure::Unreadable { scan, reason: other.to_string().into() },
    }
}
