//! Another process: this test binary once more, running one test. The test finds a folder in its environment, and does
//! there what its parent wants to see. It tells its parent by lines on the standard output.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

const FOLDER: &str = "WATCHFUL_TEST_FOLDER";
const TASK: &str = "WATCHFUL_TEST_TASK";

/// What sets the child's lines apart from those of the test harness.
const MARK: &str = "told: ";

/// The folder and the number that the parent gave; none in the parent itself.
pub(super) fn task() -> Option<(PathBuf, u64)> {
    let number = std::env::var(TASK).ok()?.parse().unwrap();
    Some((std::env::var_os(FOLDER)?.into(), number))
}

/// Tells the parent. It is in the pipe when this returns, whatever happens to this process.
pub(super) fn tell(line: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("\n{MARK}{line}\n").as_bytes()).expect("the parent should listen");
    out.flush().expect("the parent should listen");
}

/// A child that works. Its drop kills it.
pub(super) struct Working {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Working {
    pub(super) fn spawn(test: &str, folder: &Path, task: u64) -> Self {
        Self::spawn_by(Command::new(std::env::current_exe().unwrap()), test, folder, task)
    }

    /// Under a limit on the size of its files, in blocks of 512 or 1,024 bytes, as the shell counts. A write beyond it
    /// fails, as it does on a full disk.
    pub(super) fn spawn_limited(blocks: u64, test: &str, folder: &Path, task: u64) -> Self {
        let mut shell = Command::new("sh");
        let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\"");
        shell.arg("-c").arg(script).arg(std::env::current_exe().unwrap());
        Self::spawn_by(shell, test, folder, task)
    }

    fn spawn_by(mut command: Command, test: &str, folder: &Path, task: u64) -> Self {
        let command = command.args(["--exact", test, "--nocapture", "--test-threads=1"]);
        command.env(FOLDER, folder).env(TASK, task.to_string());
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Self { child, lines }
    }

    /// The next line that the child told; none when it has ended. A line that was cut off was not told.
    pub(super) fn next_line(&mut self) -> Option<String> {
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
    pub(super) fn told(&mut self) -> String {
        self.next_line().expect("the child ended without a word")
    }

    /// Kills it, wherever it is. Answers with what it had told and nobody had read yet.
    pub(super) fn kill(mut self) -> Vec<String> {
        self.child.kill().unwrap();
        let rest = std::iter::from_fn(|| self.next_line()).collect();
        self.child.wait().unwrap();
        rest
    }

    /// Waits for its end, which must be a good one. Answers with what it told.
    pub(super) fn finish(mut self) -> Vec<String> {
        let told = std::iter::from_fn(|| self.next_line()).collect();
        let status = self.child.wait().unwrap();
        assert!(status.success(), "the child failed: {status}, after {told:?}");
        told
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        // It may be gone already, and a test that fails has said why.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
