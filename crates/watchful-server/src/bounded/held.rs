//! An answer's body: made at the pace that its method asks for, and counted until it is taken.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::Response;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::OwnedSemaphorePermit;

use crate::metrics::{Kind, Method};
use crate::unread::{Kept, Unread};

/// What comes of it is in an outbox, and that has its bound.
const WATCH: &str = "/etcdserverpb.Watch/Watch";

/// What is asked is done when the answer is made, which may not wait therefore: a lease would end.
const KEEP_ALIVE: &str = "/etcdserverpb.Lease/LeaseKeepAlive";

/// When an answer is made, and whether it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    /// All of it, before it is given on.
    AtOnce,
    /// Piece by piece, each in turn and when there is room for it.
    InTurn,
    /// Piece by piece.
    AsItComes,
    /// The same, and it counts elsewhere.
    Uncounted,
}

impl Pace {
    pub(super) fn of(method: Option<&Method>) -> Self {
        let Some(method) = method else { return Self::AtOnce };
        match (method.path(), method.kind()) {
            (WATCH, _) => Self::Uncounted,
            (KEEP_ALIVE, _) => Self::AsItComes,
            (_, Kind::Unary) => Self::AtOnce,
            _ => Self::InTurn,
        }
    }
}

/// How a call is counted.
pub(super) struct Counted {
    pub(super) unread: Arc<Unread>,
    pub(super) pace: Pace,
    /// It ends by itself, whatever others do.
    pub(super) ends: bool,
    /// Its request.
    pub(super) kept: Option<Kept>,
}

impl Counted {
    /// The call begins, with so much of its request.
    pub(super) fn begin(&mut self, mut kept: Option<Kept>) {
        if let Some(kept) = kept.as_mut().filter(|_| self.ends) {
            kept.begin();
        }
        self.kept = kept;
    }
}

/// The answer as it is sent. What can be made of it is made and counted before the next call looks for room: what was found
/// takes memory either way. One without a body is no more than the call, which is open until it is sent.
pub(super) fn held<A: Body<Data = Bytes> + Unpin>(
    response: Response<Option<A>>,
    counted: Option<Counted>,
    cx: &mut Context<'_>,
) -> Response<Held<A>> {
    response.map(|body| {
        let mut held = Held { body, first: None, counted, turn: None };
        if held.counted.is_some()
            && !held.has_body_ended()
            && let Poll::Ready(first) = held.poll_more(cx)
        {
            held.first = first;
        }
        if let Some(counted) = held.counted.as_mut().filter(|counted| counted.pace == Pace::AtOnce) {
            counted.kept = None;
        }
        held
    })
}

/// An answer's body.
pub struct Held<A: Body> {
    body: Option<A>,
    first: Option<Result<Frame<A::Data>, A::Error>>,
    counted: Option<Counted>,
    turn: Option<Turn>,
}

impl<A: Body> std::fmt::Debug for Held<A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Held")
            .field("pace", &self.counted.as_ref().map(|counted| counted.pace))
            .finish_non_exhaustive()
    }
}

/// A turn that is waited for.
type Turn = Pin<Box<dyn Future<Output = Option<OwnedSemaphorePermit>> + Send>>;

impl<A: Body<Data = Bytes> + Unpin> Held<A> {
    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, A::Error>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let Some(Counted { unread, pace, .. }) = &self.counted else { return Pin::new(body).poll_frame(cx) };
        let _turn = match pace {
            Pace::InTurn => {
                let own = Arc::clone(unread);
                let turn = self.turn.get_or_insert_with(|| Box::pin(async move { own.turn().await }));
                let turn = ready!(turn.as_mut().poll(cx));
                self.turn = None;
                turn
            }
            Pace::AtOnce | Pace::AsItComes | Pace::Uncounted => None,
        };
        let frame = ready!(Pin::new(body).poll_frame(cx));
        Poll::Ready(match pace {
            Pace::Uncounted => frame,
            _ => frame.map(|frame| frame.map(|frame| frame.map_data(|bytes| unread.charge(bytes)))),
        })
    }

    fn has_body_ended(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
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
        self.first.is_none() && self.has_body_ended()
    }

    fn size_hint(&self) -> SizeHint {
        match &self.first {
            None => self.body.as_ref().map_or(SizeHint::with_exact(0), Body::size_hint),
            Some(Ok(first)) if self.has_body_ended() => {
                SizeHint::with_exact(first.data_ref().map_or(0, Bytes::len) as u64)
            }
            Some(_) => SizeHint::default(),
        }
    }
}
