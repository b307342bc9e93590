//! JSON in, JSON out: what etcd's gateway takes and says.

use serde_json::{Value, json};

use crate::support::{Served, base64, put};

/// The answer without its header, which has to be there.
fn without_header(mut answer: Value) -> Value {
    let header = answer.as_object_mut().unwrap().remove("header").expect("a header");
    for field in ["cluster_id", "member_id", "revision", "raft_term"] {
        let text = header[field].as_str().unwrap_or_else(|| panic!("{field} of {header} is no string"));
        assert!(text.parse::<u64>().is_ok(), "{header}");
    }
    answer
}

async fn ask(served: &Served, path: &str, request: Value) -> Value {
    let (status, answer) = served.post(path, &request.to_string()).await;
    assert_eq!(status, 200, "{path} {request}: {answer}");
    without_header(answer)
}

/// An error's status, code and text.
async fn refused(served: &Served, path: &str, request: &str) -> (u16, i64, String) {
    let (status, answer) = served.post(path, request).await;
    let fields: Vec<_> = answer.as_object().unwrap().keys().collect();
    assert_eq!(fields, ["code", "message"], "{answer}");
    (status.as_u16(), answer["code"].as_i64().unwrap(), answer["message"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn integers_are_strings_bytes_are_base64_and_defaults_are_left_out() {
    let served = Served::start().await;
    assert_eq!(
        ask(&served, "/v3/kv/put", json!({"key": base64("foo"), "value": base64("bar")})).await,
        json!({})
    );
    let read = ask(&served, "/v3/kv/range", json!({"key": base64("foo")})).await;
    let kv = json!({
        "key": "Zm9v", "value": "YmFy", "create_revision": "2", "mod_revision": "2", "version": "1",
    });
    assert_eq!(read, json!({"kvs": [kv], "count": "1"}));
    let deleted = ask(&served, "/v3/kv/deleterange", json!({"key": base64("foo"), "prev_kv": true})).await;
    assert_eq!(deleted, json!({"deleted": "1", "prev_kvs": [kv]}));
    assert_eq!(ask(&served, "/v3/kv/range", json!({"key": base64("foo")})).await, json!({}));
}

/// protobuf's JSON takes names of both kinds, numbers as strings or numbers, and enums by name or number.
#[tokio::test]
async fn requests_may_be_written_in_every_way_that_protobuf_has() {
    let served = Served::start().await;
    for key in ["a", "b", "c"] {
        served.post("/v3/kv/put", &put(key, "1")).await;
    }
    let ways = [
        json!({"key": base64("a"), "range_end": base64("z"), "limit": "1", "sort_order": "DESCEND"}),
        json!({"key": base64("a"), "rangeEnd": base64("z"), "limit": 1, "sortOrder": 2}),
        json!({"key": base64("a"), "range_end": base64("z"), "limit": 1, "sort_order": 2, "revision": null,
            "no_such_field": {"a": [1]}}),
    ];
    for way in ways {
        let read = ask(&served, "/v3/kv/range", way.clone()).await;
        assert_eq!(
            (&read["kvs"][0]["key"], &read["count"], &read["more"]),
            (&json!("Yw=="), &json!("3"), &json!(true))
        );
    }
}

#[tokio::test]
async fn a_transaction_has_its_operations_inside() {
    let served = Served::start().await;
    let key = base64("foo");
    let put = json!({"request_put": {"key": key, "value": base64("bar")}});
    let request = json!({
        "compare": [{"target": "CREATE", "result": "EQUAL", "key": key, "create_revision": "0"}],
        "success": [put],
        "failure": [{"request_range": {"key": key}}, {"request_txn": {"success": [put]}}],
    });
    let created = ask(&served, "/v3/kv/txn", request.clone()).await;
    assert_eq!(created["succeeded"], true);
    assert_eq!(created["responses"][0]["response_put"]["header"]["revision"], "2");
    let failed = ask(&served, "/v3/kv/txn", request).await;
    assert_eq!(failed.get("succeeded"), None);
    assert_eq!(failed["responses"][0]["response_range"]["kvs"][0]["value"], "YmFy");
    assert_eq!(failed["responses"][1]["response_txn"]["succeeded"], true);
}

#[tokio::test]
async fn an_error_has_its_code_its_text_and_its_http_status() {
    let served = Served::start().await;
    let future = r#"{"revision":"10000"}"#;
    let future = refused(&served, "/v3/kv/compaction", future).await;
    assert_eq!(future, (400, 11, "etcdserver: mvcc: required revision is a future revision".to_owned()));
    let empty = refused(&served, "/v3/kv/put", "").await;
    assert_eq!(empty, (400, 3, "etcdserver: key is not provided".to_owned()));
    let lease = refused(&served, "/v3/lease/revoke", r#"{"ID":"77"}"#).await;
    assert_eq!(lease, (404, 5, "etcdserver: requested lease not found".to_owned()));
    for wrong in ["{", "[]", r#"{"key":"%"}"#, r#"{"limit":"many"}"#, r#"{"sort_order":true}"#] {
        let (status, code, text) = refused(&served, "/v3/kv/range", wrong).await;
        assert_eq!((status, code), (400, 3), "{wrong}: {text}");
        assert!(text.starts_with("this is no JSON of a etcdserverpb.RangeRequest: "), "{text}");
    }
}

#[tokio::test]
async fn what_is_no_method_says_so_in_json() {
    let served = Served::start().await;
    assert_eq!(refused(&served, "/v3/kv/nothing", "{}").await, (404, 5, "Not Found".to_owned()));
    let answer = served.get("/v3/kv/range").await;
    assert_eq!(
        (answer.status.as_u16(), answer.text.as_str()),
        (501, r#"{"code":12,"message":"Method Not Allowed"}"#)
    );
}

/// A body above the limit is refused before it is parsed, and one below it whose message is above, by the service.
#[tokio::test]
async fn a_request_above_the_limit_is_refused() {
    let served = Served::start_with(|settings| settings.limits.request_bytes_max = 4 << 10).await;
    let message_bytes_max = served.shared().settings.limits.message_bytes_max();
    let put = |value_len: usize| put("k", &"v".repeat(value_len));
    let far_above = refused(&served, "/v3/kv/put", &put(2 * message_bytes_max)).await;
    assert_eq!((far_above.0, far_above.1), (429, 8), "{far_above:?}");
    let above = refused(&served, "/v3/kv/put", &put(message_bytes_max)).await;
    assert_eq!((above.0, above.1), (429, 8), "{above:?}");
    let above_requests = refused(&served, "/v3/kv/put", &put(5 << 10)).await;
    assert_eq!(above_requests, (400, 3, "etcdserver: request is too large".to_owned()));
    assert_eq!(served.post("/v3/kv/put", &put(2 << 10)).await.0, 200);
}

#[tokio::test]
async fn every_service_is_there() {
    let served = Served::start().await;
    let lease = ask(&served, "/v3/lease/grant", json!({"TTL": "60", "ID": 7})).await;
    assert_eq!(lease, json!({"ID": "7", "TTL": "60"}));
    let leased = json!({"key": base64("k"), "lease": "7"});
    ask(&served, "/v3/kv/put", leased).await;
    let left = ask(&served, "/v3/kv/lease/timetolive", json!({"ID": "7", "keys": true})).await;
    assert_eq!((&left["grantedTTL"], &left["keys"]), (&json!("60"), &json!([base64("k")])));
    assert_eq!(ask(&served, "/v3/lease/leases", json!({})).await, json!({"leases": [{"ID": "7"}]}));
    // What is told of members has a header without a revision, as in etcd.
    let (_, members) = served.post("/v3/cluster/member/list", "{}").await;
    assert_eq!(
        (&members["members"][0]["name"], &members["header"]["revision"]),
        (&json!("default"), &Value::Null)
    );
    let status = ask(&served, "/v3/maintenance/status", json!({})).await;
    for field in ["version", "dbSize", "leader", "raftIndex", "raftTerm", "raftAppliedIndex", "dbSizeInUse"] {
        assert!(status[field].is_string(), "{field} of {status}");
    }
    let lock = ask(&served, "/v3/lock/lock", json!({"name": base64("l"), "lease": "7"})).await;
    assert_eq!(ask(&served, "/v3/lock/unlock", json!({"key": lock["key"]})).await, json!({}));
    let elected = json!({"name": base64("e"), "lease": "7", "value": base64("me")});
    let elected = ask(&served, "/v3/election/campaign", elected).await;
    assert_eq!(elected["leader"]["name"], json!(base64("e")));
    let leader = ask(&served, "/v3beta/election/leader", json!({"name": base64("e")})).await;
    assert_eq!(leader["kv"]["value"], json!(base64("me")));
    let (status, refused) = served.post("/v3/election/resign", "{}").await;
    assert_eq!((status.as_u16(), &refused["message"]), (500, &json!("\"leader\" field must be provided")));
    let (status, refused) = served.post("/v3/maintenance/transfer-leadership", r#"{"targetID":123}"#).await;
    assert_eq!((status.as_u16(), &refused["message"]), (400, &json!("etcdserver: bad leader transferee")));
}
