//! The one place where requests are made in somebody's name.
//!
//! A [`Session`] is logged in when it is first needed, and its token goes with every request over an [`Authed`] channel.
//! When the server says that the token does not count any more (it has ended, users changed, auth was turned on), another
//! one is fetched, and the request is made once more.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Request, Response};
use http_body_util::{BodyExt as _, Full};
use tokio::sync::Mutex;
use tonic::body::Body;
use tonic::transport::Channel;
use tonic::{Code, Status};
use tower::{Service, ServiceExt as _};
use watchful_wire::etcdserverpb::AuthenticateRequest;
use watchful_wire::etcdserverpb::auth_client::AuthClient;

use crate::login::Login;

/// Where etcd's clients put the token.
const TOKEN_FIELD: &str = "token";

/// What a server says of a token that does not count any more, or where it wants one and was given none.
const REFUSALS: [&str; 3] = [
    "etcdserver: invalid auth token",
    "etcdserver: revision of auth store is old",
    "etcdserver: user name is empty",
];

/// Whether a server's words mean that another token is worth a try.
pub(crate) fn is_token_refused(words: &str) -> bool {
    REFUSALS.iter().any(|refusal| words.contains(refusal))
}

/// Somebody's name and token; or nobody's.
pub(crate) struct Session {
    login: Option<Login>,
    token: Mutex<Token>,
}

#[derive(Clone, PartialEq, Eq)]
enum Token {
    /// To be asked for.
    Unknown,
    /// The server has auth turned off.
    NotWanted,
    Is(HeaderValue),
}

impl Session {
    pub(crate) fn new(login: Option<Login>) -> Self {
        Self { login, token: Mutex::new(Token::Unknown) }
    }

    pub(crate) fn is_somebodys(&self) -> bool {
        self.login.is_some()
    }

    /// Logs in, where that was not done.
    async fn token(&self, channel: &Channel) -> Result<Token, Status> {
        let Some(login) = &self.login else { return Ok(Token::NotWanted) };
        let mut token = self.token.lock().await;
        if *token == Token::Unknown {
            *token = log_in(login, channel).await?;
        }
        Ok(token.clone())
    }

    async fn forget(&self, refused: &Token) {
        let mut token = self.token.lock().await;
        if *token == *refused {
            *token = Token::Unknown;
        }
    }
}

async fn log_in(login: &Login, channel: &Channel) -> Result<Token, Status> {
    let (name, password) = (login.name.clone(), login.password.clone().reveal());
    let request = AuthenticateRequest { name, password };
    match AuthClient::new(channel.clone()).authenticate(request).await {
        Ok(response) => {
            let token = HeaderValue::try_from(response.into_inner().token);
            let mut token =
                token.map_err(|_| Status::internal("the server gave a token that cannot be sent back"))?;
            token.set_sensitive(true);
            Ok(Token::Is(token))
        }
        Err(status)
            if status.code() == Code::FailedPrecondition && status.message().contains("not enabled") =>
        {
            Ok(Token::NotWanted)
        }
        Err(status) => Err(status),
    }
}

/// A channel whose requests are made in a session's name.
#[derive(Clone)]
pub(crate) struct Authed {
    channel: Channel,
    session: Arc<Session>,
    is_repeated: bool,
}

impl Authed {
    pub(crate) fn new(channel: Channel, session: Arc<Session>) -> Self {
        Self { channel, session, is_repeated: true }
    }

    pub(crate) fn session(&self) -> &Arc<Session> {
        &self.session
    }

    /// Logs in, so that a wrong password is told before anything else is.
    pub(crate) async fn log_in(&self) -> Result<(), Status> {
        self.session.token(&self.channel).await.map(drop)
    }

    /// For requests that go on without end, and so cannot be kept here to be made again: whoever makes them has to.
    pub(crate) fn once(&self) -> Self {
        Self { is_repeated: false, ..self.clone() }
    }

    async fn ask(self, request: Request<Body>) -> Result<Response<Body>, Status> {
        let (parts, body) = request.into_parts();
        if !self.session.is_somebodys() || !self.is_repeated {
            return self.attempt(parts, body).await.map(|(response, _)| response);
        }
        let body = Full::new(whole(body).await?);
        let (response, is_refused) = self.attempt(parts.clone(), Body::new(body.clone())).await?;
        if !is_refused {
            return Ok(response);
        }
        self.attempt(parts, Body::new(body)).await.map(|(response, _)| response)
    }

    /// The answer, and whether it is that the token does not count.
    async fn attempt(&self, mut parts: Parts, body: Body) -> Result<(Response<Body>, bool), Status> {
        let token = self.session.token(&self.channel).await?;
        if let Token::Is(token) = &token {
            parts.headers.insert(TOKEN_FIELD, token.clone());
        }
        let mut channel = self.channel.clone();
        let channel = channel.ready().await.map_err(broken)?;
        let response = channel.call(Request::from_parts(parts, body)).await.map_err(broken)?;
        // A call that is refused is answered with nothing but its status, which is in the headers then.
        let status = Status::from_header_map(response.headers());
        let is_refused = status.is_some_and(|status| is_token_refused(status.message()));
        if is_refused {
            self.session.forget(&token).await;
        }
        Ok((response, is_refused))
    }

    /// For who was told in other ways that the token does not count.
    pub(crate) async fn renew(&self) {
        let token = self.session.token.lock().await.clone();
        self.session.forget(&token).await;
    }
}

impl Service<Request<Body>> for Authed {
    type Response = Response<Body>;
    type Error = Status;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Status>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        // The channel is waited for with each request.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(self.clone().ask(request))
    }
}

async fn whole(body: Body) -> Result<Bytes, Status> {
    Ok(body.collect().await?.to_bytes())
}

fn broken(error: tonic::transport::Error) -> Status {
    Status::from_error(Box::new(error))
}
