//! Accepting: a task that takes connections in, shakes hands beside, and never ends by an error.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_core::Stream;
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_stream::wrappers::ReceiverStream;

use super::bind::{Listener, Socket, SocketFile};
use super::conn::{Conn, Peer, Plain};
use crate::counts::Counts;
use crate::tls::Tls;

/// How many connections may wait for the server to take them. Beyond it, they wait in the system's own queue.
const WAITING_MAX: usize = 64;

/// How many handshakes may be under way. Each costs some ten kilobytes, and all the time it takes is the client's.
const HANDSHAKES_MAX: usize = 1024;

/// How long a client may take to shake hands.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long to wait before accepting again, when the process has no descriptors left, say.
const PAUSE_MIN: Duration = Duration::from_millis(10);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// How long an idle connection may be before the system asks whether the other machine is still there. For what gRPC's
/// own question does not reach: HTTP/1 and handshakes.
const IDLE: Duration = Duration::from_secs(60);

/// The connections that come in on `listener`, encrypted where its address asks for it. It is accepted until the stream is
/// dropped. Where the address asks for TLS and there is none, it gives that error and ends.
///
/// # Panics
///
/// Outside of a runtime of tokio's.
pub fn incoming(
    listener: Listener,
    tls: Option<Arc<Tls>>,
    counts: Arc<Counts>,
) -> impl Stream<Item = io::Result<Conn>> + Send + Unpin + 'static {
    let (sender, receiver) = mpsc::channel(WAITING_MAX);
    match Accepting::new(listener, tls, counts, sender.clone()) {
        Ok(mut accepting) => drop(tokio::spawn(async move { accepting.run().await })),
        // The channel has room for it.
        Err(error) => drop(sender.try_send(Err(error))),
    }
    ReceiverStream::new(receiver)
}

enum Source {
    Tcp(TcpListener),
    Unix(UnixListener, #[expect(dead_code, reason = "it is held to be dropped")] SocketFile),
}

impl Source {
    fn of(listener: Listener) -> io::Result<Self> {
        match listener.socket {
            Socket::Tcp(socket) => TcpListener::from_std(socket).map(Self::Tcp),
            Socket::Unix(socket, file) => {
                UnixListener::from_std(socket).map(|socket| Self::Unix(socket, file))
            }
        }
    }

    async fn accept(&self) -> io::Result<(Plain, Option<SocketAddr>)> {
        match self {
            Self::Tcp(socket) => {
                let (stream, address) = socket.accept().await?;
                prepare(&stream);
                Ok((Plain::Left(stream), Some(address)))
            }
            Self::Unix(socket, _) => Ok((Plain::Right(socket.accept().await?.0), None)),
        }
    }
}

/// Sends small answers at once, and finds out about machines that are gone. A socket that cannot is closed soon anyhow.
fn prepare(stream: &TcpStream) {
    let _ = stream.set_nodelay(true);
    let _ = rustix::net::sockopt::set_socket_keepalive(stream, true);
    let _ = rustix::net::sockopt::set_tcp_keepidle(stream, IDLE);
}

struct Accepting {
    source: Source,
    url: String,
    tls: Option<Arc<Tls>>,
    counts: Arc<Counts>,
    sender: mpsc::Sender<io::Result<Conn>>,
    handshakes: JoinSet<()>,
}

impl Accepting {
    fn new(
        listener: Listener,
        tls: Option<Arc<Tls>>,
        counts: Arc<Counts>,
        sender: mpsc::Sender<io::Result<Conn>>,
    ) -> io::Result<Self> {
        let url = listener.url().to_string();
        let tls = match (listener.url().is_tls(), tls) {
            (true, None) => {
                return Err(io::Error::other(format!("{url} asks for TLS, and there is no certificate")));
            }
            (true, tls) => tls,
            (false, _) => None,
        };
        let source = Source::of(listener)?;
        Ok(Self { source, url, tls, counts, sender, handshakes: JoinSet::new() })
    }

    async fn run(&mut self) {
        let mut pause = PAUSE_MIN;
        loop {
            let has_room = self.handshakes.len() < HANDSHAKES_MAX;
            tokio::select! {
                () = self.sender.closed() => return,
                Some(_) = self.handshakes.join_next() => {}
                accepted = self.source.accept(), if has_room => match accepted {
                    Ok((io, address)) => {
                        pause = PAUSE_MIN;
                        self.take(io, address).await;
                    }
                    Err(error) if is_the_clients(&error) => {}
                    Err(error) => pause = self.wait_out(&error, pause).await,
                },
            }
        }
    }

    async fn take(&mut self, io: Plain, address: Option<SocketAddr>) {
        let counts = Arc::clone(&self.counts);
        match self.tls.clone() {
            None => drop(self.sender.send(Ok(Conn::plain(io, address, counts))).await),
            Some(tls) => {
                let sender = self.sender.clone();
                self.handshakes.spawn(async move {
                    if let Some(conn) = shake_hands(&tls, io, address, counts).await {
                        drop(sender.send(Ok(conn)).await);
                    }
                });
            }
        }
    }

    async fn wait_out(&self, error: &io::Error, pause: Duration) -> Duration {
        tracing::warn!(url = self.url, %error, "cannot accept a connection; it is tried again");
        tokio::select! {
            () = self.sender.closed() => {}
            () = tokio::time::sleep(pause) => {}
        }
        (pause * 2).min(PAUSE_MAX)
    }
}

/// Whether the connection, not the accepting, is at fault.
fn is_the_clients(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

async fn shake_hands(tls: &Tls, io: Plain, address: Option<SocketAddr>, counts: Arc<Counts>) -> Option<Conn> {
    let failure = match tokio::time::timeout(HANDSHAKE_TIMEOUT, tls.accept(io)).await {
        Ok(Ok((stream, common_name))) => {
            return Some(Conn::tls(stream, Peer { address, common_name }, counts));
        }
        Ok(Err(error)) => failure(&error),
        Err(_) => format!("it took more than {} s", HANDSHAKE_TIMEOUT.as_secs()),
    };
    counts.connections_failed.add(1);
    let peer = address.map(|address| address.to_string());
    tracing::warn!(peer, failure, "a TLS handshake failed");
    None
}

/// What rustls says, or what it means where it says it in the words of the protocol.
fn failure(error: &io::Error) -> String {
    use rustls::{Error, InvalidMessage};
    match error.get_ref().and_then(|error| error.downcast_ref()) {
        Some(Error::InvalidMessage(InvalidMessage::InvalidContentType)) => {
            "the client does not speak TLS; it must use https".to_owned()
        }
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(code: i32, expected: bool) {
        assert_eq!(is_the_clients(&io::Error::from_raw_os_error(code)), expected, "{code}");
    }

    #[test]
    fn only_what_is_the_servers_own_trouble_is_waited_out() {
        use rustix::io::Errno;
        check(Errno::CONNABORTED.raw_os_error(), true);
        check(Errno::INTR.raw_os_error(), true);
        check(Errno::MFILE.raw_os_error(), false);
        check(Errno::NOMEM.raw_os_error(), false);
    }
}
