//! A certificate where none is given: signed by itself, kept in the folder, and made again when it expires or the server
//! has got other addresses.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose};
use x509_parser::extensions::GeneralName;

use super::error::TlsError;
use super::load;
use super::settings::Certificate;

/// What every machine is called from inside.
const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

/// How long before its end a certificate is made again: clients' clocks differ.
const EARLY: Duration = Duration::from_secs(3600);

/// The certificate and the key in `dir`.
pub(super) fn paths(dir: &Path) -> (PathBuf, PathBuf) {
    (dir.join("cert.pem"), dir.join("key.pem"))
}

/// Makes a certificate where it is ours to make and there is none that will do.
pub(super) fn ensure(certificate: &Certificate, now: SystemTime) -> Result<(), TlsError> {
    let Certificate::Generated { dir, validity_years, hosts } = certificate else { return Ok(()) };
    let hosts: Vec<String> = LOOPBACK.into_iter().map(str::to_owned).chain(hosts.iter().cloned()).collect();
    if will_do(dir, &hosts, now) {
        return Ok(());
    }
    let until = now + YEAR * *validity_years;
    let (cert, key) = make(hosts, now, until).map_err(|error| {
        TlsError(format!("cannot make a certificate for --auto-tls: {error}; give --cert-file"))
    })?;
    keep(dir, &cert, &key)?;
    tracing::info!(dir = %dir.display(), "made a certificate; clients can trust its cert.pem");
    Ok(())
}

/// Whether what is kept is whole, valid for a while, and for these hosts.
fn will_do(dir: &Path, hosts: &[String], now: SystemTime) -> bool {
    let (cert, key) = paths(dir);
    let provider = rustls::crypto::ring::default_provider();
    let Ok(certified) = load::certified_key(&cert, &key, &provider) else { return false };
    let Some((end, names)) = certified.cert.first().and_then(|cert| read(cert)) else { return false };
    now + EARLY < end && hosts.iter().all(|host| names.contains(host))
}

/// When a certificate ends, and what it is for.
fn read(cert: &[u8]) -> Option<(SystemTime, Vec<String>)> {
    let (_, cert) = x509_parser::parse_x509_certificate(cert).ok()?;
    let end = u64::try_from(cert.validity().not_after.timestamp()).ok()?;
    let names = cert.subject_alternative_name().ok().flatten()?.value.general_names.iter();
    let names = names.filter_map(|name| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => address(bytes),
        _ => None,
    });
    Some((SystemTime::UNIX_EPOCH + Duration::from_secs(end), names.collect()))
}

fn address(bytes: &[u8]) -> Option<String> {
    let four = <[u8; 4]>::try_from(bytes).map(std::net::IpAddr::from);
    let address = four.or_else(|_| <[u8; 16]>::try_from(bytes).map(std::net::IpAddr::from));
    address.ok().map(|address| address.to_string())
}

fn make(hosts: Vec<String>, from: SystemTime, until: SystemTime) -> Result<(String, String), rcgen::Error> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(hosts)?;
    params.distinguished_name.push(DnType::OrganizationName, "watchful");
    params.distinguished_name.push(DnType::CommonName, "watchful");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    // An hour ago: clients' clocks differ.
    params.not_before = (from - EARLY).into();
    params.not_after = until.into();
    let cert = params.self_signed(&key)?;
    Ok((cert.pem(), key.serialize_pem()))
}

/// Writes both files, the key first and for this user's eyes. What a crash between them leaves does not fit together and
/// is made again.
fn keep(dir: &Path, cert: &str, key: &str) -> Result<(), TlsError> {
    let (cert_path, key_path) = paths(dir);
    let wrong = |path: &Path| {
        let path = path.to_owned();
        move |error: std::io::Error| {
            TlsError::file(
                &path,
                format!("cannot write it ({error}); check that this user may, or give --cert-file"),
            )
        }
    };
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(wrong(dir))?;
    write(&key_path, key, 0o600).map_err(wrong(&key_path))?;
    write(&cert_path, cert, 0o644).map_err(wrong(&cert_path))
}

/// All of a file or nothing of it.
fn write(path: &Path, text: &str, mode: u32) -> std::io::Result<()> {
    let part = path.with_extension("part");
    let _ = fs::remove_file(&part);
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&part)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&part, path)
}
