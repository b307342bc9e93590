//! `check perf`: etcdctl's own idea of whether a server is fast enough.

use std::time::Duration;

use super::server_and_etcdctl;

const WITH_LOAD: &str = "WATCHFUL_TEST_LOAD";

/// The small load writes for 60 seconds whatever happens, and its verdict is about the machine as much as about us: a
/// busy one fails it. So it runs only where `WATCHFUL_TEST_LOAD=1` says that it has the machine.
#[test]
fn check_perf_is_content() {
    if std::env::var(WITH_LOAD).is_err() {
        println!("`check perf` takes 60 quiet seconds: set {WITH_LOAD}=1 to run it");
        return;
    }
    let Some((_server, etcdctl)) = server_and_etcdctl() else { return };
    let ended = etcdctl.start(&["check", "perf", "--load=s"]).finish_within(Duration::from_secs(90));
    assert!(ended.status.success(), "{ended:?}");
    assert!(ended.stdout.contains("PASS: Throughput") && !ended.stdout.contains("FAIL"), "{ended:?}");
    // What it wrote, it has deleted.
    assert_eq!(etcdctl.ok(&["get", "--prefix", "", "--keys-only"]), "");
}
