//! `compaction`, `defrag`, `alarm` and `snapshot save`.
//!
//! Not here: `snapshot status` and `restore`, which read the file themselves: see `moving`.

use super::server_and_etcdctl;
use crate::support::{Etcdctl, Process, Server};

#[test]
fn compaction_forgets_the_past_and_nothing_else() {
    let Some((_server, etcdctl)) = server_and_etcdctl() else { return };
    for value in ["1", "2", "3"] {
        etcdctl.ok(&["put", "a", value]);
    }
    assert_eq!(etcdctl.ok(&["compaction", "2"]), "compacted revision 2\n");
    assert_eq!(etcdctl.ok(&["compaction", "3", "--physical"]), "compacted revision 3\n");
    let compacted = "Error: etcdserver: mvcc: required revision has been compacted";
    for arguments in [&["get", "a", "--rev=2"][..], &["compaction", "3"], &["compaction", "1"]] {
        let refused = etcdctl.fails(arguments);
        assert!(refused.contains(compacted), "{arguments:?}: {refused}");
    }
    let refused = etcdctl.fails(&["compaction", "100"]);
    assert!(refused.contains("Error: etcdserver: mvcc: required revision is a future revision"), "{refused}");
    assert_eq!(etcdctl.ok(&["get", "a", "--rev=3"]), "a\n2\n");
    assert_eq!(etcdctl.ok(&["get", "a"]), "a\n3\n");
}

#[test]
fn defrag_leaves_everything_as_it_was() {
    let Some((server, etcdctl)) = server_and_etcdctl() else { return };
    for value in ["1", "2", "3"] {
        etcdctl.ok(&["put", "a", value]);
    }
    etcdctl.ok(&["compaction", "4", "--physical"]);
    let expected = format!("Finished defragmenting etcd member[{}]\n", server.authority());
    assert_eq!(etcdctl.ok(&["defrag"]), expected);
    assert_eq!(etcdctl.ok(&["get", "a"]), "a\n3\n");
    assert_eq!(etcdctl.ok(&["put", "a", "4"]), "OK\n");
    assert_eq!(etcdctl.revision(), 5);
}

#[test]
fn a_full_store_raises_an_alarm_and_refuses_writes_until_it_is_disarmed() {
    let server = Server::start_with(&["--quota-backend-bytes", "2097152"]);
    let Some(etcdctl) = Etcdctl::of(&server) else { return };
    assert_eq!(etcdctl.ok(&["alarm", "list"]), "");
    let value = "x".repeat(100_000);
    let refused = (0..200).find_map(|at| {
        let mut command = etcdctl.command(&["put", &format!("key{}", at % 2)]);
        let ended = Process::spawn_with_input(&mut command, &value).finish();
        (!ended.status.success()).then_some(ended.stderr)
    });
    let refused = refused.expect("20 MB should not fit into 2 MiB");
    let no_space = "etcdserver: mvcc: database space exceeded";
    assert!(refused.contains(no_space), "{refused}");
    let alarms = etcdctl.ok(&["alarm", "list"]);
    assert!(alarms.starts_with("memberID:") && alarms.trim_end().ends_with("alarm:NOSPACE"), "{alarms}");
    // Small writes and leases are refused too; reads and deletes go on.
    assert!(etcdctl.fails(&["put", "small", "1"]).contains(no_space));
    assert!(etcdctl.fails(&["lease", "grant", "60"]).contains(no_space));
    // This etcdctl's `endpoint health` does not ask for alarms; its `endpoint status` does.
    let status = etcdctl.ok(&["endpoint", "status", "--write-out=json"]);
    assert!(status.contains("alarm:NOSPACE"), "an alarm should show: {status}");
    assert_eq!(etcdctl.ok(&["get", "key0", "--keys-only"]).trim(), "key0");
    assert_eq!(etcdctl.ok(&["del", "--prefix", "key"]), "2\n");
    etcdctl.ok(&["compaction", &etcdctl.revision().to_string(), "--physical"]);
    etcdctl.ok(&["defrag"]);
    let disarmed = etcdctl.ok(&["alarm", "disarm"]);
    assert!(disarmed.trim_end().ends_with("alarm:NOSPACE"), "{disarmed}");
    assert_eq!(etcdctl.ok(&["alarm", "list"]), "");
    assert_eq!(etcdctl.ok(&["put", "small", "1"]), "OK\n");
}

#[test]
fn a_snapshot_is_saved_while_the_server_runs() {
    let Some((server, etcdctl)) = server_and_etcdctl() else { return };
    etcdctl.ok(&["put", "a", "1"]);
    let file = server.scratch().join("saved");
    let path = file.to_str().unwrap();
    assert_eq!(etcdctl.ok(&["snapshot", "save", path]), format!("Snapshot saved at {path}\n"));
    // etcdctl has checked the SHA-256 that ends the file; half of it being there would have been told.
    assert!(std::fs::metadata(&file).unwrap().len() > 4096);
    assert_eq!(etcdctl.ok(&["get", "a"]), "a\n1\n");
}
