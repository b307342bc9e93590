//! Health, version, and what there is not.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use tonic::Code;
use tonic::transport::Endpoint;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use watchful::{Clock, KeyRange, WatchOptions};
use watchful_server::http_router;
use watchful_wire::etcdserverpb::AlarmType;

use crate::support::{Served, in_time};

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

async fn alarm(served: &Served, action: &str, alarm: AlarmType) {
    let request = json!({ "action": action, "alarm": alarm.as_str_name() });
    let (status, answer) = served.post("/v3/maintenance/alarm", &request.to_string()).await;
    assert_eq!(status, 200, "{answer}");
}

#[tokio::test]
async fn a_server_is_well_until_an_alarm_is_raised() {
    let served = Served::start().await;
    let well = json!({"health": "true", "reason": ""});
    for path in ["/health", "/health?serializable=true", "/health?exclude=NOSPACE"] {
        let answer = served.get(path).await;
        assert_eq!((answer.status.as_u16(), json(&answer.text)), (200, well.clone()), "{path}");
    }
    alarm(&served, "ACTIVATE", AlarmType::Nospace).await;
    let answer = served.get("/health").await;
    let not_well = json!({"health": "false", "reason": "ALARM NOSPACE"});
    assert_eq!((answer.status.as_u16(), json(&answer.text)), (503, not_well));
    assert_eq!(served.get("/health?exclude=CORRUPT").await.status, 503);
    assert_eq!(served.get("/health?exclude=CORRUPT&exclude=NOSPACE").await.status, 200);
    assert_eq!(served.get("/readyz").await.status, 200, "a full disk can still be read");
    alarm(&served, "DEACTIVATE", AlarmType::Nospace).await;
    assert_eq!(served.get("/health").await.status, 200);
    let counts = &served.shared().counts;
    assert_eq!((counts.health_successes.get(), counts.health_failures.get()), (5, 2));
}

#[tokio::test]
async fn each_check_has_a_path_and_a_line() {
    let served = Served::start().await;
    for path in
        ["/livez", "/readyz", "/livez/serializable_read", "/readyz/data_corruption", "/readyz/non_learner"]
    {
        let answer = served.get(path).await;
        assert_eq!((answer.status.as_u16(), answer.text.as_str()), (200, "ok\n"), "{path}");
    }
    assert_eq!(served.get("/livez?verbose").await.text, "[+]serializable_read ok\nok\n");
    let lines =
        "[+]data_corruption ok\n[+]serializable_read ok\n[+]linearizable_read ok\n[+]non_learner ok\nok\n";
    assert_eq!(served.get("/readyz?verbose").await.text, lines);
    alarm(&served, "ACTIVATE", AlarmType::Corrupt).await;
    let answer = served.get("/readyz").await;
    assert_eq!(answer.status, 503);
    assert!(
        answer.text.starts_with("[-]data_corruption failed: alarm activated: CORRUPT\n"),
        "{}",
        answer.text
    );
    assert_eq!(served.get("/readyz/data_corruption").await.status, 503);
    assert_eq!(served.get("/readyz?exclude=data_corruption").await.status, 200);
    assert_eq!(served.get("/livez").await.status, 200);
    assert_eq!(served.get("/readyz/no_such_check").await.status, 404);
}

#[tokio::test]
async fn a_server_that_stops_is_not_well() {
    let served = Served::start().await;
    served.server.clone().close().unwrap();
    let answer = served.get("/health").await;
    assert_eq!(answer.status, 503, "{answer:?}");
    assert!(answer.text.contains("server stopped"), "{answer:?}");
    assert_eq!(served.get("/livez").await.status, 503);
}

/// A clock that breaks on the thread of the store that tells who watches.
#[derive(Clone, Debug, Default)]
struct Breaking(Arc<AtomicBool>);

impl Clock for Breaking {
    fn now(&self) -> Duration {
        let is_driver = thread::current().name() == Some("watchful-driver");
        assert!(!(is_driver && self.0.load(Ordering::SeqCst)), "the clock breaks, as the test wants it");
        Duration::ZERO
    }

    fn sleep_until(&self, _deadline: Duration) -> Option<Duration> {
        None
    }

    fn on_turn(&self, _wake: Arc<dyn Fn() + Send + Sync>) {}
}

/// Over gRPC a server said that it was serving though it had met an error of its own, after which nobody could watch it: whoever
/// asks there, as Kubernetes may, let it be.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_met_an_error_of_its_own_is_not_well() {
    let clock = Breaking::default();
    let served = Served::start_with(|settings| settings.store.clock = Arc::new(clock.clone())).await;
    let channel = Endpoint::from_shared(format!("http://{}", served.address)).unwrap().connect().await;
    let mut grpc = HealthClient::new(channel.unwrap());
    let everybody = HealthCheckRequest::default();
    let mut told = grpc.watch(everybody.clone()).await.unwrap().into_inner();
    let mut next = async || in_time("health", told.message()).await.unwrap().map(|answer| answer.status());
    assert_eq!(next().await, Some(ServingStatus::Serving));
    assert_eq!(grpc.check(everybody.clone()).await.unwrap().into_inner().status(), ServingStatus::Serving);

    let store = &served.shared().store;
    let mut watch = store.watch(&WatchOptions::new(KeyRange::everything())).unwrap();
    clock.0.store(true, Ordering::SeqCst);
    store.put("a", "1").await.unwrap();
    in_time("the end of the watch", async { while let Some(Ok(_)) = watch.next().await {} }).await;
    let answer = served.get("/livez").await;
    assert_eq!(answer.status, 503, "{answer:?}");
    assert!(answer.text.contains("start the server again"), "{answer:?}");
    assert_eq!(grpc.check(everybody).await.unwrap().into_inner().status(), ServingStatus::NotServing);
    assert_eq!(next().await, Some(ServingStatus::NotServing));

    // Of a service that there is not nothing is known, and it is not over for that.
    let nobody = HealthCheckRequest { service: "nobody".to_owned() };
    assert_eq!(grpc.check(nobody.clone()).await.unwrap_err().code(), Code::NotFound);
    let mut told = grpc.watch(nobody).await.unwrap().into_inner();
    let first = told.message().await.unwrap().map(|answer| answer.status());
    assert_eq!(first, Some(ServingStatus::ServiceUnknown));
    served.server.clone().close().unwrap();
    assert_eq!(in_time("its end", told.message()).await.unwrap(), None);
    assert_eq!(next().await, None);
}

#[tokio::test]
async fn the_version_is_etcds_and_ours() {
    let served = Served::start().await;
    let answer = served.get("/version").await;
    assert_eq!(answer.headers["content-type"], "application/json");
    let versions = json!({
        "etcdserver": "3.6.0", "etcdcluster": "3.6.0", "storage": "3.6.0", "watchful": env!("CARGO_PKG_VERSION"),
    });
    assert_eq!(json(&answer.text), versions);
}

#[tokio::test]
async fn what_is_not_there_says_so_in_a_line() {
    let served = Served::start().await;
    let answer = served.get("/v2/keys").await;
    assert_eq!(answer.status, 404);
    assert!(answer.text.starts_with("404 page not found") && answer.text.ends_with('\n'), "{answer:?}");
    let answer = served.ask("POST", "/health", "").await;
    assert_eq!((answer.status.as_u16(), answer.text.as_str()), (405, "Method Not Allowed\n"));
    assert!(answer.headers["allow"].to_str().unwrap().contains("GET"));
}

/// `--listen-metrics-urls`: the same answers without the API.
#[tokio::test]
async fn the_addresses_for_metrics_have_no_api() {
    use tower::ServiceExt as _;
    let served = Served::start().await;
    let alone = http_router(served.shared().clone());
    let ask = |path: &'static str| {
        let request = hyper::Request::get(path).body(axum::body::Body::empty()).unwrap();
        let answer = alone.clone().oneshot(request);
        async move { in_time(path, answer).await.unwrap().status().as_u16() }
    };
    assert_eq!((ask("/health").await, ask("/metrics").await, ask("/v3/kv/range").await), (200, 200, 404));
}
