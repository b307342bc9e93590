//! What is wrong is told in one line, with what to do.

use std::io::Write as _;
use std::net::TcpListener;

use crate::support::{Server, program};

fn run(words: &[&str]) -> (Option<i32>, String) {
    let output = program().args(words).output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn nobody_listens() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", free.local_addr().unwrap());
    drop(free);
    for words in [&["get", "a"][..], &["watch", "a"], &["status"], &["lease", "list"]] {
        let (code, stderr) = run(&[words, &["--endpoint", &url]].concat());
        let expected =
            format!("error: nobody listens at {url}: start `watchful`, or say where it is with --endpoint\n");
        assert_eq!((code, stderr), (Some(1), expected));
    }
}

#[test]
fn who_listens_says_nothing() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let (code, stderr) = run(&["get", "a", "--endpoint", &url, "--timeout", "200ms"]);
    assert_eq!(code, Some(1));
    assert!(stderr.contains("has not answered in 200ms"), "{stderr}");
}

#[test]
fn who_listens_is_no_such_server() {
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", other.local_addr().unwrap());
    // A client may try more than once; the thread ends with the tests.
    std::thread::spawn(move || {
        for connection in other.incoming() {
            let _ = connection.unwrap().write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    for command in ["get", "watch"] {
        let (code, stderr) = run(&[command, "a", "--endpoint", &url]);
        assert_eq!(code, Some(1), "{stderr}");
        assert!(stderr.starts_with("error: ") && stderr.contains("broke"), "{stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
    }
}

#[test]
fn a_server_without_tls_is_asked_for_it() {
    let server = Server::start();
    let url = server.url.replace("http:", "https:");
    let (code, stderr) = run(&["get", "a", "--endpoint", &url, "--insecure-skip-tls-verify"]);
    assert_eq!(code, Some(1));
    assert!(stderr.contains("TLS cannot begin") && stderr.lines().count() == 1, "{stderr}");
    let (code, stderr) = run(&["get", "a", "--endpoint", &server.url, "--insecure-skip-tls-verify"]);
    assert_eq!((code, stderr.contains("say https://")), (Some(1), true), "{stderr}");
}

#[test]
fn usage_ends_with_2_and_help_with_0() {
    for words in [&["put"][..], &["get", "a", "--no-such"], &["putt", "a", "b"], &["watch"]] {
        let (code, stderr) = run(words);
        assert_eq!(code, Some(2), "{words:?}: {stderr}");
        assert!(stderr.starts_with("error: "), "{stderr}");
    }
    for words in [&["--help"][..], &["put", "--help"], &["lease", "grant", "--help"]] {
        assert_eq!(run(words), (Some(0), String::new()));
    }
}

#[test]
fn what_a_command_wants_is_told_before_anybody_is_asked() {
    Server::start().check(
        "
$ put '' 1
[1] error: etcdserver: key is not provided: give a key of at least one byte, or --prefix for all
$ get a --cacert /no/such/file --endpoint https://127.0.0.1:1
[1] error: /no/such/file cannot be read: I/O error: No such file or directory (os error 2)
",
    );
}
