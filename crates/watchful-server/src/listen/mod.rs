//! Where clients are served: addresses, sockets that listen, and the connections that come in.
//!
//! Connections that are slow, silent or hostile hold back no other: handshakes and first words are waited for beside the
//! accepting, so many at once and so long at most, and where too many are, the oldest is cut when it has had its time. Some descriptors are kept for
//! the store, however many connections there are. Errors of accepting are waited out and never end it.

mod url;

mod bind;

mod joined;

mod places;

mod first_words;

mod conn;

mod accept;

pub use accept::incoming;
pub use bind::{ListenError, Listener, bind};
pub use conn::{Conn, Peer};
pub use places::raise_descriptors;
pub use url::{ListenUrl, ListenUrlError};

#[cfg(test)]
pub(crate) use accept::incoming_within;

#[cfg(test)]
mod tests;
