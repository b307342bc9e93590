//! What a file looks like from outside: enough to see that it has changed, and cheap.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::generate;
use super::settings::{Certificate, TlsSettings};

/// What a file looks like; none where it cannot be looked at.
pub(super) type Stamp = Option<Seen>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    inode: u64,
    bytes: u64,
    seconds: i64,
    nanos: i64,
}

/// How all files that the settings name look now.
pub(super) fn of(settings: &TlsSettings) -> Vec<Stamp> {
    let mut stamps = match &settings.certificate {
        Certificate::Files { cert, key } => vec![look(cert), look(key)],
        Certificate::Generated { dir, .. } => {
            let (cert, key) = generate::paths(dir);
            vec![look(&cert), look(&key)]
        }
    };
    if let Some(clients) = &settings.clients {
        stamps.push(look(&clients.ca));
        stamps.extend(clients.crl.as_deref().map(look));
    }
    stamps
}

/// The file itself, where the path is a link to it: that is how Kubernetes swaps secrets.
fn look(path: &Path) -> Stamp {
    let found = std::fs::metadata(path).ok()?;
    let (seconds, nanos) = (found.mtime(), found.mtime_nsec());
    Some(Seen { inode: found.ino(), bytes: found.len(), seconds, nanos })
}
