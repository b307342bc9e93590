//! Where clients are served: addresses, sockets that listen, and the connections that come in.
//!
//! One connection that is slow, silent or hostile holds back no other: handshakes run beside the accepting, so many at once
//! and so long at most. Errors of accepting are waited out and never end it.

mod url;

mod bind;

mod joined;

mod conn;

mod accept;

pub use accept::incoming;
pub use bind::{ListenError, Listener, bind};
pub use conn::{Conn, Peer};
pub use url::{ListenUrl, ListenUrlError};

#[cfg(test)]
mod tests;
