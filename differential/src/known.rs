//! The differences that are known, each as narrow as it can be told: by the request and both answers, and for one
//! version of etcd. docs/COMPATIBILITY.md tells the same list to people, and a test holds the two together.

mod users;

use tonic::Code;
use watchful_wire::WatchResponse;
use watchful_wire::etcdserverpb::alarm_request::AlarmAction;
use watchful_wire::etcdserverpb::request_op::Request as Operation;
use watchful_wire::etcdserverpb::{AlarmResponse, HashKvResponse, TxnRequest};
use watchful_wire::mvccpb::event::EventType;

use crate::answer::{Answer, Delivery};
use crate::request::{Request, Standing, Watches};
use crate::run::Exchange;

/// The key of the watch whose user loses its permission.
pub(crate) const WATCHED: &str = "watched";

/// A difference that is meant to be, or that the etcd at hand has and a later one has not.
#[derive(Debug)]
pub(crate) struct Known {
    /// What docs/COMPATIBILITY.md calls it.
    pub(crate) id: &'static str,
    /// The version of etcd that answers so.
    pub(crate) etcd: &'static str,
    /// Whether it is this one, of the request, etcd's answer and Watchful's.
    matches: fn(&Request, &Answer, &Answer) -> bool,
}

impl Known {
    /// Whether the exchange, with an etcd of this version, is this difference.
    pub(crate) fn is(&self, exchange: &Exchange, version: &str) -> bool {
        let [etcd, watchful] = &exchange.answers;
        self.etcd == version && (self.matches)(&exchange.request, etcd, watchful)
    }
}

pub(crate) const KNOWN: &[Known] = &[
    Known { id: "alarm-without-header", etcd: "3.4.23", matches: alarm_without_header },
    Known { id: "auth-status", etcd: "3.4.23", matches: users::auth_status },
    Known { id: "calls-by-nobody", etcd: "3.4.23", matches: users::only_one_is_asked },
    Known { id: "calls-by-users-that-are-gone", etcd: "3.4.23", matches: users::only_one_is_asked },
    Known { id: "cancel-after-compaction", etcd: "3.4.23", matches: cancel_after_compaction },
    Known { id: "compaction-without-permission", etcd: "3.4.23", matches: users::only_one_is_asked },
    Known { id: "disarming-without-permission", etcd: "3.4.23", matches: users::only_one_is_asked },
    Known { id: "empty-txn-with-an-old-token", etcd: "3.4.23", matches: users::empty_txn_with_an_old_token },
    Known { id: "grant-of-no-range", etcd: "3.4.23", matches: users::only_one_is_asked },
    Known { id: "grant-of-unknown-type", etcd: "3.4.23", matches: users::only_one_is_asked },
    Known { id: "hashkv-at-compacted", etcd: "3.4.23", matches: hashkv_at_compacted },
    Known { id: "hashkv-compacted-at-zero", etcd: "3.4.23", matches: hashkv_compacted_at_zero },
    Known { id: "hashkv-without-hash-revision", etcd: "3.4.23", matches: hashkv_without_hash_revision },
    Known { id: "leases-without-permission", etcd: "3.4.23", matches: users::only_one_is_asked },
    Known { id: "login-without-a-password", etcd: "3.4.23", matches: users::login_without_a_password },
    Known { id: "member-add", etcd: "3.4.23", matches: member_add },
    Known { id: "move-leader-without-permission", etcd: "3.4.23", matches: users::only_one_is_asked },
    Known { id: "prev-kv-of-the-same-revision", etcd: "3.4.23", matches: prev_kv_of_the_same_revision },
    Known { id: "progress-before-a-start", etcd: "3.4.23", matches: progress_before_a_start },
    Known { id: "progress-without-watches", etcd: "3.4.23", matches: progress_without_watches },
    Known { id: "role-get-of-root", etcd: "3.4.23", matches: users::role_get_of_root },
    Known { id: "token-while-off", etcd: "3.4.23", matches: users::only_one_is_asked },
    Known { id: "txn-checks-keys-before-leases", etcd: "3.4.23", matches: txn_checks_keys_before_leases },
    Known { id: "txn-checks-puts-first", etcd: "3.4.23", matches: txn_checks_puts_first },
    Known { id: "txn-parts-without-permission", etcd: "3.4.23", matches: users::only_one_is_asked },
    Known { id: "txn-range-below-zero", etcd: "3.4.23", matches: txn_range_below_zero },
    Known { id: "unknown-sort-order", etcd: "3.4.23", matches: unknown_sort_order },
    Known { id: "upkeep-refused-without-code", etcd: "3.4.23", matches: users::upkeep_refused_without_code },
    Known { id: "user-get-of-no-name", etcd: "3.4.23", matches: users::user_get_of_no_name },
    Known { id: "watch-at-compacted-delete", etcd: "3.4.23", matches: watch_at_compacted_delete },
    Known { id: "watch-from-below-zero", etcd: "3.4.23", matches: watch_from_below_zero },
    Known { id: "watch-of-open-end", etcd: "3.4.23", matches: users::only_one_is_asked },
    Known { id: "watch-until-revoked", etcd: "3.4.23", matches: users::watch_until_revoked },
];

/// The only difference is the header.
fn alarm_without_header(request: &Request, etcd: &Answer, watchful: &Answer) -> bool {
    let Request::Alarm(asked) = request else { return false };
    let (Answer::Alarm(etcd), Answer::Alarm(watchful)) = (etcd, watchful) else { return false };
    let without = AlarmResponse { header: None, ..watchful.clone() };
    asked.action() == AlarmAction::Get && *etcd == without && watchful.header.is_some()
}

fn cancel_after_compaction(request: &Request, etcd: &Answer, watchful: &Answer) -> bool {
    let Request::Cancel { watch_id, standing: Standing::Compacted, .. } = request else { return false };
    is_canceled_only(etcd, *watch_id) && *watchful == Answer::Nothing
}

fn is_canceled_only(answer: &Answer, watch_id: i64) -> bool {
    let Answer::Watch(answer) = answer else { return false };
    let expected = WatchResponse { header: answer.header, watch_id, canceled: true, ..Default::default() };
    *answer == expected
}

fn hashkv_at_compacted(request: &Request, etcd: &Answer, watchful: &Answer) -> bool {
    let (Request::HashKv(asked), Answer::HashKv(watchful)) = (request, watchful) else { return false };
    let compacted = refused(Code::OutOfRange, "etcdserver: mvcc: required revision has been compacted");
    asked.revision > 0 && asked.revision == watchful.compact_revision && *etcd == compacted
}

/// Beside what `hashkv-without-hash-revision` is about, the compact revision of a store that has none.
fn hashkv_compacted_at_zero(request: &Request, etcd: &Answer, watchful: &Answer) -> bool {
    let (Answer::HashKv(told), Answer::HashKv(HashKvResponse { compact_revision: -1, .. })) =
        (etcd, watchful)
    else {
        return false;
    };
    let as_watchful = Answer::HashKv(HashKvResponse { compact_revision: -1, ..*told });
    told.compact_revision == 0 && hashkv_without_hash_revision(request, &as_watchful, watchful)
}

/// Everything else is the same, and Watchful tells the revision that was asked for.
fn hashkv_without_hash_revision(request: &Request, etcd: &Answer, watchful: &Answer) -> bool {
    let Request::HashKv(asked) = request else { return false };
    let (Answer::HashKv(etcd), Answer::HashKv(watchful)) = (etcd, watchful) else { return false };
    let current = watchful.header.as_ref().map_or(0, |header| header.revision);
    let hash_revision = if asked.revision == 0 { current } else { asked.revision };
    let without = HashKvResponse { hash_revision: 0, ..*watchful };
    *etcd == without && watchful.hash_revision == hash_revision
}

fn member_add(request: &Request, etcd: &Answer, watchful: &Answer) -> bool {
    let Request::MemberAdd(_) = request else { return false };
    let bad_url = refused(Code::InvalidArgument, "etcdserver: given member URLs are invalid");
    let only = "watchful: this server is the only member";
    let is_refused = users::is_for_its_caller(watchful)
        || matches!(watchful, Answer::Refused { code: Code::FailedPrecondition, message } if message.starts_with(only));
    *etcd == bad_url && is_refused
}

/// Only the records before differ, and only where Watchful's is of the event's own revision.
fn prev_kv_of_the_same_revision(request: &Request, etcd: &Answer, watchful: &Answer) -> bool {
    let Request::Delivered { create, .. } = request else { return false };
    let (Answer::Delivered(etcd), Answer::Delivered(watchful)) = (etcd, watchful) else { return false };
    create.prev_kv && are_alike(etcd, watchful)
}

/// Whether they are the same but for such records before.
fn are_alike(etcd: &[Delivery], watchful: &[Delivery]) -> bool {
    let is_alike = |(etcd, watchful): (&Delivery, &Delivery)| {
        etcd == watchful || has_prev_of_its_revision(watchful) && without_prev(etcd) == without_prev(watchful)
    };
    etcd.len() == watchful.len() && etcd.iter().zip(watchful).all(is_alike)
}

fn has_prev_of_its_revision(delivery: &Delivery) -> bool {
    let Delivery::Event { event, .. } = delivery else { return false };
    let (Some(kv), Some(prev)) = (&event.kv, &event.prev_kv) else { return false };
    kv.mod_revision() == prev.mod_revision()
}

fn without_prev(delivery: &Delivery) -> Delivery {
    let mut delivery = delivery.clone();
    if let Delivery::Event { event, .. } = &mut delivery {
        event.prev_kv = None;
    }
    delivery
}

fn progress_before_a_start(request: &Request, etcd: &Answer, watchful: &Answer) -> bool {
    let Request::Progress { watches: Watches::Future, .. } = request else { return false };
    is_progress(etcd) && *watchful == Answer::Nothing
}

fn progress_without_watches(request: &Request, etcd: &Answer, watchful: &Answer) -> bool {
    let Request::Progress { watches: Watches::Absent, .. } = request else { return false };
    is_progress(etcd) && *watchful == Answer::Nothing
}

fn is_progress(answer: &Answer) -> bool {
    let Answer::Watch(answer) = answer else { return false };
    *answer == WatchResponse { header: answer.header, watch_id: -1, ..Default::default() }
}

/// One put, of a lease that is not there, that keeps the value of a key that is not there either.
fn txn_checks_keys_before_leases(request: &Request, etcd: &Answer, watchful: &Answer) -> bool {
    let Request::Txn(txn) = request else { return false };
    let no_key = refused(Code::InvalidArgument, "etcdserver: key not found");
    let no_lease = refused(Code::NotFound, "etcdserver: requested lease not found");
    let wants_both = |operation: &Operation| matches!(operation, Operation::RequestPut(put) if put.lease != 0 && put.ignore_value);
    *etcd == no_key && *watchful == no_lease && has(txn, &wants_both)
}

/// A transaction with a put and a range that both are refused: the put's error, and the range's.
fn txn_checks_puts_first(request: &Request, etcd: &Answer, watchful: &Answer) -> bool {
    let Request::Txn(txn) = request else { return false };
    let of_put = [
        refused(Code::NotFound, "etcdserver: requested lease not found"),
        refused(Code::InvalidArgument, "etcdserver: key not found"),
    ];
    let of_range = of_revision();
    let may_fail = |operation: &Operation| match operation {
        Operation::RequestPut(put) => put.lease != 0 || put.ignore_value || put.ignore_lease,
        _ => false,
    };
    let reads_back =
        |operation: &Operation| matches!(operation, Operation::RequestRange(range) if range.revision != 0);
    of_put.contains(etcd) && of_range.contains(watchful) && has(txn, &may_fail) && has(txn, &reads_back)
}

fn txn_range_below_zero(request: &Request, etcd: &Answer, watchful: &Answer) -> bool {
    let Request::Txn(txn) = request else { return false };
    let compacted = refused(Code::OutOfRange, "etcdserver: mvcc: required revision has been compacted");
    let is_below =
        |operation: &Operation| matches!(operation, Operation::RequestRange(range) if range.revision < -1);
    *etcd == compacted && matches!(watchful, Answer::Txn(_)) && has(txn, &is_below)
}

/// Whether an operation of the transaction is such a one, at any depth.
fn has(txn: &TxnRequest, is: &dyn Fn(&Operation) -> bool) -> bool {
    let operations =
        txn.success.iter().chain(&txn.failure).filter_map(|operation| operation.request.as_ref());
    operations.into_iter().any(|operation| match operation {
        Operation::RequestTxn(inner) => has(inner, is),
        other => is(other),
    })
}

/// How a range at a revision is refused that cannot be read.
fn of_revision() -> [Answer; 2] {
    [
        refused(Code::OutOfRange, "etcdserver: mvcc: required revision has been compacted"),
        refused(Code::OutOfRange, "etcdserver: mvcc: required revision is a future revision"),
    ]
}

fn unknown_sort_order(request: &Request, etcd: &Answer, watchful: &Answer) -> bool {
    let Request::Range(range) = request else { return false };
    let invalid = refused(Code::InvalidArgument, "etcdserver: invalid sort option");
    let refuses_revision = range.revision > 0 && of_revision().contains(etcd);
    !(0..=2).contains(&range.sort_order)
        && (matches!(etcd, Answer::Range(_)) || refuses_revision || users::is_for_its_caller(etcd))
        && *watchful == invalid
}

/// Watchful delivers deletes at the compact revision beside what etcd delivers, and nothing else differs but what
/// `prev-kv-of-the-same-revision` is about.
fn watch_at_compacted_delete(request: &Request, etcd: &Answer, watchful: &Answer) -> bool {
    let Request::Delivered { create, compact_revision, .. } = request else { return false };
    let (Answer::Delivered(etcd), Answer::Delivered(watchful)) = (etcd, watchful) else { return false };
    let is_forgotten = |delivery: &Delivery| match delivery {
        Delivery::Event { event, .. } => {
            event.r#type() == EventType::Delete
                && event.kv.as_ref().is_some_and(|kv| kv.mod_revision() == *compact_revision)
        }
        _ => false,
    };
    let kept: Vec<_> = watchful.iter().filter(|delivery| !is_forgotten(delivery)).cloned().collect();
    create.start_revision == *compact_revision && kept.len() < watchful.len() && are_alike(etcd, &kept)
}

fn watch_from_below_zero(request: &Request, etcd: &Answer, watchful: &Answer) -> bool {
    let Request::Watch { create, .. } = request else { return false };
    let (Answer::Watch(etcd), Answer::Watch(watchful)) = (etcd, watchful) else { return false };
    let expected = WatchResponse {
        header: etcd.header,
        watch_id: -1,
        created: true,
        canceled: true,
        cancel_reason: "etcdserver: mvcc: required revision has been compacted".to_owned(),
        ..Default::default()
    };
    let other = WatchResponse { cancel_reason: etcd.cancel_reason.clone(), ..expected.clone() };
    let has_other_reason =
        etcd.cancel_reason == "mvcc: watcher range is empty" || users::is_for_its_user(&etcd.cancel_reason);
    create.start_revision < 0
        && (etcd.created && !etcd.canceled || has_other_reason && *etcd == other)
        && *watchful == expected
}

fn refused(code: Code, message: &str) -> Answer {
    Answer::Refused { code, message: message.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::caller::Caller;

    /// The ids that a heading of the page names.
    fn told() -> Vec<&'static str> {
        let page = include_str!("../../docs/COMPATIBILITY.md");
        page.lines().filter_map(|line| line.strip_prefix("### `")?.strip_suffix('`')).collect()
    }

    #[test]
    fn what_is_known_is_told_and_what_is_told_is_known() {
        let known: Vec<_> = KNOWN.iter().map(|known| known.id).collect();
        assert_eq!(told(), known);
    }

    #[test]
    fn each_is_told_with_its_version() {
        let page = include_str!("../../docs/COMPATIBILITY.md");
        for known in KNOWN {
            let (_, section) = page.split_once(&format!("### `{}`", known.id)).unwrap();
            let section = section.split("\n### ").next().unwrap();
            for part in [&format!("etcd {}", known.etcd), "Request:", "Watchful:", "Reason:"] {
                assert!(section.contains(part), "{} lacks {part:?}", known.id);
            }
        }
    }

    #[test]
    fn a_difference_of_another_version_is_not_known() {
        let request = Request::MemberAdd(Default::default());
        let bad_url = refused(Code::InvalidArgument, "etcdserver: given member URLs are invalid");
        let only = refused(Code::FailedPrecondition, "watchful: this server is the only member");
        let exchange = |answers| Exchange {
            step: 0,
            caller: Caller::Nobody,
            request: request.clone(),
            answers,
            known: None,
        };
        let known = |exchange: &Exchange, version| KNOWN.iter().any(|known| known.is(exchange, version));
        assert!(known(&exchange([bad_url.clone(), only.clone()]), "3.4.23"));
        assert!(!known(&exchange([bad_url.clone(), only.clone()]), "3.6.0"));
        assert!(!known(&exchange([only, bad_url]), "3.4.23"));
    }
}
