//! What keeps the server from starting: each time one clear line on the standard error, and an exit that is no success.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use crate::support::{Process, Server, clean};

/// Starts the program with these arguments, which it must refuse. Answers with the one line it says of it.
fn refused(arguments: &[&str]) -> String {
    let mut command = clean(Path::new(env!("CARGO_BIN_EXE_watchful")));
    let ended = Process::spawn(command.args(arguments)).finish();
    assert!(!ended.status.success(), "{arguments:?} should have been refused: {ended:?}");
    assert!(!ended.stderr.contains("panicked"), "{ended:?}");
    assert!(!ended.stdout.contains("ready"), "{ended:?}");
    let lines: Vec<&str> = ended.stderr.lines().filter(|line| !line.trim().is_empty()).collect();
    assert_eq!(lines.len(), 1, "one line should say what is wrong: {ended:?}");
    lines[0].to_owned()
}

/// The line has to hold each of these words.
fn says(line: &str, words: &[&str]) {
    let missing: Vec<_> = words.iter().filter(|word| !line.contains(**word)).collect();
    assert!(missing.is_empty(), "{missing:?} should be in {line:?}");
}

const ANY_PORT: &str = "--listen-client-urls=http://127.0.0.1:0";

#[test]
fn a_second_server_on_a_folder() {
    let server = Server::watchful();
    let folder = server.data_dir();
    let line = refused(&["--data-dir", text(&folder), ANY_PORT]);
    says(&line, &[text(&folder), "is open already"]);
}

#[test]
fn a_port_in_use() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let folder = tempfile::tempdir().unwrap();
    let url = format!("--listen-client-urls=http://{address}");
    let line = refused(&["--data-dir", text(&folder.path().join("data")), &url]);
    says(&line, &[&address, "another program"]);
}

#[test]
fn certificates_that_are_none() {
    let folder = tempfile::tempdir().unwrap();
    let (missing, bad) = (folder.path().join("missing.pem"), folder.path().join("bad.pem"));
    fs::write(&bad, "this is no certificate\n").unwrap();
    let start = |certificate: &Path, key: &Path| {
        let data = folder.path().join("data");
        let url = "--listen-client-urls=https://127.0.0.1:0";
        refused(&["--data-dir", text(&data), url, "--cert-file", text(certificate), "--key-file", text(key)])
    };
    says(&start(&missing, &missing), &[text(&missing)]);
    says(&start(&bad, &bad), &[text(&bad)]);
}

#[test]
fn a_certificate_without_its_key() {
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (certificate, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    fs::write(&certificate, made.cert.pem()).unwrap();
    fs::write(&key, other.signing_key.serialize_pem()).unwrap();
    let data = folder.path().join("data");
    let arguments = ["--data-dir", text(&data), "--listen-client-urls=https://127.0.0.1:0"];
    let files = ["--cert-file", text(&certificate), "--key-file", text(&key)];
    says(&refused(&[&arguments[..], &files].concat()), &["key"]);
}

#[test]
fn a_damaged_folder() {
    let mut server = Server::watchful();
    server.terminate();
    let files = files_under(&server.data_dir());
    let file = files.iter().find(|file| file.ends_with("data.mdb")).expect("LMDB's file should be there");
    let length = usize::try_from(fs::metadata(file).unwrap().len()).unwrap();
    fs::write(file, vec![0xab; length]).unwrap();
    let folder = server.data_dir();
    let line = refused(&["--data-dir", text(&folder), ANY_PORT]);
    says(&line, &[text(&folder)]);
}

#[test]
fn a_folder_that_is_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("data");
    fs::write(&file, "").unwrap();
    says(&refused(&["--data-dir", text(&file), ANY_PORT]), &[text(&file)]);
}

#[test]
fn a_flag_that_nobody_knows() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut command = clean(Path::new(env!("CARGO_BIN_EXE_watchful")));
    let ended = Process::spawn(command.args(["--data-dir", text(&data), "--no-such-flag"])).finish();
    assert!(!ended.status.success() && ended.stderr.contains("no-such-flag"), "{ended:?}");
    assert!(!data.exists(), "a server that does not start makes no folder");
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn files_under(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files_under(&path) } else { vec![path] }).collect()
}
