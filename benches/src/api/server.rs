//! A server as a process of its own, on a port of its own, with a folder on a disk.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::process::Process;
use crate::Outcome;
use crate::disk::folder;
use crate::gear::Gear;

/// How long a server may take to start, with a large folder.
const START_MAX: Duration = Duration::from_secs(120);

const STOP_MAX: Duration = Duration::from_secs(30);

const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(2);

/// Which server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Watchful,
    Etcd,
}

/// A server that runs until this is dropped.
pub(crate) struct Server {
    child: Child,
    port: u16,
    last_lines: LastLines,
}

/// What a server said last.
type LastLines = Arc<Mutex<VecDeque<String>>>;

/// How many lines of it are kept: a crash is told over several.
const LAST_LINES: usize = 6;

/// A server with a folder of its own, which goes when the server is gone.
pub(crate) struct Host {
    pub(crate) server: Server,
    _folder: TempDir,
}

impl Host {
    pub(crate) fn start(gear: &Gear, side: Side) -> Outcome<Self> {
        let folder = folder()?;
        Ok(Self { server: Server::start(gear, side, folder.path())?, _folder: folder })
    }
}

impl Server {
    /// Starts it on this folder, with its own defaults, and waits until it says where it listens.
    pub(crate) fn start(gear: &Gear, side: Side, data: &Path) -> Outcome<Self> {
        let child = side.spawn(side.command(gear, data))?;
        let mut server = Self { child, port: 0, last_lines: LastLines::default() };
        let (send, lines) = channel();
        if let Some(output) = server.child.stdout.take() {
            hand_on_lines(output, send.clone(), Arc::clone(&server.last_lines));
        }
        if let Some(output) = server.child.stderr.take() {
            hand_on_lines(output, send, Arc::clone(&server.last_lines));
        }
        server.port = listening_port(side, &lines)?;
        Ok(server)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn process(&self) -> Process {
        Process(self.child.id())
    }

    /// What it said last, for whoever finds it gone.
    pub(crate) fn last_words(&self) -> String {
        let lines = self.last_lines.lock();
        let lines = lines.map(|lines| lines.iter().cloned().collect::<Vec<_>>().join(" / "));
        format!("the last it said was {:?}", lines.unwrap_or_default())
    }

    /// Asks it to end, and waits until it has.
    pub(crate) fn stop(mut self) -> Outcome {
        let pid = Pid::from_raw(i32::try_from(self.child.id())?).ok_or("the server has no process id")?;
        kill_process(pid, Signal::TERM)?;
        let asked = Instant::now();
        while self.child.try_wait()?.is_none() {
            if asked.elapsed() > STOP_MAX {
                return Err(format!("the server still runs {STOP_MAX:?} after it was asked to end").into());
            }
            thread::sleep(LOOK_AGAIN_AFTER);
        }
        Ok(())
    }

    /// One of the figures that the server tells of itself.
    pub(crate) fn metric(&self, name: &str) -> Outcome<f64> {
        let mut socket = TcpStream::connect(("127.0.0.1", self.port))?;
        socket.set_read_timeout(Some(STOP_MAX))?;
        socket.write_all(b"GET /metrics HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")?;
        let mut text = String::new();
        socket.read_to_string(&mut text)?;
        let told = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        Ok(told.ok_or_else(|| format!("/metrics does not tell {name}"))?.trim().parse()?)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Side {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Watchful => "watchful",
            Self::Etcd => "etcd",
        }
    }

    /// Whether it can be started.
    pub(crate) fn look_for(self, gear: &Gear) -> Outcome {
        let mut command = Command::new(self.program(gear));
        command.arg("--version");
        let mut child = self.spawn(command)?;
        child.kill()?;
        child.wait()?;
        Ok(())
    }

    fn spawn(self, mut command: Command) -> Outcome<Child> {
        let spawned = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let program = command.get_program().display();
        Ok(spawned.map_err(|error| format!("{program} does not start: {error}. {}", self.remedy()))?)
    }

    fn program(self, gear: &Gear) -> &Path {
        match self {
            Self::Watchful => &gear.watchful,
            Self::Etcd => Path::new("etcd"),
        }
    }

    fn command(self, gear: &Gear, data: &Path) -> Command {
        const ANY_PORT: &str = "http://127.0.0.1:0";
        let mut command = Command::new(self.program(gear));
        match self {
            Self::Watchful => {
                command.arg("--data-dir").arg(data).args(["--listen-client-urls", ANY_PORT]);
            }
            Self::Etcd => {
                command.arg("--data-dir").arg(data).args(["--listen-client-urls", ANY_PORT]);
                command.args(["--advertise-client-urls", ANY_PORT, "--listen-peer-urls", ANY_PORT]);
                command.args(["--initial-advertise-peer-urls", ANY_PORT]);
                command.args(["--initial-cluster", "default=http://127.0.0.1:0"]);
                // The gateway would look for itself at the advertised port, again and again.
                command.arg("--enable-grpc-gateway=false");
            }
        }
        command
    }

    fn remedy(self) -> &'static str {
        match self {
            Self::Watchful => "`cargo xtask bench` builds it; `--watchful PATH` names another one",
            Self::Etcd => "etcd 3.4.23 has to be on PATH (Debian: `apt-get install etcd-server`)",
        }
    }

    /// The port in the line that says where the server listens.
    fn port_in(self, line: &str) -> Option<u16> {
        let is_it = match self {
            Self::Watchful => line.contains("ready: watchful serves"),
            Self::Etcd => line.contains("serving insecure client requests on"),
        };
        let rest = line.split_once("127.0.0.1:").filter(|_| is_it)?.1;
        rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
    }
}

/// Reads to the end, so that the server is never held up by a full pipe.
fn hand_on_lines(output: impl Read + Send + 'static, lines: Sender<String>, last: LastLines) {
    thread::spawn(move || {
        // Not `lines`, which would end at the first that is no text: a server whose output is closed ends too.
        for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line).into_owned();
            if let Ok(mut last) = last.lock() {
                last.push_back(line.clone());
                let too_many = last.len().saturating_sub(LAST_LINES);
                last.drain(..too_many);
            }
            // Nobody listens any more once the port is known.
            let _ = lines.send(line);
        }
    });
}

fn listening_port(side: Side, lines: &Receiver<String>) -> Outcome<u16> {
    let (begun, mut last) = (Instant::now(), String::new());
    while let Ok(line) = lines.recv_timeout(START_MAX.saturating_sub(begun.elapsed())) {
        if let Some(port) = side.port_in(&line) {
            return Ok(port);
        }
        last = line;
    }
    let (name, remedy) = (side.name(), side.remedy());
    Err(format!("{name} did not say where it listens; the last it said was {last:?}. {remedy}").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_is_found_in_the_line_that_says_so() {
        let ours = "ready: watchful serves http://127.0.0.1:4711 (folder 127.0.0.1:9)";
        assert_eq!(Side::Watchful.port_in(ours), Some(4711));
        let theirs = "11:37:15 N | embed: serving insecure client requests on 127.0.0.1:42657, this is …";
        assert_eq!(Side::Etcd.port_in(theirs), Some(42657));
        assert_eq!(Side::Etcd.port_in("embed: listening for peers on 127.0.0.1:39569"), None);
    }
}
