//! status, snapshot, check and restore.

use crate::support::{Server, program};

#[test]
fn the_status_is_told() {
    let server = Server::start();
    server.run(&["put", "a", "1"]);
    server.run(&["put", "a", "2"]);
    let text = server.run(&["status"]);
    for line in [
        format!("endpoint          {}", server.url),
        "revision          3".to_owned(),
        "compact revision  never compacted".to_owned(),
        "alarms            none".to_owned(),
        "watchers          0: 0 synced, 0 unsynced, 0 blocked, 0 future".to_owned(),
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
    server.run(&["compact", "2"]);
    let json: serde_json::Value = serde_json::from_str(&server.run(&["status", "--json"])).unwrap();
    assert_eq!((&json["revision"], &json["compact_revision"]), (&3.into(), &2.into()), "{json}");
    assert_eq!(json["watchers"]["synced"], 0, "{json}");
    assert!(json["db_size"].as_u64().unwrap() >= json["db_size_in_use"].as_u64().unwrap(), "{json}");
    assert!(json["db_size_quota"].as_u64().unwrap() > 0 && json["version"].is_string(), "{json}");
}

#[test]
fn a_snapshot_is_saved_checked_restored_and_served() {
    let mut server = Server::start();
    server.run(&["put", "a", "1"]);
    let file = server.dir().join("snapshot");
    let file = file.to_str().unwrap();
    let saved = server.run(&["snapshot", "save", file]);
    assert!(saved.starts_with("saved ") && saved.ends_with(&format!(" bytes in {file}\n")), "{saved}");
    let json: serde_json::Value =
        serde_json::from_str(&server.run(&["snapshot", "save", file, "--json"])).unwrap();
    assert_eq!(json["file"], file, "{json}");
    assert_eq!(json["bytes"], std::fs::metadata(file).unwrap().len(), "{json}");
    assert!(!server.dir().join("snapshot.part").exists());
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(file).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600, "it has everybody's password hashes");

    server.run(&["put", "a", "2"]);
    server.kill();
    let data = server.dir().join("data");
    std::fs::rename(&data, server.dir().join("old")).unwrap();
    let restored = server.run(&["restore", file, "--data-dir", data.to_str().unwrap()]);
    assert!(restored.contains("start it with: watchful --data-dir "), "{restored}");
    let report = server.run(&["check", file]);
    assert!(
        report.starts_with("current revision  2\n")
            && report.ends_with("its SHA-256 is right; nothing is wrong\n")
    );
    let report = server.run(&["check", data.to_str().unwrap()]);
    assert!(
        report.starts_with("current revision  2\n") && report.ends_with("nothing is wrong\n"),
        "{report}"
    );
    server.start_again();
    server.check("$ get a\na\n1\n");
}

#[test]
fn a_snapshot_that_cannot_be_written_leaves_nothing() {
    let server = Server::start();
    let file = server.dir().join("no/such/folder");
    let output = server.command(&["snapshot", "save", file.to_str().unwrap()]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("cannot be written"));
}

#[test]
fn what_cannot_be_checked_or_restored_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let check = |words: &[&str], expected: &str| {
        let output = program().args(words).current_dir(dir.path()).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(stderr.contains(expected) && stderr.lines().count() == 1, "{words:?}: {stderr}");
    };
    std::fs::write(dir.path().join("short"), "x").unwrap();
    check(&["check", "nothing"], "nothing");
    check(&["restore", "nothing", "--data-dir", "new"], "nothing cannot be read");
    check(&["restore", "short", "--data-dir", "new"], "short is too short for a snapshot");
}
