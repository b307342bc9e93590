//! What a workload is made of.

use bytes::Bytes;
use watchful_wire::etcdserverpb::WatchCreateRequest;

use crate::caller::Caller;
use crate::request::Request;

/// One step of a workload. It stands by itself, so that any other may be left out while a failing workload shrinks:
/// revisions are [tokens](crate::tokens), and watches are told by their place.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// One request.
    Ask(Request),
    /// A step of this one.
    As {
        caller: Caller,
        step: Box<Step>,
    },
    /// Asks for a token, with the user's password or a wrong one.
    LogIn {
        user: &'static str,
        right: bool,
    },
    /// A watch that its user was permitted, which goes on while the permission is taken away.
    WatchUntilRevoked,
    /// Cancels a watch of the stream, the `nth` that was ever made; one that never was where there is none.
    Cancel {
        stream: usize,
        nth: usize,
    },
    /// Asks how far the stream is.
    Progress {
        stream: usize,
    },
    CloseStream {
        stream: usize,
    },
    /// A watch on a stream of its own, which is closed after it: for watches that take an id on one server only.
    WatchAlone {
        create: WatchCreateRequest,
    },
    /// Asks for progress where none is due: on a stream without watches, or with one that starts in the future.
    ProgressAlone {
        future: bool,
    },
    /// A lease of a time below the least one, revoked before that is over.
    BriefLease {
        ttl: i64,
    },
    /// A lease with keys, and the wait for its end.
    ExpiringLease {
        id: i64,
        keys: Vec<Bytes>,
    },
    /// A list in pages at the revision of the first one, as a Kubernetes API server makes it.
    Pages {
        prefix: Bytes,
        limit: i64,
        revision: i64,
    },
    /// The list of a prefix, and a watch from its revision on.
    ListThenWatch {
        stream: usize,
        prefix: Bytes,
    },
    CreateIfAbsent {
        key: Bytes,
        value: Bytes,
        lease: i64,
    },
    /// `stale` is by how much the revision that the update expects is too small.
    UpdateIfUnchanged {
        key: Bytes,
        value: Bytes,
        lease: i64,
        stale: i64,
    },
    DeleteIfUnchanged {
        key: Bytes,
        stale: i64,
    },
    /// The compactor's transaction, and its compaction where it won.
    CompactOnce {
        revision: i64,
    },
}
