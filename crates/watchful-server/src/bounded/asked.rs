//! A request's body: whole before anybody reads it, or as it comes, and counted either way.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use tonic::Status;

use crate::observe::{Frames, PREFIX_LEN};
use crate::unread::Kept;

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
pub(super) enum Most {
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

    pub(super) fn as_it_comes(body: B) -> Self {
        Self::new(Some(body), Manner::AsItComes, None)
    }

    pub(super) fn nothing() -> Self {
        Self::new(None, Manner::AsItComes, None)
    }

    pub(super) fn in_messages(body: B, kept: Kept) -> Self {
        Self::new(Some(body), Manner::InMessages(Frames::default()), Some(kept))
    }

    pub(super) fn whole(body: B, kept: Kept, most: Most) -> Self {
        Self::new(Some(body), Manner::Whole(most), Some(kept))
    }

    /// What was gathered goes on counting when it has been read, until it is answered.
    pub(super) fn whole_kept(&mut self) -> Option<Kept> {
        self.kept.take_if(|_| !matches!(self.manner, Manner::InMessages(_)))
    }
}

impl<B> Asked<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    /// It waits: not with what it was read into, which may be much larger.
    pub(super) fn settle(&mut self) {
        self.gathered.settle();
    }

    /// Whether it is to be whole, and nothing of it has come.
    pub(super) fn is_to_come(&self) -> bool {
        matches!(self.manner, Manner::Whole(_)) && self.gathered.len() == 0 && !self.is_end_stream()
    }

    /// Gathers it, where it is to be whole.
    pub(super) fn poll_whole(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Status>> {
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
