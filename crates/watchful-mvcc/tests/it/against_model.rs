//! The whole store against the testkit's model, at every revision that can be read: through groups that are committed
//! and groups that are dropped, transactions that fail, compaction in slices that are broken off, and reopening.

use proptest::collection::vec;
use proptest::prelude::*;
use watchful_mvcc::HistoryLimits;
use watchful_revision::{KeyRange, Revision};
use watchful_testkit::script::Step;
use watchful_testkit::{self as kit, Filters, Model, checkers, strategies};

use crate::support::{Store, options, range_answer, read_all, rows, rows_at, run_in_model, run_step, told};

#[derive(Clone, Debug)]
enum Action {
    /// Steps of one group, and whether it is committed.
    Group {
        steps: Vec<Step>,
        is_committed: bool,
        slice: Option<usize>,
    },
    /// A slice of compaction in a group of its own.
    Slice(usize),
    Reopen,
    Read {
        range: KeyRange,
        options: kit::RangeOptions,
        revision: u64,
    },
}

fn action() -> impl Strategy<Value = Action> {
    let slice = proptest::option::weighted(0.2, 0..4_usize);
    let group = (vec(strategies::step(), 1..5), proptest::bool::weighted(0.85), slice)
        .prop_map(|(steps, is_committed, slice)| Action::Group { steps, is_committed, slice });
    let read = (strategies::key_range(), strategies::range_options(), strategies::revision())
        .prop_map(|(range, options, revision)| Action::Read { range, options, revision });
    let compaction = strategies::revision().prop_map(|revision| Action::Group {
        steps: vec![Step::Compact(revision)],
        is_committed: true,
        slice: None,
    });
    prop_oneof![
        8 => group,
        2 => compaction,
        3 => (0..5_usize).prop_map(Action::Slice),
        1 => Just(Action::Reopen),
        4 => read,
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn the_store_is_the_model(actions in vec(action(), 1..16), chunk_bytes in 1..400_usize) {
        let mut store = Store::new();
        let mut model = Model::new();
        for action in &actions {
            run(&mut store, &mut model, action);
            check_whole(&store, &model, chunk_bytes);
        }
        store.close();
        let report = watchful_mvcc::check(store.path()).unwrap();
        prop_assert!(report.is_ok(), "{:?}", report.problems);
        prop_assert_eq!(report.current_revision, model.current_revision());
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

fn check_batches(batches: &[watchful_mvcc::CommittedBatch], before: u64, model: &Model) {
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
