//! From files to what rustls needs, with an error for each thing that can be wrong with them.

use std::path::Path;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{InconsistentKeys, ServerConfig, SupportedProtocolVersion};
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::clients;
use super::error::TlsError;
use super::generate;
use super::settings::{Certificate, TlsSettings, TlsVersion};
use super::suites;

/// What clients of gRPC and of plain HTTP ask for.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// More than any file of certificates, and little enough to be read whole.
const FILE_BYTES_MAX: u64 = 16 << 20;

pub(super) fn server_config(settings: &TlsSettings) -> Result<ServerConfig, TlsError> {
    let provider = Arc::new(CryptoProvider {
        cipher_suites: suites::chosen(&settings.cipher_suites),
        ..rustls::crypto::ring::default_provider()
    });
    let certified = match &settings.certificate {
        Certificate::Files { cert, key } => certified_key(cert, key, &provider)?,
        Certificate::Generated { dir, .. } => {
            let (cert, key) = generate::paths(dir);
            certified_key(&cert, &key, &provider)?
        }
    };
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&versions(settings))
        .map_err(|error| {
            TlsError(format!("the versions and cipher suites of TLS do not fit together: {error}"))
        })?;
    let builder = match &settings.clients {
        Some(settings) => builder.with_client_cert_verifier(clients::verifier(settings, provider)?),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
    config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
    Ok(config)
}

fn versions(settings: &TlsSettings) -> Vec<&'static SupportedProtocolVersion> {
    let all = [(TlsVersion::Tls12, &rustls::version::TLS12), (TlsVersion::Tls13, &rustls::version::TLS13)];
    let is_spoken =
        |version| version >= settings.version_min && settings.version_max.is_none_or(|max| version <= max);
    all.into_iter().filter(|(version, _)| is_spoken(*version)).map(|(_, version)| version).collect()
}

/// The certificate of one file with the key of the other, which must be its own.
pub(super) fn certified_key(
    cert: &Path,
    key: &Path,
    provider: &CryptoProvider,
) -> Result<CertifiedKey, TlsError> {
    let chain = certificates(cert)?;
    let der = private_key(key)?;
    let signing = provider.key_provider.load_private_key(der).map_err(|error| {
        TlsError::file(key, format!("the key cannot be used ({error}); make one for RSA, ECDSA or Ed25519"))
    })?;
    let certified = CertifiedKey::new(chain, signing);
    match certified.keys_match() {
        // Some keys cannot be compared; the first handshake tells.
        Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(certified),
        Err(rustls::Error::InconsistentKeys(_)) => {
            let wrong = format!(
                "the key is not that of {}; give the two files that were made together",
                cert.display()
            );
            Err(TlsError::file(key, wrong))
        }
        Err(error) => {
            Err(TlsError::file(cert, format!("the certificate cannot be used ({error}); make it again")))
        }
    }
}

/// The certificates in a file of PEM; at least one.
pub(super) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = read(path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    match found {
        Ok(found) if found.is_empty() => Err(TlsError::file(
            path,
            "there is no certificate in it; it must hold BEGIN CERTIFICATE, which is PEM",
        )),
        Ok(found) => Ok(found),
        Err(error) => Err(damaged(path, &error)),
    }
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_slice(&read(path)?).map_err(|error| match error {
        pem::Error::NoItemsFound => TlsError::file(
            path,
            "there is no private key in it that can be read; it must hold BEGIN PRIVATE KEY, which is PEM without a \
             password (openssl pkey -in OLD -out NEW takes one away)",
        ),
        error => damaged(path, &error),
    })
}

fn damaged(path: &Path, error: &pem::Error) -> TlsError {
    TlsError::file(path, format!("it is not whole PEM ({error}); make or copy it again"))
}

/// The whole of a file.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    use std::io::Read;

    let wrong = |error: std::io::Error| {
        TlsError::file(
            path,
            format!("cannot read it ({error}); check the path, and that this user may read it"),
        )
    };
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .map_err(wrong)?
        .take(FILE_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(wrong)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(TlsError::file(path, "it is larger than 16 MiB; is it the right file?"));
    }
    Ok(bytes)
}
