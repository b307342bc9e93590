//! A server of the program in a folder of its own, and transcripts of what is done with it.

use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Longer than anything here takes: nothing waits for it unless something is lost.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_watchful"));
    for variable in ["ENDPOINT", "USER", "PASSWORD"] {
        command.env_remove(format!("WATCHFUL_{variable}")).env_remove(format!("ETCDCTL_{variable}"));
    }
    command
}

/// A running server.
pub(crate) struct Server {
    child: Child,
    pub(crate) url: String,
    dir: TempDir,
}

impl Server {
    pub(crate) fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (child, url) = serve(dir.path(), "http://127.0.0.1:0");
        Self { child, url, dir }
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Kills it as a power failure would.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Serves another of its folders from now on, at the same address.
    pub(crate) fn serve_from(&mut self, folder: &str) {
        let (data, folder) = (self.dir().join("data"), self.dir().join(folder));
        std::fs::remove_dir_all(&data).unwrap();
        std::fs::rename(folder, data).unwrap();
        self.start_again();
    }

    /// Serves the same folder at the same address again.
    pub(crate) fn start_again(&mut self) {
        (self.child, self.url) = serve(self.dir.path(), &self.url);
    }

    /// A command for this server.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = program();
        command.args(words).env("WATCHFUL_ENDPOINT", &self.url);
        command
    }

    /// Runs a command to its end, and gives what it printed.
    pub(crate) fn run(&self, words: &[&str]) -> String {
        let output = self.command(words).output().unwrap();
        let (stdout, stderr) = (text(output.stdout), text(output.stderr));
        assert!(output.status.success(), "{words:?}: {stderr}");
        stdout
    }

    /// What somebody types after `$`, and what they see then: everything up to the next `$`. A command may end in
    /// `< TEXT`, which it gets on stdin, `\n` being a line's end. A failure is seen as `[EXIT CODE] ` and stderr.
    pub(crate) fn check(&self, transcript: &str) {
        check(transcript, |words| self.command(words));
    }
}

/// The same without a server, typed in the folder `dir`.
pub(crate) fn check_in(dir: &Path, transcript: &str) {
    check(transcript, |words| {
        let mut command = program();
        command.args(words).current_dir(dir);
        command
    });
}

fn check(transcript: &str, command: impl Fn(&[&str]) -> Command) {
    let mut seen = String::new();
    for line in transcript.lines().filter_map(|line| line.strip_prefix("$ ")) {
        let (words, stdin) = line.split_once(" < ").unwrap_or((line, ""));
        let command = command(&words.split(' ').map(unquoted).collect::<Vec<_>>());
        seen.push_str(&format!("$ {line}\n{}", type_in(command, stdin)));
    }
    assert_eq!(seen.trim_end(), transcript.trim(), "\nseen:\n{seen}");
}

fn type_in(mut command: Command, stdin: &str) -> String {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // What is typed is short, so it waits in the pipe for whoever reads it or not.
    let _ = child.stdin.take().unwrap().write_all(stdin.replace("\\n", "\n").as_bytes());
    let output = child.wait_with_output().unwrap();
    let (stdout, stderr) = (text(output.stdout), text(output.stderr));
    match output.status.code() {
        Some(0) => stdout,
        code => format!("{stdout}[{}] {stderr}", code.unwrap_or(-1)),
    }
}

fn unquoted(word: &str) -> &str {
    word.strip_prefix('\'').and_then(|word| word.strip_suffix('\'')).unwrap_or(word)
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts a server, and waits until it says where it listens.
fn serve(dir: &Path, url: &str) -> (Child, String) {
    let mut child = program()
        .arg("--data-dir")
        .arg(dir.join("data"))
        .args(["--listen-client-urls", url, "--advertise-client-urls", url])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (stdout, stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let lines = both(stdout, stderr);
    let deadline = Instant::now() + PATIENCE;
    let mut said = String::new();
    loop {
        match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(line) => match url_in(&line) {
                // Its lines go on being read by the threads, so that it never waits for them.
                Some(url) => return (child, url),
                None => said.push_str(&line),
            },
            Err(end) => panic!("the server does not say where it listens ({end}): {said}"),
        }
    }
}

/// Every line of both, as they come.
fn both(stdout: ChildStdout, stderr: ChildStderr) -> Receiver<String> {
    let (sender, receiver) = channel();
    for lines in [Box::new(stdout) as Box<dyn Read + Send>, Box::new(stderr)] {
        let sender = sender.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(lines).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
    }
    receiver
}

fn url_in(line: &str) -> Option<String> {
    let url = &line[line.find("http://127.0.0.1:")?..];
    let end = url.char_indices().skip("http://127.0.0.1:".len()).find(|(_, one)| !one.is_ascii_digit());
    let url = &url[..end.map_or(url.len(), |(at, _)| at)];
    // Port 0 is what it was asked for, not where it listens.
    (!url.ends_with(":0")).then(|| url.to_owned())
}

/// A command that goes on, line by line.
pub(crate) struct Going {
    child: Child,
    lines: Receiver<String>,
    stderr: std::thread::JoinHandle<String>,
}

impl Going {
    pub(crate) fn new(mut command: Command) -> Self {
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (stdout, mut stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        let stderr = std::thread::spawn(move || {
            let mut said = String::new();
            let _ = stderr.read_to_string(&mut said);
            said
        });
        Self { child, lines, stderr }
    }

    /// The next line; it has to come.
    pub(crate) fn line(&self) -> String {
        match self.lines.recv_timeout(PATIENCE) {
            Ok(line) => line,
            Err(RecvTimeoutError::Timeout) => panic!("no line has come"),
            Err(RecvTimeoutError::Disconnected) => panic!("the command has ended"),
        }
    }

    /// Waits for its end: how it ended, the lines it still printed, and what it said on stderr.
    pub(crate) fn end(mut self) -> (ExitStatus, Vec<String>, String) {
        let status = wait(&mut self.child);
        (status, self.lines.iter().collect(), self.stderr.join().unwrap())
    }

    /// Ends it.
    pub(crate) fn kill(mut self) -> (Vec<String>, String) {
        self.child.kill().unwrap();
        let (_, lines, stderr) = self.end();
        (lines, stderr)
    }
}

/// Waits until a child has ended.
pub(crate) fn wait(child: &mut Child) -> ExitStatus {
    let mut status = None;
    until("the command ends", || {
        status = child.try_wait().unwrap();
        status.is_some()
    });
    status.unwrap()
}

/// Waits for something to become so.
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "it does not come about that {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}
