//! Tokens: what a user shows after the password was right once.

mod simple;

mod jwt;

mod keys;

use std::sync::Arc;

use tonic::Status;
use watchful::Clock;

use super::authority::Ends;
use super::caller::Caller;
use super::error::OpenError;
use super::settings::{AuthSettings, TokenSettings};
use crate::answers;
use jwt::WebTokens;
use simple::SimpleTokens;

/// Issues tokens, and tells whose they are.
#[derive(Debug)]
pub(super) enum Tokens {
    Simple(SimpleTokens),
    Jwt(Box<WebTokens>),
    None,
}

impl Tokens {
    pub(super) fn new(settings: &AuthSettings, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        Ok(match &settings.tokens {
            TokenSettings::Simple => Self::Simple(SimpleTokens::new(settings.simple_token_ttl, clock)),
            TokenSettings::Jwt(jwt) => {
                let tokens = WebTokens::new(jwt).map_err(|reason| OpenError::Tokens { reason })?;
                Self::Jwt(Box::new(tokens))
            }
            TokenSettings::None => Self::None,
        })
    }

    /// Whose token this is.
    pub(super) fn caller(&self, token: &str) -> Result<Caller, Status> {
        let caller = match self {
            Self::Simple(tokens) => tokens.user(token).map(|name| Caller::User { name, revision: None }),
            Self::Jwt(tokens) => tokens
                .read(token)
                .map(|(name, revision)| Caller::User { name: name.into(), revision: Some(revision) }),
            Self::None => None,
        };
        caller.ok_or_else(answers::invalid_token)
    }

    /// A token for a user, made at this revision of auth.
    pub(super) fn issue(&self, name: &str, revision: u64) -> Result<String, Status> {
        let issued = match self {
            Self::Simple(tokens) => tokens.issue(name),
            Self::Jwt(tokens) => return tokens.sign(name, revision),
            Self::None => {
                return Err(Status::failed_precondition(
                    "watchful: this server issues no tokens; come with a client certificate, or start it with \
                 --auth-token=simple",
                ));
            }
        };
        issued.ok_or_else(|| Status::internal("watchful: the system gives no random numbers"))
    }

    /// Ends tokens. Web tokens cannot be ended, but a change makes all that are older than it stale.
    pub(super) fn end(&self, ends: &Ends) {
        match (self, ends) {
            (Self::Simple(tokens), Ends::User(name)) => tokens.end_user(name),
            (Self::Simple(tokens), Ends::Everybody) => tokens.end_all(),
            _ => {}
        }
    }

    /// Ends one token that was issued a moment ago.
    pub(super) fn take_back(&self, token: &str) {
        if let Self::Simple(tokens) = self {
            tokens.end_one(token);
        }
    }
}
