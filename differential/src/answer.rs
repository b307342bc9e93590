//! What a server answered, without what only says which server it was.

use watchful_wire::etcdserverpb::{
    AlarmResponse, CompactionResponse, DeleteRangeResponse, HashKvResponse, LeaseGrantResponse,
    LeaseKeepAliveResponse, LeaseLeasesResponse, LeaseRevokeResponse, LeaseTimeToLiveResponse, PutResponse,
    RangeResponse, ResponseHeader, TxnResponse,
};
use watchful_wire::mvccpb::Event;
use watchful_wire::{WatchResponse, etcdserverpb::response_op::Response};

use crate::auth::AuthAnswer;

/// One answer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Answer {
    Range(RangeResponse),
    Put(PutResponse),
    DeleteRange(DeleteRangeResponse),
    Txn(TxnResponse),
    Compact(CompactionResponse),
    LeaseGrant(LeaseGrantResponse),
    LeaseRevoke(LeaseRevokeResponse),
    LeaseKeepAlive(LeaseKeepAliveResponse),
    LeaseTimeToLive(LeaseTimeToLiveResponse),
    LeaseLeases(LeaseLeasesResponse),
    Alarm(AlarmResponse),
    /// Members, by what a client may rely on.
    Members(Members),
    HashKv(HashKvResponse),
    Auth(AuthAnswer),
    /// A watch was made or refused.
    Watch(WatchResponse),
    /// What a watch was given.
    Delivered(Vec<Delivery>),
    /// No answer is due and none came.
    Nothing,
    /// An error: gRPC's code and the text.
    Refused {
        code: tonic::Code,
        message: String,
    },
    /// No answer came in time.
    Late {
        waited_for: String,
    },
}

/// The members of a server, without ids and addresses.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Members {
    pub(crate) header: Option<ResponseHeader>,
    pub(crate) names: Vec<String>,
    pub(crate) learners: usize,
    pub(crate) with_client_urls: usize,
    /// Whether the header's member is the one that is listed.
    pub(crate) listed_itself: bool,
}

/// One thing that a watch was given. Servers may cut what they send at different places, so answers are taken apart.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Delivery {
    Event {
        header_revision: i64,
        event: Event,
    },
    Progress {
        header_revision: i64,
    },
    Canceled {
        header_revision: i64,
        compact_revision: i64,
        cancel_reason: String,
    },
    /// The last answer promised a further fragment, and none came.
    UnfinishedFragment,
    /// The stream is over, and why.
    StreamEnded(Box<Answer>),
}

impl Answer {
    pub(crate) fn refused(status: &tonic::Status) -> Self {
        Self::Refused { code: status.code(), message: status.message().to_owned() }
    }

    /// The revision of the header, where there is one.
    pub(crate) fn header_revision(&self) -> Option<i64> {
        let header = match self {
            Self::Range(answer) => &answer.header,
            Self::Put(answer) => &answer.header,
            Self::DeleteRange(answer) => &answer.header,
            Self::Txn(answer) => &answer.header,
            Self::Compact(answer) => &answer.header,
            Self::LeaseGrant(answer) => &answer.header,
            Self::LeaseRevoke(answer) => &answer.header,
            Self::Watch(answer) => &answer.header,
            _ => &None,
        };
        header.as_ref().map(|header| header.revision)
    }
}

/// An answer of a watch, taken apart.
pub(crate) fn deliveries(response: WatchResponse) -> Vec<Delivery> {
    let header_revision = response.header.map_or(0, |header| header.revision);
    let progress = response.events.is_empty() && !response.canceled && !response.created;
    let mut taken = Vec::new();
    if progress {
        taken.push(Delivery::Progress { header_revision });
    }
    let events = response.events.into_list();
    taken.extend(events.into_iter().map(|event| Delivery::Event { header_revision, event }));
    if response.canceled {
        let (compact_revision, cancel_reason) = (response.compact_revision, response.cancel_reason);
        taken.push(Delivery::Canceled { header_revision, compact_revision, cancel_reason });
    }
    taken
}

/// Takes out of a header what names the server and its term.
pub(crate) fn anonymous(header: &mut Option<ResponseHeader>) {
    if let Some(header) = header {
        (header.cluster_id, header.member_id, header.raft_term) = (0, 0, 0);
    }
}

/// The same for a transaction and all that is in it.
pub(crate) fn anonymous_txn(answer: &mut TxnResponse) {
    anonymous(&mut answer.header);
    for operation in &mut answer.responses {
        match &mut operation.response {
            Some(Response::ResponseRange(inner)) => anonymous(&mut inner.header),
            Some(Response::ResponsePut(inner)) => anonymous(&mut inner.header),
            Some(Response::ResponseDeleteRange(inner)) => anonymous(&mut inner.header),
            Some(Response::ResponseTxn(inner)) => anonymous_txn(inner),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use watchful_wire::Events;

    fn header(revision: i64) -> Option<ResponseHeader> {
        Some(ResponseHeader { cluster_id: 1, member_id: 2, revision, raft_term: 3 })
    }

    #[test]
    fn a_response_is_taken_apart_by_event() {
        let events = Events::from_list(vec![Event::default(), Event::default()]);
        let taken = deliveries(WatchResponse { header: header(7), events, ..Default::default() });
        let event = Delivery::Event { header_revision: 7, event: Event::default() };
        assert_eq!(taken, [event.clone(), event]);
    }

    #[test]
    fn a_response_that_holds_nothing_is_progress() {
        let taken = deliveries(WatchResponse { header: header(7), ..Default::default() });
        assert_eq!(taken, [Delivery::Progress { header_revision: 7 }]);
    }

    #[test]
    fn a_creation_is_nothing_delivered_and_a_cancellation_is() {
        let created = WatchResponse { created: true, header: header(7), ..Default::default() };
        assert_eq!(deliveries(created), []);
        let canceled =
            WatchResponse { canceled: true, compact_revision: 4, header: header(7), ..Default::default() };
        let expected =
            Delivery::Canceled { header_revision: 7, compact_revision: 4, cancel_reason: String::new() };
        assert_eq!(deliveries(canceled), [expected]);
    }

    #[test]
    fn a_header_keeps_its_revision_only() {
        let mut header = header(7);
        anonymous(&mut header);
        assert_eq!(header, Some(ResponseHeader { revision: 7, ..Default::default() }));
    }
}
