//! Everything around the engine as plain values: a writer with a queue, a reader, receivers, a compactor.
//!
//! Nothing happens on its own. A test says what happens next, and whatever the engine asks for is kept until the test
//! says that it is done. After each turn the world checks what must hold at any time; [`World::check_end`] checks what
//! must hold when there is nothing left to do.
//!
//! # Invariants
//!
//! - The model is the store: it is never behind the engine, and the engine may be behind it.
//! - The engine is told only what a facade would tell it: room is reported when the engine waits for it, or when the
//!   test says so.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use watchful_revision::KeyRange;
use watchful_sync::{
    Engine, EngineSettings, Gauges, HistoryFailure, Item, Published, ReadRequest, ScanId, Standings,
    StreamId, WatchId, WatchSpec, WatcherStanding, WatcherStatus, Work,
};
use watchful_testkit::checkers::{self, BudgetSample};
use watchful_testkit::{Filters, Model, Observation, Op};

use crate::reader::OutRead;
use crate::receiver::{Due, Large, Receiver, Watched};

/// A chunk of two or three small events.
pub const CHUNK_BYTES_MAX: usize = 400;

/// More rounds than any schedule needs to come to rest.
const ROUNDS_MAX: usize = 10_000;

/// Bounds so small that short schedules meet them.
pub fn small_settings() -> EngineSettings {
    EngineSettings {
        chunk_bytes_max: CHUNK_BYTES_MAX,
        chunk_revisions_max: 4,
        recent_bytes_max: 600,
        kept_bytes_max: 1000,
    }
}

/// The engine, and everybody whom it deals with.
pub struct World {
    /// The engine on trial.
    pub engine: Engine,
    /// The store, as it should be.
    pub model: Model,
    /// What the engine was told.
    pub settings: EngineSettings,
    /// Everybody who ever attached, the newest last.
    pub receivers: Vec<Receiver>,
    /// The reads of history that are out, the oldest first.
    pub reads: Vec<OutRead>,
    /// Every read that was asked for, in words, until somebody looks.
    asked: Vec<String>,
    /// How many reads were asked for so far.
    pub reads_asked: usize,
    /// A main revision that cannot be read.
    pub damaged: Option<u64>,
    /// Revisions that the writer has published and the engine has not heard of.
    queue: VecDeque<u64>,
    compacted_untold: bool,
    /// Those who had everything when it was last time for progress.
    synced_at_tick: Vec<(StreamId, WatchId)>,
    next_of: HashMap<(StreamId, WatchId), u64>,
    head_read_from: (u64, u32),
    large: Large,
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

impl World {
    /// A world with [`small_settings`].
    pub fn new() -> Self {
        Self::with_settings(small_settings())
    }

    /// A world with settings of its own.
    pub fn with_settings(settings: EngineSettings) -> Self {
        Self {
            engine: Engine::new(settings.clone(), 1, 0),
            model: Model::new(),
            receivers: Vec::new(),
            reads: Vec::new(),
            asked: Vec::new(),
            reads_asked: 0,
            damaged: None,
            queue: VecDeque::new(),
            compacted_untold: false,
            synced_at_tick: Vec::new(),
            next_of: HashMap::new(),
            head_read_from: (0, 0),
            large: Large { rows: HashSet::new(), chunk_bytes_max: settings.chunk_bytes_max },
            settings,
        }
    }

    // The writer.

    /// Commits a transaction; the engine has not heard of it.
    pub fn commit(&mut self, ops: &[Op]) -> Option<u64> {
        let revision = self.model.apply(ops).ok()?.revision?;
        self.queue.push_back(revision);
        Some(revision)
    }

    /// The engine takes one batch out of the writer's queue.
    pub fn feed(&mut self) -> bool {
        let Some(revision) = self.queue.pop_front() else { return false };
        let all = [KeyRange::everything()];
        let owed = self.model.events(&all, Filters::default(), revision, revision);
        let events = owed.iter().map(|event| event.to_event(self.engine.wants_prev(&event.key)));
        let batch = Published::new(revision, events.collect());
        self.engine.published(Arc::new(batch));
        true
    }

    /// The queue was full: its batches are lost to the engine, which hears of the newest revision alone.
    pub fn drop_queue(&mut self) {
        self.queue.clear();
        self.tell_published();
    }

    /// The engine hears of the newest revision alone.
    pub fn tell_published(&mut self) {
        self.engine.published_up_to(self.model.current_revision());
    }

    /// Puts these keys in one transaction, and the engine hears of it.
    pub fn put(&mut self, keys: &str) -> u64 {
        self.put_dropped_if(keys, false)
    }

    /// Puts `a` so many times.
    pub fn put_times(&mut self, times: u64) {
        (0..times).for_each(|_| _ = self.put("a"));
    }

    /// As [`World::put`], with the queue full.
    pub fn put_dropped(&mut self, keys: &str) -> u64 {
        self.put_dropped_if(keys, true)
    }

    fn put_dropped_if(&mut self, keys: &str, dropped: bool) -> u64 {
        let ops: Vec<Op> = keys.split(' ').map(|key| Op::put(key, "v")).collect();
        self.write(&ops, dropped)
    }

    /// Commits, and the engine hears of it: of its batch, or, with the queue full, of the revision alone.
    pub fn write(&mut self, ops: &[Op], dropped: bool) -> u64 {
        let revision = self.commit(ops).expect("it changes something");
        if dropped {
            self.drop_queue();
        } else {
            while self.feed() {}
        }
        self.turn();
        revision
    }

    /// The store is compacted, and the engine hears of it.
    pub fn compact(&mut self, revision: u64) {
        self.compact_untold(revision);
        self.tell_compacted();
        self.turn();
    }

    /// The store is compacted, and the engine has not heard of it.
    pub fn compact_untold(&mut self, revision: u64) {
        self.compacted_untold |= self.model.compact(revision).is_ok();
    }

    /// The engine hears of a compaction that it has not heard of.
    pub fn tell_compacted(&mut self) {
        if std::mem::take(&mut self.compacted_untold) {
            self.engine.compacted(self.model.compact_revision());
        }
    }

    // The receivers.

    /// A receiver comes.
    pub fn attach(&mut self, outbox_bytes_max: usize) -> StreamId {
        let stream = self.engine.attach(outbox_bytes_max);
        let bytes = outbox_bytes_max.max(2 * self.settings.chunk_bytes_max);
        self.receivers.push(Receiver::new(stream, bytes));
        stream
    }

    /// A receiver goes.
    pub fn detach(&mut self, stream: StreamId) {
        self.engine.detach(stream);
        self.next_of.retain(|(of, _), _| *of != stream);
        self.receiver(stream).attached = false;
        self.turn();
    }

    /// Asks for a watch.
    pub fn watch(&mut self, stream: StreamId, id: WatchId, spec: WatchSpec) {
        self.watch_quietly(stream, id, spec);
        self.turn();
    }

    /// As [`World::watch`], without a turn of the engine.
    pub fn watch_quietly(&mut self, stream: StreamId, id: WatchId, spec: WatchSpec) {
        self.receiver(stream).ask(id, &spec);
        if self.engine.status(stream, id).is_none() {
            self.next_of.remove(&(stream, id));
            self.synced_at_tick.retain(|one| *one != (stream, id));
        }
        self.engine.watch(stream, id, spec);
    }

    /// Cancels a watch.
    pub fn cancel(&mut self, stream: StreamId, id: WatchId) {
        self.cancel_quietly(stream, id);
        self.turn();
    }

    /// As [`World::cancel`], without a turn of the engine.
    pub fn cancel_quietly(&mut self, stream: StreamId, id: WatchId) {
        if self.engine.status(stream, id).is_some() {
            self.receiver(stream).due.push((id, Due::Cancelled));
        }
        self.engine.cancel(stream, id);
    }

    /// Asks for progress of at least this revision.
    pub fn ask_progress(&mut self, stream: StreamId, revision_min: u64) {
        self.ask_progress_quietly(stream, revision_min);
        self.turn();
    }

    /// As [`World::ask_progress`], without a turn of the engine.
    pub fn ask_progress_quietly(&mut self, stream: StreamId, revision_min: u64) {
        if self.engine.watchers().any(|watch| watch.stream == stream) {
            let receiver = self.receiver(stream);
            receiver.progress_asked = receiver.progress_asked.max(Some(revision_min));
        }
        self.engine.ask_progress(stream, revision_min);
    }

    /// It is time for progress to be told to those who asked for it and are quiet.
    pub fn tick(&mut self) {
        let is_synced = |watch: &WatcherStatus| watch.standing == WatcherStanding::Synced;
        let synced: Vec<_> = self.engine.watchers().filter(is_synced).collect();
        let names = synced.iter().map(|watch| (watch.stream, watch.watch)).collect();
        let before = std::mem::replace(&mut self.synced_at_tick, names);
        let (head, reserved_bytes) = (self.engine.head(), self.engine.gauges().reserved_bytes);
        for stream in self.attached() {
            let of_it: Vec<_> = synced.iter().filter(|watch| watch.stream == stream).collect();
            let quiet: Vec<_> =
                of_it.iter().map(|w| w.watch).filter(|id| before.contains(&(stream, *id))).collect();
            // What is kept free may all be kept on this stream, and each watch may be told by an item of its own.
            let queued_bytes = of_it.first().map_or(0, |watch| watch.queued_bytes);
            let bytes = queued_bytes + reserved_bytes + of_it.len() * Item::CONTROL_BYTES;
            let receiver = self.receiver(stream);
            let has_room = bytes <= receiver.outbox_bytes_max;
            receiver.tick(&quiet, head, has_room);
        }
        self.engine.progress_tick();
    }

    /// Takes everything out of the outbox, tells the engine, and answers what it was.
    pub fn hear(&mut self, stream: StreamId) -> Vec<String> {
        self.receive(stream, usize::MAX);
        self.report(stream);
        self.turn();
        self.receiver(stream).heard()
    }

    /// Takes up to `items` out of the outbox; the engine does not hear of it.
    pub fn receive(&mut self, stream: StreamId, items: usize) {
        let receiver = self.receiver(stream);
        for _ in 0..items {
            if !receiver.take() {
                return;
            }
        }
    }

    /// The engine hears of what has been taken out.
    pub fn report(&mut self, stream: StreamId) {
        let receiver = self.receiver(stream);
        let taken_bytes = std::mem::take(&mut receiver.taken_bytes);
        receiver.blocked = false;
        self.engine.drained(stream, taken_bytes);
    }

    /// As a facade must: where the engine waits for room, and half is free, it hears of it.
    fn report_if_awaited(&mut self) -> bool {
        let awaited =
            |to: &&Receiver| to.attached && to.blocked && to.outbox_bytes() <= to.outbox_bytes_max / 2;
        let streams: Vec<_> = self.receivers.iter().filter(awaited).map(|to| to.stream).collect();
        streams.iter().for_each(|&stream| self.report(stream));
        !streams.is_empty()
    }

    /// The receiver of this stream.
    pub fn receiver(&mut self, stream: StreamId) -> &mut Receiver {
        // Names are used again: the newest is meant.
        self.receivers.iter_mut().rfind(|receiver| receiver.stream == stream).expect("it was attached")
    }

    /// The streams of all who are attached.
    pub fn attached(&self) -> Vec<StreamId> {
        self.receivers.iter().filter(|receiver| receiver.attached).map(|receiver| receiver.stream).collect()
    }

    // The reader.

    /// Answers the read that has been out longest.
    pub fn answer(&mut self) {
        self.answer_at(0);
        self.turn();
    }

    /// Answers the oldest read of the head.
    pub fn answer_head(&mut self) {
        let at = self.reads.iter().position(|read| read.request.scan == ScanId::Head).expect("it is out");
        self.answer_at(at);
        self.turn();
    }

    /// Answers the oldest read of a shared scan.
    pub fn answer_shared(&mut self) {
        let at = self.reads.iter().position(|read| read.request.scan != ScanId::Head).expect("it is out");
        self.answer_at(at);
        self.turn();
    }

    /// Answers the read at this place among those that are out, without a turn of the engine.
    pub fn answer_at(&mut self, at: usize) {
        let mut read = self.reads.remove(at);
        read.go_on(usize::MAX, &self.model, self.damaged);
        let first_row = read.first_row();
        let answer = read.finish(&self.model, self.damaged);
        let (may_end, spared): (Vec<_>, Vec<_>) = match (&answer, self.damaged) {
            (Err(HistoryFailure::Unreadable { .. }), Some(damaged)) => {
                self.engine.watchers().partition(|watch| watch.next_revision <= damaged)
            }
            (_, _) => (Vec::new(), Vec::new()),
        };
        if let Ok(chunk) = &answer {
            assert!(chunk.len() == 1 || chunk.charge_bytes() <= self.settings.chunk_bytes_max);
            if chunk.charge_bytes() > self.settings.chunk_bytes_max {
                self.large.rows.extend(first_row);
            }
        }
        self.engine.history(answer);
        for watch in spared {
            let still = self.engine.status(watch.stream, watch.watch).is_some();
            assert!(still, "{watch:?} is past the damage, and is ended for it");
        }
        for watch in may_end {
            if self.engine.status(watch.stream, watch.watch).is_none() {
                self.receiver(watch.stream).due.push((watch.watch, Due::Unreadable));
            }
        }
    }

    /// Answers reads until there are none.
    pub fn answer_all(&mut self) {
        for _ in 0..ROUNDS_MAX {
            if self.reads.is_empty() {
                return;
            }
            self.answer();
        }
        panic!("the engine asks for ever");
    }

    /// The reads asked for since the last call: `2.0-4`, and `head 3.0-5` for the head's own.
    pub fn asked(&mut self) -> Vec<String> {
        std::mem::take(&mut self.asked)
    }

    // The engine.

    /// A turn of the engine: its work is done, and what must hold at any time is checked.
    pub fn turn(&mut self) {
        for work in self.engine.turn() {
            match work {
                Work::Read(request) => self.take_request(request),
                Work::Deliver { stream, item } => {
                    let large = std::mem::take(&mut self.large);
                    self.receiver(stream).put(item, &large);
                    self.large = large;
                }
                Work::Blocked { stream } => self.receiver(stream).await_room(),
            }
        }
        self.receivers.iter().filter(|to| to.attached).for_each(Receiver::check_ticked);
        self.check_now();
    }

    fn take_request(&mut self, request: ReadRequest) {
        let head = self.engine.head();
        let name = if request.scan == ScanId::Head { "head " } else { "" };
        self.asked.push(format!("{name}{}-{}", request.from, request.to));
        self.reads_asked += 1;
        assert!(request.from.main <= request.to, "an empty read: {request:?}");
        assert!(request.to <= self.model.current_revision(), "a read of what is not there");
        if request.scan == ScanId::Head {
            let from = (request.from.main, request.from.sub);
            assert!(from >= self.head_read_from, "the head goes back");
            self.head_read_from = from;
        } else {
            assert!(request.to <= head, "a shared read goes past the head");
        }
        self.reads.push(OutRead::new(request, head));
        self.check_reads();
    }

    fn check_reads(&self) {
        let heads = self.reads.iter().filter(|read| read.request.scan == ScanId::Head).count();
        let shared = self.reads.len() - heads;
        assert!(heads <= 1 && shared <= 2, "{heads} reads of the head and {shared} others are out");
        let head = self.engine.head();
        let mut levels: Vec<u32> = self
            .reads
            .iter()
            .filter(|read| read.request.scan != ScanId::Head && read.asked_at_head == head)
            .map(|read| (head + 1 - read.request.from.main).ilog2())
            .collect();
        levels.sort_unstable();
        assert!(levels.windows(2).all(|pair| pair[0] != pair[1]), "two reads in one level: {levels:?}");
    }

    fn check_now(&mut self) {
        self.forget_idle_questions();
        let gauges = self.engine.gauges();
        assert_eq!(gauges.reads_out, self.reads.len());
        let queued: usize =
            self.receivers.iter().filter(|to| to.attached).map(|to| to.outbox_bytes() + to.taken_bytes).sum();
        assert_eq!(gauges.queued_bytes, queued, "what outboxes hold is counted wrong");
        if self.reads.iter().all(|read| read.request.scan == ScanId::Head) {
            assert_eq!(gauges.reserved_bytes, 0, "room is kept for reads that are back");
        }
        let recent = BudgetSample {
            name: "recent",
            used_bytes: gauges.recent_bytes as u64,
            budget_bytes: self.settings.recent_bytes_max as u64,
        };
        let kept = BudgetSample {
            name: "kept",
            used_bytes: gauges.kept_bytes as u64,
            budget_bytes: self.settings.kept_bytes_max as u64,
        };
        checkers::within_budget([recent, kept]).unwrap();
        let watches: Vec<_> = self.engine.watchers().collect();
        check_standings(&gauges, &watches);
        for watch in watches {
            let next = self.next_of.entry((watch.stream, watch.watch)).or_insert(0);
            assert!(watch.next_revision >= *next, "{watch:?} goes back from {next}");
            *next = watch.next_revision;
        }
    }

    /// A question for progress goes with the last watch of its stream.
    fn forget_idle_questions(&mut self) {
        let watched: Vec<StreamId> = self.engine.watchers().map(|watch| watch.stream).collect();
        let idle = self.receivers.iter_mut().filter(|to| !watched.contains(&to.stream));
        idle.for_each(|to| to.progress_asked = None);
    }

    /// Does all that is left to do, until nothing is.
    pub fn settle(&mut self) {
        self.tell_compacted();
        while self.feed() {}
        self.tell_published();
        for _ in 0..ROUNDS_MAX {
            self.turn();
            let streams = self.attached();
            streams.iter().for_each(|&stream| self.receive(stream, usize::MAX));
            let reported = self.report_if_awaited();
            if !self.reads.is_empty() {
                self.answer_at(0);
            } else if !reported {
                self.turn();
                if self.is_at_rest() {
                    return;
                }
            }
        }
        panic!("it never comes to rest: {:?}", self.engine.gauges());
    }

    fn is_at_rest(&self) -> bool {
        let quiet = |to: &Receiver| to.outbox.is_empty() && !to.blocked;
        self.reads.is_empty() && self.receivers.iter().all(|to| !to.attached || quiet(to))
    }

    /// What must hold when there is nothing left to do: everybody who lives has everything, and hears so when asked.
    pub fn check_end(&mut self) {
        self.settle();
        self.check_all_synced();
        let current_revision = self.model.current_revision();
        for stream in self.attached() {
            self.ask_progress(stream, current_revision);
        }
        self.settle();
        for stream in self.attached() {
            self.check_progress_came(stream, current_revision);
            let due = &self.receiver(stream).due;
            assert!(due.is_empty(), "ends that nobody was told of: {due:?}");
        }
        self.check_histories();
        self.check_nothing_is_left();
    }

    fn check_all_synced(&self) {
        let current_revision = self.model.current_revision();
        for watch in self.engine.watchers() {
            let future = watch.next_revision > current_revision + 1;
            let standing = if future { WatcherStanding::Future } else { WatcherStanding::Synced };
            assert_eq!(watch.standing, standing, "at rest at {current_revision}: {watch:?}");
            assert!(watch.next_revision > current_revision, "not up to {current_revision}: {watch:?}");
        }
    }

    fn check_progress_came(&mut self, stream: StreamId, current_revision: u64) {
        let alive: Vec<&Watched> = self.receiver(stream).watches.iter().filter(|watch| watch.alive).collect();
        let one_in_future = alive.iter().any(|watch| watch.spec.start_revision > current_revision + 1);
        for watch in alive {
            let synced = checkers::becomes_synced(&watch.observed, current_revision);
            assert_eq!(synced.is_ok(), !one_in_future, "watch {} {:?}", watch.id, watch.observed);
        }
    }

    /// Runs the testkit's checkers over every history, with progress added where the engine says it has given
    /// everything.
    pub fn check_histories(&self) {
        let current_revision = self.model.current_revision();
        for receiver in &self.receivers {
            for watch in &receiver.watches {
                let mut observed = watch.observed.clone();
                if receiver.attached && watch.alive && watch.spec.start_revision <= current_revision {
                    observed.push(Observation::Progress { revision: current_revision });
                }
                if let Err(violations) = checkers::check_all(&watch.spec, &observed, &self.model) {
                    panic!("watch {} of {:?}\nsaw {observed:#?}\n{violations:#?}", watch.id, watch.spec);
                }
            }
        }
    }

    /// Promise 16.
    fn check_nothing_is_left(&mut self) {
        for stream in self.attached() {
            self.detach(stream);
        }
        self.settle();
        checkers::gauges_return_to_zero(numbers(&self.engine.gauges())).unwrap();
    }
}

fn check_standings(gauges: &Gauges, watches: &[WatcherStatus]) {
    let at = |standing| watches.iter().filter(|watch| watch.standing == standing).count();
    let counted = Standings {
        future: at(WatcherStanding::Future),
        synced: at(WatcherStanding::Synced),
        unsynced: at(WatcherStanding::Unsynced),
        blocked: at(WatcherStanding::Blocked),
    };
    assert_eq!(gauges.standings, counted, "the standings are counted wrong");
}

fn numbers(gauges: &Gauges) -> [(&'static str, u64); 14] {
    [
        ("streams", gauges.streams as u64),
        ("watches", gauges.watches as u64),
        ("groups", gauges.groups as u64),
        ("members", gauges.members as u64),
        ("synced_members", gauges.synced_members as u64),
        ("blocked_members", gauges.blocked_members as u64),
        ("scans", gauges.scans as u64),
        ("reads_out", gauges.reads_out as u64),
        ("indexed_ranges", gauges.indexed_ranges as u64),
        ("queued_bytes", gauges.queued_bytes as u64),
        ("reserved_bytes", gauges.reserved_bytes as u64),
        ("recent_bytes", gauges.recent_bytes as u64),
        ("kept_bytes", gauges.kept_bytes as u64),
        ("lag_revisions_max", gauges.lag_revisions_max),
    ]
}

/// The lines that are about this watch.
pub fn pick(heard: &[String], id: WatchId) -> Vec<&str> {
    let is_about = |line: &&str| {
        let ids = line.split(':').next().unwrap_or_default();
        ids.split(',').any(|own| own == id.to_string())
    };
    heard.iter().map(String::as_str).filter(is_about).collect()
}
