//! The server under attack: the program `watchful` that lies beside this one.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::trials::Outcome;

/// Its drop kills it.
pub(super) struct Server {
    process: Child,
    pub(super) plain: SocketAddr,
    pub(super) tls: SocketAddr,
}

impl Server {
    pub(super) fn start(dir: &Path) -> Outcome<Self> {
        let program = std::env::current_exe()?.with_file_name("watchful");
        let mut command = Command::new(&program);
        command.arg("--data-dir").arg(dir.join("data"));
        command.args(["--listen-client-urls", "http://127.0.0.1:0,https://127.0.0.1:0", "--auto-tls"]);
        command.args(["--bcrypt-cost=4", "--log-level=error"]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process =
            command.spawn().map_err(|error| format!("{}: {error}; build it first", program.display()))?;
        let mut line = String::new();
        let output = process.stdout.take().ok_or("it has an output")?;
        BufReader::new(output).read_line(&mut line)?;
        let of = |scheme: &str| {
            let rest = line.split_once(scheme).ok_or_else(|| format!("{line:?} names no {scheme}"))?.1;
            let address = rest.split([',', ' ']).next().unwrap_or_default();
            Ok::<SocketAddr, Box<dyn std::error::Error>>(address.parse()?)
        };
        Ok(Self { plain: of("http://")?, tls: of("https://")?, process })
    }

    pub(super) fn process_id(&self) -> u32 {
        self.process.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
