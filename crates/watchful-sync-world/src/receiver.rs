//! The other end of an outbox: it takes items out, and turns them into what the testkit's checkers understand.

use std::collections::{HashMap, HashSet, VecDeque};

use watchful_revision::Revision;
use watchful_sync::{Batch, End, Item, StreamId, WatchId, WatchIds};
use watchful_testkit::{Batch as ObservedBatch, Filters, Observation, Observed, Policy, WatchSpec};

/// One watch as its receiver knows it, from `Created` to `Ended`.
pub struct Watched {
    /// Its name.
    pub id: WatchId,
    /// What was asked for.
    pub spec: WatchSpec,
    /// Whether progress was asked for.
    pub progress_notify: bool,
    /// What it saw.
    pub observed: Observed,
    /// Whether it has not ended.
    pub alive: bool,
}

/// An end that a watch must not have without a reason, and its reason has been there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// Somebody cancelled it.
    Cancelled,
    /// It is owed a revision that cannot be read, and a read came to it.
    Unreadable,
}

/// Rows that no chunk holds, for all the groups that want them: they were read alone.
#[derive(Default)]
pub struct Large {
    /// Which they are.
    pub rows: HashSet<Revision>,
    /// How much a chunk holds.
    pub chunk_bytes_max: usize,
}

/// What somebody asked for and has not been answered.
struct Asked {
    id: WatchId,
    spec: WatchSpec,
    progress_notify: bool,
}

/// The other end of an outbox.
pub struct Receiver {
    /// Its name.
    pub stream: StreamId,
    /// Whether it has not gone.
    pub attached: bool,
    /// The bound on its outbox.
    pub outbox_bytes_max: usize,
    /// What waits for it.
    pub outbox: VecDeque<Item>,
    /// What has been taken out since the engine last heard of it.
    pub taken_bytes: usize,
    /// The engine waits to hear of room.
    pub blocked: bool,
    /// Somebody asked for progress of at least this.
    pub progress_asked: Option<u64>,
    /// Every watch that was created on it, those that have ended too.
    pub watches: Vec<Watched>,
    /// Ends that have a reason and have not been heard.
    pub(crate) due: Vec<(WatchId, Due)>,
    /// Those who were given events since the last tick.
    given: Vec<WatchId>,
    /// Those who were given a part of a revision, and not yet its end.
    open: Vec<WatchId>,
    /// Progress of at least so much that watches must be given unasked, before anything else.
    owed_progress: Vec<(WatchId, u64)>,
    asked: VecDeque<Asked>,
    heard: Vec<String>,
}

impl Receiver {
    /// A receiver with an empty outbox.
    pub fn new(stream: StreamId, outbox_bytes_max: usize) -> Self {
        Self {
            stream,
            attached: true,
            outbox_bytes_max,
            outbox: VecDeque::new(),
            taken_bytes: 0,
            blocked: false,
            progress_asked: None,
            watches: Vec::new(),
            due: Vec::new(),
            given: Vec::new(),
            open: Vec::new(),
            owed_progress: Vec::new(),
            asked: VecDeque::new(),
            heard: Vec::new(),
        }
    }

    /// A watch is asked for, and will be answered.
    pub fn ask(&mut self, id: WatchId, spec: &watchful_sync::WatchSpec) {
        let progress_notify = spec.options.progress_notify;
        self.asked.push_back(Asked { id, spec: in_words_of_testkit(spec), progress_notify });
    }

    /// What the outbox holds, in bytes.
    pub fn outbox_bytes(&self) -> usize {
        self.outbox.iter().map(Item::charge_bytes).sum()
    }

    /// Promise 19 bounds events alone: control items are few and always let in. A row that no chunk holds has the room of a
    /// chunk kept for it, and comes over the bound with the rest, for each group that wants it.
    fn bounded_bytes(&self, large: &Large) -> usize {
        let (mut bytes, mut large_rows): (_, HashMap<Revision, usize>) = (0, HashMap::new());
        for item in &self.outbox {
            let Item::Events { batch, .. } = item else { continue };
            match batch.events() {
                [event] if large.rows.contains(&event.revision()) => {
                    *large_rows.entry(event.revision()).or_default() += batch.charge_bytes();
                }
                _ => bytes += batch.charge_bytes(),
            }
        }
        bytes + large_rows.values().map(|bytes| bytes.min(&large.chunk_bytes_max)).sum::<usize>()
    }

    /// The engine put something into the outbox.
    pub fn put(&mut self, item: Item, large: &Large) {
        assert!(self.attached, "a detached stream is given {item:?}");
        match &item {
            Item::Events { batch, watches } => self.is_given(batch, watches),
            Item::Progress { revision, watches: None } => {
                let asked = self.progress_asked.take().expect("somebody asked for this progress");
                assert!(*revision >= asked, "progress {revision} answers a question for {asked}");
            }
            Item::Progress { revision, watches: Some(watches) } => {
                self.owed_progress.retain(|(id, owed)| !watches.contains(*id) || owed > revision);
            }
            Item::Ended { watches, .. } => self.owed_progress.retain(|(id, _)| !watches.contains(*id)),
            Item::Created { .. } | Item::Refused { .. } => {}
        }
        self.outbox.push_back(item);
        let (bytes, bytes_max) = (self.bounded_bytes(large), self.outbox_bytes_max);
        assert!(bytes <= bytes_max, "promise 19: the outbox of {bytes_max} bytes holds {bytes}");
    }

    fn is_given(&mut self, batch: &Batch, watches: &WatchIds) {
        self.given.extend(watches.iter());
        self.open.retain(|id| !watches.contains(*id));
        if batch.is_fragment() {
            self.open.extend(watches.iter());
        }
        // They were under way when it was time for progress: whoever is given events is not quiet.
        self.owed_progress.retain(|(id, _)| !watches.contains(*id));
    }

    /// It is time for progress. Those of `quiet` who asked for it and were given nothing since the last time are owed it,
    /// if there is room.
    pub(crate) fn tick(&mut self, quiet: &[WatchId], head: u64, has_room: bool) {
        let given = std::mem::take(&mut self.given);
        let is_owed = |id: &&WatchId| has_room && !given.contains(id) && self.notifies(**id);
        let owed: Vec<_> = quiet.iter().filter(is_owed).map(|id| (*id, head)).collect();
        self.owed_progress.extend(owed);
    }

    /// Promise 13, after a turn: whoever was owed progress has it.
    pub(crate) fn check_ticked(&self) {
        assert!(
            self.owed_progress.is_empty(),
            "promise 13: quiet watches are not told where they stand: {:?}",
            self.owed_progress
        );
    }

    /// Whether this watch asked for progress, and is at the end of a revision. Not known where its name is used again.
    fn notifies(&self, id: WatchId) -> bool {
        let created = self.watches.iter().filter(|watch| watch.alive && watch.id == id);
        let asked = self.asked.iter().filter(|asked| asked.id == id).map(|asked| asked.progress_notify);
        let mut all = created.map(|watch| watch.progress_notify).chain(asked);
        all.next() == Some(true) && all.next().is_none() && !self.open.contains(&id)
    }

    /// The engine waits to hear of room. It hears nothing where half is free already and nothing has been taken out.
    pub fn await_room(&mut self) {
        self.blocked = self.taken_bytes > 0 || self.outbox_bytes() > self.outbox_bytes_max / 2;
    }

    /// Takes one item out.
    pub fn take(&mut self) -> bool {
        let Some(item) = self.outbox.pop_front() else { return false };
        self.taken_bytes += item.charge_bytes();
        self.heard.push(describe(&item));
        match item {
            Item::Created { watch, .. } => self.created(watch),
            Item::Refused { watch, .. } => {
                let asked = self.asked.pop_front().expect("a refusal answers a question");
                assert_eq!(asked.id, watch);
                self.alive(watch);
            }
            Item::Events { batch, watches } => {
                watches.iter().for_each(|id| self.alive(id).observed.push(observation(&batch)));
            }
            Item::Progress { revision, watches: Some(ids) } => {
                for id in ids.iter() {
                    let watch = self.alive(id);
                    assert!(watch.progress_notify, "watch {id} did not ask for progress");
                    watch.observed.push(Observation::Progress { revision });
                }
            }
            Item::Progress { revision, watches: None } => {
                for watch in self.watches.iter_mut().filter(|watch| watch.alive) {
                    watch.observed.push(Observation::Progress { revision });
                }
            }
            Item::Ended { watches, end } => watches.iter().for_each(|id| self.ended(id, &end)),
        }
        true
    }

    fn created(&mut self, id: WatchId) {
        let Asked { id: asked, spec, progress_notify } =
            self.asked.pop_front().expect("Created answers a question");
        assert_eq!(asked, id);
        let known = self.watches.iter().any(|watch| watch.alive && watch.id == id);
        assert!(!known, "watch {id} is created twice");
        let observed = [Observation::Created].into_iter().collect();
        self.watches.push(Watched { id, spec, progress_notify, observed, alive: true });
    }

    fn ended(&mut self, id: WatchId, end: &End) {
        match end {
            End::Cancelled => self.take_due(id, Due::Cancelled),
            End::Unreadable { .. } => self.take_due(id, Due::Unreadable),
            // Of these the testkit's checkers know whether they are due.
            _ => {}
        }
        let watch = self.alive(id);
        watch.alive = false;
        watch.observed.push(match end {
            End::Compacted { compact_revision } => {
                Observation::Compacted { compact_revision: *compact_revision }
            }
            End::Lagged { next_revision } => {
                let owed = watch.observed.next_revision(&watch.spec);
                assert!(*next_revision >= owed, "lagged at {next_revision}, but {owed} was never given");
                Observation::Lagged
            }
            // The testkit has no word for unreadable history.
            End::Cancelled | End::Unreadable { .. } => Observation::Cancelled,
            other => panic!("an end that this test does not know: {other:?}"),
        });
    }

    /// Any watch that ends without a reason is lost to somebody who was promised its events.
    fn take_due(&mut self, id: WatchId, due: Due) {
        let at = self.due.iter().position(|one| *one == (id, due));
        self.due.swap_remove(at.unwrap_or_else(|| panic!("watch {id} is ended for nothing: {due:?}")));
    }

    fn alive(&mut self, id: WatchId) -> &mut Watched {
        let found = self.watches.iter_mut().find(|watch| watch.alive && watch.id == id);
        found.unwrap_or_else(|| panic!("watch {id} hears something outside its life"))
    }

    /// What was taken out since the last call, one line an item.
    pub fn heard(&mut self) -> Vec<String> {
        std::mem::take(&mut self.heard)
    }
}

fn in_words_of_testkit(spec: &watchful_sync::WatchSpec) -> WatchSpec {
    let options = spec.options;
    WatchSpec {
        ranges: spec.ranges.as_slice().to_vec(),
        start_revision: spec.start_revision,
        filters: Filters { no_put: options.filter.no_put, no_delete: options.filter.no_delete },
        prev_kv: options.prev_kv,
        policy: match options.lag {
            watchful_sync::LagPolicy::Replay => Policy::Replay,
            watchful_sync::LagPolicy::Conflate => Policy::Conflate,
            watchful_sync::LagPolicy::Cancel => Policy::Cancel,
        },
    }
}

/// A part of a revision that the head had come to only half of was told with the head before it: over the API, a header
/// with revision 31 and events of revision 32.
fn observation(batch: &Batch) -> Observation {
    assert!(batch.head() >= batch.last_revision(), "{batch:?}");
    Observation::Batch(ObservedBatch {
        first_revision: batch.first_revision(),
        last_revision: batch.last_revision(),
        events: batch.events().to_vec(),
        fragment: batch.is_fragment(),
        conflated: batch.is_conflated(),
    })
}

/// One line: `0,1: 2.0 3.0`, `0: 4.0 …` for a fragment, `0: conflated 2-5: 5.0`, `progress 7`, `0: compacted 5`.
fn describe(item: &Item) -> String {
    let ids = |watches: &WatchIds| watches.iter().map(|id| id.to_string()).collect::<Vec<_>>().join(",");
    match item {
        Item::Created { watch, .. } => format!("{watch}: created"),
        Item::Refused { watch, refusal } => format!("{watch}: refused {refusal:?}"),
        Item::Events { batch, watches } => format!("{}: {}", ids(watches), describe_batch(batch)),
        Item::Progress { revision, watches: Some(watches) } => {
            format!("{}: progress {revision}", ids(watches))
        }
        Item::Progress { revision, watches: None } => format!("progress {revision}"),
        Item::Ended { watches, end } => {
            let end = match end {
                End::Compacted { compact_revision } => format!("compacted {compact_revision}"),
                End::Lagged { next_revision } => format!("lagged, next {next_revision}"),
                End::Cancelled => "cancelled".to_owned(),
                End::Unreadable { reason } => format!("unreadable: {reason}"),
                other => format!("{other:?}"),
            };
            format!("{}: {end}", ids(watches))
        }
    }
}

fn describe_batch(batch: &Batch) -> String {
    let events: Vec<_> = batch.events().iter().map(|event| event.revision().to_string()).collect();
    let mut line = events.join(" ");
    if batch.is_conflated() {
        line = format!("conflated {}-{}: {line}", batch.first_revision(), batch.last_revision());
    } else if events.is_empty() {
        line = format!("end of {}", batch.last_revision());
    }
    if batch.is_fragment() {
        line.push_str(" …");
    }
    line
}
