//! Answers that were asked for and are not read: bounded, connection by connection.
//!
//! An answer is in memory from when it is made until the connection has sent it. A client that asks for lists and reads none
//! of them had any number of them there. So what a connection has not taken is counted, and one that has not taken
//! [`OWN_BYTES_MAX`] is not asked on: its further calls wait until it reads, and hold up nobody else. Where all together have
//! not taken [`ALL_BYTES_MAX`], [`SHARE_BYTES`] are enough to wait.
//!
//! **What it is not for:** streams of answers, which are made when there is room to send and have bounds of their own.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::sync::Notify;
use tower::Service;

use crate::counts::Counts;
use crate::listen::Peer;
use crate::metrics::Kind;
use crate::state::Shared;

/// So much may wait for one connection: many a list, and one more, however large.
const OWN_BYTES_MAX: usize = 64 << 20;

/// So much may wait for all of them before each has its share only.
const ALL_BYTES_MAX: i64 = 512 << 20;

const SHARE_BYTES: usize = 1 << 20;

/// What an answer takes beside its bytes: its place in the connection, and its headers.
const ANSWER_BYTES: usize = 1 << 10;

/// What one connection has been answered and has not taken.
#[derive(Debug)]
pub(crate) struct Unread {
    bytes: AtomicUsize,
    counts: Arc<Counts>,
    freed: Notify,
}

impl Unread {
    pub(crate) fn new(counts: Arc<Counts>) -> Arc<Self> {
        Arc::new(Self { bytes: AtomicUsize::new(0), counts, freed: Notify::new() })
    }

    fn is_full(&self) -> bool {
        let own = self.bytes.load(Ordering::Relaxed);
        own > OWN_BYTES_MAX || (own > SHARE_BYTES && self.counts.unread_bytes.get() > ALL_BYTES_MAX)
    }

    async fn room(self: Arc<Self>) {
        loop {
            let mut freed = std::pin::pin!(self.freed.notified());
            // Before the look, so that what is freed after it is heard of.
            freed.as_mut().enable();
            if !self.is_full() {
                return;
            }
            freed.await;
        }
    }

    /// The same bytes, counted until their last part is gone.
    fn charge(self: &Arc<Self>, bytes: Bytes) -> Bytes {
        let charged = bytes.len() + ANSWER_BYTES;
        self.bytes.fetch_add(charged, Ordering::Relaxed);
        self.counts.unread_bytes.add(signed(charged));
        Bytes::from_owner(Charged { bytes, charged, unread: Arc::clone(self) })
    }
}

fn signed(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

struct Charged {
    bytes: Bytes,
    charged: usize,
    unread: Arc<Unread>,
}

impl AsRef<[u8]> for Charged {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Charged {
    fn drop(&mut self) {
        self.unread.counts.unread_bytes.add(-signed(self.charged));
        self.unread.bytes.fetch_sub(self.charged, Ordering::Relaxed);
        self.unread.freed.notify_waiters();
    }
}

/// A service that is not asked by a connection which does not read its answers.
#[derive(Clone, Debug)]
pub struct Bounded<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S> Bounded<S> {
    pub(crate) fn new(inner: S, shared: Arc<Shared>) -> Self {
        Self { inner, shared }
    }
}

impl<S, B, A> Service<Request<B>> for Bounded<S>
where
    S: Service<Request<B>, Response = Response<A>, Error = Infallible>,
    A: Body<Data = Bytes> + Unpin,
{
    type Response = Response<Held<A>>;
    type Error = Infallible;
    type Future = Bounding<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let unread = request.extensions().get::<Peer>().and_then(|peer| peer.unread.clone());
        let calls = &self.shared.counts.calls;
        let is_unary = calls.method(calls.find(request.uri().path())).kind() == Kind::Unary;
        let unread = unread.filter(|_| is_unary);
        Bounding { answer: self.inner.call(request), unread, room: None, has_begun: false }
    }
}

pin_project! {
    /// An answer that is worked at once there is room for it. Whether there is, is asked when it is first polled: calls that
    /// come in together are made before any of them is answered.
    pub struct Bounding<F> {
        #[pin]
        answer: F,
        unread: Option<Arc<Unread>>,
        room: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
        has_begun: bool,
    }
}

impl<F, A> Future for Bounding<F>
where
    F: Future<Output = Result<Response<A>, Infallible>>,
    A: Body<Data = Bytes> + Unpin,
{
    type Output = Result<Response<Held<A>>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        while let Some(full) = this.unread.as_ref().filter(|unread| !*this.has_begun && unread.is_full()) {
            let room = this.room.get_or_insert_with(|| Box::pin(Arc::clone(full).room()));
            ready!(room.as_mut().poll(cx));
            *this.room = None;
        }
        *this.has_begun = true;
        let response = ready!(this.answer.poll(cx))?;
        let unread = this.unread.take();
        Poll::Ready(Ok(response.map(|body| Held::new(body, unread, cx))))
    }
}

/// An answer's body. That of a unary call is made at once and counted: what was found takes memory either way.
#[derive(Debug)]
pub struct Held<A: Body> {
    body: A,
    first: Option<Result<Frame<A::Data>, A::Error>>,
    unread: Option<Arc<Unread>>,
}

impl<A: Body<Data = Bytes> + Unpin> Held<A> {
    fn new(body: A, unread: Option<Arc<Unread>>, cx: &mut Context<'_>) -> Self {
        let mut held = Self { body, first: None, unread };
        if held.unread.is_some()
            && !held.body.is_end_stream()
            && let Poll::Ready(first) = held.poll_more(cx)
        {
            held.first = first;
        }
        held
    }

    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, A::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        Poll::Ready(frame.map(|frame| frame.map(|frame| self.charged(frame))))
    }

    fn charged(&self, frame: Frame<Bytes>) -> Frame<Bytes> {
        match &self.unread {
            Some(unread) => frame.map_data(|bytes| unread.charge(bytes)),
            None => frame,
        }
    }
}

impl<A> Body for Held<A>
where
    A: Body<Data = Bytes> + Unpin,
    A::Error: Unpin,
{
    type Data = Bytes;
    type Error = A::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, A::Error>>> {
        let held = self.get_mut();
        match held.first.take() {
            Some(first) => Poll::Ready(Some(first)),
            None => held.poll_more(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        if self.first.is_some() { SizeHint::default() } else { self.body.size_hint() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unread() -> Arc<Unread> {
        Unread::new(Arc::default())
    }

    #[test]
    fn what_is_sent_is_counted_no_more() {
        let unread = unread();
        let bytes = unread.charge(Bytes::from(vec![7; OWN_BYTES_MAX]));
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
        let _own = unread.charge(Bytes::from(vec![7; SHARE_BYTES]));
        assert!(!unread.is_full());
        unread.counts.unread_bytes.add(ALL_BYTES_MAX);
        assert!(unread.is_full());
    }

    #[tokio::test]
    async fn who_waits_goes_on_when_something_was_sent() {
        let unread = unread();
        let bytes = unread.charge(Bytes::from(vec![7; OWN_BYTES_MAX]));
        let waits = tokio::spawn(Arc::clone(&unread).room());
        tokio::task::yield_now().await;
        assert!(!waits.is_finished());
        drop(bytes);
        waits.await.unwrap();
    }
}
