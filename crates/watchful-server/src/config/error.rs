//! What is wrong with the flags, in one line that says what to do.

/// What is wrong with a flag, a variable or the file of settings. One line, which names it and says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(pub(crate) String);

impl ConfigError {
    /// That `what` (a flag, a variable, a line of the file) is wrong in this way.
    pub(crate) fn of(what: &str, wrong: impl std::fmt::Display) -> Self {
        Self(format!("{what}: {wrong}"))
    }
}
