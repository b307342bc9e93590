//! Who may connect: certificates that the right one signed, that were not revoked, and that have one of the right names.

use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::client::verify_server_name;
use rustls::crypto::CryptoProvider;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, ServerName, UnixTime};

use super::error::TlsError;
use super::load;
use super::settings::ClientCertificates;

/// What judges a client's certificate.
pub(super) fn verifier(
    settings: &ClientCertificates,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let mut roots = RootCertStore::empty();
    for cert in load::certificates(&settings.ca)? {
        roots.add(cert).map_err(|error| {
            TlsError::file(
                &settings.ca,
                format!("it holds what cannot sign certificates ({error}); give a CA's"),
            )
        })?;
    }
    let mut builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    if let Some(crl) = &settings.crl {
        // As in etcd: what no list speaks of is not revoked.
        let builder_with_crls = builder.with_crls(revoked(crl)?);
        builder = builder_with_crls.only_check_end_entity_revocation().allow_unknown_revocation_status();
    }
    let inner = builder.build().map_err(|error| {
        let path = settings.crl.as_deref().unwrap_or(&settings.ca);
        TlsError::file(
            path,
            format!("it cannot be used to judge clients' certificates ({error}); make it again"),
        )
    })?;
    if settings.hostnames.is_empty() {
        return Ok(inner);
    }
    let names = settings.hostnames.iter().map(|name| name_of(name)).collect::<Result<_, _>>()?;
    Ok(Arc::new(Named { inner, names }))
}

/// The common name of a certificate.
pub(super) fn common_name(cert: &CertificateDer<'_>) -> Option<Arc<str>> {
    let (_, cert) = x509_parser::parse_x509_certificate(cert).ok()?;
    let name = cert.subject().iter_common_name().next()?.as_str().ok()?;
    Some(Arc::from(name))
}

fn name_of(name: &str) -> Result<ServerName<'static>, TlsError> {
    ServerName::try_from(name.to_owned()).map_err(|_| {
        TlsError(format!(
            "--client-cert-allowed-hostname: {name:?} is not a host's name; write names such as a.example"
        ))
    })
}

/// The lists in a file of PEM, or the one that the file is.
fn revoked(path: &Path) -> Result<Vec<CertificateRevocationListDer<'static>>, TlsError> {
    let bytes = load::read(path)?;
    let lists: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(&bytes).collect();
    match lists {
        Ok(lists) if lists.is_empty() && !bytes.is_empty() => Ok(vec![bytes.into()]),
        Ok(lists) if !lists.is_empty() => Ok(lists),
        _ => Err(TlsError::file(
            path,
            "there is no list of revoked certificates in it; it must hold BEGIN X509 CRL",
        )),
    }
}

/// A judge that also wants one of some names.
#[derive(Debug)]
struct Named {
    inner: Arc<dyn ClientCertVerifier>,
    names: Vec<ServerName<'static>>,
}

impl ClientCertVerifier for Named {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.inner.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let verified = self.inner.verify_client_cert(end_entity, intermediates, now)?;
        let cert = ParsedCertificate::try_from(end_entity)?;
        if self.names.iter().any(|name| verify_server_name(&cert, name).is_ok()) {
            return Ok(verified);
        }
        Err(CertificateError::NotValidForName.into())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls12_signature(message, cert, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls13_signature(message, cert, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}
