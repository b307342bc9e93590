//! What TLS is made of, as data.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// What TLS is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsSettings {
    /// Who the server says it is.
    pub certificate: Certificate,
    /// Who may connect; none where anybody may.
    pub clients: Option<ClientCertificates>,
    /// The oldest version that is spoken.
    pub version_min: TlsVersion,
    /// The newest version that is spoken; none for the newest there is.
    pub version_max: Option<TlsVersion>,
    /// The cipher suites of TLS 1.2 by their IANA names; none for all good ones.
    pub cipher_suites: Vec<String>,
}

/// Who the server says it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Certificate {
    /// What these files say, in PEM.
    Files {
        /// The certificate and, after it, those that lead to one that clients know.
        cert: PathBuf,
        /// Its key.
        key: PathBuf,
    },
    /// A certificate that is made, signed by itself, and kept until it expires.
    Generated {
        /// Where it is kept: as `cert.pem`, which clients can be told to trust, and `key.pem`.
        dir: PathBuf,
        /// How long it is valid.
        validity_years: u32,
        /// The names and addresses it is for, besides this machine's own loopback ones.
        hosts: Vec<String>,
    },
}

/// Who may connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificates {
    /// Whose signature counts, in PEM.
    pub ca: PathBuf,
    /// Whose certificates no longer count, in PEM or DER.
    pub crl: Option<PathBuf>,
    /// The names of which a certificate must have one; none for any.
    pub hostnames: Vec<String>,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    /// 1.2, by default the oldest that is spoken.
    #[default]
    Tls12,
    /// 1.3.
    Tls13,
}

impl FromStr for TlsVersion {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "TLS1.2" => Ok(Self::Tls12),
            "TLS1.3" => Ok(Self::Tls13),
            _ => Err(format!("{text:?} is neither TLS1.2 nor TLS1.3")),
        }
    }
}

impl fmt::Display for TlsVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tls12 => "TLS1.2",
            Self::Tls13 => "TLS1.3",
        })
    }
}
