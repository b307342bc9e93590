//! Answers that a client asked for and does not read, and requests that it begins and does not end: how much of either there
//! may be, and that nothing of them is lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use h2::client::{Builder, ResponseFuture, SendRequest};
use h2::{RecvStream, SendStream};
use http::{Request, Response};
use prost::Message;
use tokio::net::TcpStream;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use watchful_wire::etcdserverpb::request_op::Request as Op;
use watchful_wire::etcdserverpb::{
    DeleteRangeRequest, LeaseKeepAliveRequest, PutRequest, RangeRequest, RequestOp, TxnRequest,
};
use watchful_wire::v3electionpb::{CampaignRequest, LeaderRequest};

use crate::support::{PATIENCE, Served, base64, in_time};

/// What one connection may have waiting before its further calls wait.
const OWN_BYTES_MAX: i64 = 64 << 20;

/// What calls may find beyond that which were let in before it was reached: four large ones, and one for each thread.
const BEYOND_BYTES_MAX: i64 = 12 << 20;

/// What one connection's requests may take before further ones are refused.
const KEPT_BYTES_MAX: i64 = 128 << 20;

const VALUE_BYTES: usize = 1 << 20;

/// A call, and what it says.
#[derive(Clone, Debug)]
struct Call {
    path: &'static str,
    content_type: &'static str,
    body: Vec<u8>,
}

impl Call {
    fn grpc(path: &'static str, message: &impl Message) -> Self {
        let message = message.encode_to_vec();
        let len = u32::try_from(message.len()).unwrap().to_be_bytes();
        Self { path, content_type: "application/grpc", body: [&[0][..], &len, &message].concat() }
    }

    /// The one key there is.
    fn key() -> Self {
        Self::grpc("/etcdserverpb.KV/Range", &RangeRequest { key: "a".into(), ..RangeRequest::default() })
    }
}

fn all_keys() -> RangeRequest {
    RangeRequest { key: "a".into(), range_end: "b".into(), ..RangeRequest::default() }
}

/// A connection by hand: it takes nothing that it is not told to take.
async fn connect(served: &Served) -> SendRequest<Bytes> {
    let stream = TcpStream::connect(served.address).await.unwrap();
    let (sender, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    sender
}

/// Begins a call: it has no body yet.
async fn begin(sender: &SendRequest<Bytes>, call: &Call) -> (ResponseFuture, SendStream<Bytes>) {
    let mut sender = in_time("room for a call", sender.clone().ready()).await.unwrap();
    let request = Request::post(format!("http://localhost{}", call.path));
    let request = request.header("content-type", call.content_type).header("te", "trailers").body(());
    sender.send_request(request.unwrap(), false).unwrap()
}

/// Asks for the one key there is.
async fn ask(sender: &SendRequest<Bytes>) -> ResponseFuture {
    let (answer, mut body) = begin(sender, &Call::key()).await;
    body.send_data(Call::key().body.into(), true).unwrap();
    answer
}

/// Reads an answer to its end, and tells how long it is.
async fn read(answer: ResponseFuture) -> usize {
    read_to(answer, usize::MAX).await
}

/// Reads an answer to its end, or beyond what is `enough`.
async fn read_to(answer: ResponseFuture, enough: usize) -> usize {
    read_body(in_time("an answer", answer).await.unwrap(), enough).await
}

async fn read_body(answer: Response<RecvStream>, enough: usize) -> usize {
    let (mut body, mut read) = (answer.into_body(), 0);
    while read <= enough
        && let Some(piece) = in_time("the rest of an answer", body.data()).await
    {
        let len = piece.unwrap().len();
        body.flow_control().release_capacity(len).unwrap();
        read += len;
    }
    read
}

/// The status that a call ends with: gRPC's, or HTTP's.
async fn status(answer: ResponseFuture) -> String {
    let (head, mut body) = answer.await.unwrap().into_parts();
    if head.headers.get("content-type").is_none_or(|kind| kind != "application/grpc") {
        return head.status.as_str().to_owned();
    }
    while body.data().await.is_some() {}
    let trailers = body.trailers().await.unwrap().unwrap_or_default();
    let status = head.headers.get("grpc-status").or(trailers.get("grpc-status"));
    status.expect("it ends with one").to_str().unwrap().to_owned()
}

async fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let begun = std::time::Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "{what}");
        tokio::task::yield_now().await;
    }
}

/// One client that asked for lists and read none of them had any number of them in the server's memory: 127 MiB in two
/// seconds, for 240 KB of keys.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_reads_nothing_is_not_asked_on_and_loses_nothing() {
    let served = Served::start().await;
    let shared = served.shared();
    shared.store.put("a", vec![b'v'; VALUE_BYTES]).wait().unwrap();
    let unread = || shared.counts.unread_bytes.get();
    let (deaf, other) = (connect(&served).await, connect(&served).await);
    let mut answers = Vec::new();
    while unread() <= OWN_BYTES_MAX {
        let before = unread();
        answers.push(ask(&deaf).await);
        eventually("an answer should be made while there is room", || unread() > before).await;
    }
    assert!(answers.len() <= 65, "{} answers of a mebibyte", answers.len());
    let full = unread();
    for _ in 0..20 {
        answers.push(ask(&deaf).await);
        assert!(read(ask(&other).await).await > VALUE_BYTES, "who reads is served");
    }
    eventually("what the other has read should be let go", || unread() == full).await;
    // All at once, because they share the room that the connection has.
    let reading: Vec<_> = answers.into_iter().map(|answer| tokio::spawn(read(answer))).collect();
    for read in reading {
        assert!(read.await.unwrap() > VALUE_BYTES);
    }
    eventually("nothing should be left", || unread() == 0).await;
}

/// Whether there was room was asked when a call's headers came. Whoever sent those of many calls first, and what they ask for
/// afterwards, was answered all of them; and so was, now and then, whoever asked many at once. It is asked when a call is
/// whole, and what it finds is counted before the next one is asked.
async fn check_all_at_once(call: Call) {
    check_all(Served::start().await, |_| call.clone(), true).await;
}

const CALLS: usize = 120;

/// The same of so many calls, each of which is answered with a mebibyte, of an answer that `ends` or goes on.
async fn check_all(served: Served, call: impl Fn(usize) -> Call, ends: bool) {
    let shared = served.shared();
    shared.store.put("a", vec![b'v'; VALUE_BYTES]).wait().unwrap();
    let unread = || shared.counts.unread_bytes.get();
    let (deaf, other) = (connect(&served).await, connect(&served).await);
    let mut calls = Vec::new();
    for at in 0..CALLS {
        calls.push((call(at), begin(&deaf, &call(at)).await));
    }
    // The other one's answer comes after all of them have begun.
    read(ask(&other).await).await;
    let mut answers = Vec::new();
    for (call, (answer, mut body)) in calls {
        body.send_data(call.body.into(), true).unwrap();
        answers.push(answer);
    }
    eventually("answers should be made while there is room", || unread() > OWN_BYTES_MAX).await;
    for _ in 0..20 {
        assert!(read(ask(&other).await).await > VALUE_BYTES, "who reads is served");
        let unread = unread();
        assert!(unread <= OWN_BYTES_MAX + BEYOND_BYTES_MAX, "{} MiB for {:?}", unread >> 20, call(0));
    }
    let enough = if ends { usize::MAX } else { VALUE_BYTES };
    let reading: Vec<_> = answers.into_iter().map(|answer| tokio::spawn(read_to(answer, enough))).collect();
    for read in reading {
        assert!(read.await.unwrap() > VALUE_BYTES);
    }
    eventually("nothing should be left", || unread() == 0).await;
    eventually("nor of the requests", || shared.counts.kept_bytes.get() == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_that_are_asked_for_all_at_once_are_bounded() {
    check_all_at_once(Call::key()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_that_are_asked_for_all_at_once_are_bounded() {
    check_all_at_once(Call::grpc("/etcdserverpb.KV/Range", &all_keys())).await;
}

/// They are worked out together, in one commit, and found together before any was an answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transactions_that_are_asked_for_all_at_once_are_bounded() {
    let success = vec![RequestOp { request: Some(Op::RequestRange(all_keys())) }];
    let txn = TxnRequest { success, ..TxnRequest::default() };
    check_all_at_once(Call::grpc("/etcdserverpb.KV/Txn", &txn)).await;
}

/// JSON over HTTP/2 had no bound at all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn json_that_is_asked_for_all_at_once_is_bounded() {
    let body = format!(r#"{{"key":"{}","range_end":"{}"}}"#, base64("a"), base64("b"));
    let content_type = "application/json";
    check_all_at_once(Call { path: "/v3/kv/range", content_type, body: body.into() }).await;
}

fn put_again() -> PutRequest {
    PutRequest { key: "a".into(), ignore_value: true, prev_kv: true, ..PutRequest::default() }
}

/// Only transactions were counted from within: what puts and deletes found of before was 1.5 MiB a call, of as many calls as a
/// commit takes, before the first of them was an answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_puts_replace_is_bounded_when_it_is_asked_for_all_at_once() {
    check_all_at_once(Call::grpc("/etcdserverpb.KV/Put", &put_again())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_deletes_take_away_is_bounded_when_it_is_asked_for_all_at_once() {
    let served = Served::start().await;
    for at in 0..CALLS {
        served.shared().store.put(format!("d/{at}"), vec![b'v'; VALUE_BYTES]).wait().unwrap();
    }
    let delete = |at| {
        let key = format!("d/{at}").into();
        let delete = DeleteRangeRequest { key, prev_kv: true, ..DeleteRangeRequest::default() };
        Call::grpc("/etcdserverpb.KV/DeleteRange", &delete)
    };
    check_all(served, delete, true).await;
}

/// Streams of answers had no bound: they were said to be made when there is room to send, but a part is made first, and then it
/// waits for room. A client that asked for many ranges as streams had the first part of each in the server's memory, 15 MiB a call.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ranges_in_parts_are_bounded_when_they_are_asked_for_all_at_once() {
    check_all_at_once(Call::grpc("/etcdserverpb.KV/RangeStream", &all_keys())).await;
}

/// The same of who leads: 1.5 MiB a call.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leaders_that_are_observed_all_at_once_are_bounded() {
    let served = Served::start().await;
    served.shared().store.put("e/1", vec![b'v'; VALUE_BYTES]).wait().unwrap();
    let observe = Call::grpc("/v3electionpb.Election/Observe", &LeaderRequest { name: "e".into() });
    check_all(served, |_| observe.clone(), false).await;
}

const REFLECTIONS: [&str; 2] = [
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
];

fn described(host: &str) -> ServerReflectionRequest {
    let symbol = MessageRequest::FileContainingSymbol("etcdserverpb.KV".to_owned());
    ServerReflectionRequest { host: host.to_owned(), message_request: Some(symbol) }
}

/// Whoever asks for descriptions, who needs no login, is answered with the question too, twice: it could have four mebibytes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_needs_a_long_question_to_ask_what_there_is() {
    let served = Served::start().await;
    let sender = connect(&served).await;
    for path in REFLECTIONS {
        for (host_bytes, is_answered) in [(1, true), (8 << 10, true), (64 << 10, false)] {
            let call = Call::grpc(path, &described(&"h".repeat(host_bytes)));
            let (answer, mut body) = begin(&sender, &call).await;
            body.send_data(call.body.into(), true).unwrap();
            assert_eq!(read(answer).await > 2 * host_bytes, is_answered, "{host_bytes} bytes for {path}");
        }
    }
}

/// A client that asks so many times on each of many streams, and reads nothing for now.
async fn check_streams(paths: &[&'static str], question: &impl Message, asked: usize, answer_bytes: usize) {
    const STREAMS: usize = 100;
    let served = Served::start().await;
    let unread = || served.shared().counts.unread_bytes.get();
    let deaf = connect(&served).await;
    let mut answers = Vec::new();
    for path in paths.iter().cycle().take(STREAMS) {
        let call = Call::grpc(path, question);
        let (answer, mut body) = begin(&deaf, &call).await;
        body.send_data(call.body.repeat(asked).into(), true).unwrap();
        answers.push(answer);
    }
    eventually("what waits should be counted", || unread() > 1 << 20).await;
    let reading: Vec<_> = answers.into_iter().map(|answer| tokio::spawn(read(answer))).collect();
    for read in reading {
        assert!(read.await.unwrap() > asked * answer_bytes, "nothing is lost");
    }
    eventually("nothing should be left", || unread() == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn descriptions_that_nobody_reads_are_counted() {
    check_streams(&REFLECTIONS, &described(""), 20, 1000).await;
}

/// They are made whether there is room or not, or leases would end: further calls wait.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keep_alives_that_nobody_reads_are_counted() {
    let question = LeaseKeepAliveRequest { id: 7 };
    check_streams(&["/etcdserverpb.Lease/LeaseKeepAlive"], &question, 1000, 30).await;
}

/// On streams that have begun there is no call before which to wait for room, so what comes of them waits for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leaders_that_come_later_are_bounded() {
    let served = Served::start().await;
    let shared = served.shared();
    shared.store.put("a", vec![b'v'; VALUE_BYTES]).wait().unwrap();
    let unread = || shared.counts.unread_bytes.get();
    let (deaf, other) = (connect(&served).await, connect(&served).await);
    let observe = Call::grpc("/v3electionpb.Election/Observe", &LeaderRequest { name: "e".into() });
    let mut answers = Vec::new();
    for _ in 0..CALLS {
        let (answer, mut body) = begin(&deaf, &observe).await;
        body.send_data(observe.body.clone().into(), true).unwrap();
        answers.push(in_time("the stream", answer).await.unwrap());
    }
    shared.store.put("e/1", vec![b'w'; VALUE_BYTES]).wait().unwrap();
    eventually("they should be told while there is room", || unread() > OWN_BYTES_MAX).await;
    for _ in 0..20 {
        assert!(read(ask(&other).await).await > VALUE_BYTES, "who reads is served");
        assert!(unread() <= OWN_BYTES_MAX + BEYOND_BYTES_MAX, "{} MiB", unread() >> 20);
    }
    let told = |answer| tokio::spawn(read_body(answer, VALUE_BYTES));
    let reading: Vec<_> = answers.into_iter().map(told).collect();
    for read in reading {
        assert!(read.await.unwrap() > VALUE_BYTES, "each is told");
    }
    eventually("nothing should be left", || unread() == 0).await;
}

/// A request that came in one piece was not counted while it waited for room: sixteen kibibytes a call, and more, as it held on
/// to what it was read into.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_that_wait_for_room_are_counted() {
    const WAITING: usize = 50;
    const BYTES: usize = 15_000;
    let served = Served::start().await;
    let shared = served.shared();
    shared.store.put("a", vec![b'v'; VALUE_BYTES]).wait().unwrap();
    let (unread, kept) = (|| shared.counts.unread_bytes.get(), || shared.counts.kept_bytes.get());
    let deaf = connect(&served).await;
    let mut answers = Vec::new();
    while unread() <= OWN_BYTES_MAX {
        let before = unread();
        answers.push(ask(&deaf).await);
        eventually("an answer should be made while there is room", || unread() > before).await;
    }
    let put = PutRequest { key: "b".into(), value: vec![b'w'; BYTES].into(), ..PutRequest::default() };
    for _ in 0..WAITING {
        let call = Call::grpc("/etcdserverpb.KV/Put", &put);
        let (answer, mut body) = begin(&deaf, &call).await;
        body.send_data(call.body.into(), true).unwrap();
        answers.push(answer);
    }
    let waiting = i64::try_from(WAITING * BYTES).unwrap();
    eventually("what waits should be counted", || kept() > waiting).await;
    let reading: Vec<_> = answers.into_iter().map(|answer| tokio::spawn(read(answer))).collect();
    for read in reading {
        assert!(read.await.unwrap() > 0, "it is answered when there is room");
    }
    eventually("nothing should be left", || kept() == 0 && unread() == 0).await;
}

/// Sends a body as there is room for it, and so no call's before the one before it was taken.
async fn send(body: &mut SendStream<Bytes>, mut rest: Bytes) {
    while !rest.is_empty() {
        body.reserve_capacity(rest.len());
        let room = std::future::poll_fn(|cx| body.poll_capacity(cx)).await.unwrap().unwrap();
        let piece = rest.split_to(room.min(rest.len()));
        body.send_data(piece, rest.is_empty()).unwrap();
    }
}

/// A request that had begun counted no more, and the connection went on taking further ones: whoever puts faster than the disk
/// commits had all of it in the server's memory, until that was full.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn puts_that_come_faster_than_they_are_done_wait_and_none_is_refused() {
    const PUTS: usize = 200;
    let served = Served::start().await;
    let shared = served.shared();
    shared.store.put("a", vec![b'v'; VALUE_BYTES]).wait().unwrap();
    let kept = || shared.counts.kept_bytes.get();
    let (fast, other) = (connect(&served).await, connect(&served).await);
    let (go_on, waits) = std::sync::mpsc::channel::<()>();
    let (begins, begun) = tokio::sync::oneshot::channel();
    let store = shared.store.clone();
    let held = std::thread::spawn(move || {
        let held = store.transact(move |_| {
            let _ = (begins.send(()), waits.recv());
            Ok::<_, watchful::Error>(())
        });
        held.wait()
    });
    in_time("a transaction that others wait for", begun).await.unwrap();
    let sending = tokio::spawn(async move {
        let mut answers = Vec::new();
        let put =
            PutRequest { key: "b".into(), value: vec![b'w'; VALUE_BYTES].into(), ..PutRequest::default() };
        let call = Call::grpc("/etcdserverpb.KV/Put", &put);
        for _ in 0..PUTS {
            let (answer, mut body) = begin(&fast, &call).await;
            send(&mut body, call.body.clone().into()).await;
            answers.push(tokio::spawn(status(answer)));
        }
        answers
    });
    eventually("what is under way should be counted", || kept() > OWN_BYTES_MAX).await;
    for _ in 0..20 {
        assert!(read(ask(&other).await).await > VALUE_BYTES, "others are served");
        assert!(kept() <= OWN_BYTES_MAX + (4 << 20), "{} MiB are kept", kept() >> 20);
    }
    drop(go_on);
    held.join().unwrap().unwrap();
    for answered in in_time("that all are sent", sending).await.unwrap() {
        assert_eq!(in_time("an answer", answered).await.unwrap(), "0", "it waits, and is done");
    }
    eventually("nothing should be left", || kept() == 0).await;
}

/// Who waits for the lead may do so for ever, and what it asked with was not counted meanwhile: two mebibytes a call. It holds up
/// nobody.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_for_others_is_counted_and_holds_up_nobody() {
    const CAMPAIGNS: usize = 80;
    let served = Served::start().await;
    let shared = served.shared();
    shared.store.put("a", vec![b'v'; VALUE_BYTES]).wait().unwrap();
    let kept = || shared.counts.kept_bytes.get();
    let sender = connect(&served).await;
    let mut open = Vec::new();
    for lease in 1..=i64::try_from(CAMPAIGNS).unwrap() {
        shared.store.lease_grant(lease, 60).await.unwrap();
        let value = vec![b'w'; VALUE_BYTES].into();
        let call = Call::grpc(
            "/v3electionpb.Election/Campaign",
            &CampaignRequest { name: "e".into(), lease, value },
        );
        let (answer, mut body) = begin(&sender, &call).await;
        send(&mut body, call.body.into()).await;
        open.push(answer);
    }
    assert!(read(open.remove(0)).await > 0, "the first one leads");
    let waiting = i64::try_from((CAMPAIGNS - 1) * VALUE_BYTES).unwrap();
    eventually("those that wait should be counted", || kept() > waiting).await;
    assert!(kept() > OWN_BYTES_MAX, "it is more than may be under way");
    assert!(read(ask(&sender).await).await > VALUE_BYTES, "others of the connection are served");
    drop(open);
    eventually("nothing should be left", || kept() == 0).await;
}

/// Objects of JSON that had been taken went on counting until the next one came: a watch that asked once counted for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_json_asked_for_counts_no_more_when_it_has_been_taken() {
    let served = Served::start().await;
    let kept = || served.shared().counts.kept_bytes.get();
    let sender = connect(&served).await;
    let body = format!(r#"{{"create_request":{{"key":"{}"}}}}"#, base64("k".repeat(1000)));
    let call = Call { path: "/v3/watch", content_type: "application/json", body: body.into() };
    let (answer, mut body) = begin(&sender, &call).await;
    body.send_data(call.body.into(), false).unwrap();
    assert!(read_to(answer, 0).await > 0, "it is created");
    eventually("nothing is kept of it", || kept() == 0).await;
}

/// A call of a method that there is not waited for the end of its request, which clients of a stream say last, if ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_asks_for_no_method_hears_it_at_once() {
    let served = Served::start().await;
    let sender = connect(&served).await;
    let (answer, _body) = begin(&sender, &Call { path: "/no.such/Method", ..Call::key() }).await;
    assert_eq!(in_time("the refusal", status(answer)).await, "12");
}

/// Pages are not made at once, so there were as many under way as anybody asked for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_that_are_asked_for_all_at_once_are_bounded() {
    const PAGES: usize = 3000;
    let served = Served::start().await;
    let shared = served.shared();
    shared.store.put("a", vec![b'v'; VALUE_BYTES]).wait().unwrap();
    let unread = || shared.counts.unread_bytes.get();
    let (deaf, other) = (connect(&served).await, connect(&served).await);
    let page_bytes = served.get("/metrics").await.text.len();
    assert!(page_bytes * PAGES > 80 << 20, "{page_bytes} bytes are too few");
    let mut answers = Vec::new();
    for _ in 0..PAGES {
        let mut sender = in_time("room for a call", deaf.clone().ready()).await.unwrap();
        let request = Request::get("http://localhost/metrics").body(()).unwrap();
        answers.push(sender.send_request(request, true).unwrap());
    }
    eventually("pages should be made while there is room", || unread() > OWN_BYTES_MAX).await;
    for _ in 0..20 {
        assert!(read(ask(&other).await).await > VALUE_BYTES, "who reads is served");
        assert!(unread() <= OWN_BYTES_MAX + BEYOND_BYTES_MAX, "{} MiB", unread() >> 20);
    }
    drop(answers);
    eventually("nothing should be left", || unread() == 0).await;
}

/// Nor had plain HTTP.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_that_nobody_reads_are_counted() {
    let served = Served::start().await;
    let unread = || served.shared().counts.unread_bytes.get();
    let stream = TcpStream::connect(served.address).await.unwrap();
    let (sender, connection) = Builder::new().initial_window_size(0).handshake(stream).await.unwrap();
    let connection = tokio::spawn(connection);
    let mut sender: SendRequest<Bytes> = in_time("room for a call", sender.ready()).await.unwrap();
    let request = Request::get("http://localhost/metrics").body(()).unwrap();
    let (answer, _) = sender.send_request(request, true).unwrap();
    let answer = in_time("the page's head", answer).await.unwrap();
    let len: i64 = answer.headers()["content-length"].to_str().unwrap().parse().unwrap();
    assert!(unread() > len, "{} of {len} bytes", unread());
    connection.abort();
    eventually("what nobody will read is let go", || unread() == 0).await;
}

/// A message that is never ended was kept for ever, and each call of a connection could have one of two mebibytes. And a watch
/// that was refused for it was not told: it stayed open, and what it asked for afterwards was dropped in silence. As JSON they were
/// not refused, or were told something else, and no test noticed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_that_are_begun_and_not_ended_are_bounded() {
    const CALLS: usize = 100;
    const BEGUN_BYTES: usize = 3 << 19;
    let served = Served::start().await;
    let shared = served.shared();
    shared.store.put("a", vec![b'v'; VALUE_BYTES]).wait().unwrap();
    let kept = || shared.counts.kept_bytes.get();
    let (mean, other) = (connect(&served).await, connect(&served).await);
    // It says that it is a little longer than it is.
    let mut message = vec![0; BEGUN_BYTES];
    message[1..5].copy_from_slice(&u32::try_from(BEGUN_BYTES).unwrap().to_be_bytes());
    let mut text = vec![b'x'; BEGUN_BYTES];
    text[..6].copy_from_slice(br#"{"a":""#);
    let (grpc, json) = (("application/grpc", message, "8"), ("application/json", text, "429"));
    let begun = [
        ("/etcdserverpb.KV/Put", &grpc),
        ("/etcdserverpb.Watch/Watch", &grpc),
        ("/v3/kv/put", &json),
        ("/v3/watch", &json),
    ];
    let (refused, mut open) = (Arc::new(AtomicUsize::new(0)), Vec::new());
    for (path, (content_type, begun, refusal)) in begun.into_iter().cycle().take(CALLS) {
        let call = Call { path, content_type, body: begun.clone() };
        let (answer, mut body) = begin(&mean, &call).await;
        body.send_data(call.body.into(), false).unwrap();
        let (refused, refusal) = (Arc::clone(&refused), *refusal);
        let answered = tokio::spawn(async move {
            assert_eq!(status(answer).await, refusal, "the only answer there may be, for {path}");
            refused.fetch_add(1, Ordering::Relaxed);
        });
        open.push((answered, body));
        assert!(read(ask(&other).await).await > VALUE_BYTES, "who means well is served");
        assert!(kept() <= KEPT_BYTES_MAX, "{} MiB are kept", kept() >> 20);
    }
    eventually("each that is refused should be told", || {
        let refused = refused.load(Ordering::Relaxed);
        refused > 8 && kept() == i64::try_from((CALLS - refused) * BEGUN_BYTES).unwrap()
    })
    .await;
    assert!(kept() > KEPT_BYTES_MAX / 2, "no more than it takes are refused");
    assert!(read(ask(&other).await).await > VALUE_BYTES, "who means well is served");
    for (answered, _body) in open {
        match answered.is_finished() {
            true => answered.await.unwrap(),
            false => answered.abort(),
        }
    }
    eventually("nothing should be left", || kept() == 0).await;
}
