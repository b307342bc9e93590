//! Accepting: a task that takes connections in, shakes hands and hears their first words beside, and never ends by an error.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_core::Stream;
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::either::Either;

use super::bind::{Listener, Socket, SocketFile};
use super::conn::{Conn, Hello, Peer, Plain};
use super::first_words::first_words;
use super::places::{Place, Places};
use crate::counts::Counts;
use crate::tls::Tls;

/// How many connections may wait for the server to take them. Beyond it, they wait in the system's own queue.
const WAITING_MAX: usize = 64;

/// How many connections may be on their way in: shaking hands, or without a first word. Each costs some ten kilobytes, and
/// all the time it takes is the client's. One more, and the oldest is cut, once it has had a second: whoever means it is
/// through by then. Before that nobody further is accepted, or a crowd that comes quickly would have everybody cut.
const HANDSHAKES_MAX: usize = 1024;
const UNCUT_TIME: Duration = Duration::from_secs(1);

/// How long a client may take to shake hands and to say its first words.
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
    incoming_within(HANDSHAKE_TIMEOUT, listener, tls, counts)
}

/// The same, where clients may take as long as `timeout` for their first words.
pub(crate) fn incoming_within(
    timeout: Duration,
    listener: Listener,
    tls: Option<Arc<Tls>>,
    counts: Arc<Counts>,
) -> impl Stream<Item = io::Result<Conn>> + Send + Unpin + 'static {
    let (sender, receiver) = mpsc::channel(WAITING_MAX);
    match Accepting::new(timeout, listener, tls, counts, sender.clone()) {
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
    timeout: Duration,
    source: Source,
    url: String,
    tls: Option<Arc<Tls>>,
    counts: Arc<Counts>,
    sender: mpsc::Sender<io::Result<Conn>>,
    places: Places,
    /// It was said that there is no place left.
    is_full: bool,
    handshakes: JoinSet<()>,
    /// The same, from the oldest on; some of them may be over.
    oldest: VecDeque<Begun>,
}

/// A connection that is on its way in, and since when.
struct Begun {
    at: Instant,
    handshake: AbortHandle,
}

impl Accepting {
    fn new(
        timeout: Duration,
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
        let (places, handshakes, oldest) = (Places::of_this_process(), JoinSet::new(), VecDeque::new());
        Ok(Self { timeout, source, url, tls, counts, sender, places, is_full: false, handshakes, oldest })
    }

    async fn run(&mut self) {
        let mut pause = PAUSE_MIN;
        loop {
            tokio::select! {
                () = self.sender.closed() => return,
                Some(_) = self.handshakes.join_next() => {}
                accepted = self.source.accept() => match accepted {
                    Ok((io, address)) => {
                        pause = PAUSE_MIN;
                        let Some(place) = self.place().await else { return };
                        self.take(io, address, place);
                    }
                    Err(error) if is_the_clients(&error) => {}
                    Err(error) => pause = self.wait_out(&error, pause).await,
                },
            }
        }
    }

    /// A place for one more. Whoever has been on the way in for the longest makes room; where everybody is in, it waits, and
    /// further ones wait in the system's queue. None once nobody takes connections any more.
    async fn place(&mut self) -> Option<Place> {
        // Those that are over and have not been asked for are nobody's place.
        while self.handshakes.try_join_next().is_some() {}
        while self.handshakes.len() >= HANDSHAKES_MAX {
            self.cut_oldest().await?;
        }
        loop {
            if let Some(place) = self.places.free() {
                self.is_full = false;
                return Some(place);
            }
            if self.handshakes.is_empty() {
                break;
            }
            self.cut_oldest().await?;
        }
        if !std::mem::replace(&mut self.is_full, true) {
            tracing::warn!(url = self.url, "there are as many connections as descriptors allow; others wait");
        }
        tokio::select! {
            () = self.sender.closed() => None,
            place = self.places.wait() => Some(place),
        }
    }

    /// Waits until one of those on the way in is through, and cuts the oldest when it has had its time. None once nobody takes
    /// connections any more.
    async fn cut_oldest(&mut self) -> Option<()> {
        while self.oldest.pop_front_if(|oldest| oldest.handshake.is_finished()).is_some() {}
        let cut_at = self.oldest.front().map_or_else(Instant::now, |oldest| oldest.at + UNCUT_TIME);
        tokio::select! {
            () = self.sender.closed() => return None,
            Some(_) = self.handshakes.join_next() => return Some(()),
            () = tokio::time::sleep_until(cut_at) => {}
        }
        if let Some(oldest) = self.oldest.pop_front() {
            oldest.handshake.abort();
            self.counts.connections_failed.add(1);
        }
        self.handshakes.join_next().await;
        Some(())
    }

    fn take(&mut self, io: Plain, address: Option<SocketAddr>, place: Place) {
        if self.oldest.len() >= 2 * HANDSHAKES_MAX {
            self.oldest.retain(|begun| !begun.handshake.is_finished());
        }
        let (tls, counts, sender) = (self.tls.clone(), Arc::clone(&self.counts), self.sender.clone());
        let timeout = self.timeout;
        let handshake = self.handshakes.spawn(async move {
            if let Some(conn) = come_in(timeout, tls, io, address, place, counts).await {
                drop(sender.send(Ok(conn)).await);
            }
        });
        self.oldest.push_back(Begun { at: Instant::now(), handshake });
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

/// The connection once it is clear that somebody is there. None where nobody is, or whoever it is does not get that far.
async fn come_in(
    timeout: Duration,
    tls: Option<Arc<Tls>>,
    io: Plain,
    address: Option<SocketAddr>,
    place: Place,
    counts: Arc<Counts>,
) -> Option<Conn> {
    let mut is_to_shake_hands = tls.is_some();
    let hello = hello(tls.as_deref(), io, address, &mut is_to_shake_hands);
    let failure = match tokio::time::timeout(timeout, hello).await {
        // Those that are opened to see whether anybody listens.
        Ok(Ok(hello)) if hello.said.is_empty() => return None,
        Ok(Ok(hello)) => return Some(Conn::new(hello, place, counts)),
        Ok(Err(error)) => failure(&error),
        Err(_) => format!("it took more than {timeout:?}"),
    };
    counts.connections_failed.add(1);
    let peer = address.map(|address| address.to_string());
    match is_to_shake_hands {
        true => tracing::warn!(peer, failure, "a TLS handshake failed"),
        false => tracing::debug!(peer, failure, "a connection did not get to its first word"),
    }
    None
}

async fn hello(
    tls: Option<&Tls>,
    mut io: Plain,
    address: Option<SocketAddr>,
    is_to_shake_hands: &mut bool,
) -> io::Result<Hello> {
    let Some(tls) = tls else {
        let said = first_words(&mut io).await?;
        return Ok(Hello { io: Either::Left(io), peer: Peer { address, ..Peer::default() }, said });
    };
    let (mut io, common_name) = tls.accept(io).await?;
    *is_to_shake_hands = false;
    let said = first_words(&mut io).await?;
    Ok(Hello { io: Either::Right(Box::new(io)), peer: Peer { address, common_name, unread: None }, said })
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
