//! The main job: replays the history while watchers follow, and reports what they got.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::RwLock;
use watchful::{Settings, Store};

use crate::failure::Failure;
use crate::follower::{Course, Follower, Outcome, Plan, start};
use crate::git::Repository;
use crate::keys::revision_of;
use crate::monitor::{Monitor, Worst};
use crate::progress::bar;
use crate::replay::{Line, Replayed, replay};
use crate::report::{Report, Row, print};
use crate::tree::{Tree, git_tree};

/// How many top-level folders get a watcher of their own: those with the most files. Each is a thread here.
const FOLDERS_MAX: usize = 64;

/// Runs the main job on a store that was opened in `folder`.
pub(crate) fn run(
    repository: &Repository,
    store: &Store,
    folder: &Path,
    out: &mut impl Write,
) -> Result<(), Failure> {
    let line = Line::find(repository, store)?;
    announce(&line, folder, out)?;
    let tree = git_tree(repository, &line.newest)?;
    let folders = top_folders(&tree);
    let course = Arc::new(Course {
        store: store.clone(),
        last_revision: line.last_revision(),
        newest: line.newest.clone(),
        tree,
        model: (line.stored == 0).then(RwLock::default),
        replaying: AtomicBool::new(true),
    });
    let mut crowd = Crowd::start(&course, &folders)?;
    let begin = Instant::now();
    let replayed = crowd.replay(repository, &line);
    if replayed.is_err() {
        // Ends every follower, for which nothing more would come.
        store.close();
    }
    let (replayed, replay_time) = (replayed?, begin.elapsed());
    let rows = crowd.finish()?;
    let report = Report {
        replayed,
        replay_time,
        whole_time: begin.elapsed(),
        watchers_left_out: folders.len().saturating_sub(FOLDERS_MAX),
        outbox_bytes_max: Settings::default().outbox_bytes_max,
        with_model: course.model.is_some(),
        stats: store.stats(),
        rows,
    };
    print(&report, out)
}

fn announce(line: &Line, folder: &Path, out: &mut impl Write) -> Result<(), Failure> {
    writeln!(
        out,
        "history  {} commits on the first-parent line that ends with {}",
        line.commits, line.newest
    )?;
    let todo = match (line.stored, line.commits - line.stored) {
        (0, _) => "empty: all are replayed".to_owned(),
        (_, 0) => "it has them all; --fresh replays them again".to_owned(),
        (stored, new) => format!("it has {stored} of them, and {new} are new"),
    };
    writeln!(out, "store    {} ({todo})", folder.display())?;
    Ok(out.flush()?)
}

/// The top-level folders, those with the most files first.
fn top_folders(tree: &Tree) -> Vec<Vec<u8>> {
    let mut files: BTreeMap<&[u8], usize> = BTreeMap::new();
    for path in tree.keys() {
        if let Some(slash) = path.iter().position(|byte| *byte == b'/') {
            *files.entry(&path[..slash]).or_default() += 1;
        }
    }
    let mut folders: Vec<_> = files.into_iter().collect();
    folders.sort_by_key(|(_, files)| std::cmp::Reverse(*files));
    folders.into_iter().map(|(folder, _)| folder.to_vec()).collect()
}

/// All followers of a run, and who looks at them.
struct Crowd {
    course: Arc<Course>,
    followers: Vec<Follower>,
    monitor: Monitor,
    bar: indicatif::ProgressBar,
}

impl Crowd {
    /// Everybody but the one that starts in the middle.
    fn start(course: &Arc<Course>, folders: &[Vec<u8>]) -> Result<Self, Failure> {
        let bar = bar("replay", course.store.current_revision() - 1, course.last_revision - 1);
        let monitor = Monitor::start(course.store.clone(), bar.clone());
        let mut plans = vec![
            Plan::everything("everything", 1),
            Plan::everything("everything, slow on purpose", 1).slow(),
        ];
        plans.extend(folders.iter().take(FOLDERS_MAX).map(|folder| Plan::folder(folder)));
        let followers = plans.into_iter().map(|plan| start(course, plan)).collect::<Result<_, _>>()?;
        Ok(Self { course: Arc::clone(course), followers, monitor, bar })
    }

    fn replay(&mut self, repository: &Repository, line: &Line) -> Result<Replayed, Failure> {
        let (course, bar) = (Arc::clone(&self.course), self.bar.clone());
        let model = course.model.as_ref();
        // It comes late, so that history is handed over to what is being written meanwhile.
        let late = line.stored + (line.commits - line.stored) * 3 / 4;
        let mut middle =
            Some(Plan::everything("everything, from the middle", revision_of(line.commits.div_ceil(2))));
        let replayed = replay(repository, &course.store, line, model, |done| {
            let stored = line.stored + done.commits;
            bar.set_position(stored);
            if let Some(plan) = middle.take_if(|_| stored > late) {
                self.followers.insert(1, start(&course, plan)?);
            }
            Ok(())
        })?;
        if let Some(plan) = middle {
            self.followers.insert(1, start(&course, plan)?);
        }
        course.replaying.store(false, Ordering::Relaxed);
        Ok(replayed)
    }

    /// Waits for everybody.
    fn finish(self) -> Result<Vec<Row>, Failure> {
        let mut outcomes = Vec::new();
        for follower in self.followers {
            // A panic of that thread has been printed.
            let outcome = follower.thread.join().unwrap_or(Err(Failure::said("a follower panicked")))?;
            outcomes.push((follower.stream, outcome));
        }
        let seen = self.monitor.finish();
        self.bar.finish_and_clear();
        let worst = |stream| seen.get(&stream).copied().unwrap_or_default();
        Ok(outcomes.into_iter().map(|(stream, outcome)| row(outcome, worst(stream))).collect())
    }
}

fn row(outcome: Outcome, worst: Worst) -> Row {
    Row {
        rate: rate(outcome.events, outcome.elapsed),
        lag_revisions_max: outcome.lag_revisions_max.max(worst.lag_revisions),
        queued_bytes_max: worst.queued_bytes,
        name: outcome.name,
        events: outcome.events,
        observations: outcome.observations,
        violations: outcome.violations,
    }
}

/// How many a second; none where there were none.
pub(crate) fn rate(count: u64, time: Duration) -> Option<u64> {
    let milliseconds = u64::try_from(time.as_millis()).ok()?.max(1);
    (count > 0).then(|| count * 1000 / milliseconds)
}
