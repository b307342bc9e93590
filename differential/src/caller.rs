//! Who asks: the token that goes with a request, if one does.
//!
//! Each server gives tokens of its own, so a workload names the user, and each side keeps the token that its server gave
//! that user last.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tonic::metadata::AsciiMetadataValue;
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Request, Status};

/// What etcd calls the token in a request's metadata.
const TOKEN: &str = "token";

/// The user that may do everything.
pub(crate) const ROOT: &str = "root";

/// Who asks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Caller {
    /// Somebody without a token.
    #[default]
    Nobody,
    /// A user, with the last token that was given to it: none where there never was one.
    User(&'static str),
    /// Somebody with a token that was never given to anybody.
    Stranger,
}

/// A connection whose requests bear a token.
pub(crate) type Called = InterceptedService<Channel, Bearer>;

/// Puts the token of whoever asks into each request. Its clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bearer(Arc<Mutex<Option<AsciiMetadataValue>>>);

impl Bearer {
    pub(crate) fn set(&self, token: Option<AsciiMetadataValue>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = token;
    }

    fn token(&self) -> Option<AsciiMetadataValue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(token) = self.token() {
            request.metadata_mut().insert(TOKEN, token);
        }
        Ok(request)
    }
}

/// The tokens that one server gave.
#[derive(Debug, Default)]
pub(crate) struct Tokens(HashMap<String, AsciiMetadataValue>);

impl Tokens {
    /// Keeps what a user was given. Whether it can be sent back.
    pub(crate) fn keep(&mut self, user: String, token: &str) -> bool {
        let token = AsciiMetadataValue::try_from(token).ok().filter(|token| !token.is_empty());
        token.map(|token| self.0.insert(user, token)).is_some()
    }

    pub(crate) fn of(&self, caller: Caller) -> Option<AsciiMetadataValue> {
        match caller {
            Caller::Nobody => None,
            Caller::User(name) => self.0.get(name).cloned(),
            Caller::Stranger => Some(AsciiMetadataValue::from_static("no-such-token.1")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_that_share_a_bearer_send_its_token() {
        let bearer = Bearer::default();
        let mut client = bearer.clone();
        let mut sent = || client.call(Request::new(())).unwrap().metadata().get(TOKEN).cloned();
        assert_eq!(sent(), None);
        bearer.set(Some(AsciiMetadataValue::from_static("first")));
        assert_eq!(sent().unwrap(), "first");
    }

    #[test]
    fn the_last_token_of_a_user_counts() {
        let mut tokens = Tokens::default();
        assert!(tokens.keep("a".to_owned(), "1") && tokens.keep("a".to_owned(), "2"));
        assert!(!tokens.keep("a".to_owned(), ""));
        assert_eq!(tokens.of(Caller::User("a")).unwrap(), "2");
        assert_eq!(tokens.of(Caller::User("b")), None);
        assert_eq!(tokens.of(Caller::Nobody), None);
    }
}
