//! The program `watchful` as a process of its own.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::trials::Outcome;

/// Says where it serves.
const READY: &str = "ready: watchful serves http://";

/// A server that runs. Its drop kills it.
pub(crate) struct Server {
    program: PathBuf,
    folder: PathBuf,
    authority: String,
    child: Child,
}

impl Server {
    /// Starts one on a port that is free.
    pub(crate) fn start(folder: &Path) -> Outcome<Self> {
        // `cargo xtask stress` builds it; it is beside this program.
        let program = std::env::current_exe()?.with_file_name("watchful");
        if !program.exists() {
            return Err(format!("there is no {}: `cargo xtask stress` builds it", program.display()).into());
        }
        let (child, authority) = spawn(&program, folder, "127.0.0.1:0")?;
        Ok(Self { program, folder: folder.to_owned(), authority, child })
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.authority)
    }

    /// Kills it, wherever it is, and starts it again at the same address.
    pub(crate) fn kill_and_start(&mut self) -> Outcome {
        if let Some(status) = self.child.try_wait()? {
            return Err(format!("the server ended by itself: {status}").into());
        }
        self.child.kill()?;
        self.child.wait()?;
        let (child, authority) = spawn(&self.program, &self.folder, &self.authority)?;
        self.child = child;
        assert_eq!(self.authority, authority, "it was told where to serve");
        Ok(())
    }
}

fn spawn(program: &Path, folder: &Path, authority: &str) -> Outcome<(Child, String)> {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("ETCD") || text.starts_with("WATCHFUL_") {
            command.env_remove(&name);
        }
    }
    command.arg("--data-dir").arg(folder).arg(format!("--listen-client-urls=http://{authority}"));
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let mut lines = BufReader::new(child.stdout.take().ok_or("it has no output")?);
    let mut line = String::new();
    while lines.read_line(&mut line)? > 0 {
        if let Some((_, rest)) = line.split_once(READY) {
            let end =
                rest.find(|one: char| !(one.is_ascii_digit() || ".:".contains(one))).unwrap_or(rest.len());
            return Ok((child, rest[..end].to_owned()));
        }
        line.clear();
    }
    Err(format!("the server did not start: {}", child.wait()?).into())
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may be gone already, and whoever failed has said why.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
