//! A request's body on its way to a method: one message, or as many as come.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::{Body, HttpBody};
use axum::extract::Request;
use bytes::Bytes;
use futures_core::Stream;
use http::{Extensions, HeaderMap, HeaderName, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use prost_reflect::MessageDescriptor;
use tokio::sync::oneshot;
use tonic::client::Grpc;
use tonic::metadata::MetadataMap;
use tonic::{Status, Streaming};

use super::Gateway;
use super::json;
use super::methods::Method;
use super::raw::Raw;
use crate::auth::ViaGateway;
use crate::unread::{Kept, Unread};
use values::Values;

mod values;

/// A call that has begun.
#[derive(Debug)]
pub(super) struct Called {
    pub(super) answers: Streaming<Bytes>,
    /// What is wrong with the rest of the request, should that turn out.
    pub(super) refused: Option<oneshot::Receiver<Status>>,
}

/// Calls with the one message that the body is.
pub(super) async fn single(gateway: Gateway, method: &Method, request: Request) -> Result<Called, Status> {
    let (parts, body) = request.into_parts();
    let bytes_max = gateway.body_bytes_max;
    let body = Limited::new(body, bytes_max).collect().await.map_err(|error| unread(&*error, bytes_max))?;
    let message = json::to_bytes(&method.input, &body.to_bytes())?;
    let messages = tokio_stream::once(message);
    let answers = call(gateway, method, parts.headers, parts.extensions, messages).await?;
    Ok(Called { answers, refused: None })
}

/// Calls with the messages in the body, each as it comes.
pub(super) async fn streamed(gateway: Gateway, method: &Method, request: Request) -> Result<Called, Status> {
    let (parts, body) = request.into_parts();
    let (refuse, refused) = oneshot::channel();
    let (values, input) = (Values::new(gateway.body_bytes_max), method.input.clone());
    let kept = Unread::of(&parts.extensions).map(Unread::kept);
    let messages = Messages { body, values, kept, input, refuse: Some(refuse) };
    let answers = call(gateway, method, parts.headers, parts.extensions, messages).await?;
    Ok(Called { answers, refused: Some(refused) })
}

async fn call(
    gateway: Gateway,
    method: &Method,
    headers: HeaderMap,
    extensions: Extensions,
    messages: impl Stream<Item = Bytes> + Send + 'static,
) -> Result<Streaming<Bytes>, Status> {
    // What was answered is in memory already: nothing is won by a limit.
    let mut grpc = Grpc::new(gateway.grpc).max_decoding_message_size(usize::MAX);
    let mut request = tonic::Request::from_parts(metadata(&headers), extensions, messages);
    request.extensions_mut().insert(ViaGateway);
    let Ok(()) = grpc.ready().await;
    grpc.streaming(request, method.path.clone(), Raw).await.map(tonic::Response::into_inner)
}

/// The headers that are for the services: who it is, and what is marked as metadata.
fn metadata(headers: &HeaderMap) -> MetadataMap {
    const PREFIX: &str = "grpc-metadata-";
    let mut metadata = HeaderMap::new();
    for (name, value) in headers {
        let marked = name.as_str().strip_prefix(PREFIX).and_then(|name| name.parse::<HeaderName>().ok());
        if let Some(name) = marked.or_else(|| (name == header::AUTHORIZATION).then(|| name.clone())) {
            metadata.append(name, value.clone());
        }
    }
    MetadataMap::from_headers(metadata)
}

fn unread(error: &(dyn std::error::Error + Send + Sync + 'static), bytes_max: usize) -> Status {
    match error.downcast_ref::<LengthLimitError>() {
        Some(_) => too_large(bytes_max),
        None => Status::invalid_argument(format!("the request could not be read: {error}")),
    }
}

fn too_large(bytes_max: usize) -> Status {
    Status::resource_exhausted(format!("the request is larger than {bytes_max} bytes of JSON"))
}

/// The messages of a body, until it ends or something is wrong with it.
struct Messages {
    body: Body,
    values: Values,
    /// Counts what is in the values.
    kept: Option<Kept>,
    input: MessageDescriptor,
    /// Taken once the stream is over.
    refuse: Option<oneshot::Sender<Status>>,
}

impl Messages {
    /// Counts what is in the values now.
    fn count(&mut self) -> Result<(), Status> {
        let len = self.values.len();
        self.kept.as_mut().map_or(Ok(()), |kept| kept.set(len))
    }

    /// Says what is wrong. Nobody hears it where the answer has gone already.
    fn refuse(&mut self, status: Status) -> Poll<Option<Bytes>> {
        self.refuse.take().map(|refuse| refuse.send(status));
        Poll::Ready(None)
    }
}

impl Stream for Messages {
    type Item = Bytes;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        while self.refuse.is_some() {
            match self.values.next() {
                Ok(Some(value)) => match self.count().and_then(|()| json::to_bytes(&self.input, &value)) {
                    Ok(message) => return Poll::Ready(Some(message)),
                    Err(status) => return self.refuse(status),
                },
                Ok(None) => {}
                Err(status) => return self.refuse(status),
            }
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => {
                    self.values.extend(&frame.into_data().unwrap_or_default());
                    if let Err(status) = self.count() {
                        return self.refuse(status);
                    }
                }
                Some(Err(error)) => {
                    return self
                        .refuse(Status::invalid_argument(format!("the request could not be read: {error}")));
                }
                None => match self.values.end() {
                    Ok(()) => self.refuse = None,
                    Err(status) => return self.refuse(status),
                },
            }
        }
        Poll::Ready(None)
    }
}
