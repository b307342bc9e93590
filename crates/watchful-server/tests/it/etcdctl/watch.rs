//! `watch`: history, live events, ranges, previous values, progress, and the end by compaction.

use super::server_and_etcdctl;
use crate::support::{Process, json_bytes, json_number};

#[test]
fn history_comes_first_and_then_what_happens() {
    let Some((_server, etcdctl)) = server_and_etcdctl() else { return };
    etcdctl.ok(&["put", "a", "1"]);
    etcdctl.ok(&["put", "a", "2"]);
    etcdctl.ok(&["put", "other", "x"]);
    etcdctl.ok(&["del", "a"]);
    let mut watch = etcdctl.start(&["watch", "a", "--rev=2"]);
    watch.expect_next(&["PUT", "a", "1", "PUT", "a", "2", "DELETE", "a", ""]);
    etcdctl.ok(&["put", "a", "3"]);
    watch.expect_next(&["PUT", "a", "3"]);
    // From the middle: nothing that came before.
    let mut later = etcdctl.start(&["watch", "a", "--rev=3"]);
    later.expect_next(&["PUT", "a", "2", "DELETE", "a", "", "PUT", "a", "3"]);
}

#[test]
fn previous_values_come_with_prev_kv() {
    let Some((_server, etcdctl)) = server_and_etcdctl() else { return };
    etcdctl.ok(&["put", "a", "1"]);
    etcdctl.ok(&["put", "a", "2"]);
    etcdctl.ok(&["del", "a"]);
    // The value before comes first; where there was none, nothing does.
    let mut watch = etcdctl.start(&["watch", "a", "--rev=2", "--prev-kv"]);
    watch.expect_next(&["PUT", "a", "1", "PUT", "a", "1", "a", "2", "DELETE", "a", "2", "a", ""]);
    etcdctl.ok(&["put", "a", "3"]);
    watch.expect_next(&["PUT", "a", "3"]);
    etcdctl.ok(&["put", "a", "4"]);
    watch.expect_next(&["PUT", "a", "3", "a", "4"]);
}

#[test]
fn a_watch_of_a_prefix_or_range_sees_its_keys_only() {
    let Some((_server, etcdctl)) = server_and_etcdctl() else { return };
    let mut prefix = etcdctl.start(&["watch", "--prefix", "app/", "--rev=1"]);
    let mut range = etcdctl.start(&["watch", "app/2", "b", "--rev=1"]);
    for key in ["a", "app/1", "app/2", "apq", "b"] {
        etcdctl.ok(&["put", key, "1"]);
    }
    etcdctl.ok(&["put", "app/2", "last"]);
    prefix.expect_next(&["PUT", "app/1", "1", "PUT", "app/2", "1", "PUT", "app/2", "last"]);
    range.expect_next(&["PUT", "app/2", "1", "PUT", "apq", "1", "PUT", "app/2", "last"]);
}

#[test]
fn a_transaction_comes_whole_in_one_answer() {
    let Some((_server, etcdctl)) = server_and_etcdctl() else { return };
    etcdctl.ok_with(&["txn"], "\nput a 1\nput b 2\nput c 3\n\n\n");
    let mut watch = etcdctl.start(&["watch", "--prefix", "", "--rev=2", "-w", "json"]);
    let line = watch.expect("an answer", |line| Some(line.to_owned()));
    let answer: serde_json::Value = serde_json::from_str(&line).unwrap();
    let events = answer["Events"].as_array().unwrap();
    let told: Vec<_> = events
        .iter()
        .map(|event| (json_bytes(&event["kv"]["key"]), json_number(&event["kv"]["mod_revision"])))
        .collect();
    assert_eq!(told, [("a".to_owned(), 2), ("b".to_owned(), 2), ("c".to_owned(), 2)]);
}

#[test]
fn progress_is_told_when_it_is_asked_for() {
    let Some((_server, etcdctl)) = server_and_etcdctl() else { return };
    etcdctl.ok(&["put", "a", "1"]);
    let mut watch = Process::spawn_interactive(&mut etcdctl.command(&["watch", "-i"]));
    watch.send("watch a --rev=2");
    watch.expect_next(&["PUT", "a", "1"]);
    etcdctl.ok(&["put", "other", "1"]);
    watch.send("progress");
    watch.expect_line("progress notify: 3");
}

#[test]
fn several_watches_of_one_client_share_a_connection() {
    let Some((_server, etcdctl)) = server_and_etcdctl() else { return };
    etcdctl.ok(&["put", "a", "1"]);
    etcdctl.ok(&["put", "b", "2"]);
    let mut watch = Process::spawn_interactive(&mut etcdctl.command(&["watch", "-i"]));
    watch.send("watch a --rev=1");
    watch.expect_next(&["PUT", "a", "1"]);
    watch.send("watch b --rev=1");
    watch.expect_next(&["PUT", "b", "2"]);
    etcdctl.ok(&["put", "a", "3"]);
    watch.expect_next(&["PUT", "a", "3"]);
    etcdctl.ok(&["put", "b", "4"]);
    watch.expect_next(&["PUT", "b", "4"]);
}

#[test]
fn a_watch_of_what_was_compacted_is_told_so_and_ends() {
    let Some((_server, etcdctl)) = server_and_etcdctl() else { return };
    for value in ["1", "2", "3"] {
        etcdctl.ok(&["put", "a", value]);
    }
    etcdctl.ok(&["compaction", "3"]);
    let ended = etcdctl.start(&["watch", "a", "--rev=2"]).finish();
    assert!(!ended.status.success());
    let reason = "watch was canceled (etcdserver: mvcc: required revision has been compacted)";
    assert!(ended.stderr.contains(reason) || ended.stdout.contains(reason), "{ended:?}");
    // The compact revision itself is still there.
    let mut watch = etcdctl.start(&["watch", "a", "--rev=3"]);
    watch.expect_next(&["PUT", "a", "2", "PUT", "a", "3"]);
}

#[test]
fn a_command_is_run_for_each_event() {
    let Some((_server, etcdctl)) = server_and_etcdctl() else { return };
    etcdctl.ok(&["put", "a", "1"]);
    let command =
        r#"echo "$ETCD_WATCH_EVENT_TYPE $ETCD_WATCH_KEY $ETCD_WATCH_VALUE at $ETCD_WATCH_REVISION""#;
    let mut watch = etcdctl.start(&["watch", "a", "--rev=2", "--", "sh", "-c", command]);
    watch.expect_line(r#""PUT" "a" "1" at 2"#);
}
