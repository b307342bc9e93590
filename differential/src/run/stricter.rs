//! Where etcd 3.4.23 lets somebody do what 3.6 refuses.
//!
//! Asked the same, the stores would part ways: one has done it, the other has not. So the reference is asked for each part
//! that it should look at by itself, in a request in which it does look. What it refuses the part with is what the whole
//! has to be refused with, and only the subject is asked the whole.

use watchful_wire::etcdserverpb::request_op::Request as Operation;
use watchful_wire::etcdserverpb::{
    AuthRoleGrantPermissionRequest, AuthUserGetRequest, DeleteRangeRequest, LeaseTimeToLiveRequest,
    PutRequest, RangeRequest, RequestOp, ResponseHeader, TxnRequest,
};
use watchful_wire::{WatchResponse, authpb::Permission};

use tonic::Code;

use super::Run;
use crate::answer::Answer;
use crate::auth::AuthCall;
use crate::caller::Caller;
use crate::request::{Request, Upkeep};

/// The etcd that this is about.
const ETCD: &str = "3.4.23";

/// How a request has to be refused, and what docs/COMPATIBILITY.md calls that.
#[derive(Debug)]
pub(super) struct Refusal {
    id: &'static str,
    answer: Answer,
}

impl Run {
    /// Whether it is this etcd that the subject is compared with, and not with itself.
    fn is_about_these(&self) -> bool {
        !self.known.is_empty() && self.sides[0].running.version == ETCD
    }

    /// Whether the reference looks at tokens although nobody is asked for one: it is sent none then (`token-while-off`).
    pub(super) fn looks_when_off(&self) -> bool {
        self.is_about_these()
    }

    /// How the request has to be refused, where the reference would not refuse it.
    pub(super) async fn stricter(&mut self, request: &Request) -> Option<Refusal> {
        if !self.is_about_these() {
            return None;
        }
        if let Request::Auth(AuthCall::RoleGrantPermission(grant)) = request {
            return self.refusal_of_grant(grant).await;
        }
        if !self.is_limited() {
            return None;
        }
        let (id, answer) = match request {
            Request::Txn(txn) => ("txn-parts-without-permission", self.refusal_of_parts(txn).await?),
            Request::Watch { create, .. } if create.range_end == "\0" && create.start_revision >= 0 => {
                let key: &[u8] = if create.key.is_empty() { b"\0" } else { &create.key };
                let refused = self.refused(read(key, b"\0")).await?;
                ("watch-of-open-end", refusal_of_watch(&refused, self.revisions.current)?)
            }
            Request::Compact(_) => {
                ("compaction-without-permission", self.refused(delete(b"\0", b"\0")).await?)
            }
            Request::MoveLeader(_) => ("move-leader-without-permission", self.refusal_of_ruling().await?),
            Request::Upkeep(Upkeep::Disarm) => {
                ("disarming-without-permission", self.refusal_of_ruling().await?)
            }
            Request::LeaseGrant(_)
            | Request::LeaseRevoke(_)
            | Request::LeaseKeepAlive(_)
            | Request::LeaseTimeToLive(_)
            | Request::LeaseLeases(_)
            | Request::MemberList(_)
            | Request::Alarm(_)
            | Request::Upkeep(Upkeep::Status) => return self.refusal_of_caller(request).await,
            _ => return None,
        };
        Some(Refusal { id, answer })
    }

    /// Asks only the subject. Where it has another reason to refuse, the reference has to have it too.
    pub(super) async fn ask_stricter(&mut self, request: Request, refusal: Refusal) -> [Answer; 2] {
        let second = self.sides[1].ask(&request).await;
        let has_other_reason = match &second {
            Answer::Refused { .. } => second != refusal.answer,
            Answer::Watch(answer) => answer.canceled && second != refusal.answer,
            _ => false,
        };
        if has_other_reason {
            let first = self.sides[0].ask(&request).await;
            self.learn(&request, &first);
            return self.compare(request, [first, second]);
        }
        self.sides[0].pass_over(&request);
        if second == refusal.answer {
            *self.report.known.entry(refusal.id).or_default() += 1;
        }
        self.compare(request, [refusal.answer, second])
    }

    /// A permission for no key, or to do nothing that is known: whoever may not grant is told that.
    async fn refusal_of_grant(&mut self, grant: &AuthRoleGrantPermissionRequest) -> Option<Refusal> {
        let (id, message) = match &grant.perm {
            None => ("grant-of-no-range", "etcdserver: permission not given".to_owned()),
            Some(perm) if !is_range(&perm.key, &perm.range_end) => {
                ("grant-of-no-range", "etcdserver: invalid auth management".to_owned())
            }
            Some(Permission { perm_type: 0..=2, .. }) => return None,
            Some(Permission { perm_type, .. }) => {
                let known = "READ (0), WRITE (1) and READWRITE (2)";
                let message = format!("watchful: permission type {perm_type} is none of {known}");
                ("grant-of-unknown-type", message)
            }
        };
        let refused = if self.users.enabled { self.refusal_of_ruling().await } else { None };
        let answer = refused.unwrap_or(Answer::Refused { code: Code::InvalidArgument, message });
        Some(Refusal { id, answer })
    }

    /// What the reference says to who asks for something that root alone may do.
    async fn refusal_of_ruling(&mut self) -> Option<Answer> {
        self.refused(Request::Auth(AuthCall::UserList)).await
    }

    /// What the reference says where nobody is known to ask.
    async fn refusal_of_nobody(&mut self) -> Option<Answer> {
        self.refused(read(b"probe", b"")).await.filter(is_unknown)
    }

    /// What is asked for by somebody, a user, who may write or read the keys that it is about.
    async fn refusal_of_caller(&mut self, request: &Request) -> Option<Refusal> {
        if let Some(answer) = self.refusal_of_nobody().await {
            return Some(Refusal { id: "calls-by-nobody", answer });
        }
        if self.is_gone().await {
            let message = "etcdserver: permission denied".to_owned();
            let answer = Answer::Refused { code: Code::PermissionDenied, message };
            return Some(Refusal { id: "calls-by-users-that-are-gone", answer });
        }
        // Who may do everything is not asked for more, however old the token is.
        self.refusal_of_ruling().await?;
        let answer = self.refusal_of_lease(request).await?;
        Some(Refusal { id: "leases-without-permission", answer })
    }

    /// Whether the reference knows who asks by a token, and no longer as a user.
    async fn is_gone(&mut self) -> bool {
        let Caller::User(name) = self.caller else { return false };
        let get = AuthCall::UserGet(AuthUserGetRequest { name: name.to_owned() });
        let answer = self.sides[0].ask(&Request::Auth(get)).await;
        matches!(answer, Answer::Refused { message, .. } if message == "etcdserver: user name not found")
    }

    /// The keys of a lease, or of all of them, are written or read by whoever asks about it.
    async fn refusal_of_lease(&mut self, request: &Request) -> Option<Answer> {
        match request {
            Request::LeaseKeepAlive(keep) => self.refusal_of_keys(keep.id, write).await,
            Request::LeaseTimeToLive(ask) if ask.keys => {
                self.refusal_of_keys(ask.id, |key| read(key, b"")).await
            }
            Request::LeaseLeases(_) => {
                let Answer::LeaseLeases(all) = self.sides[0].ask(request).await else { return None };
                for lease in all.leases {
                    let refused = self.refusal_of_keys(lease.id, |key| read(key, b"")).await;
                    if refused.is_some() {
                        return refused;
                    }
                }
                None
            }
            _ => None,
        }
    }

    async fn refusal_of_keys(&mut self, id: i64, part: impl Fn(&[u8]) -> Request) -> Option<Answer> {
        let ask = Request::LeaseTimeToLive(LeaseTimeToLiveRequest { id, keys: true });
        let Answer::LeaseTimeToLive(told) = self.sides[0].ask(&ask).await else { return None };
        self.first_refusal(told.keys.iter().map(|key| part(key)).collect()).await
    }

    /// What is nested, and what the leases and the values before of puts need, is looked at since 3.5 only.
    async fn refusal_of_parts(&mut self, txn: &TxnRequest) -> Option<Answer> {
        let mut parts = Parts::default();
        parts.add(txn, false);
        let refused = self.first_refusal(parts.requests).await;
        if refused.is_some() {
            return refused;
        }
        for lease in parts.leases {
            let refused = self.refusal_of_keys(lease, write).await;
            if refused.is_some() {
                return refused;
            }
        }
        None
    }

    async fn first_refusal(&mut self, requests: Vec<Request>) -> Option<Answer> {
        for request in requests {
            let refused = self.refused(request).await;
            if refused.is_some() {
                return refused;
            }
        }
        None
    }

    /// The reference's refusal of who asks. Other errors are none.
    async fn refused(&mut self, request: Request) -> Option<Answer> {
        let answer = self.sides[0].ask(&request).await;
        (is_denied(&answer) || is_unknown(&answer) || is_old(&answer)).then_some(answer)
    }
}

/// The answer to a watch that is refused for this reason.
fn refusal_of_watch(refused: &Answer, revision: i64) -> Option<Answer> {
    let Answer::Refused { code, message } = refused else { return None };
    Some(Answer::Watch(WatchResponse {
        header: Some(ResponseHeader { revision, ..Default::default() }),
        watch_id: -1,
        created: true,
        canceled: true,
        cancel_reason: format!("rpc error: code = {code:?} desc = {message}"),
        ..Default::default()
    }))
}

fn is_denied(answer: &Answer) -> bool {
    matches!(answer, Answer::Refused { code: Code::PermissionDenied, .. })
}

/// Whether the token is older than the newest change.
fn is_old(answer: &Answer) -> bool {
    matches!(answer, Answer::Refused { message, .. } if message == "etcdserver: revision of auth store is old")
}

/// Whether it is not known who asks.
fn is_unknown(answer: &Answer) -> bool {
    let Answer::Refused { code, message } = answer else { return false };
    *code == Code::Unauthenticated || message == "etcdserver: user name is empty"
}

/// Whether it grants a permission for no key: etcd 3.4.23 keeps it, or ends where there is none.
pub(super) fn grants_nothing(call: &AuthCall) -> bool {
    let AuthCall::RoleGrantPermission(grant) = call else { return false };
    !grant.perm.as_ref().is_some_and(|perm| is_range(&perm.key, &perm.range_end))
}

/// Whether there is a key that such a permission is for.
fn is_range(key: &[u8], range_end: &[u8]) -> bool {
    !key.is_empty() && (range_end.is_empty() || range_end == b"\0" || key < range_end)
}

/// The parts of a transaction that are asked for one by one.
#[derive(Default)]
struct Parts {
    requests: Vec<Request>,
    leases: Vec<i64>,
}

impl Parts {
    fn add(&mut self, txn: &TxnRequest, nested: bool) {
        if nested {
            let alone = |compare| TxnRequest { compare: vec![compare], ..Default::default() };
            self.requests.extend(txn.compare.iter().cloned().map(|compare| Request::Txn(alone(compare))));
        }
        for operation in txn.success.iter().chain(&txn.failure) {
            match &operation.request {
                Some(Operation::RequestTxn(inner)) => self.add(inner, true),
                Some(Operation::RequestPut(put)) => self.add_put(put, nested),
                Some(Operation::RequestRange(range)) if nested => {
                    self.requests.push(read(&range.key, &range.range_end));
                }
                Some(Operation::RequestDeleteRange(delete)) if nested => self.add_delete(delete),
                _ => {}
            }
        }
    }

    fn add_put(&mut self, put: &PutRequest, nested: bool) {
        if nested {
            self.requests.push(write(&put.key));
        }
        if put.prev_kv {
            self.requests.push(read(&put.key, b""));
        }
        if put.lease != 0 {
            self.leases.push(put.lease);
        }
    }

    fn add_delete(&mut self, delete: &DeleteRangeRequest) {
        if delete.prev_kv {
            self.requests.push(read(&delete.key, &delete.range_end));
        }
        self.requests.push(self::delete(&delete.key, &delete.range_end));
    }
}

fn read(key: &[u8], range_end: &[u8]) -> Request {
    let (key, range_end) = (key.to_vec().into(), range_end.to_vec().into());
    Request::Range(RangeRequest { key, range_end, limit: 1, ..Default::default() })
}

fn write(key: &[u8]) -> Request {
    not_done(Operation::RequestPut(PutRequest { key: key.to_vec().into(), ..Default::default() }))
}

fn delete(key: &[u8], range_end: &[u8]) -> Request {
    let (key, range_end) = (key.to_vec().into(), range_end.to_vec().into());
    not_done(Operation::RequestDeleteRange(DeleteRangeRequest { key, range_end, ..Default::default() }))
}

/// A transaction that does not do this, and does nothing else: permission is needed for it all the same.
fn not_done(operation: Operation) -> Request {
    let failure = vec![RequestOp { request: Some(operation) }];
    Request::Txn(TxnRequest { failure, ..Default::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_of_no_key_is_none() {
        assert!(
            is_range(b"a", b"") && is_range(b"a", b"b") && is_range(b"a", b"\0") && is_range(b"\0", b"\0")
        );
        assert!(
            !is_range(b"", b"") && !is_range(b"", b"\0") && !is_range(b"b", b"a") && !is_range(b"a", b"a")
        );
    }

    #[test]
    fn the_parts_are_those_that_are_not_looked_at() {
        let op = |request| RequestOp { request: Some(request) };
        let put = |key: &'static str, lease| {
            op(Operation::RequestPut(PutRequest { key: key.into(), lease, ..Default::default() }))
        };
        let inner = TxnRequest { success: vec![put("nested", 0)], ..Default::default() };
        let outer = TxnRequest {
            success: vec![put("plain", 7), op(Operation::RequestTxn(inner))],
            ..Default::default()
        };
        let mut parts = Parts::default();
        parts.add(&outer, false);
        assert_eq!((parts.requests, parts.leases), (vec![write(b"nested")], vec![7]));
    }
}
