//! Certificates for one test: an authority, the server's own, and one for each client that has a name.

use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
};

/// An authority whose certificates are files in a folder.
pub(crate) struct Authority {
    folder: PathBuf,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// Where a certificate and its key are.
pub(crate) struct Files {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Authority {
    pub(crate) fn new(folder: &Path) -> Self {
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "an authority of a test");
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        fs::write(folder.join("ca.pem"), issuer.pem()).unwrap();
        Self { folder: folder.to_owned(), issuer }
    }

    /// The certificate of the authority itself.
    pub(crate) fn file(&self) -> String {
        text(&self.folder.join("ca.pem"))
    }

    /// A certificate for 127.0.0.1, by which a client may also be known as `name`.
    pub(crate) fn issue(&self, name: &str) -> Files {
        let mut params =
            CertificateParams::new(vec!["127.0.0.1".to_owned(), "localhost".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        // etcd calls itself with the server's own.
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let files = |kind: &str| self.folder.join(format!("{name}.{kind}.pem"));
        fs::write(files("certificate"), certificate.pem()).unwrap();
        fs::write(files("key"), key.serialize_pem()).unwrap();
        Files { certificate: text(&files("certificate")), key: text(&files("key")) }
    }
}

fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}
