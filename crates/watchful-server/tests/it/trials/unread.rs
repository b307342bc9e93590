//! A trial of the project's own CI read the line that says where the server serves, closed the pipe, and found nobody there:
//! the next line could not be written, and the server ended with it (`watchful | head -1`).

use std::io::{Read, Write, pipe};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::clean;

const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn a_server_whose_output_nobody_reads_serves_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("socket");
    let (unread, output) = pipe().unwrap();
    drop(unread);
    let mut command = clean(Path::new(env!("CARGO_BIN_EXE_watchful")));
    command.arg("--data-dir").arg(folder.path().join("data"));
    command.arg(format!("--listen-client-urls=unix://{}", socket.display()));
    let mut server = command.stdout(output).stderr(Stdio::null()).spawn().unwrap();

    assert!(health(&socket).contains("200 OK"));
    assert!(server.try_wait().unwrap().is_none(), "it went with its output");
    assert!(Command::new("kill").arg(server.id().to_string()).status().unwrap().success());
    assert!(server.wait().unwrap().success());
}

/// What the server says of its health, once it is there.
fn health(socket: &Path) -> String {
    let until = Instant::now() + PATIENCE;
    let mut stream = loop {
        match UnixStream::connect(socket) {
            Ok(stream) => break stream,
            Err(error) => assert!(Instant::now() < until, "nobody listens: {error}"),
        }
        std::thread::yield_now();
    };
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(b"GET /health HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}
