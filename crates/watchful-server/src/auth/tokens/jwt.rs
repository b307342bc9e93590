//! JSON web tokens, as etcd's: the claims `username`, `revision` and `exp`, signed by one method.
//!
//! The envelope is three parts of base64; what is difficult in it, the signatures, is ring's, which TLS uses too. A
//! token's own word on its method is not followed: it has to be the one that the server was told.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use ring::{hmac, signature::UnparsedPublicKey};
use serde::Deserialize;
use serde_json::{Value, json};
use tonic::Status;

use super::super::settings::{JwtSettings, SignMethod};
use super::keys::{self, Signer, Verifier};

/// The most bytes of a token that is looked at: more than any key's signature and any name take.
const TOKEN_BYTES_MAX: usize = 16 << 10;

/// JSON web tokens.
pub(in crate::auth) struct WebTokens {
    method: SignMethod,
    ttl: Duration,
    keys: Keys,
}

enum Keys {
    Shared(hmac::Key),
    Pair { verifier: Verifier, signer: Option<Signer> },
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    /// What a reader has to understand, and this one does not.
    crit: Option<Value>,
}

#[derive(Deserialize)]
struct Claims {
    username: String,
    revision: f64,
    exp: Option<f64>,
    nbf: Option<f64>,
}

impl WebTokens {
    /// Reads the keys. The error says which is wrong, and what to do.
    pub(super) fn new(settings: &JwtSettings) -> Result<Self, String> {
        let (method, ttl) = (settings.sign_method, settings.ttl);
        let keys = match keys::family(method) {
            None => Keys::Shared(shared(settings)?),
            Some((family, algorithm)) => {
                let signer = settings.private_key.as_deref().map(|path| family.signer(path)).transpose()?;
                let public = settings.public_key.as_deref().map(|path| family.public(path)).transpose()?;
                let key = match (signer.as_ref().map(Signer::public), public) {
                    (Some(own), Some(given)) if own != given => {
                        return Err(
                            "pub-key is not the public key of priv-key; give those that belong together"
                                .to_owned(),
                        );
                    }
                    (Some(key), _) | (None, Some(key)) => key,
                    (None, None) => return Err(format!("{method} needs priv-key=FILE or pub-key=FILE")),
                };
                Keys::Pair { verifier: Verifier { algorithm, key }, signer }
            }
        };
        Ok(Self { method, ttl, keys })
    }

    /// A token for a user.
    pub(super) fn sign(&self, name: &str, revision: u64) -> Result<String, Status> {
        let header = json!({ "alg": self.method.name(), "typ": "JWT" });
        let exp = seconds_since_1970().saturating_add(self.ttl.as_secs());
        let claims = json!({ "username": name, "revision": revision, "exp": exp });
        let mut token =
            format!("{}.{}", BASE64.encode(header.to_string()), BASE64.encode(claims.to_string()));
        let signature = match &self.keys {
            Keys::Shared(key) => hmac::sign(key, token.as_bytes()).as_ref().to_vec(),
            Keys::Pair { signer: None, .. } => {
                return Err(Status::unknown("auth: token signing attempted with verify-only key"));
            }
            Keys::Pair { signer: Some(signer), .. } => {
                let failed = |_| Status::internal("watchful: a token could not be signed");
                signer.sign(token.as_bytes()).map_err(failed)?
            }
        };
        token.push('.');
        BASE64.encode_string(signature, &mut token);
        Ok(token)
    }

    /// The user and the revision that a token names; none of one that is not right, or over.
    pub(super) fn read(&self, token: &str) -> Option<(String, u64)> {
        if token.len() > TOKEN_BYTES_MAX {
            return None;
        }
        let (message, signature) = token.rsplit_once('.')?;
        let (header, claims) = message.split_once('.')?;
        let header: Header = serde_json::from_slice(&BASE64.decode(header).ok()?).ok()?;
        if header.alg != self.method.name() || header.crit.is_some() {
            return None;
        }
        self.is_signed(message.as_bytes(), &BASE64.decode(signature).ok()?).then_some(())?;
        let claims: Claims = serde_json::from_slice(&BASE64.decode(claims).ok()?).ok()?;
        claims.hold(seconds_since_1970()).then_some(())?;
        Some((claims.username, whole(claims.revision)?))
    }

    fn is_signed(&self, message: &[u8], signature: &[u8]) -> bool {
        match &self.keys {
            Keys::Shared(key) => hmac::verify(key, message, signature).is_ok(),
            Keys::Pair { verifier, .. } => {
                UnparsedPublicKey::new(verifier.algorithm, &verifier.key).verify(message, signature).is_ok()
            }
        }
    }
}

impl Claims {
    /// Whether they hold at this time. One without an end never ends, as in etcd: somebody else may have signed it.
    fn hold(&self, now: u64) -> bool {
        // Some thousand million seconds are exact as a float.
        let now = now as f64;
        self.exp.is_none_or(|exp| now < exp) && self.nbf.is_none_or(|nbf| nbf <= now)
    }
}

fn shared(settings: &JwtSettings) -> Result<hmac::Key, String> {
    let algorithm = match settings.sign_method {
        SignMethod::Hs384 => hmac::HMAC_SHA384,
        SignMethod::Hs512 => hmac::HMAC_SHA512,
        _ => hmac::HMAC_SHA256,
    };
    let path = settings.private_key.as_deref().ok_or("priv-key is missing: the file with the secret")?;
    Ok(hmac::Key::new(algorithm, &keys::contents("priv-key", path)?))
}

fn seconds_since_1970() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// A revision as JSON has it: a number that may be a float.
fn whole(number: f64) -> Option<u64> {
    /// Beyond it a float leaves numbers out.
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
    let is_revision = (0.0..=EXACT_MAX).contains(&number);
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is in the range where both are exact"
    )]
    is_revision.then_some(number as u64)
}

/// Without the keys.
impl fmt::Debug for WebTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebTokens")
            .field("method", &self.method)
            .field("ttl", &self.ttl)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
