//! Another process: this program once more, told by its environment to work in a folder. It tells its parent by lines on
//! the standard output, and the parent kills it.
//!
//! In a test binary the child runs one test, which asks for its [`task`] first. A program of trials asks for the [`work`]
//! that is wanted before it does anything else.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

const FOLDER: &str = "WATCHFUL_TEST_FOLDER";
const TASK: &str = "WATCHFUL_TEST_TASK";
const WORK: &str = "WATCHFUL_TEST_WORK";
const DIES_AT: &str = "WATCHFUL_TEST_DIES_AT";

/// What sets the child's lines apart from those of the test harness.
const MARK: &str = "told: ";

/// The folder and the number that the parent gave; none in the parent itself.
#[must_use]
pub fn task() -> Option<(PathBuf, u64)> {
    let number = std::env::var(TASK).ok()?.parse().unwrap();
    Some((std::env::var_os(FOLDER)?.into(), number))
}

/// Which work the parent wants done; none in the parent, and in a test.
#[must_use]
pub fn work() -> Option<String> {
    std::env::var(WORK).ok()
}

/// Tells the parent. It is in the pipe when this returns, whatever happens to this process.
pub fn tell(line: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("\n{MARK}{line}\n").as_bytes()).expect("the parent should listen");
    out.flush().expect("the parent should listen");
}

/// From here on a thread that panics ends the process, so that its parent hears of it; and the process dies at the place
/// that the parent chose for it, if it did.
pub fn begin() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        usual(panic);
        std::process::exit(101);
    }));
    if let Ok(place) = std::env::var(DIES_AT) {
        die_at(&place);
    }
}

#[cfg(feature = "failpoints")]
fn die_at(place: &str) {
    use std::sync::atomic::{AtomicU64, Ordering};
    let (name, times) = place.split_once(' ').unwrap();
    let left = AtomicU64::new(times.parse().unwrap());
    let die = move || {
        if left.fetch_sub(1, Ordering::SeqCst) == 1 {
            // As a kill from outside, but exactly here.
            let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        }
    };
    fail::cfg_callback(name, die).unwrap();
}

#[cfg(not(feature = "failpoints"))]
fn die_at(place: &str) {
    panic!("{place}: this program was built without failpoints");
}

/// How this program is started once more.
#[derive(Clone, Copy, Debug)]
pub enum Program {
    /// A test binary: this test of it.
    Test(&'static str),
    /// A program of trials: this work of it.
    Trials(&'static str),
}

impl Program {
    fn command(self, mut command: Command) -> Command {
        match self {
            Self::Test(name) => command.args(["--exact", name, "--nocapture", "--test-threads=1"]),
            Self::Trials(work) => command.env(WORK, work),
        };
        command
    }
}

/// A place in the product that has a name, and the how many-th time there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its name.
    pub name: &'static str,
    /// Which time, from 1 on.
    pub time: u64,
}

/// A child that works. Its drop kills it.
pub struct Working {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Working {
    /// Starts one that works in `folder`.
    #[must_use]
    pub fn spawn(program: Program, folder: &Path, task: u64) -> Self {
        Self::spawn_to_die(program, folder, task, None)
    }

    /// The same; it dies at a place of the product, if it comes there.
    #[must_use]
    pub fn spawn_to_die(program: Program, folder: &Path, task: u64, dies_at: Option<Place>) -> Self {
        let mut command = program.command(Command::new(std::env::current_exe().unwrap()));
        if let Some(Place { name, time }) = dies_at {
            command.env(DIES_AT, format!("{name} {time}"));
        }
        Self::spawn_by(command, folder, task)
    }

    /// Under a limit on the size of its files, in blocks of 512 or 1,024 bytes, as the shell counts. A write beyond it
    /// fails, as it does on a full disk.
    #[must_use]
    pub fn spawn_limited(blocks: u64, program: Program, folder: &Path, task: u64) -> Self {
        let mut shell = Command::new("sh");
        let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\"");
        shell.arg("-c").arg(script).arg(std::env::current_exe().unwrap());
        Self::spawn_by(program.command(shell), folder, task)
    }

    fn spawn_by(mut command: Command, folder: &Path, task: u64) -> Self {
        command.env(FOLDER, folder).env(TASK, task.to_string());
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Self { child, lines }
    }

    /// The next line that the child told; none when it has ended. A line that was cut off was not told.
    pub fn next_line(&mut self) -> Option<String> {
        loop {
            let mut line = Vec::new();
            self.lines.read_until(b'\n', &mut line).unwrap();
            if line.pop() != Some(b'\n') {
                return None;
            }
            if let Some(told) = String::from_utf8(line).unwrap().strip_prefix(MARK) {
                return Some(told.to_owned());
            }
        }
    }

    /// The next line, which must be there.
    pub fn told(&mut self) -> String {
        self.next_line().expect("the child ended without a word")
    }

    /// Kills it, wherever it is. Answers with what it had told and nobody had read yet.
    #[must_use]
    pub fn kill(mut self) -> Vec<String> {
        self.child.kill().unwrap();
        let rest = std::iter::from_fn(|| self.next_line()).collect();
        let status = self.child.wait().unwrap();
        assert_eq!(status.signal(), Some(9), "the child failed by itself: {status}, after {rest:?}");
        rest
    }

    /// Waits for its end, which must be a good one. Answers with what it told.
    #[must_use]
    pub fn finish(mut self) -> Vec<String> {
        let told = std::iter::from_fn(|| self.next_line()).collect();
        let status = self.child.wait().unwrap();
        assert!(status.success(), "the child failed: {status}, after {told:?}");
        told
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        // It may be gone already, and whoever failed has said why.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
