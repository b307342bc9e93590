//! Addresses, sockets and connections, over the loopback.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio_stream::StreamExt;
use tonic::transport::server::Connected;

use super::*;
use crate::counts::Counts;

#[track_caller]
fn check(text: &str, expected: Result<&str, &str>) {
    let found = text.parse::<ListenUrl>();
    let found = found.map(|url| url.to_string()).map_err(|error| error.to_string());
    let wrong = expected.map(str::to_owned).map_err(|wrong| format!("{text:?} {wrong}"));
    assert_eq!(found, wrong);
}

fn url(text: &str) -> ListenUrl {
    text.parse().unwrap()
}

/// Waits for what a test waits for, but not for ever.
async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), what).await.expect("it comes within 30 s")
}

#[test]
fn addresses_are_read_as_in_etcd() {
    check("http://localhost:2379", Ok("http://localhost:2379"));
    check("https://0.0.0.0:0", Ok("https://0.0.0.0:0"));
    check("http://[::1]:2379", Ok("http://[::1]:2379"));
    check("unix:///run/w.sock", Ok("unix:///run/w.sock"));
    check("unixs://w.sock", Ok("unixs://w.sock"));
    check("unix:/run/w.sock", Ok("unix:///run/w.sock"));
}

#[test]
fn what_is_no_address_is_refused() {
    let scheme =
        "does not begin with http://, https://, unix:// or unixs://; write it as http://127.0.0.1:2379";
    check("localhost:2379", Err(scheme));
    check("", Err(scheme));
    check("ftp://a:1", Err(scheme));
    check("http:a:1", Err(scheme));
    check("http://127.0.0.1", Err("has no port; write it as http://127.0.0.1:2379"));
    check("http://[::1]", Err("has no port; write it as http://127.0.0.1:2379"));
    check("http://127.0.0.1:http", Err("has a port that is not a number from 0 to 65535"));
    check("http://127.0.0.1:65536", Err("has a port that is not a number from 0 to 65535"));
    check(
        "http://127.0.0.1:1/",
        Err("has more than a host and a port; write it as http://127.0.0.1:2379, without a path"),
    );
    check("http://::1:2379", Err("has an IPv6 address without brackets; write it as http://[::1]:2379"));
    check(
        "http://:2379",
        Err("has no host; write 0.0.0.0 for every address of the machine, 127.0.0.1 for itself alone"),
    );
    check("unix://", Err("names no file; write it as unix:///run/watchful.sock"));
}

#[test]
fn a_free_port_is_told() {
    let listeners = bind(&[url("http://127.0.0.1:0"), url("http://localhost:0")]).unwrap();
    for listener in &listeners {
        assert_eq!(listener.url().port(), listener.address().map(|address| address.port()));
        assert_ne!(listener.url().port(), Some(0));
    }
    assert_eq!(listeners[0].url().to_string(), format!("http://{}", listeners[0].address().unwrap()));
}

#[track_caller]
fn check_refused(wanted: &ListenUrl, expected: &str) {
    let error = bind(std::slice::from_ref(wanted)).unwrap_err();
    assert_eq!(error.to_string(), format!("cannot listen on {wanted}: {expected}"));
}

#[test]
fn what_cannot_be_listened_on_is_one_clear_line() {
    let first = bind(&[url("http://127.0.0.1:0")]).unwrap();
    check_refused(
        first[0].url(),
        "another program already does; stop it, or choose another address (port 0 takes a free one)",
    );
    check_refused(
        // A network for documentation, which no machine is in.
        &url("http://192.0.2.1:0"),
        "this machine does not have that address; write one that it has, or 0.0.0.0 for all of them",
    );
    let error = bind(&[url("http://no-such-host.invalid:0")]).unwrap_err().to_string();
    assert!(error.contains("the host's name cannot be resolved ("), "{error}");
    assert!(error.ends_with("); write an address of this machine"), "{error}");
    let refused = io::Error::from(io::ErrorKind::PermissionDenied);
    assert_eq!(
        bind::refused(&url("http://127.0.0.1:80"), refused).to_string(),
        "cannot listen on http://127.0.0.1:80: this user may not; choose a port above 1023, or a folder that the user \
         may write to"
    );
    let other = bind::refused(&url("http://127.0.0.1:80"), io::Error::other("no more"));
    assert_eq!(other.to_string(), "cannot listen on http://127.0.0.1:80: no more");
}

#[test]
fn a_socket_that_was_left_behind_is_taken_over_and_one_in_use_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.sock");
    let url = url(&format!("unix://{}", path.display()));
    // The standard library leaves the file behind, as a server that was killed does.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let first = bind(std::slice::from_ref(&url)).unwrap();
    check_refused(
        &url,
        "another program already does; stop it, or choose another address (port 0 takes a free one)",
    );
    drop(first);
    assert!(!path.exists(), "the file goes with the listener");
    std::fs::write(&path, "not a socket").unwrap();
    check_refused(&url, "the file is there and is no socket; move it away, or choose another");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "not a socket");
}

#[tokio::test]
async fn connections_come_in_and_are_counted() {
    let listener = bind(&[url("http://127.0.0.1:0")]).unwrap().remove(0);
    let (address, counts) = (listener.address().unwrap(), Arc::new(Counts::default()));
    let mut incoming = incoming(listener, None, Arc::clone(&counts));
    let mut client = TcpStream::connect(address).await.unwrap();
    client.write_all(b"ping").await.unwrap();
    let mut conn = soon(incoming.next()).await.unwrap().unwrap();
    assert_eq!(conn.connect_info().address, Some(client.local_addr().unwrap()));
    assert_eq!((conn.peer().common_name.clone(), counts.connections.get()), (None, 1));
    let mut heard = [0; 4];
    soon(conn.read_exact(&mut heard)).await.unwrap();
    conn.write_all(b"pong").await.unwrap();
    soon(client.read_exact(&mut heard)).await.unwrap();
    assert_eq!(&heard, b"pong");
    drop(conn);
    assert_eq!(counts.connections.get(), 0);
}

#[tokio::test]
async fn the_stream_dropped_nobody_listens() {
    let listener = bind(&[url("http://127.0.0.1:0")]).unwrap().remove(0);
    let address = listener.address().unwrap();
    drop(incoming(listener, None, Arc::default()));
    let refused = async {
        while TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await
        }
    };
    soon(refused).await;
}

#[tokio::test]
async fn a_unix_socket_serves_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.sock");
    let listener = bind(&[url(&format!("unix://{}", path.display()))]).unwrap().remove(0);
    let mut incoming = incoming(listener, None, Arc::default());
    let mut client = UnixStream::connect(&path).await.unwrap();
    client.write_all(b"ping").await.unwrap();
    let mut conn = soon(incoming.next()).await.unwrap().unwrap();
    let mut heard = [0; 4];
    soon(conn.read_exact(&mut heard)).await.unwrap();
    assert_eq!((&heard, conn.peer()), (b"ping", &Peer::default()));
}

#[tokio::test]
async fn nothing_is_served_in_the_clear_where_tls_was_asked_for() {
    let listener = bind(&[url("https://127.0.0.1:0")]).unwrap().remove(0);
    let expected = format!("{} asks for TLS, and there is no certificate", listener.url());
    let mut incoming = incoming(listener, None, Arc::default());
    assert_eq!(soon(incoming.next()).await.unwrap().unwrap_err().to_string(), expected);
    assert!(soon(incoming.next()).await.is_none());
}

/// Whoever connected and said nothing, or stopped in the middle of the first words, was never let go: each took a
/// descriptor and some memory for as long as it liked. With TLS a thousand of them kept everybody else from shaking hands.
#[tokio::test]
async fn who_does_not_get_to_the_first_word_is_let_go() {
    let listener = bind(&[url("http://127.0.0.1:0")]).unwrap().remove(0);
    let (address, counts) = (listener.address().unwrap(), Arc::new(Counts::default()));
    let mut incoming =
        accept::incoming_within(Duration::from_millis(50), listener, None, Arc::clone(&counts));
    let (mut silent, mut slow) =
        (TcpStream::connect(address).await.unwrap(), TcpStream::connect(address).await.unwrap());
    slow.write_all(b"PRI * HTTP/2.0\r\n").await.unwrap();
    let gone = async {
        assert_eq!(silent.read(&mut [0]).await.unwrap(), 0);
        // What it said was not read to the end, so it may as well be a reset.
        assert!(slow.read(&mut [0]).await.map_or(true, |read| read == 0));
    };
    tokio::select! {
        () = soon(gone) => {}
        _ = incoming.next() => panic!("nobody said anything"),
    }
    assert_eq!((counts.connections.get(), counts.connections_failed.get()), (0, 2));
}

/// More connections than may be on their way in, none of which says anything: the next one that does is served all the same.
#[tokio::test]
async fn a_crowd_that_says_nothing_keeps_nobody_out() {
    const SILENT: usize = 1_100;
    // Both ends are here.
    raise_descriptors();
    let listener = bind(&[url("http://127.0.0.1:0")]).unwrap().remove(0);
    let (address, counts) = (listener.address().unwrap(), Arc::new(Counts::default()));
    let mut incoming = incoming(listener, None, Arc::clone(&counts));
    let mut silent = Vec::new();
    for _ in 0..SILENT {
        silent.push(soon(TcpStream::connect(address)).await.unwrap());
    }
    let mut client = soon(TcpStream::connect(address)).await.unwrap();
    client.write_all(b"ping").await.unwrap();
    let mut conn = soon(incoming.next()).await.unwrap().unwrap();
    let mut heard = [0; 4];
    soon(conn.read_exact(&mut heard)).await.unwrap();
    assert_eq!(&heard, b"ping");
    assert!(counts.connections_failed.get() > 0, "the oldest of them were cut");
}
