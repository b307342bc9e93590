//! Answers that a client asked for and does not read: how much of them there may be, and that nothing of them is lost.

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use http::Request;
use prost::Message as _;
use tokio::net::TcpStream;
use watchful_wire::etcdserverpb::RangeRequest;

use crate::support::{PATIENCE, Served, in_time};

/// What one connection may have waiting before its further calls wait.
const OWN_BYTES_MAX: i64 = 64 << 20;

const VALUE_BYTES: usize = 1 << 20;

/// A connection by hand: it takes nothing that it is not told to take.
async fn connect(served: &Served) -> SendRequest<Bytes> {
    let stream = TcpStream::connect(served.address).await.unwrap();
    let (sender, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    sender
}

/// Asks for the one key there is.
async fn ask(sender: &SendRequest<Bytes>) -> ResponseFuture {
    let mut sender = in_time("room for a call", sender.clone().ready()).await.unwrap();
    let request = Request::post("http://localhost/etcdserverpb.KV/Range");
    let request = request.header("content-type", "application/grpc").header("te", "trailers").body(());
    let (answer, mut body) = sender.send_request(request.unwrap(), false).unwrap();
    let message = RangeRequest { key: "a".into(), ..RangeRequest::default() }.encode_to_vec();
    let len = u32::try_from(message.len()).unwrap().to_be_bytes();
    body.send_data([&[0][..], &len, &message].concat().into(), true).unwrap();
    answer
}

/// Reads an answer to its end, and tells how long it is.
async fn read(answer: ResponseFuture) -> usize {
    let mut body = in_time("an answer", answer).await.unwrap().into_body();
    let mut read = 0;
    while let Some(piece) = in_time("the rest of an answer", body.data()).await {
        let len = piece.unwrap().len();
        body.flow_control().release_capacity(len).unwrap();
        read += len;
    }
    read
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
