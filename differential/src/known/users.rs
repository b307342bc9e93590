//! The differences that are about users and what they may do.

use tonic::Code;
use watchful_wire::authpb::{Permission, permission};
use watchful_wire::etcdserverpb::TxnRequest;

use super::{WATCHED, refused};
use crate::answer::{Answer, Delivery};
use crate::auth::{AuthAnswer, AuthCall, Says};
use crate::request::{Request, Upkeep};

/// Only one of the two was asked: see [`crate::run`], which tells these by itself.
pub(super) fn only_one_is_asked(_: &Request, _: &Answer, _: &Answer) -> bool {
    false
}

pub(super) fn auth_status(request: &Request, etcd: &Answer, watchful: &Answer) -> bool {
    let Request::Auth(AuthCall::Status { enabled: expected }) = request else { return false };
    let unknown = refused(Code::Unimplemented, "unknown method AuthStatus for service etcdserverpb.Auth");
    let is_told = match watchful {
        Answer::Auth(AuthAnswer { header: Some(_), says: Says::Status { enabled, auth_revision } }) => {
            enabled == expected && *auth_revision > 0
        }
        // Whoever asks with a token that is not valid.
        other => *expected && *other == refused(Code::Unauthenticated, "etcdserver: invalid auth token"),
    };
    *etcd == unknown && is_told
}

/// Whether it is a refusal of who asks, or of what that one may not do.
pub(super) fn is_for_its_caller(answer: &Answer) -> bool {
    [
        refused(Code::PermissionDenied, "etcdserver: permission denied"),
        refused(Code::Unauthenticated, "etcdserver: invalid auth token"),
        refused(Code::InvalidArgument, "etcdserver: user name is empty"),
        refused(Code::InvalidArgument, "etcdserver: revision of auth store is old"),
        refused(Code::FailedPrecondition, "etcdserver: user name not found"),
    ]
    .contains(answer)
}

pub(super) fn login_without_a_password(request: &Request, etcd: &Answer, watchful: &Answer) -> bool {
    const TEXT: &str = "auth: authentication failed, password was given for no password user";
    const FAILED: &str = "etcdserver: authentication failed, invalid user ID or password";
    matches!(request, Request::Auth(AuthCall::Authenticate(_)))
        && *etcd == refused(Code::Unknown, TEXT)
        && *watchful == refused(Code::InvalidArgument, FAILED)
}

/// etcd takes who has no name for the user without a name, whom it then does not find.
pub(super) fn user_get_of_no_name(request: &Request, etcd: &Answer, watchful: &Answer) -> bool {
    matches!(request, Request::Auth(AuthCall::UserGet(get)) if get.name.is_empty())
        && *etcd == refused(Code::FailedPrecondition, "etcdserver: user name not found")
        && *watchful == refused(Code::InvalidArgument, "etcdserver: user name is empty")
}

/// A transaction of nothing: nothing is asked for that a token has to be new for.
pub(super) fn empty_txn_with_an_old_token(request: &Request, etcd: &Answer, watchful: &Answer) -> bool {
    let old = refused(Code::InvalidArgument, "etcdserver: revision of auth store is old");
    let is_empty = matches!(request, Request::Txn(txn) if *txn == TxnRequest::default());
    is_empty && *etcd == old && matches!(watchful, Answer::Txn(_))
}

/// The text of etcd's own error, without its code. The code and the text of all other calls are Watchful's.
pub(super) fn upkeep_refused_without_code(request: &Request, etcd: &Answer, watchful: &Answer) -> bool {
    const TOLD: [(&str, Code, &str); 4] = [
        ("auth: user name is empty", Code::InvalidArgument, "etcdserver: user name is empty"),
        ("auth: user not found", Code::FailedPrecondition, "etcdserver: user name not found"),
        ("auth: permission denied", Code::PermissionDenied, "etcdserver: permission denied"),
        ("auth: invalid auth token", Code::Unauthenticated, "etcdserver: invalid auth token"),
    ];
    let told =
        |(text, code, message)| *etcd == refused(Code::Unknown, text) && *watchful == refused(code, message);
    let is_upkeep = matches!(
        request,
        Request::HashKv(_) | Request::Upkeep(Upkeep::Hash | Upkeep::Defragment | Upkeep::Snapshot)
    );
    is_upkeep && TOLD.into_iter().any(told)
}

pub(super) fn role_get_of_root(request: &Request, etcd: &Answer, watchful: &Answer) -> bool {
    let Request::Auth(AuthCall::RoleGet(get)) = request else { return false };
    let (Answer::Auth(etcd), Answer::Auth(watchful)) = (etcd, watchful) else { return false };
    let everything = Permission {
        perm_type: permission::Type::Readwrite.into(),
        key: bytes::Bytes::new(),
        range_end: "\0".into(),
    };
    get.role == "root"
        && etcd.header == watchful.header
        && matches!(etcd.says, Says::Permissions(_))
        && watchful.says == Says::Permissions(vec![everything])
}

/// The one watch of this key: etcd delivers, and Watchful ends it before that.
pub(super) fn watch_until_revoked(request: &Request, etcd: &Answer, watchful: &Answer) -> bool {
    let Request::Delivered { create, .. } = request else { return false };
    let (Answer::Delivered(etcd), Answer::Delivered(watchful)) = (etcd, watchful) else { return false };
    let is_event = |delivery: &Delivery| matches!(delivery, Delivery::Event { .. });
    let is_end = |delivery: &Delivery| {
        let Delivery::Canceled { compact_revision: 0, cancel_reason, .. } = delivery else { return false };
        cancel_reason == DENIED
    };
    create.key == WATCHED && etcd.iter().all(is_event) && matches!(&watchful[..], [end] if is_end(end))
}

/// The reason of a cancellation for want of a permission.
const DENIED: &str = "rpc error: code = PermissionDenied desc = etcdserver: permission denied";

/// Why etcd 3.4.23 refuses a watch for its user, before it looks at anything else.
pub(super) fn is_for_its_user(cancel_reason: &str) -> bool {
    const REASONS: [&str; 3] = [
        "rpc error: code = InvalidArgument desc = etcdserver: revision of auth store is old",
        "rpc error: code = InvalidArgument desc = etcdserver: user name is empty",
        "rpc error: code = Unauthenticated desc = etcdserver: invalid auth token",
    ];
    cancel_reason == DENIED || REASONS.contains(&cancel_reason)
}
