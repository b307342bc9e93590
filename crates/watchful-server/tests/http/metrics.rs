//! The page of metrics, as a scraper reads it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tonic::Code;
use watchful_wire::etcdserverpb::kv_client::KvClient;
use watchful_wire::etcdserverpb::{PutRequest, RangeRequest};

use crate::support::{Lines, Served, base64, eventually, put};

/// A page's lines by name and labels. Refuses what Prometheus' own parser would.
async fn scrape(served: &Served) -> BTreeMap<String, f64> {
    let answer = served.get("/metrics").await;
    assert_eq!(answer.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    let (mut lines, mut families, mut family) = (BTreeMap::new(), BTreeSet::new(), String::new());
    for line in answer.text.lines() {
        if let Some(typed) = line.strip_prefix("# TYPE ") {
            family = typed.split_once(' ').unwrap().0.to_owned();
            assert!(families.insert(family.clone()), "{family} is there twice");
        } else if !line.starts_with('#') {
            let (name, value) = line.rsplit_once(' ').unwrap();
            assert!(name.starts_with(family.as_str()), "{name} is not of the family {family}");
            assert!(lines.insert(name.to_owned(), value.parse().unwrap()).is_none(), "{name} is there twice");
        }
    }
    lines
}

fn of_key(key: &str) -> String {
    serde_json::json!({"key": base64(key)}).to_string()
}

fn of_method(name: &str, service: &str, method: &str, kind: &str) -> String {
    format!("{name}{{grpc_type=\"{kind}\",grpc_service=\"{service}\",grpc_method=\"{method}\"}}")
}

#[tokio::test]
async fn what_was_done_is_on_the_page() {
    let served = Served::start().await;
    for key in ["a", "b", "a"] {
        assert_eq!(served.post("/v3/kv/put", &put(key, "1")).await.0, 200);
    }
    let put = serde_json::json!({"request_put": {"key": base64("a")}});
    let range = serde_json::json!({"request_range": {"key": base64("a")}});
    let txn = serde_json::json!({"success": [put, {"request_txn": {"success": [range, range]}}]});
    for (path, request) in [
        ("/v3/kv/txn", txn.to_string()),
        ("/v3/kv/deleterange", of_key("b")),
        ("/v3/kv/range", of_key("a")),
        ("/v3/lease/grant", r#"{"TTL":"60","ID":"7"}"#.to_owned()),
        ("/v3/lease/keepalive", r#"{"ID":"7"}"#.to_owned()),
        ("/v3/lease/revoke", r#"{"ID":"7"}"#.to_owned()),
    ] {
        assert_eq!(served.post(path, &request).await.0, 200, "{path}");
    }
    let page = scrape(&served).await;
    let expected = [
        ("etcd_mvcc_put_total", 4.0),
        ("etcd_mvcc_range_total", 3.0),
        ("etcd_mvcc_delete_total", 1.0),
        ("etcd_mvcc_txn_total", 1.0),
        ("etcd_debugging_lease_granted_total", 1.0),
        ("etcd_debugging_lease_renewed_total", 1.0),
        ("etcd_debugging_lease_revoked_total", 1.0),
        ("etcd_server_has_leader", 1.0),
        ("etcd_server_version{server_version=\"3.6.0\"}", 1.0),
        ("etcd_debugging_mvcc_current_revision", 6.0),
        ("etcd_debugging_mvcc_compact_revision", 0.0),
        ("etcd_debugging_mvcc_keys_total", 2.0),
        ("watchful_versions", 5.0),
        ("watchful_commit_group_transactions_count", 7.0),
        ("watchful_commit_group_transactions_sum", 7.0),
        ("watchful_commit_group_transactions_bucket{le=\"1.0\"}", 7.0),
        ("watchful_commit_group_transactions_bucket{le=\"+Inf\"}", 7.0),
        ("etcd_disk_backend_commit_duration_seconds_count", 7.0),
        ("watchful_store_poisoned", 0.0),
        ("watchful_watchers{standing=\"synced\"}", 0.0),
    ];
    for (name, value) in expected {
        assert_eq!(page.get(name), Some(&value), "{name}");
    }
    assert!(page["etcd_mvcc_db_total_size_in_bytes"] >= page["etcd_mvcc_db_total_size_in_use_in_bytes"]);
    assert!(page["etcd_disk_backend_commit_duration_seconds_sum"] > 0.0);
    for name in ["process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds"] {
        assert!(!cfg!(target_os = "linux") || page[name] > 0.0, "{name}");
    }
}

#[tokio::test]
async fn calls_are_counted_by_method_and_code() {
    let served = Served::start().await;
    let mut kv = KvClient::new(channel(&served).await);
    for key in ["a", "b"] {
        kv.put(PutRequest { key: key.into(), value: "1".into(), ..Default::default() }).await.unwrap();
    }
    let refused = kv.range(RangeRequest::default()).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    // The gateway's calls are calls.
    served.post("/v3/kv/range", &format!(r#"{{"key":"{}"}}"#, base64("a"))).await;
    let calls = &served.shared().counts.calls;
    let range = calls.method(calls.find("/etcdserverpb.KV/Range"));
    eventually("both reads end", 2, || range.handled_in_all()).await;
    let page = scrape(&served).await;
    let kv = |name: &str, method: &str| page[&of_method(name, "etcdserverpb.KV", method, "unary")];
    for (name, puts, ranges) in [
        ("grpc_server_started_total", 2.0, 2.0),
        ("grpc_server_msg_received_total", 2.0, 2.0),
        ("grpc_server_msg_sent_total", 2.0, 1.0),
        ("grpc_server_handling_seconds_count", 2.0, 2.0),
    ] {
        assert_eq!((kv(name, "Put"), kv(name, "Range")), (puts, ranges), "{name}");
    }
    let handled = |code| {
        let labels = "grpc_type=\"unary\",grpc_service=\"etcdserverpb.KV\",grpc_method=\"Range\"";
        page[&format!("grpc_server_handled_total{{grpc_code=\"{code}\",{labels}}}")]
    };
    assert_eq!((handled("OK"), handled("InvalidArgument")), (1.0, 1.0));
    assert!(page["etcd_network_client_grpc_received_bytes_total"] > 0.0);
    assert!(page["etcd_network_client_grpc_sent_bytes_total"] > 0.0);
}

async fn channel(served: &Served) -> tonic::transport::Channel {
    let endpoint = tonic::transport::Endpoint::from_shared(format!("http://{}", served.address)).unwrap();
    endpoint.connect().await.unwrap()
}

#[tokio::test]
async fn watches_are_counted_by_where_they_stand_and_a_stream_that_is_left_is_canceled() {
    let served = Served::start().await;
    let create =
        |start: u64| format!(r#"{{"create_request":{{"key":"{}","start_revision":{start}}}}}"#, base64("a"));
    let body = http_body_util::Full::new(bytes::Bytes::from(create(0) + &create(0) + &create(1000)));
    let mut lines = Lines::of(served.open("POST", "/v3/watch", body).await);
    for _ in 0..3 {
        assert_eq!(lines.result().await["created"], true);
    }
    let page = scrape(&served).await;
    let standing = |name: &str| page[&format!("watchful_watchers{{standing=\"{name}\"}}")];
    assert_eq!((standing("synced"), standing("future"), standing("blocked")), (2.0, 1.0, 0.0));
    assert_eq!(page["etcd_debugging_mvcc_watcher_total"], 3.0);
    drop(lines);
    let calls = &served.shared().counts.calls;
    let watch = calls.method(calls.find("/etcdserverpb.Watch/Watch"));
    eventually("the stream ends", 1, || watch.handled(Code::Cancelled)).await;
    assert_eq!((watch.started.get(), watch.received.get(), watch.sent.get()), (1, 3, 3));
}

#[tokio::test]
async fn a_slow_request_is_counted_and_a_quick_one_is_not() {
    let slow = Served::start_with(|settings| settings.slow_request = Duration::ZERO).await;
    slow.post("/v3/kv/put", &put("a", "1")).await;
    eventually("it is counted", 1, || slow.shared().counts.slow_requests.get()).await;
    let quick = Served::start_with(|settings| settings.slow_request = Duration::from_secs(3600)).await;
    quick.post("/v3/kv/put", &put("a", "1")).await;
    let calls = &quick.shared().counts.calls;
    let puts = calls.method(calls.find("/etcdserverpb.KV/Put"));
    eventually("it ends", 1, || puts.handled_in_all()).await;
    assert_eq!(quick.shared().counts.slow_requests.get(), 0);
}
