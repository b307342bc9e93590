//! Why a server cannot be opened.

/// Why a server cannot be opened: one line that says what is wrong and what to do.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The store cannot be opened, or a note of it cannot be read.
    #[error(transparent)]
    Store(#[from] watchful::Error),
    /// What is kept of a user or a role cannot be understood.
    #[error(
        "the note {name:?} is damaged: {reason}; restore the store from a snapshot, which has its users and roles"
    )]
    Damaged {
        /// The note's name.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The tokens that are asked for cannot be made or checked.
    #[error("--auth-token: {reason}")]
    Tokens {
        /// What is wrong and what to do.
        reason: String,
    },
}
