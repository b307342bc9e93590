//! A program that runs beside a test: its lines as they come, every wait bounded, and killed when the test is over.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// How long anything may take that is over in an instant on a quiet machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// How many lines of a program are shown when its test fails.
const SHOWN_LINES: usize = 40;

/// A running program. Its drop kills it, and shows its last lines where the test has failed.
pub(crate) struct Process {
    name: String,
    child: Child,
    /// Open only where the test goes on to write to it.
    stdin: Option<ChildStdin>,
    lines: Receiver<Line>,
    seen: Vec<Line>,
    quiet: bool,
}

#[derive(Clone, Debug)]
struct Line {
    from: Stream,
    text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stream {
    Stdout,
    Stderr,
}

/// How a program ended, and all it said.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Process {
    pub(crate) fn spawn(command: &mut Command) -> Self {
        Self::spawn_with_input(command, "")
    }

    /// Starts it with `input` on its standard input, which then ends.
    pub(crate) fn spawn_with_input(command: &mut Command, input: &str) -> Self {
        let mut process = Self::spawn_interactive(command);
        // A program that does not read what it was given is judged by what it says.
        let _ = process.stdin.take().unwrap().write_all(input.as_bytes());
        process
    }

    /// Starts it with its standard input open for [`Process::send`].
    pub(crate) fn spawn_interactive(command: &mut Command) -> Self {
        let name = command.get_program().to_string_lossy().into_owned();
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{name} did not start: {error}"));
        let (sender, lines) = channel();
        forward(Stream::Stdout, child.stdout.take().unwrap(), sender.clone());
        forward(Stream::Stderr, child.stderr.take().unwrap(), sender);
        let stdin = child.stdin.take();
        Self { name, child, stdin, lines, seen: Vec::new(), quiet: false }
    }

    /// Writes a line to its standard input.
    pub(crate) fn send(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().expect("only an interactive program is sent lines");
        writeln!(stdin, "{line}").unwrap();
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for a line, on either stream, of which `find` makes something. Lines before it are passed over.
    pub(crate) fn expect<T>(&mut self, what: &str, find: impl FnMut(&str) -> Option<T>) -> T {
        self.expect_within(DEADLINE, what, find)
    }

    /// The same, of a program that has much to do before.
    pub(crate) fn expect_within<T>(
        &mut self,
        limit: Duration,
        what: &str,
        find: impl FnMut(&str) -> Option<T>,
    ) -> T {
        let found = self.find_within(limit, what, find);
        found.unwrap_or_else(|| panic!("{} ended before {what}: {}", self.name, self.tail()))
    }

    /// The same, of a program that may end before; none where it does.
    pub(crate) fn find<T>(&mut self, what: &str, find: impl FnMut(&str) -> Option<T>) -> Option<T> {
        self.find_within(DEADLINE, what, find)
    }

    fn find_within<T>(
        &mut self,
        limit: Duration,
        what: &str,
        mut find: impl FnMut(&str) -> Option<T>,
    ) -> Option<T> {
        let deadline = Instant::now() + limit;
        loop {
            match self.next_line(deadline) {
                Next::Line(line) => {
                    if let Some(found) = find(&line) {
                        return Some(found);
                    }
                }
                Next::End => return None,
                Next::Late => panic!("{} did not come to {what}: {}", self.name, self.tail()),
            }
        }
    }

    /// Waits for this very line.
    pub(crate) fn expect_line(&mut self, line: &str) {
        self.expect(&format!("the line {line:?}"), |seen| (seen == line).then_some(()));
    }

    /// Waits for each of these lines in turn, with nothing between them.
    pub(crate) fn expect_next(&mut self, lines: &[&str]) {
        for line in lines {
            let seen = self.expect(&format!("the line {line:?}"), |seen| Some(seen.to_owned()));
            assert_eq!(&seen, line, "{}: {}", self.name, self.tail());
        }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for its end.
    pub(crate) fn finish(mut self) -> Ended {
        self.wait(DEADLINE)
    }

    /// Waits for its end, for as long as `limit`.
    pub(crate) fn finish_within(mut self, limit: Duration) -> Ended {
        self.wait(limit)
    }

    /// Kills it and waits for its end. Answers with all it said.
    pub(crate) fn kill(mut self) -> Ended {
        // It may have ended by itself.
        let _ = self.child.kill();
        self.wait(DEADLINE)
    }

    fn wait(&mut self, limit: Duration) -> Ended {
        let deadline = Instant::now() + limit;
        loop {
            match self.next_line(deadline) {
                Next::Line(_) => {}
                Next::End => break,
                Next::Late => panic!("{} did not end within {limit:?}: {}", self.name, self.tail()),
            }
        }
        let status = self.child.wait().unwrap();
        self.quiet = true;
        Ended { status, stdout: self.text(Stream::Stdout), stderr: self.text(Stream::Stderr) }
    }

    fn next_line(&mut self, deadline: Instant) -> Next {
        match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(line) => {
                self.seen.push(line.clone());
                Next::Line(line.text)
            }
            Err(RecvTimeoutError::Disconnected) => Next::End,
            Err(RecvTimeoutError::Timeout) => Next::Late,
        }
    }

    fn text(&self, from: Stream) -> String {
        let lines = self.seen.iter().filter(|line| line.from == from);
        lines.flat_map(|line| [line.text.as_str(), "\n"]).collect()
    }

    fn tail(&self) -> String {
        let last = &self.seen[self.seen.len().saturating_sub(SHOWN_LINES)..];
        last.iter().flat_map(|line| ["\n    ", line.text.as_str()]).collect()
    }
}

enum Next {
    Line(String),
    End,
    Late,
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may be gone already, and a test that fails has said why.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() && !self.quiet {
            while let Ok(line) = self.lines.try_recv() {
                self.seen.push(line);
            }
            eprintln!("the last lines of {}:{}", self.name, self.tail());
        }
    }
}

/// Sends each line of `from` to a test that may not be listening yet. A program whose lines nobody took would stop.
fn forward(stream: Stream, from: impl Read + Send + 'static, to: Sender<Line>) {
    thread::spawn(move || {
        let mut from = BufReader::new(from);
        let mut bytes = Vec::new();
        while from.read_until(b'\n', &mut bytes).is_ok_and(|read| read > 0) {
            let text = String::from_utf8_lossy(&bytes).trim_end_matches(['\n', '\r']).to_owned();
            bytes.clear();
            // Whoever started it is gone: read on, so that it can end.
            let _ = to.send(Line { from: stream, text });
        }
    });
}
