//! What one connection takes of the server's memory: requests, from their first byte until they are answered, and answers that
//! it does not read.
//!
//! A client that begins messages and ends none, puts faster than the disk commits, or asks for lists and reads none of them, had
//! any number of them there. So all of it is counted, connection by connection:
//!
//! - **Kept** is what of its requests nobody works on yet, and what belongs to calls that may go on for ever: those that wait for
//!   others, and streams. One that has more than [`KEPT_BYTES_MAX`] of these is refused further ones at once: waiting could keep
//!   out the very bytes that end the others.
//! - **Under way** are requests that are worked on. That ends by itself, so beyond [`OWN_BYTES_MAX`] further calls wait, those
//!   that nothing has come of yet with their bytes in the connection, which then takes no more.
//! - **Unread** are answers that were made and not taken. Beyond [`OWN_BYTES_MAX`] the connection is not asked on: its further
//!   calls wait until it reads, and so do the next parts of streams; they hold up nobody else.
//!
//! Where all together have more than [`ALL_BYTES_MAX`], a share is enough for each of these.
//!
//! Between the look for room and the count an answer is made, so what is large is made by a few at a time ([`turn`]), and
//! what a write found is counted inside of its transaction ([`reserve`]): beyond the bound comes what a few calls find, however
//! many came at once.
//!
//! **What it is not for:** the answers of watches, which have bounds of their own. [`bounded`](crate::bounded) is who asks here.
//!
//! [`turn`]: Unread::turn
//! [`reserve`]: Unread::reserve

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::Extensions;
use tokio::sync::{Mutex, Notify, OwnedSemaphorePermit, Semaphore};
use tonic::Status;

use crate::answers;
use crate::counts::{Counts, Gauge};
use crate::listen::Peer;

/// So much may wait for one connection, or be under way: many a list, and one more, however large.
const OWN_BYTES_MAX: usize = 64 << 20;

/// So much of one connection's requests may be kept: eighty of the largest.
const KEPT_BYTES_MAX: usize = 128 << 20;

/// So much may wait for all of them, or be kept of all, before each has its share only.
const ALL_BYTES_MAX: i64 = 512 << 20;

const SHARE_BYTES: usize = 1 << 20;

/// What an answer takes beside its bytes: its place in the connection, and its headers.
const ANSWER_BYTES: usize = 1 << 10;

/// What a write finds is counted inside of its transaction from here on. All that are worked out together find 64 MiB below it.
const RESERVED_BYTES_MIN: usize = 16 << 10;

/// How many large answers may be made at once for one connection: enough for a client that lists with several threads.
const LARGE_AT_ONCE_MAX: usize = 4;

/// What one connection has asked, and has been answered and has not taken.
#[derive(Debug)]
pub(crate) struct Unread {
    answers: Arc<Load>,
    under_way: Arc<Load>,
    kept_bytes: AtomicUsize,
    counts: Arc<Counts>,
    turns: Arc<Semaphore>,
}

/// Bytes of one connection, beyond a bound of which others wait until there are fewer.
#[derive(Debug)]
struct Load {
    bytes: AtomicUsize,
    counts: Arc<Counts>,
    /// Those of all connections.
    all: fn(&Counts) -> &Gauge,
    freed: Notify,
    /// Of those that wait for room the first looks for it, and the next one when that has gone on.
    line: Mutex<()>,
}

/// Some of these bytes, counted until it is dropped.
#[derive(Debug)]
pub(crate) struct Charge {
    bytes: usize,
    load: Arc<Load>,
}

/// A request's bytes, counted until it is dropped: as kept, and as under way once that is said.
#[derive(Debug)]
pub(crate) struct Kept {
    bytes: usize,
    unread: Arc<Unread>,
    under_way: Option<Charge>,
}

impl Load {
    fn new(counts: &Arc<Counts>, all: fn(&Counts) -> &Gauge) -> Arc<Self> {
        let (counts, bytes) = (Arc::clone(counts), AtomicUsize::new(0));
        Arc::new(Self { bytes, counts, all, freed: Notify::new(), line: Mutex::new(()) })
    }

    fn is_full(&self) -> bool {
        let own = self.bytes.load(Ordering::SeqCst);
        own > OWN_BYTES_MAX || (own > SHARE_BYTES && (self.all)(&self.counts).get() > ALL_BYTES_MAX)
    }

    /// Waits until there is room.
    async fn room(&self) {
        if !self.is_full() {
            return;
        }
        let _first = self.line.lock().await;
        loop {
            let (mut own, mut all) = (pin!(self.freed.notified()), pin!(self.counts.room.notified()));
            // Before the look, so that what is freed after it is heard of.
            own.as_mut().enable();
            all.as_mut().enable();
            if !self.is_full() {
                return;
            }
            tokio::select! {
                () = own => {}
                () = all => {}
            }
        }
    }

    fn count(self: &Arc<Self>, bytes: usize) -> Charge {
        self.bytes.fetch_add(bytes, Ordering::SeqCst);
        (self.all)(&self.counts).add(signed(bytes));
        Charge { bytes, load: Arc::clone(self) }
    }
}

impl Unread {
    pub(crate) fn new(counts: Arc<Counts>) -> Arc<Self> {
        Arc::new(Self {
            answers: Load::new(&counts, |counts| &counts.unread_bytes),
            under_way: Load::new(&counts, |counts| &counts.kept_bytes),
            kept_bytes: AtomicUsize::new(0),
            counts,
            turns: Arc::new(Semaphore::new(LARGE_AT_ONCE_MAX)),
        })
    }

    /// That of the connection a request came on. None of one that was made in process.
    pub(crate) fn of(extensions: &Extensions) -> Option<&Arc<Self>> {
        extensions.get::<Peer>()?.unread.as_ref()
    }

    /// Whether it has as many answers as it may, and is to read first.
    pub(crate) fn is_full(&self) -> bool {
        self.answers.is_full()
    }

    /// Whether as many of its requests are worked on as may be.
    pub(crate) fn is_busy(&self) -> bool {
        self.under_way.is_full()
    }

    /// Waits until fewer of its requests are worked on. It may be busy again by then.
    pub(crate) async fn less_busy(&self) {
        self.under_way.room().await;
    }

    /// Waits until there is room for a request that is to be worked on, and for its answer. It may be gone again by then.
    pub(crate) async fn room(&self) {
        self.under_way.room().await;
        self.answers.room().await;
    }

    /// Waits for a turn to make a large answer, and for room. The turn is to be held until the answer is made.
    pub(crate) async fn turn(&self) -> Option<OwnedSemaphorePermit> {
        // None would be of turns that are over, and they never are.
        let turn = Arc::clone(&self.turns).acquire_owned().await.ok();
        self.answers.room().await;
        turn
    }

    /// Does what looks for room itself and says [`no_room`](answers::no_room) where there is none: at once, and then in turn
    /// until there is room.
    pub(crate) async fn until_room<T, F: Future<Output = Result<T, Status>>>(
        &self,
        call: impl Fn() -> F,
    ) -> Result<T, Status> {
        let mut turn = None;
        loop {
            match call().await {
                Err(status) if answers::is_no_room(&status) => match turn {
                    None => turn = self.turn().await,
                    Some(_) => self.answers.room().await,
                },
                done => return done,
            }
        }
    }

    /// The same bytes, counted until their last part is gone. They are one piece of memory until then: in slices that count each
    /// for itself, as was thought of for large lists over slow lines, all but the last could be read, and all be kept.
    pub(crate) fn charge(&self, bytes: Bytes) -> Bytes {
        let charge = self.answers.count(bytes.len() + ANSWER_BYTES);
        Bytes::from_owner(Charged { bytes, _charge: charge })
    }

    /// Counts what was found and is no answer yet.
    pub(crate) fn reserve(&self, bytes: usize) -> Option<Charge> {
        (bytes >= RESERVED_BYTES_MIN).then(|| self.answers.count(bytes))
    }

    /// Of a request of which nothing is kept yet.
    pub(crate) fn kept(self: &Arc<Self>) -> Kept {
        Kept { bytes: 0, unread: Arc::clone(self), under_way: None }
    }
}

impl Kept {
    /// So many of them are kept now.
    ///
    /// # Errors
    ///
    /// `ResourceExhausted` when the connection's requests take more than they may. A single one always may.
    pub(crate) fn set(&mut self, bytes: usize) -> Result<(), Status> {
        if bytes == self.bytes {
            return Ok(());
        }
        let (Self { unread, .. }, more) = (&*self, bytes.wrapping_sub(self.bytes));
        let own = unread.kept_bytes.fetch_add(more, Ordering::Relaxed).wrapping_add(more);
        let all = unread.counts.kept_bytes.added(signed(bytes) - signed(self.bytes));
        let has_grown = bytes > self.bytes;
        self.bytes = bytes;
        let is_too_much = own > KEPT_BYTES_MAX || (own > SHARE_BYTES && all > ALL_BYTES_MAX);
        if has_grown && is_too_much && own > bytes { Err(answers::too_many_requests()) } else { Ok(()) }
    }

    /// They are worked on now, and nobody is refused for them.
    pub(crate) fn begin(&mut self) {
        self.under_way = Some(self.unread.under_way.count(self.bytes));
        // Less is never refused.
        let _ = self.set(0);
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        // Nor is it here.
        let _ = self.set(0);
    }
}

fn signed(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

struct Charged {
    bytes: Bytes,
    _charge: Charge,
}

impl AsRef<[u8]> for Charged {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        let Self { bytes, load } = self;
        load.bytes.fetch_sub(*bytes, Ordering::SeqCst);
        load.freed.notify_one();
        let all = (load.all)(&load.counts).added(-signed(*bytes));
        // Whoever waits because of the others hears of it when they have no more than they may.
        if all <= ALL_BYTES_MAX && all + signed(*bytes) > ALL_BYTES_MAX {
            load.counts.room.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unread() -> Arc<Unread> {
        Unread::new(Arc::default())
    }

    fn large(bytes: usize) -> Bytes {
        vec![7; bytes].into()
    }

    /// Begins to wait for room.
    async fn waiting(unread: &Arc<Unread>) -> tokio::task::JoinHandle<()> {
        let unread = Arc::clone(unread);
        let waits = tokio::spawn(async move { unread.room().await });
        tokio::task::yield_now().await;
        assert!(!waits.is_finished());
        waits
    }

    #[test]
    fn what_is_sent_is_counted_no_more() {
        let unread = unread();
        let bytes = unread.charge(large(OWN_BYTES_MAX));
        assert!(unread.is_full());
        let part = bytes.slice(..1);
        drop(bytes);
        assert!(unread.is_full(), "a part of it is still to be sent");
        drop(part);
        assert!(!unread.is_full());
        assert_eq!(unread.counts.unread_bytes.get(), 0);
    }

    #[test]
    fn where_there_is_much_of_all_each_has_its_share() {
        let unread = unread();
        let _own = unread.charge(large(SHARE_BYTES));
        assert!(!unread.is_full());
        unread.counts.unread_bytes.add(ALL_BYTES_MAX);
        assert!(unread.is_full());
    }

    #[tokio::test]
    async fn all_who_wait_go_on_when_something_was_sent() {
        let unread = unread();
        let bytes = unread.charge(large(OWN_BYTES_MAX));
        let waits = [waiting(&unread).await, waiting(&unread).await, waiting(&unread).await];
        drop(bytes);
        for wait in waits {
            wait.await.unwrap();
        }
    }

    /// A connection with more than its share waited because of the others, and heard only of what it read itself: where
    /// it had nothing more to read, its calls waited for ever.
    #[tokio::test]
    async fn who_waits_because_of_others_goes_on_when_they_read() {
        let counts = Arc::<Counts>::default();
        let (one, other) = (Unread::new(Arc::clone(&counts)), Unread::new(Arc::clone(&counts)));
        let _own = one.charge(large(SHARE_BYTES));
        counts.unread_bytes.add(ALL_BYTES_MAX - 2 * signed(SHARE_BYTES));
        let others = other.charge(large(SHARE_BYTES));
        let waits = waiting(&one).await;
        drop(others);
        waits.await.unwrap();
    }

    #[tokio::test]
    async fn large_answers_are_made_in_turn() {
        let unread = unread();
        let mut turns = Vec::new();
        for _ in 0..LARGE_AT_ONCE_MAX {
            turns.push(unread.turn().await.unwrap());
        }
        let next = Arc::clone(&unread);
        let waits = tokio::spawn(async move { next.turn().await });
        tokio::task::yield_now().await;
        assert!(!waits.is_finished());
        drop(turns);
        drop(waits.await.unwrap().unwrap());
    }

    /// A request was not counted once it was worked on, so that any number could be.
    #[tokio::test]
    async fn requests_that_are_worked_on_are_waited_for_and_nobody_is_refused_for_them() {
        let unread = unread();
        let mut begun = unread.kept();
        begun.set(KEPT_BYTES_MAX).unwrap();
        begun.begin();
        assert!(unread.is_busy() && !unread.is_full());
        assert_eq!(unread.counts.kept_bytes.get(), signed(KEPT_BYTES_MAX));
        let mut other = unread.kept();
        other.set(KEPT_BYTES_MAX).unwrap();
        let waits = waiting(&unread).await;
        drop(begun);
        waits.await.unwrap();
        assert!(!unread.is_busy());
    }

    /// A call that has found no room waits until there is some, and is made again.
    #[tokio::test]
    async fn what_found_no_room_is_done_again() {
        let unread = unread();
        let bytes = unread.charge(large(OWN_BYTES_MAX));
        let own = Arc::clone(&unread);
        let done = tokio::spawn(async move {
            let call = || async { if own.is_full() { Err(answers::no_room()) } else { Ok(7) } };
            own.until_room(call).await
        });
        tokio::task::yield_now().await;
        assert!(!done.is_finished());
        drop(bytes);
        assert_eq!(done.await.unwrap().unwrap(), 7);
    }

    #[test]
    fn requests_beyond_the_bound_are_refused_and_a_single_one_is_not() {
        let unread = unread();
        let mut one = unread.kept();
        one.set(2 * KEPT_BYTES_MAX).unwrap();
        let mut other = unread.kept();
        assert_eq!(other.set(1).unwrap_err().code(), tonic::Code::ResourceExhausted);
        one.set(KEPT_BYTES_MAX / 2).unwrap();
        other.set(KEPT_BYTES_MAX / 2).unwrap();
        other.set(KEPT_BYTES_MAX / 2 + 1).unwrap_err();
        drop((one, other));
        assert_eq!((unread.kept_bytes.load(Ordering::Relaxed), unread.counts.kept_bytes.get()), (0, 0));
    }

    /// A thousand connections could have a hundred mebibytes each: nothing noticed when this was not looked at.
    #[test]
    fn where_there_is_much_of_all_only_requests_within_a_share_are_taken() {
        let unread = unread();
        let (mut one, mut other) = (unread.kept(), unread.kept());
        one.set(SHARE_BYTES - 1).unwrap();
        unread.counts.kept_bytes.add(ALL_BYTES_MAX);
        other.set(1).unwrap();
        assert_eq!(other.set(2).unwrap_err().code(), tonic::Code::ResourceExhausted);
        unread.counts.kept_bytes.add(-ALL_BYTES_MAX);
        drop((one, other));
        assert_eq!((unread.kept_bytes.load(Ordering::Relaxed), unread.counts.kept_bytes.get()), (0, 0));
    }
}
