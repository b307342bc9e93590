//! Errors on the wire: etcd's codes and texts, which clients match on.

use tonic::{Code, Status};
use watchful::Error;

/// What etcd answers with, by its own name for it.
macro_rules! answers {
    ($($(#[$doc:meta])* $name:ident: $code:ident, $text:literal;)*) => {
        $(
            $(#[$doc])*
            pub(crate) fn $name() -> Status {
                Status::new(Code::$code, $text)
            }
        )*
    };
}

answers! {
    empty_key: InvalidArgument, "etcdserver: key is not provided";
    key_not_found: InvalidArgument, "etcdserver: key not found";
    value_provided: InvalidArgument, "etcdserver: value is provided";
    lease_provided: InvalidArgument, "etcdserver: lease is provided";
    too_many_ops: InvalidArgument, "etcdserver: too many operations in txn request";
    duplicate_key: InvalidArgument, "etcdserver: duplicate key given in txn request";
    invalid_sort_option: InvalidArgument, "etcdserver: invalid sort option";
    request_too_large: InvalidArgument, "etcdserver: request is too large";
    compacted: OutOfRange, "etcdserver: mvcc: required revision has been compacted";
    future_revision: OutOfRange, "etcdserver: mvcc: required revision is a future revision";
    lease_ttl_too_large: OutOfRange, "etcdserver: too large lease TTL";
    no_space: ResourceExhausted, "etcdserver: mvcc: database space exceeded";
    lease_not_found: NotFound, "etcdserver: requested lease not found";
    member_not_found: NotFound, "etcdserver: member not found";
    lease_exists: FailedPrecondition, "etcdserver: lease already exists";
    not_enough_members: FailedPrecondition,
        "etcdserver: re-configuration failed due to not enough started members";
    not_a_learner: FailedPrecondition, "etcdserver: can only promote a learner member";
    bad_transferee: FailedPrecondition, "etcdserver: bad leader transferee";
    no_downgrade: FailedPrecondition, "etcdserver: no inflight downgrade job";
    auth_not_enabled: FailedPrecondition, "etcdserver: authentication is not enabled";
    user_empty: InvalidArgument, "etcdserver: user name is empty";
    role_empty: InvalidArgument, "etcdserver: role name is empty";
    auth_failed: InvalidArgument, "etcdserver: authentication failed, invalid user ID or password";
    permission_not_given: InvalidArgument, "etcdserver: permission not given";
    invalid_auth_management: InvalidArgument, "etcdserver: invalid auth management";
    old_revision: InvalidArgument, "etcdserver: revision of auth store is old";
    root_user_missing: FailedPrecondition, "etcdserver: root user does not exist";
    root_role_missing: FailedPrecondition, "etcdserver: root user does not have root role";
    user_exists: FailedPrecondition, "etcdserver: user name already exists";
    user_not_found: FailedPrecondition, "etcdserver: user name not found";
    role_exists: FailedPrecondition, "etcdserver: role name already exists";
    role_not_found: FailedPrecondition, "etcdserver: role name not found";
    role_not_granted: FailedPrecondition, "etcdserver: role is not granted to the user";
    permission_not_granted: FailedPrecondition, "etcdserver: permission is not granted to the role";
    permission_denied: PermissionDenied, "etcdserver: permission denied";
    invalid_token: Unauthenticated, "etcdserver: invalid auth token";
    too_many_requests: ResourceExhausted, "etcdserver: too many requests";
    /// Said to nobody: the call waits until there is room.
    no_room: ResourceExhausted, "watchful: the connection has not read its answers";
    stopped: Unavailable, "etcdserver: server stopped";
    corrupt: DataLoss, "etcdserver: corrupt cluster";
    wrong_downgrade_version: InvalidArgument, "etcdserver: wrong downgrade target version format";
    invalid_downgrade_version: InvalidArgument, "etcdserver: invalid downgrade target version";
}

/// Whether it is [`old_revision`], whatever became of its code on the way.
pub(crate) fn is_old_revision(status: &Status) -> bool {
    status.message() == old_revision().message()
}

/// Whether it is [`no_room`].
pub(crate) fn is_no_room(status: &Status) -> bool {
    status.message() == no_room().message()
}

/// The answer to what the store refused.
pub(crate) fn of(error: Error) -> Status {
    match error {
        Error::Compacted { .. } => compacted(),
        Error::FutureRevision { .. } => future_revision(),
        Error::NoSpace { .. } => no_space(),
        Error::LeaseNotFound { .. } => lease_not_found(),
        Error::LeaseExists { .. } => lease_exists(),
        Error::KeyNotFound => key_not_found(),
        Error::EmptyKey => empty_key(),
        Error::Closed => stopped(),
        Error::OutcomeUnknown => Status::unavailable(
            "watchful: the disk failed during the commit, so its outcome is unknown; writes are refused until the \
             server is started again",
        ),
        other => {
            tracing::error!(error = %chain(&other), "a request failed");
            Status::internal(format!("watchful: {}", chain(&other)))
        }
    }
}

/// An error with its causes, as one line.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let text = next.to_string();
        if !line.ends_with(&text) {
            line = format!("{line}: {text}");
        }
        cause = next.source();
    }
    line
}
