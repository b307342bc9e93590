//! What is wrong with a certificate or a key, in one line that names the file and says what to do.

use std::path::Path;

/// What is wrong with a certificate, a key or another file of TLS. One line, which names the file and says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TlsError(pub(crate) String);

impl TlsError {
    pub(super) fn file(path: &Path, wrong: impl std::fmt::Display) -> Self {
        Self(format!("{}: {wrong}", path.display()))
    }
}
