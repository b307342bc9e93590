//! Arbitrary interleavings of everything that can happen around the engine, checked against the model.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::FileFailurePersistence;
use watchful_revision::KeyRange;
use watchful_sync::{EventFilter, KeyRanges, LagPolicy, WatchSpec};
use watchful_sync_world::{CHUNK_BYTES_MAX, Fate, Schedule, Start, Step};
use watchful_testkit::Op;

const KEYS: [&str; 5] = ["a", "ab", "b", "ba", "c"];

fn keys() -> impl Strategy<Value = &'static str> {
    select(&KEYS[..])
}

fn op() -> impl Strategy<Value = Op> {
    // Small ones, one that makes a chunk full, and one that no chunk holds.
    let value = prop_oneof![8 => Just(1), 2 => Just(200), 1 => Just(500)];
    prop_oneof![
        6 => (keys(), value).prop_map(|(key, len)| Op::put(key, vec![b'v'; len])),
        2 => keys().prop_map(Op::delete),
        1 => keys().prop_map(|key| Op::DeleteRange(KeyRange::prefix(key))),
    ]
}

fn commit() -> impl Strategy<Value = Step> {
    let ops = prop_oneof![5 => vec(op(), 1..=1), 2 => vec(op(), 2..=3), 1 => vec(op(), 6..=12)];
    let fate = prop_oneof![1 => Just(Fate::Queued), 3 => Just(Fate::Fed), 1 => Just(Fate::Dropped)];
    (ops, fate).prop_map(|(ops, fate)| Step::Commit { ops, fate })
}

fn ranges() -> impl Strategy<Value = KeyRanges> {
    let several = KeyRanges::union([KeyRange::key("a"), KeyRange::prefix("b")]).unwrap();
    prop_oneof![
        3 => Just(KeyRanges::from(KeyRange::everything())),
        2 => keys().prop_map(|key| KeyRanges::from(KeyRange::key(key))),
        2 => select(vec!["a", "b"]).prop_map(|key| KeyRanges::from(KeyRange::prefix(key))),
        1 => Just(several),
        1 => Just(KeyRanges::from(KeyRange::key("nobody"))),
    ]
}

fn spec() -> impl Strategy<Value = WatchSpec> {
    let filter = prop_oneof![
        4 => Just(EventFilter::default()),
        1 => Just(EventFilter { no_put: true, no_delete: false }),
        1 => Just(EventFilter { no_put: false, no_delete: true }),
    ];
    let lag = prop_oneof![
        4 => Just(LagPolicy::Replay),
        1 => Just(LagPolicy::Conflate),
        1 => Just(LagPolicy::Cancel),
    ];
    let rarely = || proptest::bool::weighted(0.3);
    (ranges(), filter, lag, rarely(), rarely()).prop_map(|(ranges, filter, lag, prev_kv, notify)| {
        WatchSpec::new(ranges, 0)
            .with_filter(filter)
            .with_lag_policy(lag)
            .with_prev_kv(prev_kv)
            .with_progress_notify(notify)
    })
}

fn watch() -> impl Strategy<Value = Step> {
    let start = prop_oneof![
        4 => (0..12_u64).prop_map(Start::Back),
        1 => (-1..=1_i64).prop_map(Start::AtCompact),
        3 => (1..=1_u64).prop_map(Start::Ahead),
        1 => (2..=5_u64).prop_map(Start::Ahead),
    ];
    (0..3_usize, 0..5_i64, spec(), start).prop_map(|(stream, id, spec, start)| Step::Watch {
        stream,
        id,
        spec,
        start,
    })
}

fn step() -> impl Strategy<Value = Step> {
    let stream = || 0..3_usize;
    prop_oneof![
        24 => commit(),
        4 => (1..4_usize).prop_map(|batches| Step::Feed { batches }),
        1 => Just(Step::DropQueue),
        1 => Just(Step::TellPublished),
        3 => (0..8_u64, any::<bool>()).prop_map(|(back, told)| Step::Compact { back, told }),
        1 => Just(Step::TellCompacted),
        1 => select(vec![0, 3 * CHUNK_BYTES_MAX, 8 * CHUNK_BYTES_MAX])
            .prop_map(|outbox_bytes_max| Step::Attach { outbox_bytes_max }),
        1 => stream().prop_map(|stream| Step::Detach { stream }),
        14 => watch(),
        3 => (stream(), 0..5_i64).prop_map(|(stream, id)| Step::Cancel { stream, id }),
        8 => (stream(), 1..6_usize).prop_map(|(stream, items)| Step::Receive { stream, items }),
        5 => stream().prop_map(|stream| Step::Report { stream }),
        4 => (0..3_usize, 1..5_usize).prop_map(|(read, rows)| Step::ReadSome { read, rows }),
        14 => (0..3_usize).prop_map(|read| Step::Answer { read }),
        3 => (stream(), 0..3_u64).prop_map(|(stream, ahead)| Step::AskProgress { stream, ahead }),
        2 => Just(Step::Tick),
        4 => Just(Step::Turn),
    ]
}

fn schedule() -> impl Strategy<Value = Schedule> {
    vec((step(), proptest::bool::weighted(0.8)), 1..90).prop_map(Schedule)
}

/// The same, with a revision that cannot be read somewhere.
fn schedule_with_damage() -> impl Strategy<Value = Schedule> {
    let damage = (0..8_u64).prop_map(|back| (Step::Damage { back }, false));
    (schedule(), damage, any::<prop::sample::Index>()).prop_map(|(mut schedule, damage, at)| {
        schedule.0.insert(at.index(schedule.0.len() + 1), damage);
        schedule
    })
}

/// As many cases as given here, or as `PROPTEST_CASES` says.
fn config(cases: u32) -> ProptestConfig {
    let asked = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    ProptestConfig {
        cases: asked.unwrap_or(cases),
        max_shrink_iters: 5_000,
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(
            "proptest-regressions/schedules.txt",
        ))),
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config(2_000))]

    #[test]
    fn every_promise_holds_in_every_schedule(schedule in schedule()) {
        schedule.run();
    }
}

proptest! {
    #![proptest_config(config(500))]

    #[test]
    fn damage_ends_only_those_who_are_owed_it(schedule in schedule_with_damage()) {
        schedule.run();
    }
}
