//! A process of its own that opens what may kill it, and tells what it reads.

use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitCode, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use bytes::Bytes;
use watchful_mvcc::{HistoryLimits, Mvcc, MvccError, PutOptions, Want};
use watchful_revision::Revision;
use watchful_testkit::Row;

use super::scene::{Facts, hash_of, settings};
use crate::rows::rows_at;
use crate::trials::Outcome;

/// The hidden argument that makes this program a reader.
pub(crate) const READER: &str = "read-damaged-copies";

/// Longer than any reading takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// What became of a folder that was opened.
pub(super) enum Read {
    Refused(String),
    Crashed(String),
    Hung,
    /// What it says, and a hash of all that is read at each revision from the compact revision on, but none for 0.
    Opened {
        facts: Facts,
        states: Vec<u64>,
    },
}

/// The process, as long as it lives.
pub(super) struct Reader {
    running: Option<Running>,
}

struct Running {
    child: Child,
    stdin: ChildStdin,
    lines: Receiver<String>,
}

impl Reader {
    pub(super) fn new() -> Self {
        Self { running: None }
    }

    pub(super) fn read(&mut self, dir: &Path) -> Outcome<Read> {
        let mut running = match self.running.take() {
            Some(running) => running,
            None => Running::start()?,
        };
        writeln!(running.stdin, "{}", dir.display())?;
        match running.lines.recv_timeout(PATIENCE) {
            Ok(line) => {
                self.running = Some(running);
                parse(&line)
            }
            Err(RecvTimeoutError::Timeout) => {
                running.child.kill()?;
                running.child.wait()?;
                Ok(Read::Hung)
            }
            Err(RecvTimeoutError::Disconnected) => Ok(Read::Crashed(running.child.wait()?.to_string())),
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        if let Some(Running { mut child, .. }) = self.running.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Running {
    fn start() -> Outcome<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg(READER)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err("the reader has no pipes".into());
        };
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        Ok(Self { child, stdin, lines })
    }
}

/// The reader's whole life: a line names a folder, and a line answers.
pub(crate) fn read_for_ever() -> ExitCode {
    for dir in io::stdin().lines().map_while(Result::ok) {
        let answer = match read(Path::new(&dir)) {
            Ok((facts, states)) => format!("opened {}", answer(&facts, &states)),
            Err(error) => format!("refused {}", error.to_string().replace('\n', " ")),
        };
        println!("{answer}");
    }
    ExitCode::SUCCESS
}

fn read(dir: &Path) -> Result<(Facts, Vec<u64>), MvccError> {
    let (mvcc, _) = Mvcc::open(dir, &settings())?;
    let facts = facts_of(&mvcc)?;
    let states = states_of(&mvcc, &facts)?;
    let newest = hash_of(&rows_at(&mvcc, facts.current_revision)?);
    write(&mvcc)?;
    // What was there before the writes is there after them.
    let again = states_of(&mvcc, &facts)?;
    let changed = || MvccError::DamagedStore { what: "WRITES CHANGED WHAT WAS THERE".to_owned() };
    if again != states || states.last().is_some_and(|last| *last != newest) {
        return Err(changed());
    }
    Ok((facts, states))
}

/// Some writes, so that free pages are used, and a compaction, so that pages are freed.
fn write(mvcc: &Mvcc) -> Result<(), MvccError> {
    for round in 0..3 {
        let mut group = mvcc.begin_group()?;
        for key in 0..8 {
            let value = vec![round; usize::from(key) * 900];
            group.txn(|txn| txn.put(&[b'z', key], &value, PutOptions::default()))?;
        }
        group.compact_slice(1000)?;
        group.commit()?;
    }
    Ok(())
}

pub(super) fn facts_of(mvcc: &Mvcc) -> Result<Facts, MvccError> {
    Ok(Facts {
        current_revision: mvcc.current_revision(),
        compact_revision: mvcc.compact_revision(),
        leases: mvcc.leases().iter().map(|lease| (lease.id, lease.ttl_seconds)).collect(),
        notes: mvcc.notes(b"")?.into_iter().collect(),
    })
}

/// Every revision, by a range, and the newest key by key; and the history, which gets the values before too.
fn states_of(mvcc: &Mvcc, facts: &Facts) -> Result<Vec<u64>, MvccError> {
    let revisions = facts.compact_revision.max(1)..=facts.current_revision;
    let states = revisions.map(|revision| Ok(hash_of(&rows_at(mvcc, revision)?)));
    let states = states.collect::<Result<Vec<_>, MvccError>>()?;
    let newest = rows_at(mvcc, facts.current_revision)?;
    let view = mvcc.view(Some(facts.current_revision))?;
    for row in &newest {
        let got = view.get(&row.key)?.map(|record| Row::from(&record));
        if got.as_ref() != Some(row) {
            return Err(MvccError::DamagedStore { what: format!("A KEY READS OTHERWISE ALONE: {row}") });
        }
    }
    let mut next = Revision::start_of(facts.compact_revision + 1);
    while next.main <= facts.current_revision {
        let chunk =
            mvcc.read_history(next, facts.current_revision, &HistoryLimits::default(), &mut |row| {
                Want::TakeWithPrev { charge_bytes: row.encoded_len() }
            })?;
        next = chunk.next;
    }
    Ok(states)
}

// A line: two revisions, then states, leases and notes, each after its number.
fn answer(facts: &Facts, states: &[u64]) -> String {
    let mut words = vec![facts.current_revision.to_string(), facts.compact_revision.to_string()];
    words.push(states.len().to_string());
    words.extend(states.iter().map(u64::to_string));
    words.push(facts.leases.len().to_string());
    words.extend(facts.leases.iter().flat_map(|(id, ttl)| [id.to_string(), ttl.to_string()]));
    words.extend(facts.notes.iter().flat_map(|(name, value)| [hex(name), hex(value)]));
    words.join(" ")
}

fn parse(line: &str) -> Outcome<Read> {
    if let Some(error) = line.strip_prefix("refused ") {
        return match error.contains("OTHERWISE") || error.contains("CHANGED") {
            true => Err(format!("a wrong answer: {error}").into()),
            false => Ok(Read::Refused(error.to_owned())),
        };
    }
    let mut words = line.strip_prefix("opened ").unwrap_or_default().split(' ');
    let mut next = || words.next().ok_or("the reader's answer is cut short");
    let (current_revision, compact_revision) = (next()?.parse()?, next()?.parse()?);
    let mut facts = Facts { current_revision, compact_revision, ..Facts::default() };
    let states =
        (0..next()?.parse::<usize>()?).map(|_| Ok(next()?.parse()?)).collect::<Outcome<Vec<u64>>>()?;
    for _ in 0..next()?.parse::<usize>()? {
        facts.leases.insert(next()?.parse()?, next()?.parse()?);
    }
    while let (Ok(name), Ok(value)) = (next(), next()) {
        facts.notes.insert(unhex(name)?, unhex(value)?);
    }
    Ok(Read::Opened { facts, states })
}

fn hex(bytes: &[u8]) -> String {
    std::iter::once("x".to_owned()).chain(bytes.iter().map(|byte| format!("{byte:02x}"))).collect()
}

fn unhex(text: &str) -> Outcome<Bytes> {
    let digits = text.strip_prefix('x').ok_or("no bytes")?;
    let byte = |at: usize| Ok(u8::from_str_radix(digits.get(at..at + 2).ok_or("half a byte")?, 16)?);
    (0..digits.len() / 2).map(|at| byte(2 * at)).collect::<Outcome<Vec<u8>>>().map(Bytes::from)
}
