//! Who asks: told by a token, or by a client certificate.

use std::sync::Arc;

use http::Extensions;
use tonic::Status;
use tonic::metadata::MetadataMap;

use super::authority::Authority;
use crate::answers;
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

impl Caller {
    pub(crate) fn name(&self) -> Option<&str> {
        match self {
            Self::Anyone | Self::Nobody => None,
            Self::User { name, .. } => Some(name),
        }
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
        if let Some(field) = TOKEN_FIELDS.iter().find_map(|field| metadata.get(*field)) {
            let token = field.to_str().map_err(|_| answers::invalid_token())?;
            return self.tokens().caller(token.strip_prefix("Bearer ").unwrap_or(token));
        }
        Ok(self.certified(extensions).map_or(Caller::Nobody, |name| Caller::User { name, revision: None }))
    }

    /// The common name of the client's certificate, where it counts.
    fn certified(&self, extensions: &Extensions) -> Option<Arc<str>> {
        if !self.settings().client_cert_auth || extensions.get::<ViaGateway>().is_some() {
            return None;
        }
        extensions.get::<Peer>()?.common_name.clone().filter(|name| !name.is_empty())
    }
}
