//! Whose the open watch streams are: for `watchful watchers`, which names each by its client's address.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use watchful::StreamId;

/// The clients' addresses by stream.
#[derive(Debug, Default)]
pub struct Streams {
    peers: Mutex<HashMap<StreamId, SocketAddr>>,
}

/// One stream's entry. Dropped, it is gone.
#[derive(Debug)]
pub struct Registered {
    streams: Arc<Streams>,
    stream: StreamId,
}

impl Streams {
    /// Notes that `stream` is the client's at `peer`.
    #[must_use]
    pub fn register(self: &Arc<Self>, stream: StreamId, peer: SocketAddr) -> Registered {
        self.peers.lock().insert(stream, peer);
        Registered { streams: Arc::clone(self), stream }
    }

    /// Whose the streams are, now.
    #[must_use]
    pub fn peers(&self) -> HashMap<StreamId, SocketAddr> {
        self.peers.lock().clone()
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.streams.peers.lock().remove(&self.stream);
    }
}
