//! Auth: who may do what, as in etcd: users, roles, permissions on keys and ranges, passwords and tokens.
//!
//! **What it is for:** one place that decides. A service finds out who asks ([`Authority::caller`]), says what that
//! needs ([`Need`]) and is told whether it may ([`State::may`]).
//!
//! **What it is not for:** looking at requests. Which keys a call touches is known where the call is.
//!
//! # Invariants
//!
//! - What is so is what the store's notes say (see `notes`). [`State`] is those notes in memory: immutable, made anew by
//!   each change, and in its place before the change is answered.
//! - A write that was decided on one state is done on that state: [`Guard`](authority::Guard) tells, inside the transaction.
//! - No password and no token is in a log or in any `Debug` output. A password's hash is in no answer.
//! - What costs a hash is bounded, and waits in a lane of its own: a flood of wrong passwords holds up itself.

mod authority;

mod caller;

mod need;

mod state;

mod permissions;

pub(crate) mod notes;

mod service;

mod passwords;

mod turns;

mod tokens;

mod settings;

mod error;

pub(crate) use authority::Authority;
pub(crate) use caller::{Caller, Credentials, ViaGateway};
pub(crate) use need::Need;
pub(crate) use state::State;

pub use error::OpenError;
pub(crate) use service::Auth;
pub(crate) use settings::BCRYPT_COST;
pub use settings::{AuthSettings, JwtSettings, SignMethod, TokenSettings};

#[cfg(test)]
mod tests;
