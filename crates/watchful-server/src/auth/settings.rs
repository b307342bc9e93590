//! What a server is told about tokens and passwords, and how `--auth-token` says it.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use crate::config::duration;

/// How users show who they are.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AuthSettings {
    /// What tokens are. Simple ones by default, as in etcd.
    pub tokens: TokenSettings,
    /// How long a simple token lives after its last use. 300 s by default, as in etcd.
    pub simple_token_ttl: Duration,
    /// How much work a password's hash is: each step doubles it. 10 by default, as in etcd; 4 to 16.
    pub bcrypt_cost: u32,
    /// Whether the common name of a verified client certificate names the user who shows no token. Off by default; it is
    /// what `--client-cert-auth` turns on.
    pub client_cert_auth: bool,
}

/// What tokens are.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TokenSettings {
    /// Random letters that this server remembers, until it ends.
    Simple,
    /// JSON web tokens, which are signed and need no memory.
    Jwt(JwtSettings),
    /// There are none: users come with certificates.
    None,
}

/// How JSON web tokens are signed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct JwtSettings {
    /// How.
    pub sign_method: SignMethod,
    /// The file with the public key, PEM. Alone, it checks tokens that somebody else has signed.
    pub public_key: Option<PathBuf>,
    /// The file with the private key, PEM; for HS256 and its like, the secret itself.
    pub private_key: Option<PathBuf>,
    /// How long a token lives. 5 minutes by default, as in etcd.
    pub ttl: Duration,
}

/// How a JSON web token is signed, by its name in RFC 7518.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the RFC's")]
pub enum SignMethod {
    Hs256,
    Hs384,
    Hs512,
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Ps384,
    Ps512,
    Es256,
    Es384,
    EdDsa,
}

/// The least and the most work that a password's hash may be.
pub(crate) const BCRYPT_COST: std::ops::RangeInclusive<u32> = 4..=16;

const JWT_TTL: Duration = Duration::from_secs(300);

impl Default for AuthSettings {
    fn default() -> Self {
        Self {
            tokens: TokenSettings::Simple,
            simple_token_ttl: Duration::from_secs(300),
            bcrypt_cost: 10,
            client_cert_auth: false,
        }
    }
}

impl SignMethod {
    pub(super) const ALL: [(&'static str, Self); 12] = [
        ("HS256", Self::Hs256),
        ("HS384", Self::Hs384),
        ("HS512", Self::Hs512),
        ("RS256", Self::Rs256),
        ("RS384", Self::Rs384),
        ("RS512", Self::Rs512),
        ("PS256", Self::Ps256),
        ("PS384", Self::Ps384),
        ("PS512", Self::Ps512),
        ("ES256", Self::Es256),
        ("ES384", Self::Es384),
        ("EdDSA", Self::EdDsa),
    ];

    /// Its name, as a token's header has it.
    pub(crate) fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, method)| *method == self).map_or("", |(name, _)| name)
    }

    /// Whether both sides have the same secret.
    pub(crate) fn is_shared_secret(self) -> bool {
        matches!(self, Self::Hs256 | Self::Hs384 | Self::Hs512)
    }
}

impl fmt::Display for SignMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for SignMethod {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "ES512" {
            return Err("sign-method ES512 is not here; use ES384, or EdDSA".to_owned());
        }
        let found = Self::ALL.iter().find(|(name, _)| *name == text);
        found.map(|(_, method)| *method).ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|(name, _)| *name).collect();
            format!("sign-method {text:?} is none of {}", names.join(", "))
        })
    }
}

impl FromStr for TokenSettings {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, options) = text.split_once(',').unwrap_or((text, ""));
        match kind {
            "" if options.is_empty() => Ok(Self::None),
            "simple" if options.is_empty() => Ok(Self::Simple),
            "simple" => Err(format!("simple tokens have no options, and {options:?} is given; leave it out")),
            "jwt" => options.parse().map(Self::Jwt),
            _ => Err(format!("{kind:?} is neither simple nor jwt")),
        }
    }
}

impl FromStr for JwtSettings {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let [mut method, mut public, mut private, mut ttl] = [None; 4];
        for option in text.split(',').filter(|option| !option.is_empty()) {
            let (name, value) =
                option.split_once('=').ok_or_else(|| format!("{option:?} is not written as NAME=VALUE"))?;
            let place = match name {
                "sign-method" => &mut method,
                "pub-key" => &mut public,
                "priv-key" => &mut private,
                "ttl" => &mut ttl,
                _ => return Err(format!("{name:?} is none of sign-method, pub-key, priv-key and ttl")),
            };
            if place.replace(value).is_some() {
                return Err(format!("{name} is given twice"));
            }
        }
        let given = |value: Option<&str>| value.filter(|value| !value.is_empty()).map(PathBuf::from);
        let settings = Self {
            sign_method: method.ok_or("sign-method is missing; write jwt,sign-method=RS256,…")?.parse()?,
            public_key: given(public),
            private_key: given(private),
            ttl: ttl.filter(|ttl| !ttl.is_empty()).map_or(Ok(JWT_TTL), duration)?,
        };
        settings.check().map(|()| settings)
    }
}

impl JwtSettings {
    fn check(&self) -> Result<(), String> {
        let method = self.sign_method;
        if self.ttl < Duration::from_secs(1) {
            return Err("ttl is less than a second, which is all that a token's end can tell".to_owned());
        }
        if method.is_shared_secret() && self.private_key.is_none() {
            return Err(format!("{method} needs priv-key=FILE, the file with the secret"));
        }
        if self.private_key.is_none() && self.public_key.is_none() {
            return Err(format!("{method} needs priv-key=FILE to sign, or pub-key=FILE to check only"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_error(text: &str, expected: &str) {
        assert_eq!(text.parse::<TokenSettings>(), Err(expected.to_owned()), "{text}");
    }

    #[test]
    fn tokens_are_asked_for_in_etcds_words() {
        assert_eq!("simple".parse(), Ok(TokenSettings::Simple));
        assert_eq!("".parse(), Ok(TokenSettings::None));
        let jwt = JwtSettings {
            sign_method: SignMethod::Rs256,
            public_key: Some("app.rsa.pub".into()),
            private_key: Some("app.rsa".into()),
            ttl: Duration::from_secs(600),
        };
        let text = "jwt,pub-key=app.rsa.pub,priv-key=app.rsa,sign-method=RS256,ttl=10m";
        assert_eq!(text.parse(), Ok(TokenSettings::Jwt(jwt)));
        let Ok(TokenSettings::Jwt(jwt)) = "jwt,sign-method=EdDSA,pub-key=a".parse() else {
            panic!("it is right")
        };
        assert_eq!((jwt.ttl, jwt.private_key), (JWT_TTL, None));
    }

    #[test]
    fn what_cannot_work_is_refused() {
        check_error("bearer", "\"bearer\" is neither simple nor jwt");
        check_error("simple,ttl=5m", "simple tokens have no options, and \"ttl=5m\" is given; leave it out");
        check_error("jwt", "sign-method is missing; write jwt,sign-method=RS256,…");
        check_error("jwt,sign-method=ES512", "sign-method ES512 is not here; use ES384, or EdDSA");
        check_error(
            "jwt,sign-method=RS256",
            "RS256 needs priv-key=FILE to sign, or pub-key=FILE to check only",
        );
        check_error("jwt,sign-method=HS256,pub-key=a", "HS256 needs priv-key=FILE, the file with the secret");
        check_error("jwt,sign-method", "\"sign-method\" is not written as NAME=VALUE");
        check_error("jwt,pub-key=a,pub-key=b", "pub-key is given twice");
        check_error("jwt,key=a", "\"key\" is none of sign-method, pub-key, priv-key and ttl");
        check_error(
            "jwt,sign-method=HS256,priv-key=a,ttl=1ms",
            "ttl is less than a second, which is all that a token's end can tell",
        );
        assert!("jwt,sign-method=none,priv-key=a".parse::<TokenSettings>().is_err());
    }
}
