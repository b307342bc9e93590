//! A server's program, started for one run in a folder of its own and ended with it.

use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tonic::transport::{Channel, Endpoint};
use watchful_wire::etcdserverpb::kv_client::KvClient;
use watchful_wire::etcdserverpb::{RangeRequest, StatusRequest, maintenance_client::MaintenanceClient};

use crate::Failure;

/// How long a program may take until it answers.
const READY_WITHIN: Duration = Duration::from_secs(30);

/// How often a start is tried: between finding a free port and its use by the program, somebody else may take it.
const STARTS_MAX: usize = 5;

/// What etcd is started with. Hashes of passwords cost as little as they may: many are made.
pub(crate) const ETCD_FLAGS: &[&str] = &["--log-level", "error", "--bcrypt-cost", "4"];

/// How to start a server.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    /// What it is called in reports.
    pub(crate) name: &'static str,
    pub(crate) path: PathBuf,
    /// Whether it wants an address for its peers.
    pub(crate) has_peers: bool,
    /// Further flags.
    pub(crate) flags: &'static [&'static str],
    /// Whether its tokens are JSON web tokens, and not kept in its memory.
    pub(crate) has_web_tokens: bool,
}

/// A server that runs. It ends when this is dropped.
pub(crate) struct Running {
    pub(crate) channel: Channel,
    /// The version of etcd that it says to be.
    pub(crate) version: String,
    child: Child,
    folder: TempDir,
}

impl Program {
    pub(crate) fn etcd(path: &Path) -> Self {
        Self {
            name: "etcd",
            path: path.to_owned(),
            has_peers: true,
            flags: ETCD_FLAGS,
            has_web_tokens: false,
        }
    }

    pub(crate) fn watchful(path: &Path) -> Self {
        Self {
            name: "watchful",
            path: path.to_owned(),
            has_peers: false,
            flags: &["--bcrypt-cost", "4"],
            has_web_tokens: false,
        }
    }

    /// Starts it, and waits until it answers.
    pub(crate) async fn start(&self) -> Result<Running, Failure> {
        let mut last = None;
        for _ in 0..STARTS_MAX {
            match self.start_once().await {
                Ok(running) => return Ok(running),
                Err(failure) => last = Some(failure),
            }
        }
        Err(last.unwrap_or_else(|| "it was not tried".into()))
    }

    async fn start_once(&self) -> Result<Running, Failure> {
        let folder = scratch()?;
        let client = format!("http://127.0.0.1:{}", free_port()?);
        let output = std::fs::File::create(folder.path().join("output"))?;
        let mut command = Command::new(&self.path);
        command.arg("--data-dir").arg(folder.path().join("data"));
        command.args(["--listen-client-urls", &client, "--advertise-client-urls", &client]);
        if self.has_peers {
            let peer = format!("http://127.0.0.1:{}", free_port()?);
            command.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
            command.args(["--initial-cluster", &format!("default={peer}")]);
        }
        command.args(self.flags);
        if self.has_web_tokens {
            let key = folder.path().join("key");
            std::fs::write(&key, "the one who has this may be anybody")?;
            command.arg(format!("--auth-token=jwt,sign-method=HS256,priv-key={},ttl=1h", key.display()));
        }
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let child = command.spawn().map_err(|error| {
            format!("{} does not start: {error}; is {} there?", self.name, self.path.display())
        })?;
        let mut child = Guard(Some(child));
        let ready = ready(&client, &mut child).await;
        let (channel, version) = ready.map_err(|error| {
            format!("{} is not ready: {error}\n{}", self.name, tail(&folder.path().join("output")))
        })?;
        let child = child.0.take().ok_or("it ended")?;
        Ok(Running { channel, version, child, folder })
    }
}

impl Running {
    /// The last lines that the program printed.
    pub(crate) fn output(&self) -> String {
        tail(&self.folder.path().join("output"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// Ends a child that did not get ready.
struct Guard(Option<Child>);

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            end(child);
        }
    }
}

/// Nothing of a run is kept, so there is nothing to end in order.
fn end(child: &mut Child) {
    // It fails where the program has ended by itself.
    let _ = child.kill();
    let _ = child.wait();
}

/// A folder for a run: in memory where there is such a place, because no run outlives its machine.
fn scratch() -> io::Result<TempDir> {
    let shared = Path::new("/dev/shm");
    let within = if shared.is_dir() { shared.to_owned() } else { std::env::temp_dir() };
    tempfile::Builder::new().prefix("watchful-differential-").tempdir_in(within)
}

fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// Waits for the first answer of a server, and asks for its version.
async fn ready(url: &str, child: &mut Guard) -> Result<(Channel, String), Failure> {
    let endpoint = Endpoint::from_shared(url.to_owned())?.connect_timeout(Duration::from_secs(1));
    let deadline = Instant::now() + READY_WITHIN;
    loop {
        let ended = child.0.as_mut().map(Child::try_wait).transpose()?.flatten();
        if let Some(status) = ended {
            return Err(format!("it ended with {status}").into());
        }
        match first_answer(&endpoint).await {
            Ok(found) => return Ok(found),
            Err(error) if Instant::now() > deadline => return Err(error),
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

async fn first_answer(endpoint: &Endpoint) -> Result<(Channel, String), Failure> {
    let channel = endpoint.connect().await?;
    let mut kv = KvClient::new(channel.clone());
    let asked = kv.range(RangeRequest { key: "ready".into(), ..Default::default() });
    tokio::time::timeout(Duration::from_secs(5), asked).await??;
    let status = MaintenanceClient::new(channel.clone()).status(StatusRequest {}).await?;
    Ok((channel, status.into_inner().version))
}

fn tail(file: &Path) -> String {
    const LINES: usize = 12;
    let text = std::fs::read(file).unwrap_or_default();
    let text = String::from_utf8_lossy(&text).into_owned();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}
