//! The thread that owns the sync engine and is its hands: it feeds facts in and does the work that comes out.
//!
//! It looks up previous records for those who asked for them, puts items into outboxes, sends reads to the reader's
//! thread, and wakes each receiver once a round, however much it was given.

use std::collections::VecDeque;
use std::iter::{self, Peekable};
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

use watchful_mvcc::{CommittedBatch, Mvcc};
use watchful_revision::{Event, Revision};
use watchful_sync::{Engine, EngineSettings, Item, Published, ReadRequest, StreamId, Work};

use crate::Clock;
use crate::failpoint::failpoint;
use crate::feed::{Command, Feed, Intake};
use crate::outbox::Outbox;
use crate::patience::Patience;

pub(crate) struct Driver {
    engine: Engine,
    mvcc: Mvcc,
    feed: Arc<Feed>,
    reads: Sender<ReadRequest>,
    outboxes: Vec<Option<Arc<Outbox>>>,
    /// What is still to be obeyed.
    commands: VecDeque<Command>,
    touched: Vec<StreamId>,
    clock: Arc<dyn Clock>,
    progress_interval: Duration,
    next_progress: Duration,
}

impl Driver {
    pub(crate) fn new(
        mvcc: Mvcc,
        feed: Arc<Feed>,
        reads: Sender<ReadRequest>,
        settings: EngineSettings,
        clock: Arc<dyn Clock>,
        progress_interval: Duration,
    ) -> Self {
        let engine = Engine::new(settings, mvcc.current_revision(), mvcc.compact_revision());
        let next_progress = clock.now() + progress_interval;
        Self {
            engine,
            mvcc,
            feed,
            reads,
            outboxes: Vec::new(),
            commands: VecDeque::new(),
            touched: Vec::new(),
            clock,
            progress_interval,
            next_progress,
        }
    }

    /// Runs until the feed is closed.
    pub(crate) fn run(mut self) {
        let patience = Patience::default();
        loop {
            let sleep = self.clock.sleep_until(self.next_progress);
            let idle = self.engine.is_idle();
            let mut intake = self.feed.wait(idle, sleep.filter(|_| !idle), &patience);
            self.commands.append(&mut intake.commands);
            let closed = intake.closed;
            failpoint!("store::drive");
            self.take(intake);
            self.tick();
            self.work();
            if closed {
                return;
            }
        }
    }

    fn take(&mut self, intake: Intake) {
        for batch in intake.batches {
            if let Some(batch) = self.published(batch) {
                self.engine.published(Arc::new(batch));
            }
        }
        self.engine.published_up_to(intake.published);
        self.engine.compacted(intake.compacted);
        while let Some(command) = self.commands.pop_front() {
            self.obey(command);
        }
    }

    /// The batch as events, with the previous record of each row that somebody asked for it. None when such a record
    /// cannot be read: the engine then has the batch read from history, which names the failure to those it concerns.
    fn published(&self, batch: CommittedBatch) -> Option<Published> {
        let wanted: Vec<Option<Revision>> = batch
            .rows
            .iter()
            .map(|row| row.prev.filter(|_| self.engine.wants_prev(row.record.key())))
            .collect();
        let asked: Vec<Revision> = wanted.iter().flatten().copied().collect();
        let found = if asked.is_empty() { Vec::new() } else { self.mvcc.read_rows(&asked).ok()? };
        let mut found = found.into_iter();
        let prev = wanted.into_iter().map(|wanted| wanted.and_then(|_| found.next().flatten()));
        let events = batch.rows.into_iter().zip(prev).map(|(row, prev)| Event::new(row.record, prev));
        Some(Published::new(batch.revision, events.collect()))
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Attach(outbox) => self.attach(outbox),
            Command::Detach(outbox) => self.detach(&outbox),
            Command::Watch { outbox, watch, spec } => {
                with_stream(&outbox, |stream| self.engine.watch(stream, watch, spec));
            }
            Command::Cancel { outbox, watch } => {
                with_stream(&outbox, |stream| self.engine.cancel(stream, watch));
            }
            Command::AskProgress { outbox, revision_min } => {
                with_stream(&outbox, |stream| self.engine.ask_progress(stream, revision_min));
            }
            Command::Drained(outbox) => {
                with_stream(&outbox, |stream| self.engine.drained(stream, outbox.untold()));
            }
            Command::History(answer) => self.engine.history(answer),
            Command::Status { outbox, watch, reply } => {
                with_stream(&outbox, |stream| self.engine.drained(stream, outbox.untold()));
                reply.give(Ok(outbox.stream().and_then(|stream| self.engine.status(stream, watch))));
            }
            Command::Watchers(reply) => reply.give(Ok(self.engine.watchers().collect())),
            Command::Gauges(reply) => reply.give(Ok(self.engine.gauges())),
        }
    }

    fn attach(&mut self, outbox: Arc<Outbox>) {
        let stream = self.engine.attach(outbox.bytes_max());
        outbox.attached_as(stream);
        let place = stream.0 as usize;
        if self.outboxes.len() <= place {
            self.outboxes.resize(place + 1, None);
        }
        self.outboxes[place] = Some(outbox);
    }

    fn detach(&mut self, outbox: &Outbox) {
        if let Some(stream) = outbox.stream() {
            self.engine.detach(stream);
            self.outboxes[stream.0 as usize] = None;
        }
    }

    fn tick(&mut self) {
        let now = self.clock.now();
        if now >= self.next_progress {
            self.next_progress = now + self.progress_interval;
            self.engine.progress_tick();
        }
    }

    /// Does work until there is none. What receivers took meanwhile is told on the way, which may make more.
    fn work(&mut self) {
        loop {
            let work = self.engine.turn();
            if work.is_empty() {
                break;
            }
            let mut work = work.into_iter().peekable();
            while let Some(next) = work.next() {
                self.execute(next, &mut work);
            }
        }
        self.touched.sort_unstable();
        self.touched.dedup();
        for stream in std::mem::take(&mut self.touched) {
            if let Some(outbox) = self.outbox(stream) {
                outbox.wake();
            }
        }
    }

    /// Does `work`, and what of the work after it is done best together with it.
    fn execute(&mut self, work: Work, rest: &mut Peekable<impl Iterator<Item = Work>>) {
        match work {
            Work::Read(request) => {
                // The reader only goes once the feed is closed, and then nobody waits for the answer.
                let _ = self.reads.send(request);
            }
            Work::Deliver { stream, item } => {
                let more = || match rest.next_if(|next| is_for(next, stream))? {
                    Work::Deliver { item, .. } => Some(item),
                    Work::Read(_) | Work::Blocked { .. } => None,
                };
                self.deliver(stream, iter::once(item).chain(iter::from_fn(more)).take(TOGETHER_MAX));
            }
            Work::Blocked { stream } => {
                // Nothing is told where nothing was taken: the engine would ask again at once, and again, for ever.
                let untold = self.outbox(stream).map_or(0, |outbox| outbox.await_room());
                if untold > 0 {
                    self.engine.drained(stream, untold);
                }
            }
        }
    }

    fn deliver(&mut self, stream: StreamId, items: impl Iterator<Item = Item>) {
        let Some(outbox) = self.outbox(stream) else { return };
        let untold = outbox.put(items);
        if untold > 0 {
            self.engine.drained(stream, untold);
        }
        if self.touched.last() != Some(&stream) {
            self.touched.push(stream);
        }
    }

    fn outbox(&self, stream: StreamId) -> Option<Arc<Outbox>> {
        self.outboxes.get(stream.0 as usize)?.clone()
    }
}

/// Receivers then find their outboxes closed, and nobody waits for what will not come: not even where this thread panicked.
impl Drop for Driver {
    fn drop(&mut self) {
        self.feed.close();
        // Who asked something is told that there is no answer by its being dropped.
        for command in self.commands.drain(..).chain(self.feed.unheard()) {
            if let Command::Attach(outbox) = command {
                outbox.close();
            }
        }
        self.outboxes.iter().flatten().for_each(|outbox| outbox.close());
    }
}

/// The most items that are put into an outbox at once: the receiver, who takes at the same time, waits for that long.
const TOGETHER_MAX: usize = 64;

fn is_for(work: &Work, stream: StreamId) -> bool {
    matches!(work, Work::Deliver { stream: other, .. } if *other == stream)
}

fn with_stream(outbox: &Outbox, act: impl FnOnce(StreamId)) {
    if let Some(stream) = outbox.stream() {
        act(stream);
    }
}
