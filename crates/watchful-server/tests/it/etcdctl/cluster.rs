//! `endpoint`, `member`, `move-leader` and `version`: a cluster of one.

use super::server_and_etcdctl;
use crate::support::{Etcdctl, Server, json_number};

#[test]
fn the_endpoint_is_healthy() {
    let Some((server, etcdctl)) = server_and_etcdctl() else { return };
    // It is told on the standard error.
    let ended = etcdctl.start(&["endpoint", "health"]).finish();
    assert!(ended.status.success(), "{ended:?}");
    let expected = format!("{} is healthy: successfully committed proposal: took = ", server.authority());
    assert!((ended.stdout + &ended.stderr).contains(&expected));
    let answer = etcdctl.json(&["endpoint", "health"]);
    assert_eq!(answer[0]["health"].as_bool(), Some(true), "{answer}");
}

#[test]
fn the_status_tells_a_leader_of_itself_and_a_version_that_clients_accept() {
    let Some((server, etcdctl)) = server_and_etcdctl() else { return };
    etcdctl.ok(&["put", "a", "1"]);
    let answer = etcdctl.json(&["endpoint", "status"]);
    assert_eq!(answer[0]["Endpoint"].as_str(), Some(server.authority().as_str()));
    let status = &answer[0]["Status"];
    assert_eq!(json_number(&status["leader"]), json_number(&status["header"]["member_id"]));
    assert_eq!(json_number(&status["header"]["revision"]), 2);
    assert!(json_number(&status["dbSize"]) >= json_number(&status["dbSizeInUse"]), "{status}");
    assert!(json_number(&status["dbSizeInUse"]) > 0 && json_number(&status["raftTerm"]) > 0, "{status}");
    assert!(status["isLearner"].is_null() && status["errors"].is_null(), "{status}");
    let version = status["version"].as_str().unwrap();
    let numbers: Vec<u32> = version.split('.').map(|part| part.parse().unwrap()).collect();
    assert_eq!((numbers[0], numbers.len()), (3, 3), "{version}");
    // The table has a row for each endpoint.
    let table = etcdctl.ok(&["endpoint", "status", "-w", "table"]);
    assert_eq!(table.lines().filter(|line| line.contains(&server.authority())).count(), 1, "{table}");
    assert!(etcdctl.ok(&["endpoint", "status"]).contains(version));
}

#[test]
fn the_hash_changes_with_what_is_stored() {
    let Some((server, etcdctl)) = server_and_etcdctl() else { return };
    let hash = || {
        let answer = etcdctl.json(&["endpoint", "hashkv"]);
        assert_eq!(answer[0]["Endpoint"].as_str(), Some(server.authority().as_str()));
        json_number(&answer[0]["HashKV"]["hash"])
    };
    etcdctl.ok(&["put", "a", "1"]);
    let before = hash();
    assert_eq!(hash(), before, "a hash of the same should be the same");
    let at_two = etcdctl.json(&["endpoint", "hashkv", "--rev=2"]);
    etcdctl.ok(&["put", "a", "2"]);
    assert_ne!(hash(), before);
    let later = etcdctl.json(&["endpoint", "hashkv", "--rev=2"]);
    assert_eq!(later[0]["HashKV"]["hash"], at_two[0]["HashKV"]["hash"], "the past should not change");
    let future = etcdctl.start(&["endpoint", "hashkv", "--rev=100"]).finish();
    assert!(future.stderr.contains("etcdserver: mvcc: required revision is a future revision"), "{future:?}");
}

#[test]
fn there_is_one_member() {
    let Some((server, etcdctl)) = server_and_etcdctl() else { return };
    let answer = etcdctl.json(&["member", "list"]);
    let members = answer["members"].as_array().unwrap();
    assert_eq!(members.len(), 1, "{answer}");
    assert_eq!(members[0]["ID"], answer["header"]["member_id"]);
    assert_eq!(members[0]["clientURLs"][0].as_str(), Some(server.endpoint().as_str()), "{answer}");
    let line = etcdctl.ok(&["member", "list"]);
    assert_eq!(line.split(", ").nth(1), Some("started"), "{line}");
    let id = line.split(", ").next().unwrap().to_owned();
    // `--cluster` asks every member at the address it advertises.
    let health = etcdctl.start(&["endpoint", "health", "--cluster"]).finish();
    assert!(health.status.success() && (health.stdout + &health.stderr).contains("is healthy"));
    for arguments in [&["member", "remove", "1"][..], &["member", "promote", "1"]] {
        let refused = etcdctl.fails(arguments);
        assert!(refused.contains("etcdserver: member not found"), "{arguments:?}: {refused}");
    }
    assert!(!id.is_empty());
}

/// etcd accepts it, and has then lost its quorum.
#[test]
fn a_second_member_is_refused_in_words() {
    let server = Server::watchful();
    let Some(etcdctl) = Etcdctl::of(&server) else { return };
    let refused = etcdctl.fails(&["member", "add", "second", "--peer-urls=http://127.0.0.1:9"]);
    let sentence = refused.lines().find_map(|line| line.strip_prefix("Error: ")).unwrap_or_default();
    assert!(sentence.split_whitespace().count() >= 5, "a sentence should say why: {refused}");
    assert_eq!(etcdctl.ok(&["put", "a", "1"]), "OK\n", "nothing should have happened");
    assert_eq!(etcdctl.json(&["member", "list"])["members"].as_array().unwrap().len(), 1);
}

#[test]
fn there_is_nobody_to_hand_the_lead_to() {
    let Some((_server, etcdctl)) = server_and_etcdctl() else { return };
    let refused = etcdctl.fails(&["move-leader", "1"]);
    assert!(refused.contains("Error: etcdserver: bad leader transferee"), "{refused}");
}

#[test]
fn etcdctl_is_the_one_these_suites_were_written_for() {
    let Some((_server, etcdctl)) = server_and_etcdctl() else { return };
    let version = etcdctl.ok(&["version"]);
    assert!(version.starts_with("etcdctl version: 3.4."), "{version}");
}
