//! Cipher suites by the names that etcd's users write: IANA's, with Go's two shortened ones.

use rustls::SupportedCipherSuite;
use rustls::crypto::ring::ALL_CIPHER_SUITES;

/// Whether each of `names` is one that can be chosen.
///
/// # Errors
///
/// Which is not, and which are.
pub(crate) fn check(names: &[String]) -> Result<(), String> {
    match names.iter().find(|name| find(name).is_none()) {
        None => Ok(()),
        Some(unknown) => Err(format!("{unknown:?} is not offered; choose from {}", offered().join(", "))),
    }
}

/// The suites of these names with all of TLS 1.3, which cannot be chosen; every one where there is no name.
pub(super) fn chosen(names: &[String]) -> Vec<SupportedCipherSuite> {
    let wanted: Vec<_> = names.iter().filter_map(|name| find(name)).collect();
    let is_chosen = |suite: &&SupportedCipherSuite| {
        wanted.is_empty() || suite.tls13().is_some() || wanted.contains(*suite)
    };
    ALL_CIPHER_SUITES.iter().filter(is_chosen).copied().collect()
}

fn find(name: &str) -> Option<SupportedCipherSuite> {
    ALL_CIPHER_SUITES.iter().copied().find(|suite| {
        let own = iana(suite);
        // Go left the hash out of these two names.
        own == name || (own.contains("CHACHA20") && own.strip_suffix("_SHA256") == Some(name))
    })
}

/// IANA's name: rustls marks those of TLS 1.3.
fn iana(suite: &SupportedCipherSuite) -> String {
    suite.suite().as_str().unwrap_or_default().replace("TLS13_", "TLS_")
}

fn offered() -> Vec<String> {
    ALL_CIPHER_SUITES.iter().filter(|suite| suite.tls13().is_none()).map(iana).collect()
}
