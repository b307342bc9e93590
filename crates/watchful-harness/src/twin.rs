//! A store in a folder of its own beside the testkit's model, which must answer alike.

use std::path::{Path, PathBuf};

use tempfile::TempDir;
use watchful::{Durability, Error, KeyRange, Settings, Store};
use watchful_testkit::script::{self, Step};
use watchful_testkit::{self as kit, Model, Observed, WatchSpec, checkers};

use crate::{Receiver, block_on, lines, request, result, rows_at};

/// A store that can be closed and opened again, and the model of what was done to it. It waits for no disk.
pub struct Twin {
    dir: TempDir,
    /// What the store is opened with the next time.
    pub settings: Settings,
    /// What it should be.
    pub model: Model,
    store: Option<Store>,
    /// Whether writes are awaited, or waited for.
    awaits: bool,
}

impl Default for Twin {
    fn default() -> Self {
        Self::new()
    }
}

impl Twin {
    /// A new one with [`settings`].
    pub fn new() -> Self {
        Self::with(settings())
    }

    /// A new one with other settings.
    pub fn with(settings: Settings) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Some(Store::open(dir.path(), settings.clone()).unwrap());
        Self { dir, settings, model: Model::new(), store, awaits: false }
    }

    /// The same, whose writes are awaited and not waited for.
    pub fn awaiting(self) -> Self {
        Self { awaits: true, ..self }
    }

    /// A new one in which a script was run.
    pub fn of(script: &str) -> Self {
        let mut twin = Self::new();
        twin.run(script);
        twin
    }

    /// The store's folder.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// The store's data file.
    pub fn data_file(&self) -> PathBuf {
        self.path().join("data.mdb")
    }

    /// Lets go of the store.
    pub fn close(&mut self) {
        self.store = None;
    }

    /// Closes the store and opens it again.
    pub fn reopen(&mut self) {
        self.close();
        self.store = Some(Store::open(self.dir.path(), self.settings.clone()).unwrap());
    }

    /// Runs a script (see `watchful_testkit::script`) on both, one transaction a line. They must answer alike.
    pub fn run(&mut self, script: &str) -> String {
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
    pub fn check(&self) {
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
    pub fn check_watch(&self, spec: WatchSpec) -> Observed {
        let mut seen = Receiver::open(self, spec);
        seen.read_to(self.model.current_revision());
        seen.check(&self.model);
        seen.observed
    }

    /// A watch of everything from a revision on, as lines: see [`lines`].
    pub fn watch_lines(&self, start: u64) -> Vec<String> {
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
pub fn check(script: &str, expected: &str) {
    for mut twin in [Twin::new(), Twin::new().awaiting()] {
        let answers = twin.run(script);
        let trimmed = |text: &str| text.trim().lines().map(|line| line.trim().to_owned()).collect::<Vec<_>>();
        assert_eq!(trimmed(&answers), trimmed(expected));
        twin.check();
    }
}

/// Those of most tests: nobody waits for a disk.
pub fn settings() -> Settings {
    Settings::default().with_durability(Durability::Unsynced).with_quota_bytes(256 << 20)
}

/// Outboxes, chunks and queues so small that every bound is met.
pub fn narrow() -> Settings {
    settings()
        .with_chunk_bytes_max(1 << 10)
        .with_outbox_bytes_max(4 << 10)
        .with_publish_queue_bytes_max(2 << 10)
        .with_shared_bytes_max(8 << 10)
        .with_compaction_slice_rows(3)
}

/// The first word of an error and its number: the same for the store and for the model.
pub fn word(error: &Error) -> String {
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
