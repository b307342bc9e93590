//! The program `watchful` as a process of its own.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::trials::Outcome;

/// Says where it serves.
const READY: &str = "ready: watchful serves ";

/// A server that runs. Its drop kills it.
pub(crate) struct Server {
    folder: PathBuf,
    authority: String,
    child: Child,
}

impl Server {
    /// Starts one on a port that is free.
    pub(crate) fn start(folder: &Path) -> Outcome<Self> {
        let (child, authority) = serve(folder, "127.0.0.1:0")?;
        Ok(Self { folder: folder.to_owned(), authority, child })
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.authority)
    }

    /// Kills it, wherever it is.
    pub(crate) fn kill(&mut self) -> Outcome {
        if let Some(status) = self.child.try_wait()? {
            return Err(format!("the server ended by itself: {status}").into());
        }
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Starts it again at the same address.
    pub(crate) fn start_again(&mut self) -> Outcome {
        let (child, authority) = serve(&self.folder, &self.authority)?;
        self.child = child;
        assert_eq!(self.authority, authority, "it was told where to serve");
        Ok(())
    }
}

fn serve(folder: &Path, authority: &str) -> Outcome<(Child, String)> {
    let (child, urls) = start(&[&format!("--listen-client-urls=http://{authority}")], folder)?;
    let authority = urls.strip_prefix("http://").ok_or_else(|| format!("it serves {urls}"))?;
    let end =
        authority.find(|one: char| !(one.is_ascii_digit() || ".:".contains(one))).unwrap_or(authority.len());
    Ok((child, authority[..end].to_owned()))
}

/// Starts it with these arguments in a folder, without anything of this process's environment that it takes for settings.
/// Answers with what it says of where it serves.
pub(crate) fn start(arguments: &[&str], folder: &Path) -> Outcome<(Child, String)> {
    // `cargo xtask stress` builds it; it is beside this program.
    let program = std::env::current_exe()?.with_file_name("watchful");
    if !program.exists() {
        return Err(format!("there is no {}: `cargo xtask stress` builds it", program.display()).into());
    }
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("ETCD") || text.starts_with("WATCHFUL_") {
            command.env_remove(&name);
        }
    }
    command.arg("--data-dir").arg(folder).args(arguments);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let mut lines = BufReader::new(child.stdout.take().ok_or("it has no output")?);
    let mut line = String::new();
    while lines.read_line(&mut line)? > 0 {
        if let Some((_, urls)) = line.split_once(READY) {
            return Ok((child, urls.to_owned()));
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
