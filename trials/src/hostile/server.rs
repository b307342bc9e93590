//! The server under attack: the program `watchful` that lies beside this one.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Child;

use crate::server::process;
use crate::trials::Outcome;

/// Its drop kills it.
pub(super) struct Server {
    process: Child,
    pub(super) plain: SocketAddr,
    pub(super) tls: SocketAddr,
}

impl Server {
    pub(super) fn start(dir: &Path) -> Outcome<Self> {
        let urls = "--listen-client-urls=http://127.0.0.1:0,https://127.0.0.1:0";
        let arguments = [urls, "--auto-tls", "--bcrypt-cost=4", "--log-level=error"];
        let (process, line) = process::start(&arguments, &dir.join("data"))?;
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
