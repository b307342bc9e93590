//! What several workloads do: open a store, fill it, register many watches.

use std::ops::Range;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use tokio::runtime::Runtime;
use watchful::{Durability, Error, Settings, Store, StreamItem, WatchOptions, WatchStream};
use watchful_testkit::SplitMix64;

use crate::Outcome;
use crate::keys::{key_of, value_of};

/// What the sync engine keeps of published batches while reads are out: its own bound, which is no setting of a store.
pub(crate) const RECENT_BYTES_MAX: usize = 8 << 20;

/// The name of a store's thread that hands out what was published.
pub(crate) const DRIVER: &str = "watchful-driver";

pub(crate) fn open(dir: &Path, durability: Durability) -> Outcome<Store> {
    Ok(Store::open(dir, Settings::default().with_durability(durability))?)
}

/// Says so on the error stream: a row that is missing must not go unnoticed.
#[cfg(not(feature = "peers"))]
pub(crate) fn not_built_in(workload: &str, peer: &str) {
    eprintln!(
        "  {workload}: {peer} IS NOT MEASURED, as it is not built in: run `cargo xtask bench`, or build watchful-benches \
         with `--features peers`"
    );
}

/// Two threads, which make the calls and take what is delivered.
pub(crate) fn runtime() -> Outcome<Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build()?)
}

/// Puts keys `from..to`, a thousand a transaction.
pub(crate) fn fill(store: &Store, from: u64, to: u64, key_len: usize, value_len: usize) -> Outcome {
    fill_by(1000, store, from..to, key_len, value_len)
}

/// Puts these keys, so many a transaction.
pub(crate) fn fill_by(
    a_transaction: u64,
    store: &Store,
    keys: Range<u64>,
    key_len: usize,
    value_len: usize,
) -> Outcome {
    let mut next = keys.start;
    while next < keys.end {
        let until = keys.end.min(next + a_transaction);
        store
            .transact(move |txn| {
                (next..until)
                    .try_for_each(|number| txn.put(key_of(number, key_len), value_of(number, value_len)))?;
                Ok::<_, Error>(())
            })
            .wait()?;
        next = until;
    }
    Ok(())
}

/// Puts so many revisions of one key each, over so many keys. Values begin with 0.
///
/// Many are handed in before the first is waited for, so that they share commits. They are done in the order in which
/// they were handed in.
pub(crate) fn fill_revisions(
    store: &Store,
    revisions: u64,
    keys: u64,
    key_len: usize,
    value_len: usize,
) -> Outcome {
    const TOGETHER: u64 = 4096;
    let mut next = 0;
    while next < revisions {
        let until = revisions.min(next + TOGETHER);
        let mut waiting = Vec::new();
        for number in next..until {
            let mut write = store.put(key_of(number % keys, key_len), value_of(0, value_len));
            // The first poll hands it in. It may be done already.
            match Pin::new(&mut write).poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(done) => drop(done?),
                Poll::Pending => waiting.push(write),
            }
        }
        waiting.into_iter().try_for_each(|write| write.wait().map(drop))?;
        next = until;
    }
    Ok(())
}

/// Registers watches on the stream, and waits until each is there.
pub(crate) fn register(stream: &mut WatchStream, watches: impl Iterator<Item = WatchOptions>) -> Outcome {
    // In portions: what says that a watch exists lies in the stream's outbox until it is taken.
    const PORTION: usize = 1000;
    let mut waiting = 0;
    for options in watches {
        stream.control().watch(&options)?;
        waiting += 1;
        if waiting == PORTION {
            await_created(stream, std::mem::take(&mut waiting))?;
        }
    }
    await_created(stream, waiting)
}

fn await_created(stream: &mut WatchStream, count: usize) -> Outcome {
    for _ in 0..count {
        match stream.wait_next() {
            Some(StreamItem::Created { .. }) => {}
            other => return Err(format!("a watch was to be created, and there came {other:?}").into()),
        }
    }
    Ok(())
}

/// Nanoseconds since `begun`, each.
#[expect(clippy::cast_precision_loss, reason = "counts of a benchmark are far below 2^52")]
pub(crate) fn nanos_each(begun: Instant, count: usize) -> f64 {
    begun.elapsed().as_nanos() as f64 / count as f64
}

/// Microseconds since `begun`, each.
pub(crate) fn micros_each(begun: Instant, count: usize) -> f64 {
    nanos_each(begun, count) / 1e3
}

/// A count as a figure.
#[expect(clippy::cast_precision_loss, reason = "counts of a benchmark are far below 2^52")]
pub(crate) fn figure(count: u64) -> f64 {
    count as f64
}

/// How long this thread has been on a core, in nanoseconds: what is left of a time when others' turns are taken out of
/// it. 0 where the system does not tell.
pub(crate) fn thread_nanos() -> f64 {
    nanos_in("/proc/thread-self/schedstat".as_ref())
}

/// The same of all threads of this process that have this name, as far as the system keeps it: 15 bytes.
pub(crate) fn thread_nanos_of(name: &str) -> f64 {
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let is_meant =
        |task: &Path| std::fs::read_to_string(task.join("comm")).is_ok_and(|comm| comm.trim_end() == name);
    tasks
        .map(|task| task.path())
        .filter(|task| is_meant(task))
        .map(|task| nanos_in(&task.join("schedstat")))
        .sum()
}

fn nanos_in(schedstat: &Path) -> f64 {
    let told = std::fs::read_to_string(schedstat).unwrap_or_default();
    told.split(' ').next().and_then(|nanos| nanos.parse().ok()).unwrap_or_default()
}

/// The numbers below `count`, in random order.
pub(crate) fn shuffled(count: u64, rng: &mut SplitMix64) -> Outcome<Vec<u64>> {
    let mut order: Vec<u64> = (0..count).collect();
    for at in (1..order.len()).rev() {
        order.swap(at, usize::try_from(rng.below(at as u64 + 1))?);
    }
    Ok(order)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_put_of_a_history_has_a_revision_of_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path(), Durability::Unsynced).unwrap();
        fill_revisions(&store, 5000, 100, 32, 8).unwrap();
        assert_eq!(store.current_revision(), 5001);
        assert_eq!(store.get(key_of(99, 32)).unwrap().unwrap().version(), 50);
    }

    #[test]
    fn the_drivers_time_is_found_by_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path(), Durability::Unsynced).unwrap();
        // Answered by the driver, so it is there and has been on a core.
        store.watch_gauges().wait().unwrap();
        assert!(thread_nanos_of(DRIVER) > 0.0);
    }

    #[test]
    fn what_is_shuffled_is_all_there_and_in_another_order() {
        let mut order = shuffled(1000, &mut SplitMix64::new(1)).unwrap();
        assert!(!order.is_sorted());
        order.sort_unstable();
        assert!(order.into_iter().eq(0..1000));
    }
}
