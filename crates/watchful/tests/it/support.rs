//! What the tests share: a store in a folder of its own beside the testkit's model, a receiver that writes down what it
//! saw in the testkit's words, and an executor that is nothing but a loop.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use tempfile::TempDir;
use watchful::{
    Durability, End, Error, EventFilter, Gauges, KeyRange, LagPolicy, RangeOptions, Settings, Standings,
    Store, Update, Watch, WatchOptions,
};
pub(crate) use watchful_mvcc_twin::{request, result, rows};
use watchful_testkit::checkers::BudgetSample;
use watchful_testkit::script::{self, Step};
use watchful_testkit::{self as kit, Model, Observation, Observed, WatchSpec, checkers};

/// Longer than anything here takes: nothing waits for it unless something is lost.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A store that can be closed and opened again, and the model of what was done to it. It waits for no disk.
pub(crate) struct Twin {
    dir: TempDir,
    pub(crate) settings: Settings,
    pub(crate) model: Model,
    store: Option<Store>,
    /// Whether writes are awaited, or waited for.
    awaits: bool,
}

impl Twin {
    pub(crate) fn new() -> Self {
        Self::with(settings())
    }

    pub(crate) fn with(settings: Settings) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Some(Store::open(dir.path(), settings.clone()).unwrap());
        Self { dir, settings, model: Model::new(), store, awaits: false }
    }

    pub(crate) fn awaiting(self) -> Self {
        Self { awaits: true, ..self }
    }

    /// A new one in which a script was run.
    pub(crate) fn of(script: &str) -> Self {
        let mut twin = Self::new();
        twin.run(script);
        twin
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn data_file(&self) -> PathBuf {
        self.path().join("data.mdb")
    }

    pub(crate) fn close(&mut self) {
        self.store = None;
    }

    pub(crate) fn reopen(&mut self) {
        self.close();
        self.store = Some(Store::open(self.dir.path(), self.settings.clone()).unwrap());
    }

    /// Runs a script (see `watchful_testkit::script`) on both, one transaction a line. They must answer alike.
    pub(crate) fn run(&mut self, script: &str) -> String {
        let mut answers = String::new();
        for step in script::parse(script) {
            if matches!(&step, Step::Call { name, .. } if name == "reopen") {
                self.reopen();
            }
            let expected = run_in_model(&mut self.model, &step);
            let found = self.run_in_store(&step);
            assert_eq!(found, expected, "{step:?}");
            answers += &found;
            answers.push('\n');
        }
        answers
    }

    fn run_in_store(&self, step: &Step) -> String {
        let described = |answer: Result<kit::Applied, Error>| match answer {
            Ok(applied) => script::describe(&applied),
            Err(error) => word(&error),
        };
        let done = |answer: Result<(), Error>| answer.map_or_else(|error| word(&error), |()| "ok".to_owned());
        match step {
            Step::Txn(ops) => {
                let write = self.execute(request(ops));
                let answer = if self.awaits { block_on(write) } else { write.wait() };
                described(answer.map(|done| kit::Applied {
                    revision: done.changed.then_some(done.revision),
                    results: done.value.responses.iter().map(result).collect(),
                }))
            }
            Step::Compact(revision) => done(self.compact(*revision).wait()),
            Step::Grant { id, ttl } => done(self.lease_grant(*id, *ttl).wait().map(drop)),
            Step::Revoke { id } => done(self.lease_revoke(*id).wait().map(drop)),
            Step::Call { .. } => "ok".to_owned(),
        }
    }

    /// The store is the model, at every revision that can be read, and a watch of everything tells the same.
    pub(crate) fn check(&self) {
        let (store, model) = (&**self, &self.model);
        assert_eq!(store.current_revision(), model.current_revision());
        assert_eq!(store.compact_revision(), model.compact_revision());
        for revision in model.compact_revision().max(1)..=model.current_revision() {
            checkers::survives_compaction(model, revision, &rows_at(store, revision)).unwrap();
        }
        let spec = WatchSpec::new(KeyRange::everything(), model.compact_revision().max(1)).with_prev_kv();
        self.check_watch(spec);
    }

    /// A new watch gets all that it is owed. Answers with what it saw.
    pub(crate) fn check_watch(&self, spec: WatchSpec) -> Observed {
        let mut seen = Receiver::open(self, spec);
        seen.read_to(self.model.current_revision());
        seen.check(&self.model);
        seen.observed
    }

    /// A watch of everything from a revision on, as lines: see [`lines`].
    pub(crate) fn watch_lines(&self, start: u64) -> Vec<String> {
        lines(&self.check_watch(WatchSpec::new(KeyRange::everything(), start)))
    }
}

impl std::ops::Deref for Twin {
    type Target = Store;

    fn deref(&self) -> &Store {
        self.store.as_ref().unwrap()
    }
}

/// Runs a script and compares the answers, one a line, with what is expected; then everything with the model. Once with
/// writes that are waited for, and once with writes that are awaited.
pub(crate) fn check(script: &str, expected: &str) {
    for mut twin in [Twin::new(), Twin::new().awaiting()] {
        let answers = twin.run(script);
        let trimmed = |text: &str| text.trim().lines().map(|line| line.trim().to_owned()).collect::<Vec<_>>();
        assert_eq!(trimmed(&answers), trimmed(expected));
        twin.check();
    }
}

pub(crate) fn settings() -> Settings {
    Settings::default().with_durability(Durability::Unsynced).with_quota_bytes(256 << 20)
}

/// Outboxes, chunks and queues so small that every bound is met.
pub(crate) fn narrow() -> Settings {
    settings()
        .with_chunk_bytes_max(1 << 10)
        .with_outbox_bytes_max(4 << 10)
        .with_publish_queue_bytes_max(2 << 10)
        .with_shared_bytes_max(8 << 10)
        .with_compaction_slice_rows(3)
}

pub(crate) fn rows_at(store: &Store, revision: u64) -> Vec<kit::Row> {
    let found = store.view_at(revision).unwrap().range(&KeyRange::everything(), &RangeOptions::default());
    rows(&found.unwrap().records)
}

pub(crate) fn get(store: &Store, key: &str) -> Option<String> {
    store.get(key).unwrap().map(|record| String::from_utf8(record.value().to_vec()).unwrap())
}

/// The first word of an error and its number: the same for the store and for the model.
pub(crate) fn word(error: &Error) -> String {
    match error {
        Error::Compacted { compact_revision } => format!("Compacted {compact_revision}"),
        Error::FutureRevision { current_revision } => format!("FutureRevision {current_revision}"),
        Error::LeaseNotFound { id } => format!("LeaseNotFound {id}"),
        Error::LeaseExists { id } => format!("LeaseExists {id}"),
        Error::KeyNotFound => "KeyNotFound".to_owned(),
        Error::EmptyKey => "EmptyKey".to_owned(),
        other => other.to_string(),
    }
}

fn model_word(error: &kit::ApplyError) -> String {
    match error {
        kit::ApplyError::EmptyKey => "EmptyKey".to_owned(),
        kit::ApplyError::ValueProvided => "a value was given, although the old one is to be kept".to_owned(),
        kit::ApplyError::LeaseProvided => "a lease was given, although the old one is to be kept".to_owned(),
        kit::ApplyError::LeaseNotFound { id } => format!("LeaseNotFound {id}"),
        kit::ApplyError::KeyNotFound => "KeyNotFound".to_owned(),
        kit::ApplyError::Read(error) => read_word(*error),
    }
}

fn read_word(error: kit::ReadError) -> String {
    match error {
        kit::ReadError::Compacted { compact_revision } => format!("Compacted {compact_revision}"),
        kit::ReadError::FutureRevision { current_revision } => format!("FutureRevision {current_revision}"),
    }
}

fn lease_word(error: kit::LeaseError) -> String {
    match error {
        kit::LeaseError::Exists { id } => format!("LeaseExists {id}"),
        kit::LeaseError::NotFound { id } => format!("LeaseNotFound {id}"),
        kit::LeaseError::NoId => "NoId".to_owned(),
    }
}

fn run_in_model(model: &mut Model, step: &Step) -> String {
    let done = |answer: Result<(), String>| answer.map_or_else(|word| word, |()| "ok".to_owned());
    match step {
        Step::Txn(ops) => {
            model.apply(ops).map_or_else(|error| model_word(&error), |applied| script::describe(&applied))
        }
        Step::Compact(revision) => done(model.compact(*revision).map_err(read_word)),
        Step::Grant { id, ttl } => done(model.lease_grant(*id, *ttl).map_err(lease_word)),
        Step::Revoke { id } => done(model.lease_revoke(*id).map(drop).map_err(lease_word)),
        Step::Call { .. } => "ok".to_owned(),
    }
}

/// A watch, and what it saw in the testkit's words.
pub(crate) struct Receiver {
    pub(crate) watch: Watch,
    pub(crate) spec: WatchSpec,
    pub(crate) observed: Observed,
    over: bool,
}

impl Receiver {
    pub(crate) fn open(store: &Store, spec: WatchSpec) -> Self {
        let watch = store.watch(&watch_options(&spec)).unwrap();
        Self::new(watch, spec)
    }

    pub(crate) fn new(watch: Watch, spec: WatchSpec) -> Self {
        // The facade's own watch exists as soon as it is returned: there is no update that says so.
        Self { watch, spec, observed: Observed::from_iter([Observation::Created]), over: false }
    }

    /// Takes the next update. False once the watch is over.
    pub(crate) fn read_one(&mut self) -> bool {
        let update = self.watch.wait_next_for(PATIENCE).expect("an update was owed");
        self.see(update)
    }

    pub(crate) fn see(&mut self, update: Option<Result<Update, End>>) -> bool {
        let Some(update) = update else {
            self.over = true;
            return false;
        };
        if let Some(observation) = observation(update) {
            self.over |= observation.is_end();
            self.observed.push(observation);
        }
        true
    }

    /// Reads until everything up to `revision` was said to be here, or the watch is over.
    pub(crate) fn read_to(&mut self, revision: u64) {
        if self.last_progress() >= revision {
            return;
        }
        self.watch.ask_progress(revision);
        while self.last_progress() < revision && !self.over {
            self.read_one();
        }
    }

    /// Reads until the watch is over, and that nothing comes after it.
    pub(crate) fn read_to_the_end(&mut self) -> Observation {
        while !self.over {
            self.read_one();
        }
        assert!(self.watch.wait_next_for(PATIENCE).unwrap().is_none(), "something came after the end");
        self.observed.observations().last().unwrap().clone()
    }

    pub(crate) fn last_progress(&self) -> u64 {
        match self.observed.observations().last() {
            Some(Observation::Progress { revision }) => *revision,
            _ => 0,
        }
    }

    /// Every promise, against a model that is at least as far.
    pub(crate) fn check(&self, model: &Model) {
        if let Err(violations) = checkers::check_all(&self.spec, &self.observed, model) {
            panic!("{:?}: {violations:#?}", self.spec);
        }
        if self.spec.policy != kit::Policy::Conflate {
            assert_eq!(self.watch.next_revision(), self.observed.next_revision(&self.spec));
        }
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        lines(&self.observed)
    }
}

pub(crate) fn watch_options(spec: &WatchSpec) -> WatchOptions {
    let mut ranges = spec.ranges.iter().cloned();
    let first = WatchOptions::new(ranges.next().unwrap()).start_at(spec.start_revision.max(1));
    ranges
        .fold(first, WatchOptions::and)
        .with_filter(EventFilter { no_put: spec.filters.no_put, no_delete: spec.filters.no_delete })
        .with_prev_kv(spec.prev_kv)
        .with_lag_policy(match spec.policy {
            kit::Policy::Replay => LagPolicy::Replay,
            kit::Policy::Conflate => LagPolicy::Conflate,
            kit::Policy::Cancel => LagPolicy::Cancel,
        })
}

/// An update in the testkit's words; none for the end that comes with the store's own.
pub(crate) fn observation(update: Result<Update, End>) -> Option<Observation> {
    Some(match update {
        Ok(Update::Events(batch)) => Observation::Batch(kit_batch(&batch)),
        Ok(Update::Progress { revision }) => Observation::Progress { revision },
        Err(End::Compacted { compact_revision }) => Observation::Compacted { compact_revision },
        Err(End::Lagged { .. }) => Observation::Lagged,
        Err(End::Cancelled) => Observation::Cancelled,
        Err(End::Closed) => return None,
        Err(other) => panic!("{other}"),
    })
}

pub(crate) fn kit_batch(batch: &watchful::Batch) -> kit::Batch {
    kit::Batch {
        first_revision: batch.first_revision(),
        last_revision: batch.last_revision(),
        events: batch.events().to_vec(),
        fragment: batch.is_fragment(),
        conflated: batch.is_conflated(),
    }
}

/// What was seen, one line an event: `2.0 put a=1`, `3.0 del a was 1`; and the end.
pub(crate) fn lines(observed: &Observed) -> Vec<String> {
    let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
    let event_line = |event: &watchful::Event| {
        let (revision, key) = (event.revision(), text(event.key()));
        let what = match event.kind() {
            watchful::EventKind::Put => format!("put {key}={}", text(event.value())),
            watchful::EventKind::Delete => format!("del {key}"),
        };
        let prev = event.prev().map_or(String::new(), |prev| format!(" was {}", text(prev.value())));
        format!("{}.{} {what}{prev}", revision.main, revision.sub)
    };
    let mut lines = Vec::new();
    for observation in observed.observations() {
        lines.extend(observation.events().iter().map(event_line));
        if observation.is_end() {
            lines.push(format!("{observation:?}"));
        }
    }
    lines
}

pub(crate) fn everything() -> KeyRange {
    KeyRange::everything()
}

/// Promise 16: nobody watches any more, and nothing of anybody is left. A read that was out when its asker went is given
/// the time to come back.
pub(crate) fn check_nothing_is_left(store: &Store) {
    let start = std::time::Instant::now();
    loop {
        let checked = checkers::gauges_return_to_zero(all_gauges(store));
        match checked {
            Ok(()) => return,
            Err(violation) if start.elapsed() > PATIENCE => panic!("{violation}"),
            Err(_) => thread::yield_now(),
        }
    }
}

fn all_gauges(store: &Store) -> [(&'static str, u64); 16] {
    let Gauges {
        streams,
        watches,
        standings: Standings { future, synced, unsynced, blocked },
        groups,
        members,
        synced_members,
        blocked_members,
        scans,
        reads_out,
        indexed_ranges,
        queued_bytes,
        reserved_bytes,
        recent_bytes,
        kept_bytes,
        lag_revisions_max,
    } = gauges(store);
    [
        ("streams", streams as u64),
        ("watches", watches as u64),
        ("watches by standing", (future + synced + unsynced + blocked) as u64),
        ("groups", groups as u64),
        ("members", members as u64),
        ("synced_members", synced_members as u64),
        ("blocked_members", blocked_members as u64),
        ("scans", scans as u64),
        ("reads_out", reads_out as u64),
        ("indexed_ranges", indexed_ranges as u64),
        ("queued_bytes", queued_bytes as u64),
        ("reserved_bytes", reserved_bytes as u64),
        ("recent_bytes", recent_bytes as u64),
        ("kept_bytes", kept_bytes as u64),
        ("lag_revisions_max", lag_revisions_max),
        ("shared_bytes", store.stats().shared_bytes as u64),
    ]
}

/// Promise 19: what is held at this moment, and `outboxes_max` says how much all outboxes may hold.
pub(crate) fn check_budgets(
    store: &Store,
    settings: &Settings,
    outboxes_max: impl FnOnce(&Gauges) -> usize,
) -> Gauges {
    let (found, shared_bytes) = (gauges(store), store.stats().shared_bytes);
    let sample = |name, used: usize, budget: usize| BudgetSample {
        name,
        used_bytes: used as u64,
        budget_bytes: budget as u64,
    };
    let samples = [
        sample("outboxes", found.queued_bytes, outboxes_max(&found)),
        sample("shared buffers", shared_bytes, settings.shared_bytes_max),
        sample("recent batches", found.recent_bytes, 8 << 20),
        sample("kept chunks", found.kept_bytes, (settings.shared_bytes_max / 4).min(16 << 20)),
    ];
    checkers::within_budget(samples).unwrap();
    found
}

pub(crate) fn gauges(store: &Store) -> Gauges {
    answered(store.watch_gauges())
}

/// The driver's answer. It must come, so nobody waits for ever if it does not.
pub(crate) fn answered<T>(answer: watchful::Answer<T>) -> T {
    let mut answer = pin!(answer);
    let mut cx = Context::from_waker(Waker::noop());
    eventually("the driver's answer", || match answer.as_mut().poll(&mut cx) {
        Poll::Ready(answer) => Some(answer.unwrap()),
        Poll::Pending => None,
    })
}

/// Asks again and again, giving others their turn, until there is an answer.
pub(crate) fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let start = std::time::Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(start.elapsed() < PATIENCE, "waited in vain for {what}");
        thread::yield_now();
    }
}

/// An executor that is nothing but a loop: the library needs no runtime.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        thread::park_timeout(PATIENCE);
    }
}
