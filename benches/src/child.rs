//! A workload in a process of its own: what one leaves behind in memory does not weigh on the next, and one that hangs
//! is ended.

use std::io::{BufRead, BufReader, Read, stdin};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, getpgrp, getpid, kill_current_process_group, kill_process_group};

use crate::Outcome;
use crate::catalogue::Workload;
use crate::disk::remove_of;
use crate::gear::Gear;
use crate::progress::Progress;
use crate::report::{Measured, Row, line};

/// When a workload of a quick run is given up: it takes half a minute at most where nothing else runs, and many times that where
/// much else does.
const QUICK_TIME_MAX: Duration = Duration::from_secs(300);

/// How often the progress is shown anew.
const TICK: Duration = Duration::from_millis(500);

/// What a workload's process says.
enum Said {
    /// On its output: a row.
    Row(String),
    /// On its error stream, for people.
    Line(String),
}

/// Runs the workload, tells its rows as they come, and returns them. One that fails or is ended costs the others nothing, and
/// what it printed before is kept.
pub(crate) fn run(workload: &'static Workload, gear: &Gear, progress: &mut Progress) -> Outcome<Measured> {
    progress.begin(workload.name, workload.question);
    let scale = gear.scale;
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["--inside", workload.name]).args(scale.quick.then_some("--quick"));
    command.arg("--watchful").arg(&gear.watchful).args(gear.beside_etcd.then_some("--peer=etcd"));
    command.args(gear.leaves_long_cells.then_some("--leave-long-cells"));
    // A group of its own: a workload's servers are in it, and end with it.
    command.process_group(0);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    let (begun, time_max) = (Instant::now(), scale.pick(workload.time_max, QUICK_TIME_MAX));
    let Heard { rows, in_time, last_line } = watch(&mut child, begun + time_max, progress);
    let ended = child.wait()?;
    remove_of(child.id());
    let seconds = progress.end(workload.name);
    let failed = match (in_time, ended.success()) {
        (true, true) => None,
        (false, _) => Some(format!("ended after {time_max:?}")),
        (true, false) => Some(format!("failed: {}", last_line.unwrap_or_else(|| ended.to_string()))),
    };
    Ok(Measured { name: workload.name.to_owned(), seconds, rows, failed })
}

/// In the child: ends the process when its parent is gone, so that nothing measures on unseen.
pub(crate) fn end_with_parent() {
    thread::spawn(|| {
        let mut line = String::new();
        // The parent never writes; the pipe closes when it is gone.
        if matches!(stdin().read_line(&mut line), Ok(0) | Err(_)) {
            remove_of(std::process::id());
            if getpgrp() == getpid() {
                // The servers it has started are in its group, and nobody else's processes are.
                let _ = kill_current_process_group(Signal::KILL);
            }
            std::process::exit(1);
        }
    });
}

/// What was heard of a workload.
#[derive(Default)]
struct Heard {
    rows: Vec<Row>,
    /// It ended by itself, before its time was over.
    in_time: bool,
    /// Of a workload that fails, the reason.
    last_line: Option<String>,
}

/// Listens to the child until it ends, or its time is over. Then it is killed.
fn watch(child: &mut Child, deadline: Instant, progress: &Progress) -> Heard {
    let (said, mut heard) = (listen(child), Heard::default());
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match said.recv_timeout(left.min(TICK)) {
            Ok(Said::Row(text)) => heard.rows.extend(parse(&text, progress)),
            Ok(Said::Line(text)) => {
                progress.tell(&text);
                heard.last_line = Some(text);
            }
            Err(RecvTimeoutError::Disconnected) => return Heard { in_time: true, ..heard },
            Err(RecvTimeoutError::Timeout) if left.is_zero() => {
                // Where it has just ended by itself there is nothing to kill.
                let _ = kill_group(child);
                return heard;
            }
            Err(RecvTimeoutError::Timeout) => progress.tick(),
        }
    }
}

/// What the child says, until both its streams are closed.
fn listen(child: &mut Child) -> Receiver<Said> {
    let (send, said) = channel();
    if let Some(output) = child.stdout.take() {
        hand_on(output, send.clone(), Said::Row);
    }
    if let Some(errors) = child.stderr.take() {
        hand_on(errors, send, Said::Line);
    }
    said
}

fn hand_on(stream: impl Read + Send + 'static, send: Sender<Said>, as_said: fn(String) -> Said) {
    thread::spawn(move || {
        let lines = BufReader::new(stream).lines().map_while(Result::ok);
        lines.map(as_said).try_for_each(|said| send.send(said))
    });
}

/// Ends the workload, and the servers it has started.
fn kill_group(child: &Child) -> Outcome {
    let group = Pid::from_raw(i32::try_from(child.id())?).ok_or("the child has no process id")?;
    Ok(kill_process_group(group, Signal::KILL)?)
}

fn parse(text: &str, progress: &Progress) -> Option<Row> {
    let row = serde_json::from_str(text).ok()?;
    progress.tell(&line(&row));
    Some(row)
}
