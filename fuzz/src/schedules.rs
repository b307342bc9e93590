//! The sync engine under arbitrary schedules, in the world that its own tests have.

use arbitrary::{Result, Unstructured};
use watchful_revision::KeyRange;
use watchful_sync::{EventFilter, KeyRanges, LagPolicy, WatchSpec};
use watchful_sync_world::{CHUNK_BYTES_MAX, Fate, Schedule, Start, Step};
use watchful_testkit::Op;

use crate::input::{many, weighted};

const KEYS: [&str; 5] = ["a", "ab", "b", "ba", "c"];
/// The most steps. The checks of what each has seen grow with them.
const STEPS_MAX: usize = 150;

pub(crate) fn run(input: &[u8]) {
    let mut u = Unstructured::new(input);
    Schedule(many(&mut u, STEPS_MAX, |u| Ok((step(u)?, u.ratio(4, 5)?)))).run();
}

fn step(u: &mut Unstructured<'_>) -> Result<Step> {
    const WEIGHTS: [u8; 18] = [24, 4, 1, 1, 3, 1, 1, 1, 14, 3, 8, 5, 4, 14, 3, 2, 4, 1];
    Ok(match weighted(u, &WEIGHTS)? {
        0 => commit(u)?,
        1 => Step::Feed { batches: u.int_in_range(1..=3)? },
        2 => Step::DropQueue,
        3 => Step::TellPublished,
        4 => Step::Compact { back: u.int_in_range(0..=7)?, told: u.arbitrary()? },
        5 => Step::TellCompacted,
        6 => {
            let sizes = [0, 3 * CHUNK_BYTES_MAX, 8 * CHUNK_BYTES_MAX];
            Step::Attach { outbox_bytes_max: *u.choose(&sizes)? }
        }
        7 => Step::Detach { stream: stream(u)? },
        8 => Step::Watch { stream: stream(u)?, id: id(u)?, spec: spec(u)?, start: start(u)? },
        9 => Step::Cancel { stream: stream(u)?, id: id(u)? },
        10 => Step::Receive { stream: stream(u)?, items: u.int_in_range(1..=5)? },
        11 => Step::Report { stream: stream(u)? },
        12 => Step::ReadSome { read: u.int_in_range(0..=2)?, rows: u.int_in_range(1..=4)? },
        13 => Step::Answer { read: u.int_in_range(0..=2)? },
        14 => Step::AskProgress { stream: stream(u)?, ahead: u.int_in_range(0..=2)? },
        15 => Step::Tick,
        16 => Step::Turn,
        _ => Step::Damage { back: u.int_in_range(0..=7)? },
    })
}

fn stream(u: &mut Unstructured<'_>) -> Result<usize> {
    u.int_in_range(0..=2)
}

fn id(u: &mut Unstructured<'_>) -> Result<i64> {
    u.int_in_range(0..=4)
}

fn key(u: &mut Unstructured<'_>) -> Result<&'static str> {
    Ok(*u.choose(&KEYS)?)
}

fn commit(u: &mut Unstructured<'_>) -> Result<Step> {
    let count = match weighted(u, &[5, 2, 1])? {
        0 => 1,
        1 => u.int_in_range(2..=3)?,
        _ => u.int_in_range(6..=12)?,
    };
    let ops = (0..count).map(|_| op(u)).collect::<Result<_>>()?;
    let fate = match weighted(u, &[1, 3, 1])? {
        0 => Fate::Queued,
        1 => Fate::Fed,
        _ => Fate::Dropped,
    };
    Ok(Step::Commit { ops, fate })
}

fn op(u: &mut Unstructured<'_>) -> Result<Op> {
    Ok(match weighted(u, &[6, 2, 1])? {
        0 => {
            // Small ones, one that makes a chunk full, and one that no chunk holds.
            let len = [1, 200, 500][weighted(u, &[8, 2, 1])?];
            Op::put(key(u)?, vec![b'v'; len])
        }
        1 => Op::delete(key(u)?),
        _ => Op::DeleteRange(KeyRange::prefix(key(u)?)),
    })
}

fn ranges(u: &mut Unstructured<'_>) -> Result<KeyRanges> {
    Ok(match weighted(u, &[3, 2, 2, 1, 1])? {
        0 => KeyRange::everything().into(),
        1 => KeyRange::key(key(u)?).into(),
        2 => KeyRange::prefix(*u.choose(&["a", "b"])?).into(),
        3 => KeyRanges::union([KeyRange::key("a"), KeyRange::prefix("b")]).unwrap(),
        _ => KeyRange::key("nobody").into(),
    })
}

fn spec(u: &mut Unstructured<'_>) -> Result<WatchSpec> {
    let filter = match weighted(u, &[4, 1, 1])? {
        0 => EventFilter::default(),
        1 => EventFilter { no_put: true, no_delete: false },
        _ => EventFilter { no_put: false, no_delete: true },
    };
    let lag = match weighted(u, &[4, 1, 1])? {
        0 => LagPolicy::Replay,
        1 => LagPolicy::Conflate,
        _ => LagPolicy::Cancel,
    };
    Ok(WatchSpec::new(ranges(u)?, 0)
        .with_filter(filter)
        .with_lag_policy(lag)
        .with_prev_kv(u.ratio(3, 10)?)
        .with_progress_notify(u.ratio(3, 10)?))
}

fn start(u: &mut Unstructured<'_>) -> Result<Start> {
    Ok(match weighted(u, &[4, 1, 3, 1])? {
        0 => Start::Back(u.int_in_range(0..=11)?),
        1 => Start::AtCompact(u.int_in_range(-1..=1)?),
        2 => Start::Ahead(1),
        _ => Start::Ahead(u.int_in_range(2..=5)?),
    })
}
