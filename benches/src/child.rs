//! A workload in a process of its own: what one leaves behind in memory does not weigh on the next, and one that hangs
//! is ended.

use std::io::{BufRead, BufReader, stdin};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, getpgrp, getpid, kill_current_process_group, kill_process_group};
use serde_json::Value;

use crate::Outcome;
use crate::catalogue::Workload;
use crate::disk::remove_of;
use crate::gear::Gear;
use crate::report::{failure, print_row};

/// When a workload of a quick run is given up.
const QUICK_TIME_MAX: Duration = Duration::from_secs(60);

/// Runs the workload, tells its rows as they come, and returns them. One that fails or is ended costs the others nothing;
/// what it printed before is kept, and the last row says what happened.
pub(crate) fn run(workload: &'static Workload, gear: &Gear) -> Outcome<Vec<Value>> {
    eprintln!("{}: {} …", workload.name, workload.question);
    let scale = gear.scale;
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["--inside", workload.name]).args(scale.quick.then_some("--quick"));
    command.arg("--watchful").arg(&gear.watchful).args(gear.beside_etcd.then_some("--peer=etcd"));
    // A group of its own: a workload's servers are in it, and end with it.
    command.process_group(0);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let (begun, time_max) = (Instant::now(), scale.pick(workload.time_max, QUICK_TIME_MAX));
    let (mut rows, in_time) = watch(&mut child, begun + time_max);
    let ended = child.wait()?;
    remove_of(child.id());
    let seconds = begun.elapsed().as_secs_f64();
    eprintln!("{}: took {seconds:.0} s", workload.name);
    if !in_time {
        rows.push(failure(workload.name, &format!("ended after {time_max:?}")));
    } else if !ended.success() {
        rows.push(failure(workload.name, &format!("failed: {ended}")));
    }
    Ok(rows)
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

/// The rows the child prints until it ends, and whether it did so in time. Otherwise it is killed.
fn watch(child: &mut Child, deadline: Instant) -> (Vec<Value>, bool) {
    let (send, lines) = mpsc::channel();
    if let Some(output) = child.stdout.take() {
        thread::spawn(move || {
            BufReader::new(output).lines().map_while(Result::ok).try_for_each(|line| send.send(line))
        });
    }
    let mut rows = Vec::new();
    loop {
        match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(line) => rows.extend(parse(&line)),
            Err(mpsc::RecvTimeoutError::Disconnected) => return (rows, true),
            Err(mpsc::RecvTimeoutError::Timeout) => {
                // Where it has just ended by itself there is nothing to kill.
                let _ = kill_group(child);
                return (rows, false);
            }
        }
    }
}

/// Ends the workload, and the servers it has started.
fn kill_group(child: &Child) -> Outcome {
    let group = Pid::from_raw(i32::try_from(child.id())?).ok_or("the child has no process id")?;
    Ok(kill_process_group(group, Signal::KILL)?)
}

fn parse(line: &str) -> Option<Value> {
    let row = serde_json::from_str(line).ok()?;
    print_row(&row);
    Some(row)
}
