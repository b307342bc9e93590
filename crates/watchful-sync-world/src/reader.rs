//! The reader of history, as `ReadRequest`'s documentation asks for it, over the model's log.
//!
//! A read is done in as many pieces as the test likes, because the matcher is alive: groups come and go while a reader is
//! in the middle of its rows. What the reader sees of the log and of compaction is fixed when it begins, as in one read
//! transaction.

use watchful_revision::{EventKind, KeyRange, Revision};
use watchful_sync::{HistoryChunk, HistoryFailure, ReadRequest};
use watchful_testkit::{Filters, Model, ModelEvent};

/// A read of history that is out.
pub struct OutRead {
    /// What was asked for.
    pub request: ReadRequest,
    /// The engine's head when it asked.
    pub asked_at_head: u64,
    begun: Option<Begun>,
}

struct Begun {
    compact_revision: u64,
    rows: Vec<(ModelEvent, bool)>,
    at: usize,
    chunk: HistoryChunk,
    first_row: Option<Revision>,
    failure: Option<HistoryFailure>,
    done: bool,
}

impl OutRead {
    /// A read that has not begun.
    pub fn new(request: ReadRequest, asked_at_head: u64) -> Self {
        Self { request, asked_at_head, begun: None }
    }

    /// Looks at `rows` rows more.
    pub fn go_on(&mut self, rows: usize, model: &Model, damaged: Option<u64>) {
        let request = &self.request;
        let begun = self.begun.get_or_insert_with(|| Begun::new(request, model));
        for _ in 0..rows {
            if begun.done {
                return;
            }
            begun.look_at_next(request, damaged);
        }
    }

    /// The first row that anybody wanted, as far as it has gone.
    pub fn first_row(&self) -> Option<Revision> {
        self.begun.as_ref()?.first_row
    }

    /// Looks at all the rest, and answers.
    ///
    /// # Errors
    ///
    /// What came in between.
    pub fn finish(mut self, model: &Model, damaged: Option<u64>) -> Result<HistoryChunk, HistoryFailure> {
        self.go_on(usize::MAX, model, damaged);
        let begun = self.begun.expect("it has gone on");
        begun.failure.map_or(Ok(begun.chunk), Err)
    }
}

impl Begun {
    fn new(request: &ReadRequest, model: &Model) -> Self {
        let compact_revision = model.compact_revision();
        let end = Revision::new(request.to, u32::MAX);
        let all = [KeyRange::everything()];
        let rows: Vec<_> = model.events_between(&all, Filters::default(), request.from, end).collect();
        let superseded = |at: usize| rows[at + 1..].iter().any(|later| later.key == rows[at].key);
        let marks: Vec<bool> = (0..rows.len()).map(superseded).collect();
        let chunk = HistoryChunk::empty(request.scan, Revision::start_of(request.to + 1));
        let failure = (request.from.main < compact_revision)
            .then_some(HistoryFailure::Compacted { scan: request.scan, compact_revision });
        let done = failure.is_some();
        let rows = rows.into_iter().zip(marks).collect();
        Self { compact_revision, rows, at: 0, chunk, first_row: None, failure, done }
    }

    fn look_at_next(&mut self, request: &ReadRequest, damaged: Option<u64>) {
        let Some((row, superseded)) = self.rows.get(self.at) else {
            self.done = true;
            return;
        };
        let main = row.revision.main;
        if main >= request.from.main + request.revisions_max {
            return self.stop_at(Revision::start_of(main));
        }
        if damaged == Some(main) {
            let reason = "damaged".into();
            self.failure = Some(HistoryFailure::Unreadable { scan: request.scan, reason });
            self.done = true;
            return;
        }
        self.at += 1;
        let matches = request.matcher.matches(&row.key, row.kind);
        let skipped = matches.is_conflated() && *superseded && row.kind == EventKind::Put;
        if matches.is_empty() || skipped {
            return;
        }
        // The row before is gone once a compaction has passed it and what replaced it; a whole revision stays at least.
        let replaced_in = row.prev.as_ref().map_or(0, |prev| main.max(prev.mod_revision() + 1));
        let kept = replaced_in > self.compact_revision;
        let event = row.to_event(matches.wants_prev() && kept);
        let charge_bytes = event.charge_bytes() * matches.len();
        if self.chunk.is_empty() || self.chunk.charge_bytes() + charge_bytes <= request.bytes_max {
            self.first_row.get_or_insert(row.revision);
            return self.chunk.push(event, *superseded, &matches);
        }
        if main > request.from.main {
            self.chunk.leave_out(main);
            self.done = true;
        } else {
            let next = row.revision;
            self.stop_at(next);
        }
    }

    fn stop_at(&mut self, next: Revision) {
        self.chunk.end_at(next);
        self.done = true;
    }
}
