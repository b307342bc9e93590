//! The README's main job, as a new user runs it: `cargo run --release`, then a put and a get from another shell.
//!
//! Only the port and the folder differ, because nothing may be taken that somebody else has.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use xshell::{Shell, cmd};

use crate::{Outcome, root};

/// A server that is ended with this value.
struct Server {
    child: Child,
}

impl Drop for Server {
    fn drop(&mut self) {
        // Where it has ended already there is nothing to end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts the server, writes and reads a key, ends it, and looks whether a second start finds the key.
pub(crate) fn run(shell: &Shell) -> Outcome {
    let folder = root().join("target/xtask/main-job");
    shell.remove_path(&folder)?;
    let (server, url) = start(&folder)?;
    client(shell, &url, &["put", "hello", "world"])?;
    expect(&client(shell, &url, &["get", "hello"])?)?;
    end(shell, server)?;
    let (server, url) = start(&folder)?;
    expect(&client(shell, &url, &["get", "hello"])?)?;
    end(shell, server)
}

fn start(folder: &Path) -> Outcome<(Server, String)> {
    let mut command = Command::new("cargo");
    command.args([
        "run",
        "--release",
        "--quiet",
        "--",
        "--listen-client-urls=http://127.0.0.1:0",
        "--data-dir",
    ]);
    let mut child = command.arg(folder).current_dir(root()).stdout(Stdio::piped()).spawn()?;
    let stdout = child.stdout.take().ok_or("the server has no output")?;
    let server = Server { child };
    Ok((server, ready_at(stdout)?))
}

/// The address in the line that says that the server is ready.
fn ready_at(stdout: ChildStdout) -> Outcome<String> {
    for line in BufReader::new(stdout).lines() {
        let line = line?;
        println!("{line}");
        if line.starts_with("ready:") {
            let url = line.split_whitespace().find(|word| word.starts_with("http://"));
            return url.map(str::to_owned).ok_or_else(|| format!("no address in {line:?}").into());
        }
    }
    Err("the server ended before it was ready".into())
}

fn client(shell: &Shell, url: &str, args: &[&str]) -> Outcome<String> {
    let program = root().join("target/release/watchful");
    Ok(cmd!(shell, "{program} --endpoint {url} {args...}").read()?)
}

fn expect(found: &str) -> Outcome {
    if found.contains("world") { Ok(()) } else { Err(format!("hello should be world, not {found:?}").into()) }
}

/// Ends the server as the system would.
fn end(shell: &Shell, mut server: Server) -> Outcome {
    let pid = server.child.id().to_string();
    cmd!(shell, "kill -TERM {pid}").run()?;
    let status = server.child.wait()?;
    if status.success() { Ok(()) } else { Err(format!("the server ended with {status}").into()) }
}
