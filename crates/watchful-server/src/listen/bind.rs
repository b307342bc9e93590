//! Sockets that listen.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::os::fd::AsFd;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use super::url::{ListenUrl, Place};

/// How many connections may wait to be accepted. The system's own bound may be lower.
const BACKLOG: i32 = 4096;

/// A socket that listens.
#[derive(Debug)]
pub struct Listener {
    url: ListenUrl,
    pub(super) socket: Socket,
}

#[derive(Debug)]
pub(super) enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener, SocketFile),
}

/// The file of a Unix socket. Dropped, it is gone.
#[derive(Debug)]
pub(super) struct SocketFile(PathBuf);

/// Why an address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListenError {
    /// Somebody else is there.
    #[error(
        "cannot listen on {url}: another program already does; stop it, or choose another address (port 0 takes a free one)"
    )]
    InUse {
        /// The address.
        url: ListenUrl,
    },
    /// This user may not.
    #[error(
        "cannot listen on {url}: this user may not; choose a port above 1023, or a folder that the user may write to"
    )]
    NotPermitted {
        /// The address.
        url: ListenUrl,
    },
    /// The name has no address.
    #[error(
        "cannot listen on {url}: the host's name cannot be resolved ({reason}); write an address of this machine"
    )]
    Unresolved {
        /// The address.
        url: ListenUrl,
        /// What the resolver says.
        reason: String,
    },
    /// The address is another machine's.
    #[error(
        "cannot listen on {url}: this machine does not have that address; write one that it has, or 0.0.0.0 for all of them"
    )]
    NotHere {
        /// The address.
        url: ListenUrl,
    },
    /// The file of a Unix socket is something else.
    #[error("cannot listen on {url}: the file is there and is no socket; move it away, or choose another")]
    NoSocket {
        /// The address.
        url: ListenUrl,
    },
    /// Something else.
    #[error("cannot listen on {url}: {source}")]
    Other {
        /// The address.
        url: ListenUrl,
        /// What the system says.
        source: io::Error,
    },
}

/// Listens on each of `urls`. Of a name's several addresses the first is taken, IPv4 before IPv6, as in etcd.
///
/// # Errors
///
/// When one of them cannot be listened on; then none is.
pub fn bind(urls: &[ListenUrl]) -> Result<Vec<Listener>, ListenError> {
    urls.iter().map(Listener::bind).collect()
}

impl Listener {
    fn bind(url: &ListenUrl) -> Result<Self, ListenError> {
        match url.place() {
            Place::Tcp { host, port } => {
                let address = resolve(url, host, *port)?;
                let (socket, address) = tcp(address).map_err(|error| refused(url, error))?;
                // A name stays a name: it is what the certificate is for.
                let place = Place::Tcp { host: host.clone(), port: address.port() };
                Ok(Self { url: ListenUrl::new(url.is_tls(), place), socket: Socket::Tcp(socket) })
            }
            Place::Unix(path) => {
                make_way(url, path)?;
                let socket = unix(path).map_err(|error| refused(url, error))?;
                Ok(Self { url: url.clone(), socket: Socket::Unix(socket, SocketFile(path.clone())) })
            }
        }
    }

    /// The address, with the port that was taken where 0 was asked for.
    #[must_use]
    pub fn url(&self) -> &ListenUrl {
        &self.url
    }

    /// The address of the socket; none of a Unix socket.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        match &self.socket {
            Socket::Tcp(socket) => socket.local_addr().ok(),
            Socket::Unix(..) => None,
        }
    }
}

fn resolve(url: &ListenUrl, host: &str, port: u16) -> Result<SocketAddr, ListenError> {
    let unresolved = |reason: String| ListenError::Unresolved { url: url.clone(), reason };
    let addresses = (host, port).to_socket_addrs().map_err(|error| unresolved(error.to_string()))?;
    let first = addresses.min_by_key(SocketAddr::is_ipv6);
    first.ok_or_else(|| unresolved("it has no address".to_owned()))
}

fn tcp(address: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let socket = TcpListener::bind(address)?;
    listen_longer(&socket)?;
    socket.set_nonblocking(true)?;
    let address = socket.local_addr()?;
    Ok((socket, address))
}

fn unix(path: &Path) -> io::Result<UnixListener> {
    let socket = UnixListener::bind(path)?;
    listen_longer(&socket)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// The standard library lets 128 wait, which ten thousand clients that come back at once overrun.
fn listen_longer(socket: &impl AsFd) -> io::Result<()> {
    rustix::net::listen(socket, BACKLOG).map_err(Into::into)
}

/// Removes the socket that a server which was killed left behind. One that answers stays.
fn make_way(url: &ListenUrl, path: &Path) -> Result<(), ListenError> {
    let Ok(found) = std::fs::symlink_metadata(path) else { return Ok(()) };
    if !found.file_type().is_socket() {
        return Err(ListenError::NoSocket { url: url.clone() });
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path).map_err(|error| refused(url, error))
        }
        _ => Err(ListenError::InUse { url: url.clone() }),
    }
}

pub(super) fn refused(url: &ListenUrl, source: io::Error) -> ListenError {
    let url = url.clone();
    match source.kind() {
        ErrorKind::AddrInUse => ListenError::InUse { url },
        ErrorKind::PermissionDenied => ListenError::NotPermitted { url },
        ErrorKind::AddrNotAvailable => ListenError::NotHere { url },
        _ => ListenError::Other { url, source },
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Where it is gone already, somebody else has tidied up.
        let _ = std::fs::remove_file(&self.0);
    }
}
