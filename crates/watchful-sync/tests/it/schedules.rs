//! Arbitrary interleavings of everything that can happen around the engine, checked against the model.

use std::fmt;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::FileFailurePersistence;
use watchful_revision::KeyRange;
use watchful_sync::{EventFilter, KeyRanges, LagPolicy, StreamId, WatchSpec};
use watchful_testkit::Op;

use crate::world::{CHUNK_BYTES_MAX, World};

const KEYS: [&str; 5] = ["a", "ab", "b", "ba", "c"];

#[derive(Clone, Debug)]
enum Step {
    Commit { ops: Vec<Op>, fate: Fate },
    Feed { batches: usize },
    DropQueue,
    TellPublished,
    Compact { back: u64, told: bool },
    TellCompacted,
    Attach { outbox_bytes_max: usize },
    Detach { stream: usize },
    Watch { stream: usize, id: i64, spec: WatchSpec, start: Start },
    Cancel { stream: usize, id: i64 },
    Receive { stream: usize, items: usize },
    Report { stream: usize },
    ReadSome { read: usize, rows: usize },
    Answer { read: usize },
    AskProgress { stream: usize, ahead: u64 },
    Tick,
    Damage { back: u64 },
    Turn,
}

#[derive(Clone, Copy, Debug)]
enum Fate {
    Queued,
    Fed,
    Dropped,
}

#[derive(Clone, Copy, Debug)]
enum Start {
    Back(u64),
    AtCompact(i64),
    Ahead(u64),
}

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

/// Steps, and whether the engine has a turn after each.
#[derive(Clone)]
struct Schedule(Vec<(Step, bool)>);

/// One step a line.
impl fmt::Debug for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .iter()
            .try_for_each(|(step, turn)| write!(f, "\n{step:?}{}", if *turn { "" } else { ", and no turn" }))
    }
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

fn stream_at(world: &World, at: usize) -> Option<StreamId> {
    let attached = world.attached();
    (!attached.is_empty()).then(|| attached[at % attached.len()])
}

fn run(Schedule(steps): Schedule) {
    let mut world = World::new();
    world.attach(0);
    world.attach(3 * CHUNK_BYTES_MAX);
    for (step, turn) in steps {
        take(&mut world, step);
        if turn {
            world.turn();
        }
    }
    world.settle();
    // Bring in those who wait for the future.
    for _ in 0..6 {
        world.put("a b");
    }
    world.check_end();
}

fn take(world: &mut World, step: Step) {
    match step {
        Step::Commit { ops, fate } => commit_one(world, &ops, fate),
        Step::Feed { batches } => (0..batches).for_each(|_| _ = world.feed()),
        Step::DropQueue => world.drop_queue(),
        Step::TellPublished => world.tell_published(),
        Step::Compact { back, told } => {
            world.compact_untold(world.model.current_revision().saturating_sub(back));
            if told {
                world.tell_compacted();
            }
        }
        Step::TellCompacted => world.tell_compacted(),
        Step::Attach { outbox_bytes_max } => _ = world.attach(outbox_bytes_max),
        Step::ReadSome { read, rows } if !world.reads.is_empty() => {
            let at = read % world.reads.len();
            world.reads[at].go_on(rows, &world.model, world.damaged);
        }
        Step::Answer { read } if !world.reads.is_empty() => world.answer_at(read % world.reads.len()),
        Step::ReadSome { .. } | Step::Answer { .. } | Step::Turn => {}
        Step::Tick => world.engine.progress_tick(),
        Step::Damage { back } => {
            world.damaged = Some(world.model.current_revision().saturating_sub(back).max(2));
        }
        Step::Detach { stream }
        | Step::Watch { stream, .. }
        | Step::Cancel { stream, .. }
        | Step::Receive { stream, .. }
        | Step::Report { stream }
        | Step::AskProgress { stream, .. } => {
            if let Some(stream) = stream_at(world, stream) {
                take_on(world, stream, step);
            }
        }
    }
}

fn commit_one(world: &mut World, ops: &[Op], fate: Fate) {
    if world.commit(ops).is_none() {
        return;
    }
    match fate {
        Fate::Queued => {}
        Fate::Fed => while world.feed() {},
        Fate::Dropped => world.drop_queue(),
    }
}

fn take_on(world: &mut World, stream: StreamId, step: Step) {
    match step {
        Step::Detach { .. } => world.detach(stream),
        Step::Watch { id, mut spec, start, .. } => {
            spec.start_revision = resolve(world, start);
            world.watch_quietly(stream, id, spec);
        }
        Step::Cancel { id, .. } => world.engine.cancel(stream, id),
        Step::Receive { items, .. } => world.receive(stream, items),
        Step::Report { .. } => world.report(stream),
        Step::AskProgress { ahead, .. } => {
            world.ask_progress_quietly(stream, world.model.current_revision() + ahead);
        }
        other => panic!("{other:?} is not about a stream"),
    }
}

fn resolve(world: &World, start: Start) -> u64 {
    let current_revision = world.model.current_revision();
    match start {
        Start::Back(back) => current_revision.saturating_sub(back).max(1),
        Start::AtCompact(by) => world.model.compact_revision().saturating_add_signed(by).max(1),
        Start::Ahead(ahead) => current_revision + ahead,
    }
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
        run(schedule);
    }
}

proptest! {
    #![proptest_config(config(500))]

    #[test]
    fn damage_ends_only_those_who_are_owed_it(schedule in schedule_with_damage()) {
        run(schedule);
    }
}
