//! What is seen of every gRPC call from outside: counts, durations, a tracing span, and a line for a slow one.
//!
//! **What it is not for:** it changes nothing of a call, and knows no service.
//!
//! It costs a unary call one small allocation, a look-up in a table of some sixty paths, two looks at the clock and a
//! dozen relaxed additions. A call is over when its answer is, so a stream's duration is that of the stream.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes};
use http::{Extensions, HeaderMap, Request, Response};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tonic::Code;
use tower::{Layer, Service};
use tracing::Span;

use crate::listen::Peer;
use crate::metrics::{Kind, Method, MethodId};
use crate::state::Shared;

mod frames;

mod slow_lines;

pub(crate) use slow_lines::SlowLines;

pub(crate) use frames::{Frames, PREFIX_LEN};

/// Observes the service that it is put around.
#[derive(Clone, Debug)]
pub struct ObserveLayer {
    shared: Arc<Shared>,
}

/// A service whose calls are observed.
#[derive(Clone, Debug)]
pub struct Observe<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl ObserveLayer {
    /// Counts in what the services share.
    #[must_use]
    pub fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }
}

impl<S> Layer<S> for ObserveLayer {
    type Service = Observe<S>;

    fn layer(&self, inner: S) -> Observe<S> {
        Observe { inner, shared: Arc::clone(&self.shared) }
    }
}

impl<S, B, A> Service<Request<B>> for Observe<S>
where
    S: Service<Request<Received<B>>, Response = Response<A>>,
    B: Body<Data = Bytes>,
    A: Body<Data = Bytes>,
{
    type Response = Response<Answered<A>>;
    type Error = S::Error;
    type Future = Answering<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let call = Arc::new(Call::begin(&self.shared, &request));
        let span = tracing::debug_span!("call", method = call.method().path(), peer = ?call.peer);
        let ended = Ended { call: Arc::clone(&call), code: None, sent_bytes: 0 };
        let request = request.map(|body| Received { body, frames: Frames::default(), call });
        let future = span.in_scope(|| self.inner.call(request));
        Answering { future, span, ended: Some(ended) }
    }
}

/// One call.
#[derive(Debug)]
struct Call {
    shared: Arc<Shared>,
    method: MethodId,
    peer: Option<SocketAddr>,
    began: Instant,
    received_bytes: AtomicU64,
}

impl Call {
    fn begin<B>(shared: &Arc<Shared>, request: &Request<B>) -> Self {
        let call = Self {
            shared: Arc::clone(shared),
            method: shared.counts.calls.find(request.uri().path()),
            peer: peer_of(request.extensions()),
            began: Instant::now(),
            received_bytes: AtomicU64::new(0),
        };
        call.method().started.add(1);
        call
    }

    fn method(&self) -> &Method {
        self.shared.counts.calls.method(self.method)
    }

    fn received(&self, bytes: u64, messages: u64) {
        self.received_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.shared.counts.calls.received_bytes.add(bytes);
        self.method().received.add(messages);
    }

    fn ended(&self, code: Code, sent_bytes: u64) {
        let took = self.began.elapsed();
        let method = self.method();
        method.ended(code, took);
        if method.kind() == Kind::Unary && took >= self.shared.settings.slow_request {
            self.was_slow(code, took, sent_bytes);
        }
    }

    #[cold]
    fn was_slow(&self, code: Code, took: Duration, sent_bytes: u64) {
        let counts = &self.shared.counts;
        counts.slow_requests.add(1);
        if let Some(untold) = counts.slow_lines.may_tell() {
            tracing::warn!(
                method = self.method().path(),
                took = ?took,
                peer = ?self.peer,
                received_bytes = self.received_bytes.load(Ordering::Relaxed),
                sent_bytes,
                code = ?code,
                untold,
                "a request was slow",
            );
        }
    }
}

/// Who calls.
fn peer_of(extensions: &Extensions) -> Option<SocketAddr> {
    extensions.get::<Peer>().and_then(|peer| peer.address)
}

/// Counts the end of a call, once, wherever it comes: at the answer's end, or where somebody has gone before.
#[derive(Debug)]
struct Ended {
    call: Arc<Call>,
    code: Option<Code>,
    sent_bytes: u64,
}

impl Ended {
    fn sent(&mut self, bytes: u64, messages: u64) {
        self.sent_bytes += bytes;
        self.call.shared.counts.calls.sent_bytes.add(bytes);
        self.call.method().sent.add(messages);
    }

    fn with(&mut self, headers: &HeaderMap) {
        if let Some(code) = headers.get("grpc-status") {
            let number = code.to_str().ok().and_then(|code| code.parse().ok());
            self.code = Some(number.map_or(Code::Unknown, Code::from_i32));
        }
    }
}

impl Drop for Ended {
    fn drop(&mut self) {
        self.call.ended(self.code.unwrap_or(Code::Cancelled), self.sent_bytes);
    }
}

pin_project! {
    /// An answer that is awaited.
    #[derive(Debug)]
    pub struct Answering<F> {
        #[pin]
        future: F,
        span: Span,
        ended: Option<Ended>,
    }
}

impl<F, A, E> Future for Answering<F>
where
    F: Future<Output = Result<Response<A>, E>>,
{
    type Output = Result<Response<Answered<A>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = ready!(this.span.in_scope(|| this.future.poll(cx)))?;
        let mut ended = this.ended.take();
        if let Some(ended) = &mut ended {
            ended.with(response.headers());
        }
        let span = std::mem::replace(this.span, Span::none());
        Poll::Ready(Ok(response.map(|body| Answered { body, frames: Frames::default(), span, ended })))
    }
}

pin_project! {
    /// A request's body, counted as it comes.
    #[derive(Debug)]
    pub struct Received<B> {
        #[pin]
        body: B,
        frames: Frames,
        call: Arc<Call>,
    }
}

impl<B: Body<Data = Bytes>> Body for Received<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.project();
        let frame = ready!(this.body.poll_frame(cx));
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
        {
            this.call.received(data.remaining() as u64, this.frames.count(data));
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

pin_project! {
    /// An answer's body, counted as it goes.
    #[derive(Debug)]
    pub struct Answered<A> {
        #[pin]
        body: A,
        frames: Frames,
        span: Span,
        ended: Option<Ended>,
    }
}

impl<A: Body<Data = Bytes>> Body for Answered<A> {
    type Data = Bytes;
    type Error = A::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, A::Error>>> {
        let this = self.project();
        let frame = ready!(this.span.in_scope(|| this.body.poll_frame(cx)));
        let Some(ended) = this.ended else { return Poll::Ready(frame) };
        match &frame {
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    ended.sent(data.remaining() as u64, this.frames.count(data));
                } else if let Some(trailers) = frame.trailers_ref() {
                    ended.with(trailers);
                    *this.ended = None;
                }
            }
            Some(Err(_)) | None => *this.ended = None,
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
