//! What one connection takes of the server's memory: requests that are not whole yet, and answers that it does not read.
//!
//! A request is in memory from its first byte on, and an answer from when it is made until the connection has sent it. A
//! client that begins messages and ends none, or asks for lists and reads none of them, had any number of them there. So
//! both are counted, connection by connection. One that has more than [`KEPT_BYTES_MAX`] of requests under way is refused
//! further ones at once: waiting could keep out the very bytes that end the others. One that has not taken
//! [`OWN_BYTES_MAX`] of answers is not asked on: its further calls wait until it reads, and hold up nobody else. Where all
//! together have more than [`ALL_BYTES_MAX`], a share is enough for either.
//!
//! Between the look for room and the count an answer is made, so what is large is made by a few at a time ([`turn`]), and
//! what a transaction found is counted inside of it ([`reserve`]): beyond the bound comes what a few calls find, however
//! many came at once.
//!
//! **What it is not for:** streams of answers, which are made when there is room to send and have bounds of their own.
//! [`bounded`](crate::bounded) is who asks here.
//!
//! [`turn`]: Unread::turn
//! [`reserve`]: Unread::reserve

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::Extensions;
use tokio::sync::{Mutex, Notify, Semaphore, SemaphorePermit};
use tonic::Status;

use crate::answers;
use crate::counts::Counts;
use crate::listen::Peer;

/// So much may wait for one connection: many a list, and one more, however large.
const OWN_BYTES_MAX: usize = 64 << 20;

/// So much of one connection's requests may be kept: eighty of the largest.
const KEPT_BYTES_MAX: usize = 128 << 20;

/// So much may wait for all of them, or be kept of all, before each has its share only.
const ALL_BYTES_MAX: i64 = 512 << 20;

const SHARE_BYTES: usize = 1 << 20;

/// What an answer takes beside its bytes: its place in the connection, and its headers.
const ANSWER_BYTES: usize = 1 << 10;

/// What a transaction finds is counted inside of it from here on. All that are worked out together find 64 MiB below it.
const RESERVED_BYTES_MIN: usize = 16 << 10;

/// How many large answers may be made at once for one connection: enough for a client that lists with several threads.
const LARGE_AT_ONCE_MAX: usize = 4;

/// What one connection has under way, and has been answered and has not taken.
#[derive(Debug)]
pub(crate) struct Unread {
    bytes: AtomicUsize,
    kept_bytes: AtomicUsize,
    counts: Arc<Counts>,
    freed: Notify,
    /// Of those that wait for room the first looks for it, and the next one when that has gone on.
    line: Mutex<()>,
    turns: Semaphore,
}

/// Some of an answer's bytes, counted until it is dropped.
#[derive(Debug)]
pub(crate) struct Charge {
    bytes: usize,
    unread: Arc<Unread>,
}

/// A request's bytes that are kept, counted until it is dropped.
#[derive(Debug)]
pub(crate) struct Kept {
    bytes: usize,
    unread: Arc<Unread>,
}

impl Unread {
    pub(crate) fn new(counts: Arc<Counts>) -> Arc<Self> {
        Arc::new(Self {
            bytes: AtomicUsize::new(0),
            kept_bytes: AtomicUsize::new(0),
            counts,
            freed: Notify::new(),
            line: Mutex::new(()),
            turns: Semaphore::new(LARGE_AT_ONCE_MAX),
        })
    }

    /// That of the connection a request came on. None of one that was made in process.
    pub(crate) fn of(extensions: &Extensions) -> Option<&Arc<Self>> {
        extensions.get::<Peer>()?.unread.as_ref()
    }

    pub(crate) fn is_full(&self) -> bool {
        let own = self.bytes.load(Ordering::SeqCst);
        own > OWN_BYTES_MAX || (own > SHARE_BYTES && self.counts.unread_bytes.get() > ALL_BYTES_MAX)
    }

    /// Waits until there is room for an answer.
    pub(crate) async fn room(&self) {
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

    /// Waits for a turn to make a large answer, and for room. The turn is to be held until the answer is made. A request
    /// that has to wait is kept meanwhile, with its `bytes`.
    pub(crate) async fn turn(self: &Arc<Self>, bytes: usize) -> Result<SemaphorePermit<'_>, Status> {
        let mut kept = self.kept();
        let turn = match self.turns.try_acquire() {
            Ok(turn) => turn,
            Err(_) => {
                kept.set(bytes)?;
                self.turns.acquire().await.map_err(|_| answers::too_many_requests())?
            }
        };
        self.room().await;
        Ok(turn)
    }

    /// Does what looks for room itself and says [`no_room`](answers::no_room) where there is none: at once, and then in turn
    /// until there is room. Its `request` is kept meanwhile.
    pub(crate) async fn until_room<T, F: Future<Output = Result<T, Status>>>(
        self: &Arc<Self>,
        request: &impl prost::Message,
        call: impl Fn() -> F,
    ) -> Result<T, Status> {
        let mut turn = None;
        loop {
            match call().await {
                Err(status) if answers::is_no_room(&status) => match turn {
                    None => turn = Some(self.turn(request.encoded_len()).await?),
                    Some(_) => self.room().await,
                },
                done => return done,
            }
        }
    }

    /// The same bytes, counted until their last part is gone.
    pub(crate) fn charge(self: &Arc<Self>, bytes: Bytes) -> Bytes {
        let charge = self.count(bytes.len() + ANSWER_BYTES);
        Bytes::from_owner(Charged { bytes, _charge: charge })
    }

    /// Counts what was found and is no answer yet.
    pub(crate) fn reserve(self: &Arc<Self>, bytes: usize) -> Option<Charge> {
        (bytes >= RESERVED_BYTES_MIN).then(|| self.count(bytes))
    }

    fn count(self: &Arc<Self>, bytes: usize) -> Charge {
        self.bytes.fetch_add(bytes, Ordering::SeqCst);
        self.counts.unread_bytes.add(signed(bytes));
        Charge { bytes, unread: Arc::clone(self) }
    }

    /// Of a request of which nothing is kept yet.
    pub(crate) fn kept(self: &Arc<Self>) -> Kept {
        Kept { bytes: 0, unread: Arc::clone(self) }
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
}

impl Drop for Kept {
    fn drop(&mut self) {
        // Less is never refused.
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
        let Self { bytes, unread } = self;
        unread.bytes.fetch_sub(*bytes, Ordering::SeqCst);
        unread.freed.notify_one();
        let all = unread.counts.unread_bytes.added(-signed(*bytes));
        // Whoever waits because of the others hears of it when they have no more than they may.
        if all <= ALL_BYTES_MAX && all + signed(*bytes) > ALL_BYTES_MAX {
            unread.counts.room.notify_waiters();
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
        counts.unread_bytes.add(ALL_BYTES_MAX - signed(SHARE_BYTES));
        let others = other.charge(large(SHARE_BYTES));
        let waits = waiting(&one).await;
        drop(others);
        waits.await.unwrap();
    }

    #[tokio::test]
    async fn large_answers_are_made_in_turn_and_those_that_wait_are_kept() {
        let unread = unread();
        let mut turns = Vec::new();
        for _ in 0..LARGE_AT_ONCE_MAX {
            turns.push(unread.turn(100).await.unwrap());
        }
        let next = Arc::clone(&unread);
        let waits = tokio::spawn(async move { next.turn(100).await.map(drop) });
        tokio::task::yield_now().await;
        assert!(!waits.is_finished());
        assert_eq!(unread.counts.kept_bytes.get(), 100);
        drop(turns);
        waits.await.unwrap().unwrap();
        assert_eq!(unread.counts.kept_bytes.get(), 0);
    }

    /// A call that has found no room waits until there is some, and is made again.
    #[tokio::test]
    async fn what_found_no_room_is_done_again() {
        let unread = unread();
        let bytes = unread.charge(large(OWN_BYTES_MAX));
        let own = Arc::clone(&unread);
        let done = tokio::spawn(async move {
            let call = || async { if own.is_full() { Err(answers::no_room()) } else { Ok(7) } };
            own.until_room(&(), call).await
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
}
