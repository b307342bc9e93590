//! Who asks: told by a token, or by a client certificate.

use std::fmt;
use std::sync::Arc;

use http::Extensions;
use tonic::Status;
use tonic::metadata::MetadataMap;

use super::authority::Authority;
use crate::listen::Peer;

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Caller {
    /// Auth was off, so nobody looked.
    Anyone,
    /// Somebody who did not say.
    Nobody,
    /// A user, as far as they say: there may be no such user, or no longer.
    User {
        /// The name.
        name: Arc<str>,
        /// The revision of auth that the token was made at, where it tells: a JSON web token does.
        revision: Option<u64>,
    },
}

/// Marks, in a request's extensions, a call that came as JSON: as in etcd, a certificate is no name there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ViaGateway;

/// Where a token is: etcd's clients use the first, HTTP the second.
const TOKEN_FIELDS: [&str; 2] = ["token", "authorization"];

/// What a request says of who makes it: kept by streams, which ask anew for each of their later requests.
#[derive(Clone)]
pub(crate) struct Credentials {
    /// Empty where it is no text, which no token is.
    token: Option<Box<str>>,
    certified: Option<Arc<str>>,
}

impl Caller {
    pub(crate) fn name(&self) -> Option<&str> {
        match self {
            Self::Anyone | Self::Nobody => None,
            Self::User { name, .. } => Some(name),
        }
    }

    /// The same caller after having been let in: a token that is made before the newest change is not held against them.
    pub(crate) fn as_let_in(&self) -> Self {
        match self {
            Self::User { name, .. } => Self::User { name: Arc::clone(name), revision: None },
            Self::Anyone | Self::Nobody => self.clone(),
        }
    }

    fn certified(name: Option<Arc<str>>) -> Self {
        name.map_or(Self::Nobody, |name| Self::User { name, revision: None })
    }

    pub(super) fn is_older_than(&self, newest: u64) -> bool {
        matches!(self, Self::User { revision: Some(revision), .. } if *revision < newest)
    }
}

impl Authority {
    /// Who makes a call with this metadata and these extensions.
    ///
    /// # Errors
    ///
    /// `Unauthenticated` for a token that is not valid, or no longer.
    pub(crate) fn caller(&self, metadata: &MetadataMap, extensions: &Extensions) -> Result<Caller, Status> {
        if !self.state().enabled {
            return Ok(Caller::Anyone);
        }
        match token(metadata) {
            Some(token) => self.tokens().caller(token),
            None => Ok(Caller::certified(self.certified(extensions))),
        }
    }

    /// What a stream that was opened with this metadata and these extensions has to keep.
    pub(crate) fn credentials(&self, metadata: &MetadataMap, extensions: &Extensions) -> Credentials {
        Credentials { token: token(metadata).map(Box::from), certified: self.certified(extensions) }
    }

    /// Who opened a stream, as [`caller`](Self::caller) tells now.
    ///
    /// # Errors
    ///
    /// As [`caller`](Self::caller).
    pub(crate) fn caller_of(&self, credentials: &Credentials) -> Result<Caller, Status> {
        if !self.state().enabled {
            return Ok(Caller::Anyone);
        }
        match &credentials.token {
            Some(token) => self.tokens().caller(token),
            None => Ok(Caller::certified(credentials.certified.clone())),
        }
    }

    /// The common name of the client's certificate, where it counts.
    fn certified(&self, extensions: &Extensions) -> Option<Arc<str>> {
        if !self.settings().client_cert_auth || extensions.get::<ViaGateway>().is_some() {
            return None;
        }
        extensions.get::<Peer>()?.common_name.clone().filter(|name| !name.is_empty())
    }
}

/// The token in a request's metadata; an empty one where what is there is no text.
fn token(metadata: &MetadataMap) -> Option<&str> {
    let field = TOKEN_FIELDS.iter().find_map(|field| metadata.get(*field))?;
    let text = field.to_str().unwrap_or_default();
    Some(text.strip_prefix("Bearer ").unwrap_or(text))
}

/// Without the token.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let token = self.token.as_ref().map(|_| "…");
        f.debug_struct("Credentials").field("token", &token).field("certified", &self.certified).finish()
    }
}
