//! Streams that end when the server stops: a connection can only close once its streams have.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;
use tokio_util::sync::WaitForCancellationFutureOwned;
use tonic::Status;

use crate::answers;
use crate::state::Shared;

/// A stream of answers that is over once the server is told to stop, or once it has given an error: gRPC has one end.
pub(crate) struct UntilStopped<S> {
    stream: S,
    stopping: Pin<Box<WaitForCancellationFutureOwned>>,
    is_over: bool,
}

impl Shared {
    /// `stream`, until the server stops. What the stream has ready then is still sent.
    pub(crate) fn until_stopped<S>(&self, stream: S) -> UntilStopped<S> {
        let stopping = Box::pin(self.stopping.clone().cancelled_owned());
        UntilStopped { stream, stopping, is_over: false }
    }
}

impl<S, T> Stream for UntilStopped<S>
where
    S: Stream<Item = Result<T, Status>> + Unpin,
{
    type Item = Result<T, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        let next = Pin::new(&mut self.stream).poll_next(cx);
        if next.is_pending() && self.stopping.as_mut().poll(cx).is_ready() {
            self.is_over = true;
            return Poll::Ready(Some(Err(answers::stopped())));
        }
        self.is_over = matches!(next, Poll::Ready(None | Some(Err(_))));
        next
    }
}

#[cfg(test)]
mod tests {
    use tokio_stream::StreamExt as _;
    use tokio_util::sync::CancellationToken;

    use super::*;

    /// A message that cannot be read is an error each time it is asked for, and each of them made an end of the answer:
    /// who read on behind the first one never came to the last.
    #[tokio::test]
    async fn after_an_error_nothing_comes() {
        let endless = tokio_stream::iter(std::iter::repeat_with(|| Err::<(), _>(Status::internal("again"))));
        let stopping = Box::pin(CancellationToken::new().cancelled_owned());
        let stream = UntilStopped { stream: endless, stopping, is_over: false };
        assert_eq!(stream.take(3).collect::<Vec<_>>().await.len(), 1);
    }
}
