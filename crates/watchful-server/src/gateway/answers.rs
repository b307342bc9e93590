//! What a method answers, on its way to the client: one message, or a line for each.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::Body;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_core::Stream;
use prost_reflect::MessageDescriptor;
use tokio::sync::oneshot;
use tokio_stream::StreamExt as _;
use tonic::{Status, Streaming};

use super::errors::{Refused, in_stream};
use super::json;
use super::requests::Called;

const JSON: [(header::HeaderName, &str); 1] = [(header::CONTENT_TYPE, "application/json")];

/// The answer of a method that has one.
pub(super) async fn single(mut called: Called, output: &MessageDescriptor) -> Response {
    let answer = only(&mut called.answers).await.and_then(|answer| whole(output, answer));
    answer.map_or_else(|status| Refused::of(&status).into_response(), |json| (JSON, json).into_response())
}

/// The one message. Read to the end: what follows it is how the call went.
async fn only(answers: &mut Streaming<Bytes>) -> Result<Bytes, Status> {
    let answer = answers.message().await?;
    while answers.message().await?.is_some() {}
    answer.ok_or_else(|| Status::internal("the service ended without an answer"))
}

fn whole(output: &MessageDescriptor, answer: Bytes) -> Result<Vec<u8>, Status> {
    let mut json = Vec::with_capacity(2 * answer.len());
    json::write(output, answer, &mut json)?;
    Ok(json)
}

/// The answers of a method that has many, as they come. Headers go with the first of them, so that a stream that fails
/// at once says so in its status.
pub(super) async fn streamed(called: Called, output: MessageDescriptor) -> Response {
    let mut lines = Lines { answers: Some(called.answers), refused: called.refused, output };
    match lines.next_answer().await {
        Some(Ok(first)) => {
            let lines = tokio_stream::once(Ok(first)).chain(lines);
            (JSON, Body::from_stream(lines)).into_response()
        }
        Some(Err(status)) => Refused::of_a_stream(&status).into_response(),
        None => (JSON, Body::empty()).into_response(),
    }
}

/// A line for each answer, and one for an error at the end.
struct Lines {
    /// None once the stream is over.
    answers: Option<Streaming<Bytes>>,
    refused: Option<oneshot::Receiver<Status>>,
    output: MessageDescriptor,
}

impl Lines {
    async fn next_answer(&mut self) -> Option<Result<Bytes, Status>> {
        std::future::poll_fn(|cx| self.poll_answer(cx)).await
    }

    fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Status>>> {
        let Some(answers) = &mut self.answers else { return Poll::Ready(None) };
        let answer = Pin::new(answers).poll_next(cx);
        // Asked after the answers: it is they that read the request.
        if let Some(refused) = &mut self.refused
            && let Poll::Ready(refused) = Pin::new(refused).poll(cx)
        {
            self.refused = None;
            if let Ok(status) = refused {
                self.answers = None;
                return Poll::Ready(Some(Err(status)));
            }
        }
        Poll::Ready(ready!(answer).map(|answer| answer.and_then(|answer| line(&self.output, answer))))
    }
}

/// `{"result":…}` and a line's end.
fn line(output: &MessageDescriptor, answer: Bytes) -> Result<Bytes, Status> {
    let mut line = Vec::with_capacity(2 * answer.len() + 16);
    line.extend_from_slice(b"{\"result\":");
    json::write(output, answer, &mut line)?;
    line.extend_from_slice(b"}\n");
    Ok(line.into())
}

impl Stream for Lines {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(match ready!(self.poll_answer(cx)) {
            Some(Ok(line)) => Some(Ok(line)),
            Some(Err(status)) => {
                self.answers = None;
                Some(Ok(format!("{}\n", in_stream(&status)).into()))
            }
            None => None,
        })
    }
}
