//! watch, and watchers.

use std::collections::BTreeMap;

use crate::support::{Going, Server, until};

/// Until the server knows so many watches.
fn await_watchers(server: &Server, count: usize) {
    until("the watches are there", || server.run(&["watchers", "--json"]).lines().count() == count);
}

#[test]
fn history_and_then_what_is_new() {
    let server = Server::start();
    server.run(&["put", "a", "1"]);
    let going = Going::new(server.command(&["watch", "a", "--rev", "1", "--prev-kv"]));
    assert_eq!(going.line(), "2  PUT     a = 1");
    server.run(&["put", "b", "other"]);
    server.run(&["put", "a", "2"]);
    assert_eq!(going.line(), "4  PUT     a = 2  (was 1)");
    server.run(&["del", "a"]);
    assert_eq!(going.line(), "5  DELETE  a  (was 2)");
    assert_eq!(going.kill(), (vec![], String::new()));
}

#[test]
fn several_keys_prefixes_and_filters() {
    let server = Server::start();
    let going = Going::new(server.command(&["watch", "a", "b", "--prefix", "--filter", "nodelete"]));
    await_watchers(&server, 2);
    for words in [&["put", "ax", "1"][..], &["put", "c", "1"], &["del", "ax"], &["put", "bx", "1"]] {
        server.run(words);
    }
    assert_eq!([going.line(), going.line()], ["2  PUT     ax = 1", "5  PUT     bx = 1"]);
    going.kill();
}

#[test]
fn programs_read_json() {
    let server = Server::start();
    server.run(&["put", "a", "1"]);
    server.run(&["del", "a"]);
    let going = Going::new(server.command(&["watch", "a", "--rev", "2", "--json", "--prev-kv"]));
    assert_eq!(
        going.line(),
        "{\"type\":\"PUT\",\"revision\":2,\"watch\":\"YQ==\",\"kv\":{\"key\":\"YQ==\",\"value\":\"MQ==\",\
         \"create_revision\":2,\"mod_revision\":2,\"version\":1}}"
    );
    assert_eq!(
        going.line(),
        "{\"type\":\"DELETE\",\"revision\":3,\"watch\":\"YQ==\",\"kv\":{\"key\":\"YQ==\",\"value\":\"\",\
         \"create_revision\":0,\"mod_revision\":3,\"version\":0},\"prev_kv\":{\"key\":\"YQ==\",\"value\":\"MQ==\",\
         \"create_revision\":2,\"mod_revision\":2,\"version\":1}}"
    );
    going.kill();
}

/// The server is killed and started again between puts; the watch is not told, and goes on by itself.
#[test]
fn a_watch_goes_on_across_broken_connections_without_loss_or_repeat() {
    let mut server = Server::start();
    let going = Going::new(server.command(&["watch", "k", "--prefix", "--json"]));
    await_watchers(&server, 1);
    let mut expected = Vec::new();
    for round in 0..4 {
        for number in 0..5 {
            let (key, value) = (format!("k{number}"), format!("{round}"));
            server.run(&["put", &key, &value]);
            expected.push((expected.len() + 2, key));
        }
        if round < 3 {
            server.kill();
            server.start_again();
        }
    }
    let seen: Vec<_> = expected.iter().map(|_| event(&going.line())).collect();
    assert_eq!(seen, expected);
    let (left, stderr) = going.kill();
    assert_eq!(left, Vec::<String>::new());
    assert!(stderr.contains("going on from revision"), "{stderr}");
}

fn event(line: &str) -> (usize, String) {
    let json: serde_json::Value = serde_json::from_str(line).unwrap();
    let names =
        BTreeMap::from([("azA=", "k0"), ("azE=", "k1"), ("azI=", "k2"), ("azM=", "k3"), ("azQ=", "k4")]);
    let revision = usize::try_from(json["revision"].as_u64().unwrap()).unwrap();
    (revision, names[json["kv"]["key"].as_str().unwrap()].to_owned())
}

#[test]
fn a_watch_that_is_owed_compacted_history_is_told() {
    let server = Server::start();
    server.run(&["put", "a", "1"]);
    server.run(&["put", "a", "2"]);
    server.run(&["compact", "3"]);
    server.check(
        "
$ watch a --rev 2
[1] error: the watch of a is owed what happened from revision 2 on, and everything before 3 has been compacted: read the \
keys again with `watchful get`, and watch from the revision that was read, plus 1
$ watch b a --rev 2 --json
{\"type\":\"COMPACTED\",\"watch\":\"Yg==\",\"revision\":2,\"compact_revision\":3}
[1] error: the watch of b is owed what happened from revision 2 on, and everything before 3 has been compacted: read the \
keys again with `watchful get`, and watch from the revision that was read, plus 1
$ watch b --range-end a
[1] error: the server refused a watch: mvcc: watcher range is empty
",
    );
}

#[test]
fn watchers_are_shown() {
    let server = Server::start();
    server.check(
        "
$ watchers
revision 1, watchers 0: 0 synced, 0 unsynced, 0 blocked, 0 future
$ watchers --json
",
    );
    let going = Going::new(server.command(&["watch", "/app/", "--prefix"]));
    let future = Going::new(server.command(&["watch", "x", "--rev", "100"]));
    await_watchers(&server, 2);
    let table = server.run(&["watchers", "--once"]);
    assert!(
        table.starts_with("revision 1, watchers 2: 1 synced, 0 unsynced, 0 blocked, 1 future\n"),
        "{table}"
    );
    let ends: Vec<_> = table.lines().filter_map(|line| line.split_whitespace().last()).collect();
    assert!(ends.contains(&"/app/*") && ends.contains(&"x"), "{table}");
    let json = server.run(&["watchers", "--json"]);
    let watchers: Vec<serde_json::Value> =
        json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let app = watchers.iter().find(|watcher| watcher["key"] == "L2FwcC8=").unwrap();
    assert_eq!((&app["standing"], &app["lag_revisions"]), (&"synced".into(), &0.into()), "{app}");
    assert!(app["peer"].as_str().unwrap().starts_with("127.0.0.1:"), "{app}");
    assert_eq!(server.run(&["watchers", "--json", "--limit", "1"]).lines().count(), 1);
    drop((going.kill(), future.kill()));
    await_watchers(&server, 0);
}
