//! Clients in other languages and by other people: the programs in `peers/`. Each takes the server's address, checks
//! what it is answered, and says `all passed` when it was.
//!
//! What they need, as `.ci/run` installs it: `protoc` for the Rust one; Node and `npm ci` in `peers/node-etcd3`; Go; and
//! a Python that has what `peers/python-etcd3gw/requirements.txt` names, on the PATH or in `target/peers/python`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::support::{Process, Server, clean, peer, skip};

/// A first run compiles the program and what it stands on.
const PATIENCE: Duration = Duration::from_secs(600);

/// The line with which a program asks for the server to be stopped and started.
const RESTART: &str = "restart the server now";

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// The folder of a program in `peers/`.
fn folder(name: &str) -> PathBuf {
    workspace().join("peers").join(name)
}

/// Where what is built for `peers/` is kept.
fn target() -> PathBuf {
    workspace().join("target/peers")
}

fn passes(command: &mut Command, server: &Server) {
    let ended = Process::spawn(command.arg(server.authority())).finish_within(PATIENCE);
    assert!(ended.status.success() && ended.stdout.ends_with("all passed\n"), "{ended:#?}");
}

#[test]
fn rust_etcd_client() {
    let (Some(cargo), Some(_)) = (peer("cargo"), peer("protoc")) else { return };
    let manifest = folder("rust-etcd-client").join("Cargo.toml");
    let mut command = clean(&cargo);
    command.args(["run", "--quiet", "--locked", "--manifest-path"]).arg(manifest);
    command.arg("--target-dir").arg(target().join("rust")).arg("--");
    passes(&mut command, &Server::start());
}

#[test]
fn node_etcd3() {
    let Some(node) = peer("node") else { return };
    let folder = folder("node-etcd3");
    if !folder.join("node_modules/etcd3").exists() {
        return skip("the modules of peers/node-etcd3 are missing; run `npm ci` there");
    }
    passes(clean(&node).arg("main.js").current_dir(folder), &Server::start());
}

#[test]
fn python_etcd3gw() {
    let own = target().join("python/bin/python3");
    let found = if own.exists() { Some(own) } else { peer("python3") };
    let Some(python) = found else { return };
    let has_package =
        clean(&python).args(["-c", "import etcd3gw"]).output().is_ok_and(|done| done.status.success());
    if !has_package {
        return skip("Python has no package etcd3gw; see peers/python-etcd3gw/requirements.txt");
    }
    passes(clean(&python).arg("main.py").current_dir(folder("python-etcd3gw")), &Server::start());
}

/// It also has the server stopped and started under its feet.
#[test]
fn go_clientv3() {
    let Some(go) = peer("go") else { return };
    let program = target().join("go-clientv3");
    let mut build = clean(&go);
    build.args(["build", "-o"]).arg(&program).arg(".").current_dir(folder("go-clientv3"));
    let built = Process::spawn(&mut build).finish_within(PATIENCE);
    if !built.status.success() && built.stderr.contains("dial tcp") {
        return skip(
            "the Go modules of peers/go-clientv3 are not here, and the module proxy cannot be reached",
        );
    }
    assert!(built.status.success(), "{built:?}");

    // Tokens that end soon, so that the client has to log in again, but not in between on a machine that stands still for some
    // seconds. An etcd 3.4 would not let it.
    let brief: &[&str] = if Server::is_for_etcd() { &[] } else { &["--auth-token-ttl=5"] };
    let mut server = Server::start_with(brief);
    let mut process = Process::spawn_interactive(clean(&program).arg(server.authority()));
    process.expect_within(PATIENCE, "asking for a restart", |line| (line == RESTART).then_some(()));
    server.terminate();
    server.start_again();
    process.send("done");
    let ended = process.finish_within(PATIENCE);
    assert!(ended.status.success() && ended.stdout.ends_with("all passed\n"), "{ended:#?}");
}
