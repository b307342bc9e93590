//! How each step is played: one request, or a few that depend on each other's answers, as clients send them.

mod users;

use bytes::Bytes;
use tokio::time::{Duration, Instant};
use watchful_wire::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use watchful_wire::etcdserverpb::request_op::Request as Operation;
use watchful_wire::etcdserverpb::{
    CompactionRequest, Compare, DeleteRangeRequest, LeaseGrantRequest, LeaseRevokeRequest,
    LeaseTimeToLiveRequest, PutRequest, RangeRequest, RangeResponse, RequestOp, TxnRequest,
    WatchCreateRequest,
};

use crate::answer::Answer;
use crate::keys;
use crate::request::{Request, Watches};
use crate::run::Run;
use crate::side::Side;
use crate::step::Step;
use crate::tokens::current;

/// The stream of watches that are alone.
const ALONE: usize = usize::MAX - 1;

/// Where Kubernetes keeps the revision that it compacted last.
const COMPACT_KEY: &[u8] = b"compact_rev_key";

/// The most pages that a list is asked for.
const PAGES_MAX: usize = 50;

/// The time of a lease that is to end by itself: long enough to write its keys on a machine that stands still for a moment.
const EXPIRING_SECONDS: i64 = 5;

/// How long such a lease may take to end.
const EXPIRED_WITHIN: Duration = Duration::from_secs(30);

/// Plays one step on both servers.
pub(crate) async fn play(run: &mut Run, step: &Step) {
    match step.clone() {
        Step::Ask(Request::Watch { stream, create }) => run.watch(run.own(stream), create).await,
        Step::Ask(Request::Auth(call)) => run.auth(call).await,
        Step::Ask(request) => drop(run.ask(request).await),
        Step::As { caller, step } => {
            let before = run.act_as(caller);
            Box::pin(play(run, &step)).await;
            run.act_as(before);
        }
        Step::LogIn { user, right } => run.log_in(user, right).await,
        Step::WatchUntilRevoked => users::watch_until_revoked(run).await,
        Step::Cancel { stream, nth } => run.cancel(run.own(stream), nth).await,
        Step::Progress { stream } => run.progress(run.own(stream)).await,
        Step::CloseStream { stream } => run.close_stream(run.own(stream)),
        Step::WatchAlone { create } => watch_alone(run, create).await,
        Step::ProgressAlone { future } => progress_alone(run, future).await,
        Step::BriefLease { ttl } => brief_lease(run, ttl).await,
        Step::ExpiringLease { id, keys } => expiring_lease(run, id, &keys).await,
        Step::Pages { prefix, limit, revision } => pages(run, &prefix, limit, revision).await,
        Step::ListThenWatch { stream, prefix } => list_then_watch(run, run.own(stream), &prefix).await,
        Step::CreateIfAbsent { key, value, lease } => {
            let put = put(&key, &value, lease);
            run.ask(if_unchanged(&key, 0, put)).await;
        }
        Step::UpdateIfUnchanged { key, value, lease, stale } => {
            let revision = mod_revision(run, &key).await - stale;
            let put = put(&key, &value, lease);
            run.ask(if_unchanged(&key, revision, put)).await;
        }
        Step::DeleteIfUnchanged { key, stale } => {
            let revision = mod_revision(run, &key).await - stale;
            let delete = DeleteRangeRequest { key: key.clone(), ..Default::default() };
            run.ask(if_unchanged(&key, revision, Operation::RequestDeleteRange(delete))).await;
        }
        Step::CompactOnce { revision } => compact_once(run, revision).await,
    }
}

async fn watch_alone(run: &mut Run, create: WatchCreateRequest) {
    run.watch(ALONE, create).await;
    run.close_stream(ALONE);
}

async fn progress_alone(run: &mut Run, future: bool) {
    if future {
        let create =
            WatchCreateRequest { key: "a".into(), start_revision: current(1000), ..Default::default() };
        run.watch(ALONE, create).await;
    }
    let watches = if future { Watches::Future } else { Watches::Absent };
    run.ask(Request::Progress { stream: ALONE, watches }).await;
    run.close_stream(ALONE);
}

async fn brief_lease(run: &mut Run, ttl: i64) {
    let granted = run.ask(Request::LeaseGrant(LeaseGrantRequest { ttl, id: 0 })).await;
    if let Answer::LeaseGrant(granted) = granted {
        // By the reference's id; the names are alike where both have granted.
        run.ask(Request::LeaseRevoke(LeaseRevokeRequest { id: granted.id })).await;
    }
}

async fn expiring_lease(run: &mut Run, id: i64, keys: &[Bytes]) {
    run.ask(Request::LeaseGrant(LeaseGrantRequest { ttl: EXPIRING_SECONDS, id })).await;
    for key in keys {
        let put = PutRequest { key: key.clone(), value: "leased".into(), lease: id, ..Default::default() };
        run.ask(Request::Put(put)).await;
        // A header tells the revision at the time of delivery, so one that is late tells another.
        run.sync().await;
    }
    let [reference, subject] = &mut run.sides;
    tokio::join!(wait_for_end(reference, id), wait_for_end(subject, id));
    run.ask(Request::LeaseTimeToLive(LeaseTimeToLiveRequest { id, keys: true })).await;
    run.ask(Request::Range(RangeRequest { key: "\0".into(), range_end: "\0".into(), ..Default::default() }))
        .await;
}

/// Asks until the lease is no more, or for as long as is bearable; what comes next then shows it.
async fn wait_for_end(side: &mut Side, id: i64) {
    let deadline = Instant::now() + EXPIRED_WITHIN;
    let ask = Request::LeaseTimeToLive(LeaseTimeToLiveRequest { id, keys: false });
    while Instant::now() < deadline {
        match side.ask(&ask).await {
            Answer::LeaseTimeToLive(told) if told.ttl >= 0 => {}
            _ => return,
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn pages(run: &mut Run, prefix: &Bytes, limit: i64, revision: i64) {
    let (mut key, mut revision) = (prefix.clone(), revision);
    for _ in 0..PAGES_MAX {
        let range_end = keys::prefix_end(prefix);
        let page = RangeRequest { key: key.clone(), range_end, limit, revision, ..Default::default() };
        let Some(answer) = range(run, page).await else { return };
        let Some(last) = answer.kvs.last().filter(|_| answer.more) else { return };
        key = [last.key(), b"\0"].concat().into();
        revision = if revision == 0 { answer.header.map_or(0, |header| header.revision) } else { revision };
    }
}

async fn list_then_watch(run: &mut Run, stream: usize, prefix: &Bytes) {
    let range_end = keys::prefix_end(prefix);
    let list =
        RangeRequest { key: prefix.clone(), range_end: range_end.clone(), limit: 500, ..Default::default() };
    let Some(answer) = range(run, list).await else { return };
    let create = WatchCreateRequest {
        key: prefix.clone(),
        range_end,
        start_revision: answer.header.map_or(0, |header| header.revision) + 1,
        progress_notify: true,
        prev_kv: true,
        ..Default::default()
    };
    run.watch(stream, create).await;
    run.progress(stream).await;
}

async fn compact_once(run: &mut Run, revision: i64) {
    let revision = run.revisions.resolve(revision);
    let compare = Compare {
        key: Bytes::from_static(COMPACT_KEY),
        target: CompareTarget::Version as i32,
        result: CompareResult::Equal as i32,
        target_union: Some(TargetUnion::Version(run.compactions)),
        ..Default::default()
    };
    let win = put(&Bytes::from_static(COMPACT_KEY), &Bytes::from(revision.to_string()), 0);
    let answer = run.ask(transaction(compare, win, COMPACT_KEY)).await;
    if let Answer::Txn(answer) = answer
        && answer.succeeded
    {
        run.compactions += 1;
        run.ask(Request::Compact(CompactionRequest { revision, physical: false })).await;
    }
}

async fn range(run: &mut Run, range: RangeRequest) -> Option<RangeResponse> {
    match run.ask(Request::Range(range)).await {
        Answer::Range(answer) => Some(answer),
        _ => None,
    }
}

async fn mod_revision(run: &mut Run, key: &Bytes) -> i64 {
    let answer = range(run, RangeRequest { key: key.clone(), ..Default::default() }).await;
    answer.and_then(|answer| answer.kvs.first().map(|kv| kv.mod_revision())).unwrap_or(0)
}

fn put(key: &Bytes, value: &Bytes, lease: i64) -> Operation {
    Operation::RequestPut(PutRequest { key: key.clone(), value: value.clone(), lease, ..Default::default() })
}

/// The transaction of every write of a Kubernetes API server: the operation where the key is unchanged, and what there
/// is where it is not.
fn if_unchanged(key: &Bytes, revision: i64, operation: Operation) -> Request {
    let compare = Compare {
        key: key.clone(),
        target: CompareTarget::Mod as i32,
        result: CompareResult::Equal as i32,
        target_union: Some(TargetUnion::ModRevision(revision)),
        ..Default::default()
    };
    transaction(compare, operation, key)
}

fn transaction(compare: Compare, operation: Operation, key: &[u8]) -> Request {
    let get = RangeRequest { key: Bytes::copy_from_slice(key), ..Default::default() };
    Request::Txn(TxnRequest {
        compare: vec![compare],
        success: vec![RequestOp { request: Some(operation) }],
        failure: vec![RequestOp { request: Some(Operation::RequestRange(get)) }],
    })
}
