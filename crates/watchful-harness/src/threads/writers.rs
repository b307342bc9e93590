//! Those who change things: blocking and async writers, and one who compacts, grants, revokes and lets expire.

use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use watchful::{Committed, Error, TxnResponse};
use watchful_testkit::{Compare, CompareTarget, Comparison, Op, OpResult, SplitMix64, Txn};

use super::{Faults, Logged, Round};
use crate::{request, result};

const BLOCKING: u64 = 3;
const AWAITING: u64 = 3;
const WRITES: u64 = 150;
pub(super) const TTL_SECONDS: i64 = 100;

/// Runs all of them, and waits for them.
pub(super) fn run(round: &Round, number: u64, rng: &mut SplitMix64) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap();
    thread::scope(|scope| {
        for _ in 0..BLOCKING {
            let rng = rng.split();
            scope.spawn(move || write_blocking(round, rng));
        }
        let chores = rng.split();
        scope.spawn(move || do_chores(round, number, chores));
        let tasks: Vec<_> = (0..AWAITING).map(|_| rng.split()).collect();
        scope.spawn(|| {
            runtime.block_on(async {
                // Local tasks would be one after the other; joined, their writes meet in one group.
                let mut joined: Vec<_> =
                    tasks.into_iter().map(|rng| Box::pin(write_awaiting(round, rng))).collect();
                std::future::poll_fn(|cx| {
                    joined.retain_mut(|task| task.as_mut().poll(cx).is_pending());
                    if joined.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
                })
                .await;
            });
        });
    });
}

fn write_blocking(round: &Round, mut rng: SplitMix64) {
    let mut last = 0;
    for _ in 0..WRITES {
        let ops = ops(round, &mut rng);
        let answer = round.store.execute(request(&ops)).wait();
        log(round, ops, answer, &mut last);
    }
}

async fn write_awaiting(round: &Round, mut rng: SplitMix64) {
    let mut last = 0;
    for _ in 0..WRITES {
        let ops = ops(round, &mut rng);
        let answer = round.store.execute(request(&ops)).await;
        log(round, ops, answer, &mut last);
    }
}

fn log(round: &Round, ops: Vec<Op>, answer: Result<Committed<TxnResponse>, Error>, last: &mut u64) {
    let done = match answer {
        Ok(done) => done,
        // It was revoked, or its time ran out, since its id was picked: that is noted before it is done.
        Err(Error::LeaseNotFound { id }) => {
            assert!(!round.leases.lock().contains(&id), "lease {id} is there, and a put of it is refused");
            assert!(round.granted.lock().contains(&id), "nobody granted lease {id}, and nobody named it");
            return;
        }
        Err(error) => return round.told(&error),
    };
    assert!(done.revision >= *last, "{} after {last}", done.revision);
    assert!(round.store.current_revision() >= done.revision, "it was acknowledged before it was visible");
    *last = done.revision;
    let results: Vec<OpResult> = done.value.responses.iter().map(result).collect();
    let logged = match (&ops[..], &results[..]) {
        _ if done.changed => Logged::Changed { revision: done.revision, ops, results },
        ([Op::Range { range, .. }], [OpResult::Range(answer)]) => {
            Logged::Read { seen: done.revision, range: range.clone(), answer: answer.clone() }
        }
        _ => return,
    };
    round.log.lock().push(logged);
}

/// One transaction.
fn ops(round: &Round, rng: &mut SplitMix64) -> Vec<Op> {
    match rng.below(20) {
        0..=7 => vec![put(round, rng)],
        8..=9 => vec![Op::delete(key(rng))],
        10 => vec![Op::DeleteRange(super::watchers::range(rng))],
        11..=12 => vec![Op::range(super::watchers::range(rng))],
        13..=15 => (0..1 + rng.below(6)).map(|_| change(round, rng)).collect(),
        // Larger than a chunk of the narrow settings, so it goes out in fragments.
        16 => (0..30).map(|_| change(round, rng)).collect(),
        _ => vec![Op::Txn(Txn {
            compares: vec![Compare::key(key(rng), Comparison::Greater, CompareTarget::Version(rng.below(3)))],
            then_ops: vec![change(round, rng), Op::range(super::watchers::range(rng))],
            else_ops: vec![put(round, rng), change(round, rng)],
        })],
    }
}

fn change(round: &Round, rng: &mut SplitMix64) -> Op {
    if rng.chance(3) { Op::delete(key(rng)) } else { put(round, rng) }
}

fn put(round: &Round, rng: &mut SplitMix64) -> Op {
    let len = if rng.chance(20) { 1500 } else { rng.below(60) };
    let value = vec![b'v'; usize::try_from(len).unwrap()];
    let leases = round.leases.lock();
    if leases.is_empty() || !rng.chance(5) {
        return Op::put(key(rng), value);
    }
    Op::put_with_lease(key(rng), value, *rng.pick(&leases))
}

/// Few keys under few prefixes, so that they are changed, deleted and made again often.
pub(super) fn key(rng: &mut SplitMix64) -> String {
    format!("{}/{}", rng.pick(&["a", "b", "c", "d"]), rng.below(8))
}

/// Grants before anybody uses them, so the order among writers does not matter to the model.
fn do_chores(round: &Round, number: u64, mut rng: SplitMix64) {
    let mut next_lease = i64::try_from(number).unwrap() * 1000 + 1;
    for _ in 0..40 {
        match rng.below(4) {
            0 | 1 => {
                match round.store.lease_grant(next_lease, TTL_SECONDS).wait() {
                    Ok(lease) => {
                        round.granted.lock().push(lease);
                        round.leases.lock().push(lease);
                    }
                    Err(error) => round.told(&error),
                }
                next_lease += 1;
            }
            2 => end_a_lease(round, &mut rng),
            _ => compact(round, &mut rng),
        }
        let pause = round.store.current_revision() + 10;
        let mut turns = 0;
        while round.store.current_revision() < pause && turns < 20_000 {
            turns += 1;
            thread::yield_now();
        }
    }
}

fn end_a_lease(round: &Round, rng: &mut SplitMix64) {
    if rng.chance(4) && round.faults == Faults::None {
        // The time of all runs out.
        let mut expired = round.expired.lock();
        expired.append(&mut round.leases.lock());
        expired.extend(&round.old_leases);
        round.clock.advance(Duration::from_secs(TTL_SECONDS.unsigned_abs()));
        return;
    }
    let Some(lease) = round.leases.lock().pop() else { return };
    let revoked = match round.store.lease_revoke(lease).wait() {
        Ok(revoked) => revoked,
        Err(error) => {
            round.leases.lock().push(lease);
            return round.told(&error);
        }
    };
    let revision = revoked.changed.then_some(revoked.revision);
    round.log.lock().push(Logged::Revoked { revision, lease });
}

fn compact(round: &Round, rng: &mut SplitMix64) {
    let current = round.store.current_revision();
    let revision = current.saturating_sub(rng.below(300));
    match round.store.compact(revision).wait() {
        Ok(()) => {
            round.compacted.fetch_max(revision, Ordering::SeqCst);
        }
        Err(Error::Compacted { .. }) => {}
        Err(error) => round.told(&error),
    }
}
