//! `lock` and `elect`. Both live in the client: it writes keys that hang on a lease and watches those of the others.
//! The services of the same names are in the suite `services`.

use rustix::process::Signal;

use super::server_and_etcdctl;

#[test]
fn a_lock_is_held_while_a_command_runs() {
    let Some((_server, etcdctl)) = server_and_etcdctl() else { return };
    let command = r#"echo "$ETCD_LOCK_KEY at $ETCD_LOCK_REV"; echo error >&2"#;
    let text = etcdctl.ok(&["lock", "name", "--", "sh", "-c", command]);
    assert!(text.starts_with("name/") && text.ends_with(" at 2\n"), "{text}");
    assert_eq!(etcdctl.ok(&["get", "--prefix", "name/"]), "", "the lock should be free again");
    let failed = etcdctl.fails(&["lock", "name", "--", "sh", "-c", "exit 3"]);
    assert!(failed.contains("exit status 3"), "{failed}");
    assert_eq!(etcdctl.ok(&["get", "--prefix", "name/"]), "", "the lock should be free again");
}

#[test]
fn of_two_contenders_the_second_waits() {
    let Some((_server, etcdctl)) = server_and_etcdctl() else { return };
    let mut first = etcdctl.start(&["lock", "name"]);
    let first_key = first.expect("the first one's key", |line| Some(line.to_owned()));
    assert!(first_key.starts_with("name/"), "{first_key}");
    let mut queue = etcdctl.start(&["watch", "--prefix", "name/", "--rev=1"]);
    queue.expect_next(&["PUT", &first_key, ""]);
    let mut second = etcdctl.start(&["lock", "name"]);
    let second_key =
        queue.expect("the second one in line", |line| line.starts_with("name/").then(|| line.to_owned()));
    assert_ne!(first_key, second_key);
    // The second has its key and not the lock: it says nothing until the first has left.
    first.signal(Signal::TERM);
    queue.expect_next(&["", "DELETE", &first_key, ""]);
    second.expect_next(&[&second_key]);
    assert!(first.finish().stdout.starts_with(&first_key));
}

/// Ten commands that each read a number, and write it back one higher.
#[test]
fn contenders_never_work_at_the_same_time() {
    let Some((server, etcdctl)) = server_and_etcdctl() else { return };
    let file = server.scratch().join("number");
    std::fs::write(&file, "0").unwrap();
    let work = format!("n=$(cat '{0}'); echo $((n + 1)) > '{0}'", file.display());
    let contenders: Vec<_> =
        (0..10).map(|_| etcdctl.start(&["lock", "counter", "--ttl=30", "--", "sh", "-c", &work])).collect();
    for contender in contenders {
        let ended = contender.finish();
        assert!(ended.status.success(), "{ended:?}");
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap().trim(), "10");
}

#[test]
fn one_is_elected_and_the_next_one_follows() {
    let Some((_server, etcdctl)) = server_and_etcdctl() else { return };
    let mut first = etcdctl.start(&["elect", "name", "first"]);
    let key = first.expect("being elected", |line| Some(line.to_owned()));
    assert!(key.starts_with("name/"), "{key}");
    first.expect_next(&["first"]);
    let mut listener = etcdctl.start(&["elect", "--listen", "name"]);
    listener.expect_next(&[&key, "first"]);
    let mut second = etcdctl.start(&["elect", "name", "second"]);
    let mut queue = etcdctl.start(&["watch", "--prefix", "name/", "--rev=3"]);
    queue.expect_line("second");
    first.signal(Signal::TERM);
    let second_key = second.expect("being elected", |line| Some(line.to_owned()));
    assert_ne!(second_key, key);
    listener.expect_next(&[&second_key, "second"]);
}
