//! A service that is asked when a request is whole and there is room for its answer.
//!
//! It stands around everything that is served, because whatever is asked over HTTP/2 can be asked any number of times at
//! once. A request with one message is gathered here, in bounded memory, and given on when it has ended and its connection
//! reads its answers: so no work begins before, whatever a client sends first, and what waits is not in anybody's way, as its
//! bytes have been taken out of the connection. It is counted from its first byte until its answer is made, and what is answered
//! from when it is made until it is taken, piece by piece. How much may be is [`unread`](crate::unread)'s.
//!
//! Over HTTP/1 a connection has one call at a time, and nothing is done here.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Request, Response, StatusCode, Version};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::sync::OwnedSemaphorePermit;
use tonic::Status;
use tower::Service;

use crate::gateway;
use crate::http::is_grpc;
use crate::metrics::{Kind, Method};
use crate::observe::{Frames, PREFIX_LEN};
use crate::state::Shared;
use crate::unread::{Kept, Unread};

/// A service whose calls wait until they are whole and there is room. (It is public, and so are its body types, because the
/// service of a layer that is public is.)
#[derive(Clone, Debug)]
pub struct Bounded<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S> Bounded<S> {
    pub(crate) fn new(inner: S, shared: Arc<Shared>) -> Self {
        Self { inner, shared }
    }

    /// The method that a call is for, if it is for one.
    fn method(&self, is_grpc: bool, path: &str) -> Option<&Method> {
        let path = if is_grpc { path } else { gateway::grpc_path(path)? };
        self.shared.counts.calls.known(path)
    }

    /// How a request comes to whoever answers it.
    fn asked<B>(&self, body: B, is_grpc: bool, method: Option<&Method>, kept: Kept) -> Asked<B> {
        let limits = &self.shared.settings.limits;
        match (is_grpc, method.map(Method::kind)) {
            // Nobody reads it, and nobody may have said how it ends.
            (true, None) => Asked::as_it_comes(body),
            (true, Some(Kind::ClientStream | Kind::BidiStream)) => Asked::in_messages(body, kept),
            (true, _) => Asked::whole(body, kept, Most::Message(limits.message_bytes_max())),
            // The gateway counts it.
            (false, Some(Kind::ClientStream | Kind::BidiStream)) => Asked::as_it_comes(body),
            (false, _) => Asked::whole(body, kept, Most::Bytes(gateway::body_bytes_max(limits))),
        }
    }
}

/// Calls that wait for what others do, and may do so for ever.
const WAITING: [&str; 2] = ["/v3electionpb.Election/Campaign", "/v3lockpb.Lock/Lock"];

/// What comes of it is in an outbox, and that has its bound.
const WATCH: &str = "/etcdserverpb.Watch/Watch";

/// What is asked is done when the answer is made, which may not wait therefore: a lease would end.
const KEEP_ALIVE: &str = "/etcdserverpb.Lease/LeaseKeepAlive";

/// When an answer is made, and whether it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pace {
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
    fn of(method: Option<&Method>) -> Self {
        let Some(method) = method else { return Self::AtOnce };
        match (method.path(), method.kind()) {
            (WATCH, _) => Self::Uncounted,
            (KEEP_ALIVE, _) => Self::AsItComes,
            (_, Kind::Unary) => Self::AtOnce,
            _ => Self::InTurn,
        }
    }
}

impl<S, B, A> Service<Request<B>> for Bounded<S>
where
    S: Service<Request<Asked<B>>, Response = Response<A>, Error = Infallible> + Clone,
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    A: Body<Data = Bytes> + Unpin,
{
    type Response = Response<Held<A>>;
    type Error = Infallible;
    type Future = Bounding<S, B, S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let unread = Unread::of(request.extensions()).filter(|_| request.version() == Version::HTTP_2);
        let Some(unread) = unread.cloned() else {
            let answer = self.inner.call(request.map(Asked::as_it_comes));
            return Bounding { asking: None, answer: Some(answer), counted: None };
        };
        let is_grpc = is_grpc(request.headers());
        let method = self.method(is_grpc, request.uri().path());
        let pace = Pace::of(method);
        let ends = pace == Pace::AtOnce && method.is_none_or(|method| !WAITING.contains(&method.path()));
        let request = request.map(|body| self.asked(body, is_grpc, method, unread.kept()));
        let asking = Asking { inner: self.inner.clone(), request, is_grpc, refused: None, room: None };
        let counted = Counted { unread, pace, ends, kept: None };
        Bounding { asking: Some(asking), answer: None, counted: Some(counted) }
    }
}

pin_project! {
    /// A call that is made once it is whole and there is room for its answer.
    pub struct Bounding<S, B, F> {
        asking: Option<Asking<S, B>>,
        #[pin]
        answer: Option<F>,
        counted: Option<Counted>,
    }
}

/// How a call is counted.
struct Counted {
    unread: Arc<Unread>,
    pace: Pace,
    /// It ends by itself, whatever others do.
    ends: bool,
    /// Its request.
    kept: Option<Kept>,
}

impl Counted {
    /// The call begins, with so much of its request.
    fn begin(&mut self, mut kept: Option<Kept>) {
        if let Some(kept) = kept.as_mut().filter(|_| self.ends) {
            kept.begin();
        }
        self.kept = kept;
    }
}

/// A call that is not made yet.
struct Asking<S, B> {
    inner: S,
    request: Request<Asked<B>>,
    is_grpc: bool,
    /// It is too much. That is an answer too, and waits for room as others do.
    refused: Option<Status>,
    room: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl<S, B> Asking<S, B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    fn poll_asked(&mut self, unread: &Arc<Unread>, cx: &mut Context<'_>) -> Poll<()> {
        // What has begun to come is to end: others may wait for that.
        if self.request.body().is_to_come() {
            ready!(self.poll_room(unread, For::Request, cx));
        }
        if self.refused.is_none()
            && let Err(status) = ready!(self.request.body_mut().poll_whole(cx))
        {
            // Nobody reads the rest, and HTTP/2 takes it out of the connection.
            *self.request.body_mut() = Asked::nothing();
            self.refused = Some(status);
        }
        self.poll_room(unread, For::Answer, cx)
    }

    fn poll_room(&mut self, unread: &Arc<Unread>, what: For, cx: &mut Context<'_>) -> Poll<()> {
        while self.room.is_some() || unread.is_busy() || what == For::Answer && unread.is_full() {
            let room = self.room.get_or_insert_with(|| {
                self.request.body_mut().gathered.settle();
                let own = Arc::clone(unread);
                Box::pin(async move {
                    match what {
                        For::Request => own.less_busy().await,
                        For::Answer => own.room().await,
                    }
                })
            });
            ready!(room.as_mut().poll(cx));
            self.room = None;
        }
        Poll::Ready(())
    }
}

/// What is waited for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum For {
    /// Room to take the request in.
    Request,
    /// Room to work on it, and for its answer.
    Answer,
}

impl<S, B, A> Future for Bounding<S, B, S::Future>
where
    S: Service<Request<Asked<B>>, Response = Response<A>, Error = Infallible>,
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    A: Body<Data = Bytes> + Unpin,
{
    type Output = Result<Response<Held<A>>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if let (Some(asking), Some(counted)) = (this.asking.as_mut(), this.counted.as_ref()) {
            ready!(asking.poll_asked(&counted.unread, cx));
        }
        if let Some(Asking { mut inner, mut request, is_grpc, refused, .. }) = this.asking.take() {
            match refused {
                Some(status) => {
                    return Poll::Ready(Ok(held(refusal(&status, is_grpc), this.counted.take(), cx)));
                }
                None => {
                    if let Some(counted) = this.counted.as_mut() {
                        counted.begin(request.body_mut().whole_kept());
                    }
                    this.answer.set(Some(inner.call(request)));
                }
            }
        }
        let Some(answer) = this.answer.as_pin_mut() else { return Poll::Pending };
        let response = ready!(answer.poll(cx))?;
        Poll::Ready(Ok(held(response.map(Some), this.counted.take(), cx)))
    }
}

/// What a refused call is answered with. What is not gRPC is told the number only.
fn refusal<A>(status: &Status, is_grpc: bool) -> Response<Option<A>> {
    if is_grpc {
        return status.clone().into_http();
    }
    let mut response = Response::new(None);
    *response.status_mut() = StatusCode::TOO_MANY_REQUESTS;
    response
}

/// A request's body: whole, or as it comes.
#[derive(Debug)]
pub struct Asked<B> {
    /// What is still to come.
    body: Option<B>,
    gathered: Gathered,
    trailers: Option<HeaderMap>,
    error: Option<Box<dyn std::error::Error + Send + Sync>>,
    manner: Manner,
    kept: Option<Kept>,
}

#[derive(Debug)]
enum Manner {
    AsItComes,
    /// Of a message that has not ended, what has come is kept by whoever reads.
    InMessages(Frames),
    /// Gathered before anybody reads it.
    Whole(Most),
}

/// How much is gathered.
#[derive(Clone, Copy, Debug)]
enum Most {
    /// One message of gRPC's, of so many bytes at most.
    Message(usize),
    Bytes(usize),
}

/// What has come. One piece stays as it is.
#[derive(Debug, Default)]
struct Gathered {
    first: Bytes,
    all: BytesMut,
}

impl Gathered {
    fn len(&self) -> usize {
        self.first.len() + self.all.len()
    }

    /// The first is copied as well, unless it is all there is: small pieces hold on to more than they are.
    fn add(&mut self, piece: Bytes, is_last: bool) {
        if is_last && self.all.is_empty() {
            self.first = piece;
        } else {
            self.all.extend_from_slice(&piece);
        }
    }

    /// It waits: not with what it was read into, which may be much larger.
    fn settle(&mut self) {
        self.all.extend_from_slice(&std::mem::take(&mut self.first));
    }

    /// What the message's length is said to be, once that has come.
    fn announced(&self) -> Option<usize> {
        let len = self.all.get(1..PREFIX_LEN)?.try_into().ok()?;
        usize::try_from(u32::from_be_bytes(len)).ok()
    }

    /// Whether whoever reads it will refuse it for its size.
    ///
    /// # Errors
    ///
    /// Where nobody will: a message that may be, and too much behind it.
    fn is_too_large(&self, most: Most) -> Result<bool, Status> {
        match most {
            Most::Bytes(most) => Ok(self.len() > most),
            Most::Message(most) if self.announced().is_some_and(|announced| announced > most) => Ok(true),
            Most::Message(most) if self.len() > PREFIX_LEN + most => {
                Err(Status::invalid_argument("the call has more than one message"))
            }
            Most::Message(_) => Ok(false),
        }
    }

    fn take(&mut self) -> Bytes {
        let Self { first, all } = std::mem::take(self);
        if all.is_empty() { first } else { all.freeze() }
    }
}

impl<B> Asked<B> {
    fn new(body: Option<B>, manner: Manner, kept: Option<Kept>) -> Self {
        Self { body, gathered: Gathered::default(), trailers: None, error: None, manner, kept }
    }

    fn as_it_comes(body: B) -> Self {
        Self::new(Some(body), Manner::AsItComes, None)
    }

    fn nothing() -> Self {
        Self::new(None, Manner::AsItComes, None)
    }

    fn in_messages(body: B, kept: Kept) -> Self {
        Self::new(Some(body), Manner::InMessages(Frames::default()), Some(kept))
    }

    fn whole(body: B, kept: Kept, most: Most) -> Self {
        Self::new(Some(body), Manner::Whole(most), Some(kept))
    }

    /// What was gathered goes on counting when it has been read, until it is answered.
    fn whole_kept(&mut self) -> Option<Kept> {
        self.kept.take_if(|_| !matches!(self.manner, Manner::InMessages(_)))
    }
}

impl<B> Asked<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    /// Whether it is to be whole, and nothing of it has come.
    fn is_to_come(&self) -> bool {
        matches!(self.manner, Manner::Whole(_)) && self.gathered.len() == 0 && !self.is_end_stream()
    }

    /// Gathers it, where it is to be whole.
    fn poll_whole(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Status>> {
        let Manner::Whole(most) = self.manner else { return Poll::Ready(Ok(())) };
        while let Some(body) = &mut self.body
            && !body.is_end_stream()
        {
            match ready!(Pin::new(&mut *body).poll_frame(cx)).map(|frame| frame.map(Frame::into_data)) {
                Some(Ok(Ok(piece))) => {
                    let is_last = body.is_end_stream();
                    self.gathered.add(piece, is_last);
                    if let Some(kept) = &mut self.kept {
                        kept.set(self.gathered.len())?;
                    }
                    if self.gathered.is_too_large(most)? {
                        self.manner = Manner::AsItComes;
                        break;
                    }
                }
                Some(Ok(Err(frame))) => {
                    self.trailers = frame.into_trailers().ok();
                    self.body = None;
                }
                Some(Err(error)) => {
                    self.error = Some(error.into());
                    self.body = None;
                }
                None => self.body = None,
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<B> Body for Asked<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let asked = self.get_mut();
        if asked.gathered.len() > 0 {
            return Poll::Ready(Some(Ok(Frame::data(asked.gathered.take()))));
        }
        if let Some(trailers) = asked.trailers.take() {
            return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
        }
        if let Some(error) = asked.error.take() {
            return Poll::Ready(Some(Err(error)));
        }
        let Some(body) = &mut asked.body else { return Poll::Ready(None) };
        let Some(frame) = ready!(Pin::new(body).poll_frame(cx)) else { return Poll::Ready(None) };
        let frame = frame.map_err(Into::<Self::Error>::into)?;
        if let (Manner::InMessages(frames), Some(kept), Some(data)) =
            (&mut asked.manner, &mut asked.kept, frame.data_ref())
        {
            frames.count(data);
            kept.set(frames.begun())?;
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.gathered.len() == 0
            && self.trailers.is_none()
            && self.error.is_none()
            && self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        match (&self.body, self.gathered.len()) {
            (Some(body), 0) => body.size_hint(),
            _ => SizeHint::default(),
        }
    }
}

/// The answer as it is sent. What can be made of it is made and counted before the next call looks for room: what was found
/// takes memory either way. One without a body is no more than the call, which is open until it is sent.
fn held<A: Body<Data = Bytes> + Unpin>(
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

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: usize = 300;

    /// Gathers a body that says it is so long and has so many bytes, in pieces.
    fn gather(announced: u32, len: usize) -> Gathered {
        let mut gathered = Gathered::default();
        let body = [&[0][..], &announced.to_be_bytes(), &vec![7; len]].concat();
        for piece in body.chunks(7) {
            gathered.add(Bytes::copy_from_slice(piece), false);
        }
        gathered
    }

    #[track_caller]
    fn check(announced: u32, len: usize, expected: Result<bool, tonic::Code>) {
        let found = gather(announced, len).is_too_large(Most::Message(MOST));
        assert_eq!(found.map_err(|status| status.code()), expected);
    }

    #[test]
    fn what_is_too_large_is_known_by_its_first_bytes_and_nothing_is_gathered_behind_a_message() {
        check(300, 300, Ok(false));
        check(301, 0, Ok(true));
        check(u32::MAX, 0, Ok(true));
        check(7, 300, Ok(false));
        check(7, 301, Err(tonic::Code::InvalidArgument));
    }

    #[test]
    fn what_is_gathered_is_what_came_and_the_last_piece_alone_is_not_copied() {
        let mut gathered = gather(3, 0);
        gathered.add(Bytes::from_static(b"abc"), true);
        assert_eq!(gathered.take(), &b"\0\0\0\0\x03abc"[..]);
        let whole = Bytes::from_static(b"\0\0\0\0\0");
        gathered.add(whole.clone(), true);
        assert_eq!(gathered.take().as_ptr(), whole.as_ptr());
        gathered.add(whole.clone(), true);
        gathered.settle();
        assert_ne!(gathered.take().as_ptr(), whole.as_ptr(), "it does not hold on to what it was read into");
    }
}
