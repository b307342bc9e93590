//! Streams that end when the server stops: a connection can only close once its streams have.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;
use tokio_util::sync::WaitForCancellationFutureOwned;
use tonic::Status;

use crate::answers;
use crate::state::Shared;

/// A stream of answers that is over once the server is told to stop.
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
        next
    }
}
