//! The whole store beside the model: the same is done to both, and everything that can be asked must be answered alike.

use watchful_mvcc::{CommittedBatch, HistoryLimits};
use watchful_revision::{KeyRange, Revision};
use watchful_testkit::script::Step;
use watchful_testkit::{self as kit, Filters, Model, checkers};

use crate::steps::{run_in_model, run_step};
use crate::store::{Store, read_all, rows_at};
use crate::words::{options, range_answer, rows, told};

/// One thing that is done to both, or asked of both.
#[derive(Clone, Debug)]
pub enum Action {
    /// A group of transactions.
    Group {
        /// What is done in it.
        steps: Vec<Step>,
        /// Whether it is committed, or dropped.
        is_committed: bool,
        /// Whether a slice of compaction of so many rows is folded in.
        slice: Option<usize>,
    },
    /// A slice of compaction of at most so many rows, in a group of its own.
    Slice(usize),
    /// The store is closed and opened.
    Reopen,
    /// A read.
    Read {
        /// The keys.
        range: KeyRange,
        /// What of them.
        options: kit::RangeOptions,
        /// At which revision; 0 for now.
        revision: u64,
    },
}

/// A store and its model.
pub struct Twin {
    store: Store,
    model: Model,
}

impl Default for Twin {
    fn default() -> Self {
        Self { store: Store::new(), model: Model::new() }
    }
}

impl Twin {
    /// Does the same to both, and compares the answers.
    pub fn run(&mut self, action: &Action) {
        run(&mut self.store, &mut self.model, action);
    }

    /// Asks everything that can be asked, at every revision. History is read in chunks of at most so many bytes.
    pub fn check(&self, chunk_bytes: usize) {
        check_whole(&self.store, &self.model, chunk_bytes);
    }

    /// Closes the store, and checks its folder.
    pub fn check_closed(mut self) {
        self.store.close();
        let report = watchful_mvcc::check(self.store.path()).unwrap();
        assert!(report.is_ok(), "{:?}", report.problems);
        assert_eq!(report.current_revision, self.model.current_revision());
    }
}

fn run(store: &mut Store, model: &mut Model, action: &Action) {
    match action {
        Action::Group { steps, is_committed, slice } => {
            let mut after = model.clone();
            let mut group = store.begin_group().unwrap();
            for step in steps {
                assert_eq!(run_step(&mut group, step), run_in_model(&mut after, step), "{step:?}");
                assert_eq!(group.current_revision(), after.current_revision());
            }
            if let Some(rows_max) = slice {
                group.compact_slice(*rows_max).unwrap();
            }
            if *is_committed {
                check_batches(&group.commit().unwrap(), model.current_revision(), &after);
                *model = after;
            }
        }
        Action::Slice(rows_max) => {
            let mut group = store.begin_group().unwrap();
            let slice = group.compact_slice(*rows_max).unwrap();
            assert!(slice.rows <= *rows_max);
            assert_eq!(group.commit().unwrap(), []);
            assert!(!slice.is_done || !store.compaction_pending());
        }
        Action::Reopen => {
            let report = store.reopen();
            assert!(!report.created && !report.epoch_raised && !report.unclean);
        }
        Action::Read { range, options: wanted, revision } => {
            let answer = store.view(Some(*revision)).and_then(|view| view.range(range, &options(wanted)));
            let answer = answer.map(|answer| range_answer(&answer)).map_err(|error| format!("{error:?}"));
            let expected = model.range_at(range, wanted, *revision).map_err(|error| format!("{error:?}"));
            assert_eq!(answer, expected, "{range} {wanted:?} at {revision}");
        }
    }
}

fn check_batches(batches: &[CommittedBatch], before: u64, model: &Model) {
    let revisions: Vec<u64> = batches.iter().map(|batch| batch.revision).collect();
    let expected: Vec<u64> = (before + 1..=model.current_revision()).collect();
    assert_eq!(revisions, expected);
    for batch in batches {
        let events =
            model.events(&[KeyRange::everything()], Filters::default(), batch.revision, batch.revision);
        let expected: Vec<_> = events
            .iter()
            .map(|event| (event.to_record(), event.prev.as_ref().map(|prev| prev.revision)))
            .collect();
        assert_eq!(told(batch), expected);
    }
}

/// Everything that can be asked of the store, at every revision.
fn check_whole(store: &Store, model: &Model, chunk_bytes: usize) {
    assert_eq!(store.current_revision(), model.current_revision());
    assert_eq!(store.compact_revision(), model.compact_revision());
    for revision in 1..model.compact_revision() {
        assert!(store.view(Some(revision)).is_err());
    }
    for revision in model.compact_revision().max(1)..=model.current_revision() {
        let found = rows_at(store, revision);
        checkers::survives_compaction(model, revision, &found).unwrap();
        let scanned = store.view(Some(revision)).unwrap().scan(&KeyRange::everything());
        assert_eq!(scanned.flat_map(|turn| rows(&turn.unwrap())).collect::<Vec<_>>(), found);
    }
    for key in model.keys() {
        let found = store.view(None).unwrap().get(key).unwrap();
        assert_eq!(found.as_ref().map(kit::Row::from), model.get(key));
        assert_eq!(store.lease_of(key), model.lease_of(key));
    }
    check_leases(store, model);
    check_history(store, model, chunk_bytes);
}

fn check_leases(store: &Store, model: &Model) {
    let leases: Vec<_> = store.leases().iter().map(|lease| (lease.id, lease.ttl_seconds)).collect();
    assert_eq!(leases, model.leases().collect::<Vec<_>>());
    for (id, _) in leases {
        let keys = store.lease_keys(id).unwrap();
        assert_eq!(store.lease(id).unwrap().keys, keys.len() as u64);
        assert_eq!(keys, model.attached_keys(id));
    }
}

fn check_history(store: &Store, model: &Model, chunk_bytes: usize) {
    let from = model.compact_revision();
    let limits = HistoryLimits::default().with_bytes_max(chunk_bytes).with_revisions_max(3);
    let found = read_all(store, from, &limits).unwrap();
    let events = model.events(&[KeyRange::everything()], Filters::default(), from, model.current_revision());
    assert_eq!(found.len(), events.len());
    for (row, event) in found.iter().zip(&events) {
        assert_eq!(row.record, event.to_record());
        let prev = row.prev.as_ref().map(kit::Row::from);
        let may_be_compacted = event.revision.main <= model.compact_revision()
            || event.prev.as_ref().is_some_and(|prev| prev.revision.main < model.compact_revision());
        assert!(prev == event.prev || prev.is_none() && may_be_compacted, "{event:?}: {prev:?}");
        let live_prev = store.prev_row(row.record.key(), row.record.revision());
        assert_eq!(live_prev, row.prev.as_ref().map(|prev| prev.revision()));
        let is_superseded =
            store.is_superseded(row.record.key(), row.record.revision(), model.current_revision());
        assert_eq!(is_superseded, model.is_superseded(event));
        assert_eq!(store.read_row(event.revision).unwrap().as_ref(), Some(&row.record));
    }
    assert_eq!(store.read_row(Revision::start_of(model.current_revision() + 1)).unwrap(), None);
}
