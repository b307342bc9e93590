//! A connection that sends large writes together.
//!
//! HTTP/2 cuts an answer into frames of 16 KiB and asks for each to be sent before it makes the next. A list of 300 KB is
//! then twenty calls to the system, each of which goes the whole way to the other end and wakes it. So large writes are
//! put off until there is enough of them, there is a small one, or nothing more was written when they are asked for again.
//! Whatever is smaller goes as it comes.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A write of so many bytes is likely to be followed by another one: a frame has 16 KiB at least.
const LARGE_BYTES: usize = 16 << 10;

/// So much is put off at most: three frames. What comes on top is sent along with it, and not copied.
const HELD_BYTES_MAX: usize = 64 << 10;

/// See the module's front page.
#[derive(Debug)]
pub(super) struct Joined<T> {
    io: T,
    /// What was put off, and how much of it has been sent since. Takes no memory while nothing is put off.
    held: Vec<u8>,
    sent: usize,
    /// Whether the last write was a large one, and nothing has asked for it to be sent yet.
    may_wait: bool,
}

impl<T: AsyncWrite + Unpin> Joined<T> {
    pub(super) fn new(io: T) -> Self {
        Self { io, held: Vec::new(), sent: 0, may_wait: false }
    }

    /// Sends what was put off.
    fn poll_held(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.sent < self.held.len() {
            match ready!(Pin::new(&mut self.io).poll_write(cx, &self.held[self.sent..]))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                sent => self.sent += sent,
            }
        }
        self.forget_held();
        Poll::Ready(Ok(()))
    }

    fn forget_held(&mut self) {
        (self.held, self.sent, self.may_wait) = (Vec::new(), 0, false);
    }

    /// Sends what was put off and `bufs` behind it. Tells how much of `bufs` was sent.
    fn poll_with_held(&mut self, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let held = self.held.len() - self.sent;
        let mut all = Vec::with_capacity(bufs.len() + 1);
        all.push(IoSlice::new(&self.held[self.sent..]));
        all.extend(bufs.iter().map(|buf| IoSlice::new(buf)));
        let sent = ready!(Pin::new(&mut self.io).poll_write_vectored(cx, &all))?;
        if let Some(of_bufs) = sent.checked_sub(held).filter(|of_bufs| *of_bufs > 0) {
            self.forget_held();
            return Poll::Ready(Ok(of_bufs));
        }
        self.sent += sent;
        ready!(self.poll_held(cx))?;
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Joined<T> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_read(cx, buf)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Joined<T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let bytes = bufs.iter().map(|buf| buf.len()).sum();
        let is_large = bytes >= LARGE_BYTES;
        if this.held.is_empty() && !(is_large && bytes <= HELD_BYTES_MAX) {
            return Pin::new(&mut this.io).poll_write_vectored(cx, bufs);
        }
        if this.sent > 0 || this.held.len() + bytes > HELD_BYTES_MAX {
            return this.poll_with_held(cx, bufs);
        }
        if this.held.is_empty() {
            this.held.reserve_exact(HELD_BYTES_MAX);
        }
        bufs.iter().for_each(|buf| this.held.extend_from_slice(buf));
        this.may_wait = is_large;
        Poll::Ready(Ok(bytes))
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if std::mem::take(&mut this.may_wait) {
            // Who writes no more asks for it once more: HTTP/2 at once, anybody when woken.
            cx.waker().wake_by_ref();
            return Poll::Ready(Ok(()));
        }
        ready!(this.poll_held(cx))?;
        Pin::new(&mut this.io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_held(cx))?;
        Pin::new(&mut this.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes so many bytes in all, and keeps each write.
    struct Wire {
        writes: Vec<Vec<u8>>,
        room: usize,
    }

    impl AsyncWrite for Wire {
        fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
            if self.room == 0 {
                return Poll::Pending;
            }
            let taken = buf.len().min(self.room);
            self.room -= taken;
            self.writes.push(buf[..taken].to_vec());
            Poll::Ready(Ok(taken))
        }

        fn poll_write_vectored(
            self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            bufs: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            let all: Vec<u8> = bufs.iter().flat_map(|buf| buf.iter().copied()).collect();
            self.poll_write(cx, &all)
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    /// Writes the frames as HTTP/2 does: each is asked to be sent before the next, and all of them at the end. Tells the
    /// sizes of the writes that came of it.
    fn written(frames: &[usize], rooms: &[usize]) -> Vec<usize> {
        let mut joined =
            Joined::new(Wire { writes: Vec::new(), room: if rooms.is_empty() { usize::MAX } else { 0 } });
        let mut rooms = rooms.iter().copied();
        let mut poll = |joined: &mut Joined<Wire>, buf: Option<&[u8]>| {
            let mut cx = Context::from_waker(std::task::Waker::noop());
            loop {
                let done = match buf {
                    Some(buf) => Pin::new(&mut *joined).poll_write(&mut cx, buf),
                    None => Pin::new(&mut *joined).poll_flush(&mut cx).map_ok(|()| 0),
                };
                match done {
                    Poll::Ready(done) => return done.unwrap(),
                    Poll::Pending => joined.io.room = rooms.next().unwrap_or(usize::MAX),
                }
            }
        };
        let mut expected = Vec::new();
        for (number, len) in frames.iter().enumerate() {
            let frame: Vec<u8> = (0..*len).map(|at| u8::try_from((number + at) % 251).unwrap()).collect();
            expected.extend_from_slice(&frame);
            let mut rest = &frame[..];
            while !rest.is_empty() {
                let taken = poll(&mut joined, Some(rest));
                rest = &rest[taken..];
            }
            poll(&mut joined, None);
        }
        poll(&mut joined, None);
        assert!(joined.held.is_empty() && joined.held.capacity() == 0);
        assert_eq!(joined.io.writes.concat(), expected);
        joined.io.writes.iter().map(Vec::len).collect()
    }

    const FRAME: usize = 9 + (16 << 10);

    #[test]
    fn small_writes_go_as_they_come() {
        assert_eq!(written(&[9, 300, 5000], &[]), [9, 300, 5000]);
    }

    #[test]
    fn frames_go_together_and_the_rest_with_the_last() {
        assert_eq!(written(&[FRAME; 9], &[]), [4 * FRAME, 4 * FRAME, FRAME]);
        assert_eq!(written(&[FRAME, FRAME, 100, 9], &[]), [2 * FRAME + 100, 9]);
        assert_eq!(written(&[FRAME], &[]), [FRAME]);
        assert_eq!(written(&[1 << 20, FRAME], &[]), [1 << 20, FRAME]);
    }

    #[test]
    fn nothing_is_lost_or_doubled_where_the_other_end_takes_little() {
        for step in [1000, FRAME - 1, FRAME, 3 * FRAME, 3 * FRAME + 1, 4 * FRAME + 9] {
            written(&[FRAME, FRAME, FRAME, FRAME, FRAME, 100, FRAME, 9], &[step; 200]);
        }
    }
}
