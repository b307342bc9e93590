//! Who watches: what `watchful watchers` shows.

use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_core::Stream;
use tonic::{Request, Response, Status};
use watchful::{KeyRange, RangeShape, WatcherStanding, WatcherStatus};
use watchful_wire::watchers::watcher::Standing;
use watchful_wire::watchers::{Watcher, WatchersRequest, WatchersResponse, watchers_server};

use crate::answers;
use crate::auth::Need;
use crate::state::Shared;

/// How many watches one message tells.
const WATCHERS_A_PART: usize = 1000;

/// The Watchers service.
#[derive(Clone, Debug)]
pub(crate) struct Watchers {
    shared: Arc<Shared>,
}

impl Watchers {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }
}

#[tonic::async_trait]
impl watchers_server::Watchers for Watchers {
    type ListStream = Pin<Box<dyn Stream<Item = Result<WatchersResponse, Status>> + Send + 'static>>;

    async fn list(&self, request: Request<WatchersRequest>) -> Result<Response<Self::ListStream>, Status> {
        // It tells everybody's keys and addresses.
        self.shared.require(&request, &Need::Root)?;
        let found = self.shared.store.watchers().await.map_err(answers::of)?;
        let (peers, revision) = (self.shared.streams.peers(), self.shared.store.current_revision());
        let compact_revision = self.shared.store.compact_revision().cast_signed();
        let mut rest = found.into_iter();
        let mut is_first = true;
        let parts = std::iter::from_fn(move || {
            let part = rest.by_ref().take(WATCHERS_A_PART);
            let watchers: Vec<Watcher> = part
                .map(|status| watcher(&status, peers.get(&status.stream).map(ToString::to_string)))
                .collect();
            let is_part = !watchers.is_empty() || std::mem::take(&mut is_first);
            is_part.then_some(Ok(WatchersResponse {
                watchers,
                revision: revision.cast_signed(),
                compact_revision,
            }))
        });
        Ok(Response::new(Box::pin(tokio_stream::iter(parts))))
    }
}

fn watcher(status: &WatcherStatus, peer: Option<String>) -> Watcher {
    // A watch over etcd's API has one range.
    let (key, range_end) = status.ranges.as_slice().first().map(ends).unwrap_or_default();
    let standing = match status.standing {
        WatcherStanding::Synced => Standing::Synced,
        WatcherStanding::Unsynced => Standing::Unsynced,
        WatcherStanding::Blocked => Standing::Blocked,
        WatcherStanding::Future => Standing::Future,
    };
    Watcher {
        peer: peer.unwrap_or_default(),
        stream: u64::from(status.stream.0),
        watch_id: status.watch,
        key,
        range_end,
        standing: standing.into(),
        next_revision: status.next_revision.cast_signed(),
        lag_revisions: status.lag_revisions.cast_signed(),
        queued_bytes: status.queued_bytes as u64,
    }
}

/// A range as etcd's pair of `key` and `range_end`.
fn ends(range: &KeyRange) -> (Bytes, Bytes) {
    let key = Bytes::copy_from_slice(if range.start().is_empty() { b"\0" } else { range.start() });
    let end = match range.shape() {
        RangeShape::Key(_) => Bytes::new(),
        _ => range.end().map_or_else(|| Bytes::from_static(b"\0"), Bytes::from),
    };
    (key, end)
}
