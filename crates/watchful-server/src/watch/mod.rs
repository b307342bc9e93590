//! The Watch service: many watches on one stream.
//!
//! A gRPC stream is one of the store's watch streams, with one bounded outbox. Nothing runs for it but the polls of its
//! connection: [`Answers`] reads requests and takes items out of the outbox, one answer ahead of what the connection has room for,
//! and a client that does not read is a stream that is not polled. So it costs its outbox and an answer, and holds up nobody.
//!
//! # Invariants
//!
//! - **A batch's events are encoded once**, for all watches of its group on all streams ([`encoded`](self::encoded)); a
//!   further watch costs its own header and one copy into its connection.
//! - Batches that wait for the same watches go out in one answer, of moderate size, and in order ([`answers`](self::answers)).
//! - An answer says `created` before anything else of a watch, and nothing of it after `canceled`.

mod answers;

mod encoded;

mod fragments;

mod permitted;

mod requests;

pub(crate) use answers::Answers;
pub(crate) use encoded::EncodedBudget;

use std::sync::Arc;

use tonic::{Request, Response, Status, Streaming};
use watchful_wire::etcdserverpb::{WatchRequest, watch_server};

use crate::answers as errors;
use crate::listen::Peer;
use crate::state::Shared;

/// The id that stands for no watch, or for all of a stream.
pub(crate) const NO_WATCH: i64 = -1;

/// The Watch service.
#[derive(Clone, Debug)]
pub(crate) struct Watch {
    shared: Arc<Shared>,
}

impl Watch {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }
}

#[tonic::async_trait]
impl watch_server::Watch for Watch {
    type WatchStream = Answers;

    async fn watch(
        &self,
        request: Request<Streaming<WatchRequest>>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let peer = request.extensions().get::<Peer>().and_then(|peer| peer.address);
        let stream = self.shared.store.watch_stream(None).map_err(errors::of)?;
        let credentials = self.shared.authority.credentials(request.metadata(), request.extensions());
        let shared = Arc::clone(&self.shared);
        Ok(Response::new(Answers::new(shared, stream, request.into_inner(), credentials, peer)))
    }
}
