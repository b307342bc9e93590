//! What a client asks of its watch stream.

use std::sync::Arc;

use watchful::{EventFilter, KeyRange, WatchControl, WatchOptions};
use watchful_wire::WatchResponse;
use watchful_wire::etcdserverpb::watch_create_request::FilterType;
use watchful_wire::etcdserverpb::watch_request::RequestUnion;
use watchful_wire::etcdserverpb::{WatchCreateRequest, WatchRequest};

use super::NO_WATCH;
use super::answers::{Asked, Watches};
use super::permitted::{Permitted, reason};
use crate::state::Shared;

const COMPACTED: &str = "etcdserver: mvcc: required revision has been compacted";
const EMPTY_RANGE: &str = "mvcc: watcher range is empty";
pub(super) const DUPLICATE_ID: &str = "mvcc: duplicate watch ID provided on the WatchStream";

/// Does what a request says. Where it is refused on the spot, the answer is given back; everything else is answered
/// through the outbox, in its turn.
pub(super) fn obey(
    shared: &Arc<Shared>,
    control: &WatchControl,
    watches: &mut Watches,
    permitted: &mut Permitted,
    request: WatchRequest,
) -> Option<WatchResponse> {
    match request.request_union {
        Some(RequestUnion::CreateRequest(request)) => {
            let refused = create(shared, control, watches, permitted, request).err()?;
            Some(refusal(shared, refused))
        }
        Some(RequestUnion::CancelRequest(request)) => {
            control.cancel(request.watch_id);
            None
        }
        Some(RequestUnion::ProgressRequest(_)) => {
            control.ask_progress(shared.store.current_revision());
            None
        }
        None => None,
    }
}

/// The answer to a watch that could not be made: it is created and canceled at once, under no id.
pub(super) fn refusal(shared: &Shared, reason: impl Into<String>) -> WatchResponse {
    WatchResponse {
        header: Some(shared.header()),
        watch_id: NO_WATCH,
        created: true,
        canceled: true,
        cancel_reason: reason.into(),
        ..WatchResponse::default()
    }
}

fn create(
    shared: &Shared,
    control: &WatchControl,
    watches: &mut Watches,
    permitted: &mut Permitted,
    request: WatchCreateRequest,
) -> Result<(), String> {
    let start = u64::try_from(request.start_revision).map_err(|_| COMPACTED.to_owned())?;
    let key: &[u8] = if request.key.is_empty() { b"\0" } else { &request.key };
    let watched = permitted.ask(shared, key, &request.range_end).map_err(|status| reason(&status))?;
    let range = KeyRange::from_etcd(key, &request.range_end).map_err(|_| EMPTY_RANGE.to_owned())?;
    let current = shared.store.current_revision();
    let options = WatchOptions::new(range)
        .start_at(if start == 0 { current + 1 } else { start })
        .with_filter(filter_of(&request))
        .with_prev_kv(request.prev_kv)
        .with_progress_notify(request.progress_notify);
    let asked = match request.watch_id {
        0 => control.watch(&options).map(drop),
        id => control.watch_as(id, &options),
    };
    asked.map_err(|error| error.to_string())?;
    let created_at = (start == 0).then_some(current);
    watches.asked_for(Asked { created_at, fragment: request.fragment, watched });
    Ok(())
}

fn filter_of(request: &WatchCreateRequest) -> EventFilter {
    let has = |filter: FilterType| request.filters.contains(&(filter as i32));
    EventFilter { no_put: has(FilterType::Noput), no_delete: has(FilterType::Nodelete) }
}
