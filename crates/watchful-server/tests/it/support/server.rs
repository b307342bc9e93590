//! The server under test, as a process of its own on a port and in a folder of its own.
//!
//! It is `watchful`, or etcd where `WATCHFUL_TESTS_AGAINST=etcd` says so. What only one of the two can be asked is
//! asked of [`Server::watchful`] or [`Server::etcd`].

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;
use tempfile::TempDir;

use super::peers::peer;
use super::process::{DEADLINE, Ended, Process};

/// How often a first start of etcd is tried.
const STARTS_MAX: usize = 5;

const AGAINST: &str = "WATCHFUL_TESTS_AGAINST";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Watchful,
    Etcd,
}

/// A server with its folder. Its drop kills the one and deletes the other.
pub(crate) struct Server {
    kind: Kind,
    program: PathBuf,
    arguments: Vec<String>,
    folder: TempDir,
    scheme: &'static str,
    port: u16,
    /// None between a stop and the next start.
    process: Option<Process>,
}

impl Server {
    /// The server that the suites are for.
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// The same, with more arguments.
    pub(crate) fn start_with(arguments: &[&str]) -> Self {
        match std::env::var(AGAINST).as_deref() {
            Ok("etcd") => {
                Self::etcd_with(arguments).expect("etcd should be on the PATH, as tests against it need it")
            }
            Ok(other) => {
                panic!("{AGAINST}={other}: the servers are `etcd` and, without the variable, `watchful`")
            }
            Err(_) => Self::watchful_with(arguments),
        }
    }

    /// Whether the suites are run against a real etcd.
    pub(crate) fn is_for_etcd() -> bool {
        std::env::var(AGAINST).as_deref() == Ok("etcd")
    }

    /// Watchful, whatever the suites are run against.
    pub(crate) fn watchful() -> Self {
        Self::watchful_with(&[])
    }

    pub(crate) fn watchful_with(arguments: &[&str]) -> Self {
        Self::launch(Kind::Watchful, env!("CARGO_BIN_EXE_watchful").into(), arguments)
    }

    /// A real etcd; none where there is none, which has then been said.
    pub(crate) fn etcd() -> Option<Self> {
        Self::etcd_with(&[])
    }

    pub(crate) fn etcd_with(arguments: &[&str]) -> Option<Self> {
        Some(Self::launch(Kind::Etcd, peer("etcd")?, arguments))
    }

    /// Watchful on what a snapshot holds.
    pub(crate) fn watchful_of(snapshot: &Path) -> Self {
        Self::watchful_of_at(snapshot, 0)
    }

    /// The same, on a port that somebody else had.
    pub(crate) fn watchful_of_at(snapshot: &Path, port: u16) -> Self {
        let mut server = Self::stopped(Kind::Watchful, env!("CARGO_BIN_EXE_watchful").into(), &[]);
        server.port = port;
        let mut restore = clean(&server.program);
        restore.args(["restore", "--from-etcd"]).arg(snapshot).arg("--data-dir").arg(server.data_dir());
        succeed(&mut restore);
        server.start_again();
        server
    }

    /// A real etcd on what a snapshot holds; none where there is none, which has then been said.
    pub(crate) fn etcd_of(snapshot: &Path) -> Option<Self> {
        let mut server = Self::stopped(Kind::Etcd, peer("etcd")?, &[]);
        let mut restore = clean(&peer("etcdctl")?);
        restore.env("ETCDCTL_API", "3").args(["snapshot", "restore"]).arg(snapshot);
        succeed(restore.arg("--data-dir").arg(server.data_dir()));
        server.start_first();
        Some(server)
    }

    fn launch(kind: Kind, program: PathBuf, arguments: &[&str]) -> Self {
        let mut server = Self::stopped(kind, program, arguments);
        server.start_first();
        server
    }

    fn stopped(kind: Kind, program: PathBuf, arguments: &[&str]) -> Self {
        let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let is_secure = arguments.iter().any(|argument| argument.starts_with("--cert-file"));
        let scheme = if is_secure { "https" } else { "http" };
        let folder = tempfile::tempdir().unwrap();
        // etcd talks to itself at the address it was told, so it needs one that is no 0.
        let port = if kind == Kind::Etcd { free_port() } else { 0 };
        Self { kind, program, arguments, folder, scheme, port, process: None }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Starts a server that nobody knows the port of: with another one where etcd ends before it is ready, since somebody else may
    /// have taken it between its finding and its use.
    fn start_first(&mut self) {
        let may_fail = if self.kind == Kind::Etcd { STARTS_MAX - 1 } else { 0 };
        for _ in 0..may_fail {
            let mut process = Process::spawn(&mut self.command());
            if process.find("being ready", |line| port_of(Kind::Etcd, line)).is_some() {
                self.process = Some(process);
                return;
            }
            self.port = free_port();
        }
        self.start_again();
    }

    /// Starts a stopped server: the same folder, the same port.
    pub(crate) fn start_again(&mut self) {
        assert!(self.process.is_none(), "a server that runs is not started");
        let mut process = Process::spawn(&mut self.command());
        let kind = self.kind;
        self.port = process.expect("being ready", |line| port_of(kind, line));
        self.process = Some(process);
    }

    /// How the server is started: `--data-dir` and the addresses, and what the test has added.
    fn command(&self) -> Command {
        let address = self.endpoint();
        let mut command = clean(&self.program);
        command.arg("--data-dir").arg(self.data_dir()).args(["--listen-client-urls", &address]);
        if self.kind == Kind::Etcd {
            let peers = "http://127.0.0.1:0";
            command.args(["--advertise-client-urls", &address, "--listen-peer-urls", peers]);
            command.args([
                "--initial-advertise-peer-urls",
                peers,
                "--initial-cluster",
                "default=http://127.0.0.1:0",
            ]);
        }
        command.args(&self.arguments);
        command
    }

    pub(crate) fn is_etcd(&self) -> bool {
        self.kind == Kind::Etcd
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// A folder for whatever else a test needs to keep, deleted with the server.
    pub(crate) fn scratch(&self) -> &Path {
        self.folder.path()
    }

    /// `127.0.0.1:PORT`.
    pub(crate) fn authority(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// `http://127.0.0.1:PORT`; with `https` where the server was given a certificate.
    pub(crate) fn endpoint(&self) -> String {
        format!("{}://{}", self.scheme, self.authority())
    }

    pub(crate) fn is_secure(&self) -> bool {
        self.scheme == "https"
    }

    pub(crate) fn process_id(&self) -> u32 {
        self.process.as_ref().expect("the server should run").id()
    }

    /// Sends SIGKILL and waits for the end.
    pub(crate) fn kill(&mut self) {
        self.process.take().expect("the server should run").kill();
    }

    /// Sends SIGTERM and waits for the end.
    pub(crate) fn terminate(&mut self) -> Ended {
        let process = self.process.take().expect("the server should run");
        process.signal(Signal::TERM);
        process.finish()
    }
}

/// Runs a command that must succeed, however large what it works on is.
fn succeed(command: &mut Command) {
    let ended = Process::spawn(command).finish_within(10 * DEADLINE);
    assert!(ended.status.success(), "{command:?} failed: {ended:#?}");
}

/// The port that a line tells. This is the one place that knows how the programs say that they are ready.
fn port_of(kind: Kind, line: &str) -> Option<u16> {
    let before: &[&str] = match kind {
        Kind::Watchful => &["ready: watchful serves "],
        Kind::Etcd => &["serving insecure client requests on ", "serving client requests on "],
    };
    let address = before.iter().find_map(|before| line.split_once(before))?.1;
    let address = address.strip_prefix("https://").or(address.strip_prefix("http://")).unwrap_or(address);
    let digits = address.strip_prefix("127.0.0.1:")?;
    let end = digits.find(|character: char| !character.is_ascii_digit()).unwrap_or(digits.len());
    digits[..end].parse().ok()
}

/// A command that no setting of the developer's environment reaches.
pub(crate) fn clean(program: &Path) -> Command {
    let mut command = Command::new(program);
    let settings = std::env::vars_os().map(|(name, _)| name).filter(|name| {
        let name = name.to_string_lossy();
        name.starts_with("ETCD") || name.starts_with("WATCHFUL_")
    });
    settings.for_each(|name| {
        command.env_remove(name);
    });
    command
}

/// A port that was free a moment ago.
fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap().port()
}
