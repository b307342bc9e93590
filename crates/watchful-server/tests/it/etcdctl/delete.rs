//! `del`.

use super::server_and_etcdctl;

#[test]
fn del_counts_what_it_deletes() {
    let Some((_server, etcdctl)) = server_and_etcdctl() else { return };
    for key in ["a", "app/1", "app/2", "b", "c"] {
        etcdctl.ok(&["put", key, "1"]);
    }
    assert_eq!(etcdctl.ok(&["del", "nothing"]), "0\n");
    assert_eq!(etcdctl.revision(), 6);
    assert_eq!(etcdctl.ok(&["del", "a"]), "1\n");
    assert_eq!(etcdctl.ok(&["del", "--prefix", "app/"]), "2\n");
    // One revision for the two keys.
    assert_eq!(etcdctl.revision(), 8);
    assert_eq!(etcdctl.ok(&["del", "b", "c"]), "1\n");
    assert_eq!(etcdctl.ok(&["del", "--from-key", "a"]), "1\n");
    assert_eq!(etcdctl.ok(&["get", "--prefix", ""]), "");
}

#[test]
fn del_tells_what_was_there() {
    let Some((_server, etcdctl)) = server_and_etcdctl() else { return };
    etcdctl.ok(&["put", "a1", "x"]);
    etcdctl.ok(&["put", "a2", "y"]);
    assert_eq!(etcdctl.ok(&["del", "--prefix", "a", "--prev-kv"]), "2\na1\nx\na2\ny\n");
    assert_eq!(etcdctl.ok(&["get", "a1", "--rev=3"]), "a1\nx\n");
}
