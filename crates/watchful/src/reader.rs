//! The thread that reads history for the sync engine, so that a cold page never holds up the tail.
//!
//! One read is one short transaction. Each row is matched on its key before its value is touched; what matched is copied
//! once, into one buffer that all its watchers share, charged to the store-wide budget.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use bytes::Bytes;
use watchful_mvcc::{HistoryLimits, HistoryRow, Mvcc, MvccError, RowView, Want};
use watchful_revision::{Event, EventKind, RecordKind, Revision};
use watchful_sync::{HistoryChunk, HistoryFailure, Matches, ReadRequest, ScanId, WantedRows};

use crate::budget::Budget;
use crate::failpoint::failpoint;
use crate::feed::{Command, Feed};

/// How long buffers are kept for reads to come.
const SPARES_KEPT: Duration = Duration::from_secs(1);

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
        while let Some(request) = self.next(requests) {
            let answer = self.read(&request).map_err(|error| failure(request.scan, &error));
            if !self.feed.command(Command::History(answer)) {
                return;
            }
        }
    }

    /// The next request. None once the driver is gone.
    fn next(&self, requests: &Receiver<ReadRequest>) -> Option<ReadRequest> {
        match requests.recv_timeout(SPARES_KEPT) {
            Err(RecvTimeoutError::Timeout) => {
                self.budget.forget_spares();
                requests.recv().ok()
            }
            answer => answer.ok(),
        }
    }

    fn read(&self, request: &ReadRequest) -> Result<HistoryChunk, MvccError> {
        failpoint!("store::read");
        let limits = HistoryLimits::default()
            .with_bytes_max(request.bytes_max)
            .with_revisions_max(request.revisions_max);
        // Whose each taken row is; the last may turn out not to have been taken.
        let mut wanted = WantedRows::default();
        let mut matches = Matches::default();
        let found = self.mvcc.read_history_into(
            self.budget.buffer(),
            request.from,
            request.to,
            &limits,
            &mut |row| {
                request.matcher.match_into(row.key(), event_kind(row), &mut matches);
                if matches.is_empty() {
                    return Want::Skip;
                }
                let superseded = matches.wants_superseded()
                    && self.mvcc.is_superseded(row.key(), row.revision(), request.to);
                if superseded && matches.is_conflated() && event_kind(row) == EventKind::Put {
                    return Want::Skip;
                }
                wanted.note(superseded, &matches);
                want(row, &matches)
            },
        )?;
        self.count(found.rows_read, found.revisions_read);
        let next = found.next;
        let rows_alone = Cell::new(false);
        let rows = found.into_rows(|bytes| {
            self.budget.share(self.budget.fitted(bytes)).unwrap_or_else(|bytes| {
                rows_alone.set(true);
                Bytes::from(bytes)
            })
        });
        let event = |row: HistoryRow| Event::new(row.record, row.prev);
        let events = if rows_alone.get() {
            rows.map(|row| event(row).copy_out()).collect()
        } else {
            rows.map(event).collect()
        };
        let mut chunk = HistoryChunk::of(request.scan, next, wanted, events);
        leave_out_a_part(&mut chunk, request.from, next);
        Ok(chunk)
    }

    fn count(&self, rows: u64, revisions: u64) {
        self.counts.reads.fetch_add(1, Ordering::Relaxed);
        self.counts.rows.fetch_add(rows, Ordering::Relaxed);
        self.counts.revisions.fetch_add(revisions, Ordering::Relaxed);
    }
}

/// Nobody reads history any more: it is over for those who watch, also where this thread panicked.
impl Drop for Reader {
    fn drop(&mut self) {
        self.feed.close();
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

fn want(row: &RowView<'_>, matches: &Matches) -> Want {
    let charge_bytes = (row.encoded_len() + EVENT_OVERHEAD) * matches.len();
    if matches.wants_prev() { Want::TakeWithPrev { charge_bytes } } else { Want::Take { charge_bytes } }
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
