//! Those who watch, each in its own way, and write down what they see.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::thread::{self, Scope, ScopedJoinHandle};

use watchful::{End, Error, KeyRange, ResumeToken, Store, StreamItem, Update, Watch, WatchId};
use watchful_testkit::checkers::{self, ReadBack};
use watchful_testkit::{Filters, Model, Observation, Observed, Policy, Row, SplitMix64, WatchSpec};

use super::{Faults, Round, TURN};
use crate::{PATIENCE, block_on, kit_batch, observation, watch_options};

/// What one watch saw: in parts, where it was dropped and resumed.
pub(super) struct Seen {
    what: String,
    spec: WatchSpec,
    parts: Vec<Observed>,
    /// It was to see everything up to this revision, unless it ended.
    up_to: Option<u64>,
}

impl Seen {
    pub(super) fn events(&self) -> u64 {
        self.parts.iter().map(|part| part.events().count() as u64).sum()
    }

    pub(super) fn check(&self, store: &Store, model: &Model) {
        let mut spec = self.spec.clone();
        for part in &self.parts {
            if let Err(violations) = checkers::check_all(&spec, part, model) {
                panic!("{}, {spec:?}: {violations:#?}", self.what);
            }
            if spec.policy != Policy::Conflate {
                // A conflating watch may not see the last change of a key in a revision.
                self.checked(checkers::readable(&spec, part, |key, revision| {
                    read_back(store, key, revision)
                }));
            }
            spec.start_revision = part.next_revision(&spec);
        }
        if self.spec.policy != Policy::Conflate {
            self.checked(checkers::resumable(&self.spec, &self.parts.iter().collect::<Vec<_>>(), model));
        }
        let ended =
            self.parts.last().and_then(|part| part.observations().last()).is_some_and(Observation::is_end);
        if let Some(up_to) = self.up_to.filter(|_| !ended) {
            assert!(
                spec.start_revision > up_to,
                "{}, {:?}: only up to {}",
                self.what,
                self.spec,
                spec.start_revision
            );
        }
    }

    fn checked(&self, answer: Result<(), watchful_testkit::Violation>) {
        answer.unwrap_or_else(|violation| panic!("{}, {:?}: {violation}", self.what, self.spec));
    }
}

/// Promise 17.
fn read_back(store: &Store, key: &[u8], revision: u64) -> Result<ReadBack, String> {
    match store.view_at(revision).and_then(|view| view.get(key)) {
        Ok(Some(record)) => Ok(ReadBack::Found(Row::from(&record))),
        Ok(None) => Ok(ReadBack::Absent),
        Err(Error::Compacted { .. }) => Ok(ReadBack::Compacted),
        Err(error) => Err(error.to_string()),
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Manner {
    Eager,
    Slow,
    /// Reads nothing until the writers are done.
    Stalled,
    /// Is dropped after a while, and resumed from its token.
    Resumed,
    /// As eager, in a task.
    Awaiting,
}

const MANNERS: [Manner; 5] =
    [Manner::Eager, Manner::Slow, Manner::Stalled, Manner::Resumed, Manner::Awaiting];

/// Streams that many watches come to and go from.
pub(super) const SHARED_STREAMS: usize = 2;

pub(super) fn spawn<'scope>(
    scope: &'scope Scope<'scope, '_>,
    round: &'scope Round,
    rng: &mut SplitMix64,
) -> Vec<ScopedJoinHandle<'scope, Vec<Seen>>> {
    let mut threads = Vec::new();
    for at in 0..12 {
        let (manner, rng) = (MANNERS[at % MANNERS.len()], rng.split());
        threads.push(scope.spawn(move || watch_again_and_again(round, manner, rng)));
    }
    for _ in 0..SHARED_STREAMS {
        let rng = rng.split();
        threads.push(scope.spawn(move || watch_on_a_stream(round, rng)));
    }
    threads
}

pub(super) fn range(rng: &mut SplitMix64) -> KeyRange {
    match rng.below(6) {
        0 => KeyRange::everything(),
        1 => KeyRange::from_key(super::writers::key(rng)),
        2 => KeyRange::between("a/5", "c/2").unwrap(),
        3 => KeyRange::key(super::writers::key(rng)),
        _ => KeyRange::prefix(*rng.pick(&["a/", "b/", "c", "d/"])),
    }
}

fn spec(round: &Round, rng: &mut SplitMix64) -> WatchSpec {
    let (current, compacted) = (round.store.current_revision(), round.store.compact_revision());
    let start = match rng.below(6) {
        0 => compacted.max(1),
        1 => current + 1 + rng.below(30),
        2 => current + 1,
        3 => current.saturating_sub(rng.below(400)).max(1),
        _ => current.saturating_sub(rng.below(50)).max(1),
    };
    let mut spec = WatchSpec::new(range(rng), start);
    if rng.chance(4) {
        spec.ranges.extend([KeyRange::key("d/1"), KeyRange::between("b/2", "b/7").unwrap()]);
    }
    spec.prev_kv = rng.chance(2);
    if rng.chance(5) {
        let no_put = rng.chance(2);
        spec.filters = Filters { no_put, no_delete: !no_put };
    }
    spec.policy =
        *rng.pick(&[Policy::Replay, Policy::Replay, Policy::Replay, Policy::Conflate, Policy::Cancel]);
    spec
}

/// Watches until the round is over; a watch that ended is followed by another.
fn watch_again_and_again(round: &Round, manner: Manner, mut rng: SplitMix64) -> Vec<Seen> {
    let mut all = Vec::new();
    loop {
        let spec = spec(round, &mut rng);
        let what = format!("{manner:?}");
        let mut seen = Seen { what, spec: spec.clone(), parts: Vec::new(), up_to: None };
        let mut token = None;
        while let Some(next) = watch_once(round, manner, &spec, token, &mut seen, &mut rng) {
            token = Some(next);
        }
        let over = round.last_revision.load(Ordering::SeqCst) > 0;
        all.push(seen);
        if over {
            return all;
        }
    }
}

/// One watch, until it ends, the round does, or it is dropped to be resumed from the token that is returned.
fn watch_once(
    round: &Round,
    manner: Manner,
    spec: &WatchSpec,
    token: Option<ResumeToken>,
    seen: &mut Seen,
    rng: &mut SplitMix64,
) -> Option<ResumeToken> {
    let options = watch_options(spec);
    let options = token.map_or(options.clone(), |token| options.resume(token.to_string().parse().unwrap()));
    round.watched.fetch_add(1, Ordering::SeqCst);
    let _over = WatchesOver { round, watches: 1 };
    let mut watch = round.store.watch(&options).unwrap();
    let mut observed = Observed::from_iter([Observation::Created]);
    let resume_after = if manner == Manner::Resumed { 1 + rng.below(20) } else { u64::MAX };
    // All are dropped in the middle of things now and then.
    let drop_after = if rng.chance(6) { rng.below(50) } else { u64::MAX };
    let mut updates = 0;
    let mut barrier = None;
    let next = loop {
        let last = round.last_revision.load(Ordering::SeqCst);
        if manner == Manner::Stalled && last == 0 {
            thread::yield_now();
            continue;
        }
        if last > 0 && barrier.is_none() {
            // One that is to start later hears nothing, and is owed nothing.
            if watch.next_revision() > last {
                break None;
            }
            watch.ask_progress(last);
            barrier = Some(last);
            seen.up_to = barrier;
        }
        if updates >= drop_after && barrier.is_none() {
            break None;
        }
        if updates >= resume_after && barrier.is_none() {
            break Some(watch.resume_token());
        }
        let Some(update) = take(&mut watch, manner, barrier.is_some()) else { continue };
        updates += 1;
        if manner == Manner::Slow {
            (0..rng.below(200)).for_each(|_| thread::yield_now());
        }
        let Some(update) = update else { break None };
        if let Err(end) = &update
            && is_told(round, end)
        {
            break Some(watch.resume_token());
        }
        check_readable(round, &update);
        // Dropping a watch is the only way to be rid of it here, and that is told to nobody.
        assert_ne!(update, Err(End::Cancelled), "nobody cancelled {}, {:?}", seen.what, seen.spec);
        let observation = observation(update).expect("the store is not closed in a round");
        let over = observation.is_end()
            || barrier.is_some_and(
                |last| matches!(observation, Observation::Progress { revision } if revision >= last),
            );
        observed.push(observation);
        if over {
            break None;
        }
    };
    seen.parts.push(observed);
    next
}

/// Counts watches that are over, once nothing of them can be in an outbox.
struct WatchesOver<'r> {
    round: &'r Round,
    watches: usize,
}

impl Drop for WatchesOver<'_> {
    fn drop(&mut self) {
        self.round.over.fetch_add(self.watches, Ordering::SeqCst);
    }
}

/// Whether a watch ended because history could not be read, which was to be expected.
fn is_told(round: &Round, end: &End) -> bool {
    let told = round.faults == Faults::Told && matches!(end, End::Unreadable { .. });
    round.errors.fetch_add(u64::from(told), Ordering::SeqCst);
    told
}

type Taken = Option<Result<Update, watchful::End>>;

/// The next update; none where nothing came for a while and the round goes on.
fn take(watch: &mut Watch, manner: Manner, is_owed: bool) -> Option<Taken> {
    if is_owed && manner == Manner::Awaiting {
        return Some(block_on(watch.next()));
    }
    let patience = if is_owed { PATIENCE } else { TURN };
    match watch.wait_next_for(patience) {
        Ok(update) => Some(update),
        Err(_) if is_owed => panic!("{watch:?}: the progress that was asked for never came"),
        Err(_) => None,
    }
}

/// Promise 17, at once.
fn check_readable(round: &Round, update: &Result<Update, watchful::End>) {
    let Ok(Update::Events(batch)) = update else { return };
    match round.store.view_at(batch.last_revision()) {
        Ok(_) | Err(Error::Compacted { .. }) => {}
        Err(error) => panic!("revision {} was delivered: {error}", batch.last_revision()),
    }
}

/// Many watches on one outbox, which come and go.
fn watch_on_a_stream(round: &Round, mut rng: SplitMix64) -> Vec<Seen> {
    let mut over = WatchesOver { round, watches: 0 };
    let mut stream = round.store.watch_stream(None).unwrap();
    let control = stream.control().clone();
    let mut all: BTreeMap<WatchId, (WatchSpec, Observed)> = BTreeMap::new();
    let mut live: Vec<WatchId> = Vec::new();
    let mut asked = None;
    loop {
        let last = round.last_revision.load(Ordering::SeqCst);
        if last > 0 && asked.is_none() {
            // The answer waits for those that are to start later, so they go.
            live.retain(|id| {
                let starts = all[id].0.start_revision <= last;
                if !starts {
                    control.cancel(*id);
                }
                starts
            });
            if live.is_empty() {
                break;
            }
            control.ask_progress(last);
            asked = Some(last);
        } else if asked.is_none() && live.len() < super::ON_A_STREAM_MAX && rng.chance(3) {
            let spec = spec(round, &mut rng);
            round.watched.fetch_add(1, Ordering::SeqCst);
            over.watches += 1;
            let id = control.watch(&watch_options(&spec)).unwrap();
            all.insert(id, (spec, Observed::new()));
            live.push(id);
        } else if asked.is_none() && live.len() > 10 && rng.chance(20) {
            let id = live.swap_remove(usize::try_from(rng.below(live.len() as u64)).unwrap());
            control.cancel(id);
        }
        let Ok(item) = stream.wait_next_for(if asked.is_some() { PATIENCE } else { TURN }) else {
            assert!(asked.is_none() || live.is_empty(), "the progress that was asked for never came");
            if asked.is_some() { break } else { continue }
        };
        let item = item.expect("the store is not closed in a round");
        if let StreamItem::Ended { watches, .. } = &item {
            over.watches -= watches.len();
            round.over.fetch_add(watches.len(), Ordering::SeqCst);
        }
        let progress = see(round, &item, &mut all, &mut live);
        if asked.is_some() && (progress >= asked || live.is_empty()) {
            break;
        }
    }
    let seen = |(id, (spec, observed)): (WatchId, (WatchSpec, Observed))| Seen {
        what: format!("watch {id} of a stream"),
        up_to: asked.filter(|_| live.contains(&id)),
        spec,
        parts: vec![observed],
    };
    // One that was cancelled may not have been heard of before the end.
    let was_heard =
        |id: &WatchId, observed: &Observed| live.contains(id) || !observed.observations().is_empty();
    all.into_iter().filter(|(id, (_, observed))| was_heard(id, observed)).map(seen).collect()
}

/// Writes the item down for those it is for. Answers with the revision of a progress of the whole stream.
fn see(
    round: &Round,
    item: &StreamItem,
    all: &mut BTreeMap<WatchId, (WatchSpec, Observed)>,
    live: &mut Vec<WatchId>,
) -> Option<u64> {
    let mut push = |id: WatchId, observation: Observation| {
        all.get_mut(&id).expect("only of watches that were asked for").1.push(observation);
    };
    match item {
        StreamItem::Created { watch, .. } => push(*watch, Observation::Created),
        StreamItem::Refused { .. } => panic!("{item:?}"),
        StreamItem::Events { batch, watches } => {
            watches.iter().for_each(|id| push(id, Observation::Batch(kit_batch(batch))));
        }
        StreamItem::Progress { revision, watches: Some(watches) } => {
            watches.iter().for_each(|id| push(id, Observation::Progress { revision: *revision }));
        }
        StreamItem::Progress { revision, watches: None } => {
            live.iter().for_each(|id| push(*id, Observation::Progress { revision: *revision }));
            return Some(*revision);
        }
        StreamItem::Ended { watches, end } => {
            // Those that were cancelled are no more among the living.
            let lost = watches.iter().find(|id| *end == End::Cancelled && live.contains(id));
            assert_eq!(lost, None, "a watch of a stream is cancelled, and nobody asked for it");
            live.retain(|id| !watches.contains(*id));
            if is_told(round, end) {
                return None;
            }
            for id in watches.iter() {
                push(id, observation(Err(end.clone())).expect("the store is not closed in a round"));
            }
        }
    }
    None
}
