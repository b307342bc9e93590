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

use bytes::Bytes;
use http::{Request, Response, StatusCode, Version};
use http_body::Body;
use pin_project_lite::pin_project;
use tonic::Status;
use tower::Service;

use crate::gateway;
use crate::http::is_grpc;
use crate::metrics::{Kind, Method};
use crate::state::Shared;
use crate::unread::{Kept, Unread};

mod asked;
mod held;

pub use asked::Asked;
use asked::Most;
pub use held::Held;
use held::{Counted, Pace, held};

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
                self.request.body_mut().settle();
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
