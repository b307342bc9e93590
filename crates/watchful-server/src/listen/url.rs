//! An address to listen on, as etcd writes it: `http://host:port`, `https://host:port`, `unix://path`, `unixs://path`.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// An address to listen on.
///
/// ```
/// use watchful_server::ListenUrl;
///
/// let url: ListenUrl = "https://[::1]:2379".parse()?;
/// assert!(url.is_tls());
/// assert_eq!((url.host(), url.port()), (Some("::1"), Some(2379)));
/// assert_eq!(url.to_string(), "https://[::1]:2379");
/// # Ok::<(), watchful_server::ListenUrlError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ListenUrl {
    tls: bool,
    place: Place,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Place {
    /// A host, without brackets, and a port.
    Tcp { host: String, port: u16 },
    /// A socket in the file system.
    Unix(PathBuf),
}

/// Why something is no address to listen on, and what to write.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{url:?} {wrong}")]
pub struct ListenUrlError {
    url: String,
    wrong: &'static str,
}

impl ListenUrl {
    pub(crate) fn new(tls: bool, place: Place) -> Self {
        Self { tls, place }
    }

    /// Whether connections are encrypted.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.tls
    }

    /// The host, a name or an address; none of a Unix socket.
    #[must_use]
    pub fn host(&self) -> Option<&str> {
        match &self.place {
            Place::Tcp { host, .. } => Some(host),
            Place::Unix(_) => None,
        }
    }

    /// The port; none of a Unix socket.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        match &self.place {
            Place::Tcp { port, .. } => Some(*port),
            Place::Unix(_) => None,
        }
    }

    /// The file of a Unix socket.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match &self.place {
            Place::Tcp { .. } => None,
            Place::Unix(path) => Some(path),
        }
    }

    pub(crate) fn place(&self) -> &Place {
        &self.place
    }
}

impl FromStr for ListenUrl {
    type Err = ListenUrlError;

    fn from_str(text: &str) -> Result<Self, ListenUrlError> {
        let wrong = |wrong| ListenUrlError { url: text.to_owned(), wrong };
        let (scheme, rest) = text.split_once(':').ok_or_else(|| wrong(NO_SCHEME))?;
        let slashes = rest.strip_prefix("//");
        match (scheme, slashes) {
            ("http" | "https", Some(host)) => {
                let place = tcp(host).map_err(wrong)?;
                Ok(Self::new(scheme == "https", place))
            }
            ("unix" | "unixs", _) => {
                let path = slashes.unwrap_or(rest);
                if path.is_empty() {
                    return Err(wrong("names no file; write it as unix:///run/watchful.sock"));
                }
                Ok(Self::new(scheme == "unixs", Place::Unix(path.into())))
            }
            _ => Err(wrong(NO_SCHEME)),
        }
    }
}

const NO_SCHEME: &str =
    "does not begin with http://, https://, unix:// or unixs://; write it as http://127.0.0.1:2379";

fn tcp(text: &str) -> Result<Place, &'static str> {
    if text.contains(['/', '?', '#', '@']) {
        return Err("has more than a host and a port; write it as http://127.0.0.1:2379, without a path");
    }
    let (host, port) = match text.strip_prefix('[') {
        Some(text) => text.split_once("]:").ok_or(NO_PORT)?,
        None => text.rsplit_once(':').ok_or(NO_PORT)?,
    };
    if host.is_empty() {
        return Err(
            "has no host; write 0.0.0.0 for every address of the machine, 127.0.0.1 for itself alone",
        );
    }
    if host.contains(':') && !text.starts_with('[') {
        return Err("has an IPv6 address without brackets; write it as http://[::1]:2379");
    }
    let port = port.parse().map_err(|_| "has a port that is not a number from 0 to 65535")?;
    Ok(Place::Tcp { host: host.to_owned(), port })
}

const NO_PORT: &str = "has no port; write it as http://127.0.0.1:2379";

impl fmt::Display for ListenUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secure = if self.tls { "s" } else { "" };
        match &self.place {
            Place::Tcp { host, port } if host.contains(':') => write!(f, "http{secure}://[{host}]:{port}"),
            Place::Tcp { host, port } => write!(f, "http{secure}://{host}:{port}"),
            Place::Unix(path) => write!(f, "unix{secure}://{}", path.display()),
        }
    }
}
