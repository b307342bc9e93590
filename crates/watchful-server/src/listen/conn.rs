//! A connection: TCP or a Unix socket, plain or encrypted, and who is at its other end.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::server::TlsStream;
use tokio_util::either::Either;
use tonic::transport::server::Connected;

use super::joined::Joined;
use super::places::Place;
use crate::counts::Counts;
use crate::unread::Unread;

/// A connection that was accepted and, where the address asks for it, shook hands.
#[derive(Debug)]
pub struct Conn {
    /// What it said first, as far as that has not been read again.
    said: Bytes,
    io: Joined<Io>,
    peer: Peer,
    _counted: Counted,
    _place: Place,
}

/// A connection that has said its first words.
pub(super) struct Hello {
    pub(super) io: Io,
    pub(super) peer: Peer,
    pub(super) said: Bytes,
}

/// Who is at the other end. In every request's extensions.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Peer {
    /// The address; none of a Unix socket.
    pub address: Option<SocketAddr>,
    /// The common name of the certificate that the client showed and that was verified.
    pub common_name: Option<Arc<str>>,
    /// What the connection has been answered and has not taken.
    pub(crate) unread: Option<Arc<Unread>>,
}

/// The same client, whatever it has read.
impl PartialEq for Peer {
    fn eq(&self, other: &Self) -> bool {
        (self.address, &self.common_name) == (other.address, &other.common_name)
    }
}

impl Eq for Peer {}

/// A connection, plain or encrypted.
pub(super) type Io = Either<Plain, Box<TlsStream<Plain>>>;

/// A connection before any encryption.
pub(super) type Plain = Either<TcpStream, UnixStream>;

/// One of the open connections. Dropped, it is closed.
#[derive(Debug)]
struct Counted(Arc<Counts>);

impl Conn {
    pub(super) fn new(hello: Hello, place: Place, counts: Arc<Counts>) -> Self {
        let Hello { io, mut peer, said } = hello;
        peer.unread = Some(Unread::new(Arc::clone(&counts)));
        counts.connections.add(1);
        Self { said, io: Joined::new(io), peer, _counted: Counted(counts), _place: place }
    }

    /// Who is at the other end.
    #[must_use]
    pub fn peer(&self) -> &Peer {
        &self.peer
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.connections.add(-1);
    }
}

impl Connected for Conn {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

impl AsyncRead for Conn {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let conn = self.get_mut();
        if conn.said.is_empty() {
            return Pin::new(&mut conn.io).poll_read(cx, buf);
        }
        let len = conn.said.len().min(buf.remaining());
        buf.put_slice(&conn.said.split_to(len));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Conn {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}
