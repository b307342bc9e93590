//! `--watch`: prints the changes below a prefix, those from the past first, then each as it is committed to the store.
//!
//! A store is open in one program at a time, so this one also brings it up to date: it looks for new commits every
//! second, and replays them.

use std::io::Write;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use watchful::{Batch, Event, EventKind, Store, Update, WatchOptions};

use crate::failure::Failure;
use crate::git::Repository;
use crate::keys::{path_of, paths, split_value};
use crate::quote::push_quoted;
use crate::replay::{Line, replay};

/// How often new commits are looked for.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What is to be followed.
#[derive(Clone, Debug)]
pub(crate) struct Follow {
    pub(crate) prefix: Vec<u8>,
    /// The first revision; 0 is the next one.
    pub(crate) from: u64,
    /// End with the newest commit there is now.
    pub(crate) once: bool,
}

/// Prints what is followed, until it is interrupted, or nobody reads any more.
pub(crate) fn follow(
    repository: &Repository,
    store: &Store,
    what: &Follow,
    out: &mut impl Write,
) -> Result<(), Failure> {
    let last = Line::find(repository, store)?.last_revision();
    let mut watch = store.watch(&WatchOptions::new(paths(&what.prefix)).start_at(what.from))?;
    if what.once {
        watch.ask_progress(last);
    }
    let (stop, stopped) = mpsc::channel();
    thread::scope(|scope| {
        let replaying = scope.spawn(move || {
            let outcome = keep_up(repository, store, what.once, &stopped);
            if outcome.is_err() {
                // Ends the watch, for which nothing more would come.
                store.close();
            }
            outcome
        });
        let printed = print(watch.updates().map_while(Result::ok), what.once.then_some(last), out);
        drop(stop);
        // A thread that panicked has said so; there is nothing to add.
        let replayed = replaying.join().unwrap_or(Err(Failure::said("the replay panicked")));
        printed.and(replayed)
    })
}

/// Replays what is new, until the other end of `stopped` is dropped.
fn keep_up(
    repository: &Repository,
    store: &Store,
    once: bool,
    stopped: &Receiver<()>,
) -> Result<(), Failure> {
    loop {
        let line = Line::find(repository, store)?;
        let asked = || matches!(stopped.try_recv(), Err(mpsc::TryRecvError::Disconnected));
        let replayed = replay(repository, store, &line, None, |_| match asked() {
            true => Err(Failure::Stopped),
            false => Ok(()),
        });
        match replayed {
            Err(Failure::Stopped) => return Ok(()),
            other => other?,
        };
        if once || stopped.recv_timeout(LOOK_EVERY) != Err(RecvTimeoutError::Timeout) {
            return Ok(());
        }
    }
}

fn print(
    updates: impl Iterator<Item = Update>,
    until: Option<u64>,
    out: &mut impl Write,
) -> Result<(), Failure> {
    for update in updates {
        match update {
            Update::Events(batch) => print_batch(&batch, out)?,
            Update::Progress { revision } if until.is_some_and(|until| revision >= until) => break,
            Update::Progress { .. } => {}
        }
    }
    Ok(())
}

fn print_batch(batch: &Batch, out: &mut impl Write) -> Result<(), Failure> {
    let mut lines = Vec::new();
    batch.events().iter().for_each(|event| push_event(event, &mut lines));
    out.write_all(&lines)?;
    Ok(out.flush()?)
}

/// `<revision> put <mode> <type> <id>`, the path and the subject; or `<revision> delete` and the path. Tabs between.
fn push_event(event: &Event, lines: &mut Vec<u8>) {
    let (left, subject) = split_value(event.value());
    lines.extend_from_slice(event.revision().main.to_string().as_bytes());
    match event.kind() {
        EventKind::Put => lines.extend_from_slice(&[b" put ", left, b"\t"].concat()),
        EventKind::Delete => lines.extend_from_slice(b" delete\t"),
    }
    push_quoted(path_of(event.key()).unwrap_or(event.key()), true, lines);
    if event.kind() == EventKind::Put {
        lines.push(b'\t');
        push_quoted(subject, false, lines);
    }
    lines.push(b'\n');
}
