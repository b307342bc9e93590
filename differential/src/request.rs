//! What a server is asked, with every revision and lease told.

use std::fmt;

use watchful_wire::etcdserverpb::{
    AlarmRequest, CompactionRequest, DeleteRangeRequest, HashKvRequest, LeaseGrantRequest,
    LeaseKeepAliveRequest, LeaseLeasesRequest, LeaseRevokeRequest, LeaseTimeToLiveRequest, MemberAddRequest,
    MemberListRequest, MemberPromoteRequest, MemberRemoveRequest, MemberUpdateRequest, MoveLeaderRequest,
    PutRequest, RangeRequest, TxnRequest, WatchCreateRequest,
};

use crate::auth::AuthCall;
use crate::terse::terse;

/// One request. Leases that a server chooses go by the names of [`crate::leases`], because each server chooses its own.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Request {
    Range(RangeRequest),
    /// Asked only where both servers have it.
    RangeStream(RangeRequest),
    Put(PutRequest),
    DeleteRange(DeleteRangeRequest),
    Txn(TxnRequest),
    Compact(CompactionRequest),
    LeaseGrant(LeaseGrantRequest),
    LeaseRevoke(LeaseRevokeRequest),
    LeaseKeepAlive(LeaseKeepAliveRequest),
    LeaseTimeToLive(LeaseTimeToLiveRequest),
    LeaseLeases(LeaseLeasesRequest),
    Alarm(AlarmRequest),
    MemberList(MemberListRequest),
    MemberAdd(MemberAddRequest),
    MemberRemove(MemberRemoveRequest),
    MemberUpdate(MemberUpdateRequest),
    MemberPromote(MemberPromoteRequest),
    MoveLeader(MoveLeaderRequest),
    HashKv(HashKvRequest),
    Auth(AuthCall),
    /// What only has to be done or refused.
    Upkeep(Upkeep),
    Watch {
        stream: usize,
        create: WatchCreateRequest,
    },
    Cancel {
        stream: usize,
        watch_id: i64,
        standing: Standing,
    },
    Progress {
        stream: usize,
        watches: Watches,
    },
    /// Nothing is asked: what the watch `watch_id` was given meanwhile.
    Delivered {
        stream: usize,
        watch_id: i64,
        create: WatchCreateRequest,
        /// Where the store was compacted when the watch was made.
        compact_revision: i64,
    },
}

/// A call of upkeep whose answer tells nothing that two servers have to agree on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Upkeep {
    Status,
    Hash,
    Defragment,
    /// The first part of it.
    Snapshot,
    /// Disarms an alarm that is not raised.
    Disarm,
}

/// How it is with the watch that a cancellation names.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Standing {
    Open,
    /// A compaction has ended it, and it was not canceled.
    Compacted,
    /// There is none: it was canceled, or never made.
    Absent,
}

/// What a stream has that is asked how far it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Watches {
    /// Watches that have caught up.
    Synced,
    /// One that starts in the future.
    Future,
    Absent,
}

impl Request {
    /// What kind of request it is: differences of one kind are taken for one while a workload shrinks.
    pub(crate) fn kind(&self) -> std::mem::Discriminant<Self> {
        std::mem::discriminant(self)
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&terse(self))
    }
}
