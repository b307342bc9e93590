//! The connection to a server, and one way to ask it something and wait no longer than was said.

use std::fmt;
use std::future::Future;
use std::io;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tonic::transport::{Channel, Endpoint as Target};
use tonic::{Response, Status};
use watchful_wire::etcdserverpb::auth_client::AuthClient;
use watchful_wire::etcdserverpb::kv_client::KvClient;
use watchful_wire::etcdserverpb::lease_client::LeaseClient;
use watchful_wire::etcdserverpb::maintenance_client::MaintenanceClient;
use watchful_wire::etcdserverpb::watch_client::WatchClient;
use watchful_wire::watchers::watchers_client::WatchersClient;

use crate::args::Connection;
use crate::failure::{Failure, deepest};
use crate::login::Login;
use crate::session::{Authed, Session};
use crate::tls::Tls;

/// The largest answer that is read. A server bounds what it takes to some megabytes, but not what it gives.
pub(crate) const ANSWER_BYTES_MAX: usize = 256 << 20;

/// How often a connection that something waits on is asked for a sign of life. etcd forbids less than 5 s.
const PING_INTERVAL: Duration = Duration::from_secs(10);

/// An address as it was given, and what it means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    text: String,
    host: String,
    port: u16,
    /// None where no scheme was given.
    tls: Option<bool>,
}

impl FromStr for Endpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "write http://HOST:PORT or https://HOST:PORT".to_owned();
        if text.contains(',') {
            return Err("it is one address: a Watchful is one server".to_owned());
        }
        let (tls, rest) = match text.split_once("://") {
            Some(("http", rest)) => (Some(false), rest),
            Some(("https", rest)) => (Some(true), rest),
            Some(_) => return Err(wrong()),
            None => (None, text),
        };
        let authority: http::uri::Authority = rest.trim_end_matches('/').parse().map_err(|_| wrong())?;
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        if host.is_empty() {
            return Err(wrong());
        }
        // Of `user@host` nothing is stripped.
        let port =
            match authority.as_str().strip_prefix(authority.host()).map(|rest| rest.split_at_checked(1)) {
                Some(None) => 2379,
                Some(Some((":", port))) => port.parse().map_err(|_| wrong())?,
                _ => return Err(wrong()),
            };
        Ok(Self { text: text.to_owned(), host, port, tls })
    }
}

impl Endpoint {
    /// As for a URL: a version 6 address goes in brackets.
    fn authority(&self) -> String {
        let Self { host, port, .. } = self;
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A connection to a server. After a break, the next call connects anew.
pub(crate) struct Server {
    channel: Authed,
    pub(crate) endpoint: String,
    pub(crate) timeout: Duration,
}

trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Socket for T {}

impl Server {
    /// Connects and logs in, so that what is wrong with the address, the certificates or the password is told before
    /// anything else is.
    pub(crate) async fn connect(to: &Connection) -> Result<Self, Failure> {
        let (channel, endpoint) = channel(to).await?;
        let session = Arc::new(Session::new(Login::of(to)?));
        let server = Self { channel: Authed::new(channel, session), endpoint, timeout: to.timeout };
        server.in_time(server.channel.log_in()).await?.map_err(|status| server.failure(&status))?;
        Ok(server)
    }

    /// Another connection to the same server, in the same name.
    pub(crate) async fn connect_again(&self, to: &Connection) -> Result<Self, Failure> {
        let (channel, endpoint) = channel(to).await?;
        let channel = Authed::new(channel, Arc::clone(self.channel.session()));
        Ok(Self { channel, endpoint, timeout: to.timeout })
    }

    pub(crate) fn kv(&self) -> KvClient<Authed> {
        KvClient::new(self.channel.clone()).max_decoding_message_size(ANSWER_BYTES_MAX)
    }

    pub(crate) fn watch(&self) -> WatchClient<Authed> {
        WatchClient::new(self.channel.once()).max_decoding_message_size(ANSWER_BYTES_MAX)
    }

    pub(crate) fn auth(&self) -> AuthClient<Authed> {
        AuthClient::new(self.channel.clone()).max_decoding_message_size(ANSWER_BYTES_MAX)
    }

    pub(crate) fn lease(&self) -> LeaseClient<Authed> {
        LeaseClient::new(self.channel.clone()).max_decoding_message_size(ANSWER_BYTES_MAX)
    }

    pub(crate) fn maintenance(&self) -> MaintenanceClient<Authed> {
        MaintenanceClient::new(self.channel.clone()).max_decoding_message_size(ANSWER_BYTES_MAX)
    }

    pub(crate) fn watchers(&self) -> WatchersClient<Authed> {
        WatchersClient::new(self.channel.clone()).max_decoding_message_size(ANSWER_BYTES_MAX)
    }

    /// Whether the requests are made in somebody's name.
    pub(crate) fn has_session(&self) -> bool {
        self.channel.session().is_somebodys()
    }

    /// Has the next request log in anew.
    pub(crate) async fn renew_session(&self) {
        self.channel.renew().await;
    }

    /// Waits for an answer, no longer than was said.
    pub(crate) async fn answer<T>(
        &self,
        call: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<T, Failure> {
        let answer = self.in_time(call).await?;
        Ok(answer.map_err(|status| self.failure(&status))?.into_inner())
    }

    /// Waits for something, no longer than was said.
    pub(crate) async fn in_time<T>(&self, work: impl Future<Output = T>) -> Result<T, Failure> {
        tokio::time::timeout(self.timeout, work).await.map_err(|_| late(&self.endpoint, self.timeout))
    }

    pub(crate) fn failure(&self, status: &Status) -> Failure {
        Failure::of_status(status, &self.endpoint)
    }
}

/// A connection, and the URL that it goes to.
async fn channel(to: &Connection) -> Result<(Channel, String), Failure> {
    let endpoint = to.endpoint.clone();
    let wants_tls = to.cacert.is_some() || to.cert.is_some() || to.insecure_skip_tls_verify;
    if wants_tls && endpoint.tls == Some(false) {
        return Err(Failure::told(format!(
            "{endpoint} has no TLS, and there are options for it: say https://"
        )));
    }
    let tls = endpoint.tls.unwrap_or(wants_tls);
    let tls = if tls { Some(Tls::new(to, &endpoint.host)?) } else { None };
    let scheme = if tls.is_some() { "https" } else { "http" };
    let url = format!("{scheme}://{}", endpoint.authority());
    let uri: Uri = url.parse().map_err(|_| Failure::told(format!("{endpoint} is no address")))?;
    // The connector below does the TLS; the target says https so that the request does.
    let target = Target::from(uri)
        .connect_timeout(to.timeout)
        .http2_keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(to.timeout.max(PING_INTERVAL));
    let connector = tower::service_fn(move |_: Uri| open(endpoint.clone(), tls.clone()));
    let channel = target.connect_with_connector(connector);
    let channel = tokio::time::timeout(to.timeout, channel)
        .await
        .map_err(|_| late(&url, to.timeout))?
        .map_err(|error| Failure::told(deepest(&error)))?;
    Ok((channel, url))
}

fn late(endpoint: &str, timeout: Duration) -> Failure {
    Failure::told(format!(
        "{endpoint} has not answered in {timeout:?}: whether the request was done is unknown; --timeout waits longer"
    ))
}

async fn open(endpoint: Endpoint, tls: Option<Tls>) -> io::Result<TokioIo<Box<dyn Socket>>> {
    let socket = TcpStream::connect((endpoint.host.as_str(), endpoint.port))
        .await
        .map_err(|error| unreachable(&endpoint, &error))?;
    socket.set_nodelay(true)?;
    let socket: Box<dyn Socket> = match tls {
        None => Box::new(socket),
        Some(tls) => Box::new(
            tls.connect(socket).await.map_err(|what| io::Error::other(format!("{endpoint}: {what}")))?,
        ),
    };
    Ok(TokioIo::new(socket))
}

fn unreachable(endpoint: &Endpoint, error: &io::Error) -> io::Error {
    let what = match error.kind() {
        io::ErrorKind::ConnectionRefused => {
            format!("nobody listens at {endpoint}: start `watchful`, or say where it is with --endpoint")
        }
        _ => format!("{endpoint} cannot be reached: {error}; --endpoint says where the server is"),
    };
    io::Error::new(error.kind(), what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<(&str, u16, Option<bool>)>) {
        let found = text.parse::<Endpoint>().ok();
        let found = found.as_ref().map(|it| (it.host.as_str(), it.port, it.tls));
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn addresses() {
        check("http://127.0.0.1:2379", Some(("127.0.0.1", 2379, Some(false))));
        check("https://localhost:9/", Some(("localhost", 9, Some(true))));
        check("localhost", Some(("localhost", 2379, None)));
        check("http://[::1]:80", Some(("::1", 80, Some(false))));
        check("", None);
        check("http://", None);
        check("unix://x", None);
        check("http://h:x", None);
        check("http://h:99999", None);
        check("http://user@h:1", None);
        check("http://h:1/path", None);
        check("http://a:1,http://b:1", None);
    }

    #[test]
    fn version_six_goes_in_brackets() {
        assert_eq!("http://[::1]:80".parse::<Endpoint>().unwrap().authority(), "[::1]:80");
    }
}
