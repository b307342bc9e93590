//! Streams over JSON: a line for each answer, sent as it comes.

use base64::Engine as _;
use bytes::Bytes;
use http_body_util::{Full, StreamBody};
use hyper::body::Frame;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;

use crate::support::{Lines, Served, base64, eventually, put, whole};

type Sender = mpsc::Sender<String>;

/// A request whose body is written as it goes. It ends when the sender is dropped.
async fn open(served: &Served, path: &str, first: &str) -> (Sender, Lines) {
    let (sender, receiver) = mpsc::channel::<String>(4);
    sender.send(first.to_owned()).await.unwrap();
    let pieces =
        ReceiverStream::new(receiver).map(|piece| Ok::<_, std::io::Error>(Frame::data(Bytes::from(piece))));
    (sender, Lines::of(served.open("POST", path, StreamBody::new(pieces)).await))
}

fn full(body: &str) -> Full<Bytes> {
    Full::new(Bytes::copy_from_slice(body.as_bytes()))
}

fn create(key: &str, start_revision: u64) -> String {
    json!({"create_request": {"key": base64(key), "start_revision": start_revision.to_string()}}).to_string()
}

fn event(key: &str, value: &str, revision: u64) -> Value {
    let revision = revision.to_string();
    json!({"kv": {
        "key": base64(key), "value": base64(value), "create_revision": revision, "mod_revision": revision, "version": "1",
    }})
}

/// As with `curl -d`: the request is over at once, and the watch goes on.
#[tokio::test]
async fn a_watch_goes_on_after_its_request_has_ended() {
    let served = Served::start().await;
    served.post("/v3/kv/put", &put("a", "1")).await;
    let mut lines = Lines::of(served.open("POST", "/v3/watch", full(&create("a", 1))).await);
    assert_eq!(lines.result().await["created"], true);
    assert_eq!(lines.result().await["events"], json!([event("a", "1", 2)]));
    // Sent as they come: the next write is only made when the line of the one before is there.
    for revision in 3..8 {
        served.post("/v3/kv/deleterange", &json!({"key": base64("a")}).to_string()).await;
        let deleted = lines.result().await;
        assert_eq!(
            (&deleted["events"][0]["type"], deleted["events"].as_array().unwrap().len()),
            (&json!("DELETE"), 1)
        );
        served.post("/v3/kv/put", &put("a", "2")).await;
        assert_eq!(lines.result().await["events"], json!([event("a", "2", 2 * revision - 2)]));
    }
    let streams = &served.shared().counts.watch_streams;
    assert_eq!(streams.get(), 1);
    drop(lines);
    eventually("the stream goes with its client", 0, || streams.get()).await;
}

#[tokio::test]
async fn a_request_can_go_on_while_it_is_answered() {
    let served = Served::start().await;
    let (sender, mut lines) = open(&served, "/v3/watch", &create("a", 0)).await;
    assert_eq!(lines.result().await["created"], true);
    sender.send(create("b", 0)).await.unwrap();
    let created = lines.result().await;
    assert_eq!((&created["created"], &created["watch_id"]), (&json!(true), &json!("1")));
    sender.send("{\"cancel_req".to_owned()).await.unwrap();
    sender.send("uest\":{\"watch_id\":1}}\n".to_owned()).await.unwrap();
    let canceled = lines.result().await;
    assert_eq!((&canceled["canceled"], &canceled["watch_id"]), (&json!(true), &json!("1")));
}

#[tokio::test]
async fn what_is_no_json_ends_the_stream_with_an_error() {
    let served = Served::start().await;
    let answer = whole(served.open("POST", "/v3/watch", full("{\"create_request\":7}")).await).await;
    let body: Value = serde_json::from_str(&answer.text).unwrap();
    assert_eq!((answer.status.as_u16(), &body["error"]["code"]), (400, &json!(3)), "{answer:?}");
    let (sender, mut lines) = open(&served, "/v3/watch", &create("a", 0)).await;
    assert_eq!(lines.result().await["created"], true);
    sender.send("nonsense".to_owned()).await.unwrap();
    let last = lines.next().await.unwrap();
    assert_eq!(last["error"]["code"], 3, "{last}");
    assert_eq!(lines.next().await, None);
    eventually("the stream is gone", 0, || served.shared().counts.watch_streams.get()).await;
}

#[tokio::test]
async fn keep_alives_are_answered_one_by_one_until_the_request_ends() {
    let served = Served::start().await;
    served.post("/v3/lease/grant", r#"{"TTL":"60","ID":"7"}"#).await;
    let (sender, mut lines) = open(&served, "/v3/lease/keepalive", r#"{"ID":"7"}"#).await;
    assert_eq!(lines.result().await["TTL"], "60");
    sender.send(r#"{"ID":"8"}"#.to_owned()).await.unwrap();
    let unknown = lines.result().await;
    assert_eq!((&unknown["ID"], unknown.get("TTL")), (&json!("8"), None));
    drop(sender);
    assert_eq!(lines.next().await, None);
}

#[tokio::test]
async fn a_snapshot_comes_in_pieces() {
    let served = Served::start().await;
    served.post("/v3/kv/put", &put("a", &"v".repeat(100_000))).await;
    let mut lines = Lines::of(served.open("POST", "/v3/maintenance/snapshot", full("{}")).await);
    let (mut bytes, mut remaining) = (0, None);
    while let Some(line) = lines.next().await {
        let blob = line["result"]["blob"].as_str().unwrap_or_default();
        bytes += base64::engine::general_purpose::STANDARD.decode(blob).unwrap().len();
        remaining = Some(line["result"].get("remaining_bytes").cloned());
    }
    assert!(bytes > 100_000, "{bytes}");
    assert_eq!(remaining, Some(None), "nothing remains after the last");
}

/// A client that does not read costs what is under way to it, and holds up nobody.
#[tokio::test]
async fn a_slow_reader_holds_up_only_itself() {
    const VALUE_BYTES: usize = 100_000;
    const PUTS: usize = 400;
    let served = Served::start().await;
    for at in 0..PUTS {
        served.shared().store.put(format!("k{at}"), vec![b'v'; VALUE_BYTES]).await.unwrap();
    }
    let everything =
        json!({"create_request": {"key": base64("\0"), "range_end": base64("\0"), "start_revision": "1"}});
    let everything = everything.to_string();
    let slow = served.open("POST", "/v3/watch", full(&everything)).await;
    let mut quick = Lines::of(served.open("POST", "/v3/watch", full(&everything)).await);
    let mut events = 0;
    while events < PUTS {
        events += quick.result().await["events"].as_array().map_or(0, Vec::len);
    }
    let copied = served.shared().counts.watch_copied_bytes.get();
    let all = (PUTS * VALUE_BYTES) as u64;
    assert!((all..all + all / 2).contains(&copied), "of {all} bytes for each, {copied} were copied for both");
    // What is owed is still there, all of it.
    let (mut slow, mut events) = (Lines::of(slow), 0);
    while events < PUTS {
        events += slow.result().await["events"].as_array().map_or(0, Vec::len);
    }
}
