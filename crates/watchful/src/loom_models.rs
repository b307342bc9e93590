//! Models of what waits here for another thread, run by loom in each order in which their threads can come:
//! `cargo xtask concurrency loom`. A wake that is lost is a deadlock, and loom tells the order that leads to it.
//!
//! Without loom they run as tests do, on threads of the system, again and again. Under Miri and ThreadSanitizer that tries
//! what loom cannot: the locks themselves, and orders of memory in which loom takes our word for more than we ask.
//!
//! A model is small, or it does not end: two or three threads, and one or two of whatever they hand on.

use std::sync::Arc;
use std::task::{Context, Waker};

use bytes::Bytes;
use watchful_mvcc::CommittedBatch;
use watchful_sync::{Item, Refusal};

use crate::feed::{Command, Feed};
use crate::outbox::Outbox;
use crate::patience::Patience;
use crate::promise::{block_on, block_on_soon, promise};
use crate::sync::thread;

/// Every order with so many switches at most where a thread could have gone on. Three show what two and a thread that is
/// slow can do; each more multiplies the orders.
#[cfg(loom)]
pub(crate) fn model(preemptions: usize, run: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    // `LOOM_MAX_PREEMPTIONS` asks for another bound.
    builder.preemption_bound = builder.preemption_bound.or(Some(preemptions));
    builder.check(run);
}

/// As the threads happen to meet.
#[cfg(not(loom))]
pub(crate) fn model(_: usize, run: impl Fn() + Send + Sync + 'static) {
    const RUNS: usize = if cfg!(miri) { 20 } else { 500 };
    (0..RUNS).for_each(|_| run());
}

mod outbox {
    use super::*;

    fn item(watch: i64) -> Item {
        Item::Refused { watch, refusal: Refusal::DuplicateWatchId }
    }

    /// What comes out until it is closed, in order.
    fn take_all(outbox: &Outbox) -> Vec<i64> {
        let mut taken = Vec::new();
        while let Some(item) = block_on(|cx| outbox.poll_take(cx)).item {
            let Item::Refused { watch, .. } = item else { panic!("nobody put that in: {item:?}") };
            taken.push(watch);
        }
        taken
    }

    /// The driver puts items in and wakes once a round; the receiver parks whenever it finds none.
    #[test]
    fn no_item_and_no_wake_is_lost() {
        model(3, || {
            let outbox = Arc::new(Outbox::new(1 << 20));
            let driver = Arc::clone(&outbox);
            let driver = thread::spawn(move || {
                driver.put([item(1), item(2)]);
                driver.wake();
                driver.put([item(3)]);
                driver.wake();
                driver.close();
            });
            assert_eq!(take_all(&outbox), [1, 2, 3]);
            driver.join().unwrap();
        });
    }

    /// The engine is gone, and the last round's wakes have not been given yet.
    #[test]
    fn what_was_put_in_before_the_close_is_taken() {
        model(3, || {
            let outbox = Arc::new(Outbox::new(1 << 20));
            let driver = Arc::clone(&outbox);
            let driver = thread::spawn(move || {
                driver.put([item(1)]);
                driver.close();
            });
            assert_eq!(take_all(&outbox), [1]);
            driver.join().unwrap();
        });
    }

    /// A receiver that is polled by one task and then by another: the last one is woken.
    #[test]
    fn who_looked_last_is_woken() {
        model(3, || {
            let outbox = Arc::new(Outbox::new(1 << 20));
            let driver = Arc::clone(&outbox);
            let driver = thread::spawn(move || {
                driver.put([item(1)]);
                driver.wake();
            });
            let looked = outbox.poll_take(&mut Context::from_waker(Waker::noop()));
            if looked.is_pending() {
                assert!(block_on_soon(|cx| outbox.poll_take(cx)).item.is_some());
            }
            driver.join().unwrap();
        });
    }

    /// The driver asks to be told of room while the receiver makes it: either it learns of all of it at once, or the
    /// receiver tells it. If neither, the stream stops for ever; if what is told is not what was taken, the outbox grows.
    #[test]
    fn room_is_told_once_and_whole() {
        const ITEM: usize = Item::CONTROL_BYTES;
        model(3, || {
            let outbox = Arc::new(Outbox::new(2 * ITEM));
            outbox.put([item(1), item(2)]);
            let receiver = Arc::clone(&outbox);
            let receiver = thread::spawn(move || {
                let told = (0..2).map(|_| block_on(|cx| receiver.poll_take(cx)).tell);
                told.filter(|tell| *tell).count()
            });
            let at_once = outbox.await_room();
            let told = receiver.join().unwrap();
            assert!(told <= 1, "it is told once");
            assert!(told == 1 || at_once >= ITEM, "half is free, and nobody said so");
            assert_eq!(at_once + outbox.untold(), 2 * ITEM);
        });
    }
}

mod promises {
    use super::*;

    #[test]
    fn who_waits_gets_the_value() {
        model(4, || {
            let (promise, reply) = promise();
            let giver = thread::spawn(move || promise.give(7));
            assert_eq!(reply.wait(), Some(7));
            giver.join().unwrap();
        });
    }

    #[test]
    fn who_waits_learns_that_nothing_comes() {
        model(4, || {
            let (promise, reply) = promise::<u8>();
            let giver = thread::spawn(move || drop(promise));
            assert_eq!(reply.wait(), None);
            giver.join().unwrap();
        });
    }

    /// A thread waits for two things one after the other, with one parker: a wake for the first must not be taken for the
    /// second's, nor swallow it.
    #[test]
    fn a_wake_for_what_came_before_does_no_harm() {
        model(3, || {
            let ((first, one), (second, two)) = (promise(), promise());
            let giver = thread::spawn(move || {
                first.give(1);
                second.give(2);
            });
            assert_eq!((one.wait(), two.wait()), (Some(1), Some(2)));
            giver.join().unwrap();
        });
    }
}

mod feed {
    use super::*;

    const QUEUE_BYTES_MAX: usize = 1;

    fn batch(revision: u64, bytes: &'static [u8]) -> CommittedBatch {
        CommittedBatch { revision, rows: Vec::new(), bytes: Bytes::from_static(bytes) }
    }

    /// A driver that goes on until the feed is closed. Gives the revisions that it was told of and those of the batches
    /// that it was given.
    fn drive(feed: &Feed) -> (Vec<u64>, Vec<u64>) {
        let (mut told, mut given) = (Vec::new(), Vec::new());
        let patience = Patience::default();
        loop {
            let intake = feed.wait(false, None, &patience);
            given.extend(intake.batches.iter().map(|batch| batch.revision));
            told.push(intake.published);
            if intake.closed {
                return (told, given);
            }
        }
    }

    fn watch(feed: &Feed) -> bool {
        let (reply, _) = promise();
        feed.command(Command::Gauges(reply))
    }

    /// While somebody watches, the driver is woken for each batch, and one that found no room is told of all the same.
    #[test]
    fn the_driver_is_woken_and_told_of_every_revision() {
        model(3, || {
            let feed = Arc::new(Feed::new(1, 0, QUEUE_BYTES_MAX));
            assert!(watch(&feed));
            let writer = Arc::clone(&feed);
            let writer = thread::spawn(move || {
                writer.publish(vec![batch(2, b"2")], 0);
                writer.publish(vec![batch(3, b"33")], 0);
                writer.close();
            });
            let (told, given) = drive(&feed);
            assert_eq!(given, [2], "the second is larger than the queue");
            assert!(told.is_sorted() && told.last() == Some(&3), "{told:?}");
            writer.join().unwrap();
        });
    }

    /// Nobody watched, and the writer does not queue what it publishes. The first command comes at the same time: the batch
    /// is queued, or what the driver is told with the command covers it. If neither, the first watch misses a change.
    #[test]
    fn the_first_who_watches_misses_nothing() {
        model(3, || {
            let feed = Arc::new(Feed::new(1, 0, QUEUE_BYTES_MAX));
            let (writer, client) = (Arc::clone(&feed), Arc::clone(&feed));
            let writer = thread::spawn(move || writer.publish(vec![batch(2, b"2")], 0));
            let client = thread::spawn(move || assert!(watch(&client)));
            let intake = feed.wait(true, None, &Patience::default());
            writer.join().unwrap();
            client.join().unwrap();
            assert_eq!(intake.commands.len(), 1, "nothing else wakes an idle driver");
            feed.close();
            let rest = feed.wait(false, None, &Patience::default());
            let (told, batches) =
                (intake.published.max(rest.published), rest.batches.len() + intake.batches.len());
            assert!(told == 2 && batches <= 1, "told of {told}, and of {batches} batches");
        });
    }

    /// What was accepted is seen by the driver before it ends: a caller who waits for the answer would wait for ever.
    #[test]
    fn a_command_is_refused_or_obeyed() {
        model(3, || {
            let feed = Arc::new(Feed::new(1, 0, QUEUE_BYTES_MAX));
            let client = Arc::clone(&feed);
            let client = thread::spawn(move || {
                let (reply, answer) = promise();
                let accepted = client.command(Command::Gauges(reply));
                let answered = answer.wait().is_some();
                assert_eq!(accepted, answered);
            });
            let closer = Arc::clone(&feed);
            let closer = thread::spawn(move || closer.close());
            let mut is_over = false;
            while !is_over {
                let intake = feed.wait(false, None, &Patience::default());
                for command in intake.commands {
                    let Command::Gauges(reply) = command else { panic!("nobody asked for that") };
                    reply.give(Ok(watchful_sync::Gauges::default()));
                }
                is_over = intake.closed;
            }
            client.join().unwrap();
            closer.join().unwrap();
        });
    }
}
