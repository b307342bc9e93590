//! One run of a workload against two fresh servers, in step, compared as it goes.

use std::collections::BTreeMap;

use tokio::time::Duration;
use watchful_wire::etcdserverpb::{PutRequest, RangeRequest, WatchCreateRequest};

use crate::answer::{Answer, Delivery};
use crate::known::{KNOWN, Known};
use crate::owed::{Change, Watched};
use crate::patience::Patience;
use crate::program::Program;
use crate::request::{Request, Standing, Watches};
use crate::side::Side;
use crate::step::Step;
use crate::stream::WatchStream;
use crate::terse::terse;
use crate::tokens::Revisions;
use crate::{Failure, scenes};

/// The stream of the watch of everything, which tells when a revision has been delivered.
const WITNESS: usize = usize::MAX;

/// The stream of watches that tell when others have caught up.
const PROBE: usize = usize::MAX - 2;

/// How long a watch may take to deliver what is committed.
const DELIVERED_WITHIN: Duration = Duration::from_secs(10);

/// The two servers to compare. The first is the one to go by.
#[derive(Clone, Debug)]
pub(crate) struct Pair {
    pub(crate) reference: Program,
    pub(crate) subject: Program,
    /// Whether the list of known differences is for these two.
    pub(crate) has_known: bool,
}

/// A request and what both answered.
#[derive(Clone, Debug)]
pub(crate) struct Exchange {
    /// The step that it belongs to.
    pub(crate) step: usize,
    pub(crate) request: Request,
    pub(crate) answers: [Answer; 2],
    /// The known difference that it is, if it is one.
    pub(crate) known: Option<&'static str>,
}

impl Exchange {
    /// Whether the answers differ. No answer in time is none, even where both gave it.
    fn differs(&self) -> bool {
        let [first, second] = &self.answers;
        first != second || self.is_late()
    }

    fn is_late(&self) -> bool {
        self.answers.iter().any(|answer| matches!(answer, Answer::Late { .. }))
    }
}

/// What came of a run.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) exchanges: usize,
    pub(crate) events: usize,
    /// Watches that were not given on both servers what [`crate::owed`] says they are owed.
    pub(crate) missed: Vec<String>,
    pub(crate) differences: Vec<Exchange>,
    /// How often each known difference was met.
    pub(crate) known: BTreeMap<&'static str, usize>,
    /// Everything that was asked and answered, where it was to be kept.
    pub(crate) transcript: Vec<Exchange>,
    /// The last lines of the servers, where there is a difference.
    pub(crate) output: Vec<String>,
}

impl Report {
    /// Whether nothing unlisted differed, and nothing was waited for in vain.
    pub(crate) fn is_clean(&self) -> bool {
        self.differences.is_empty() && self.missed.is_empty()
    }
}

/// What a run does beside comparing.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Options {
    /// Go on after a difference.
    pub(crate) keep_going: bool,
    /// Keep everything that was asked and answered.
    pub(crate) transcript: bool,
}

/// Runs the steps against fresh servers.
pub(crate) async fn run(pair: &Pair, steps: &[Step], options: Options) -> Result<Report, Failure> {
    let (reference, subject) = tokio::join!(Side::start(&pair.reference), Side::start(&pair.subject));
    let mut run = Run::new([reference?, subject?], pair.has_known, options);
    run.begin().await;
    for (at, step) in steps.iter().enumerate() {
        if run.is_over() {
            break;
        }
        run.step = at;
        scenes::play(&mut run, step).await;
        run.sync().await;
    }
    Ok(run.finish().await)
}

/// A run that goes on.
pub(crate) struct Run {
    pub(crate) sides: [Side; 2],
    pub(crate) revisions: Revisions,
    /// How often the compactor has won, as [`Step::CompactOnce`] counts.
    pub(crate) compactions: i64,
    /// Whether the reference has a streamed range; etcd has since 3.7.
    has_range_stream: bool,
    watches: Vec<Watched>,
    history: Vec<Change>,
    /// Everything up to here was compared.
    synced: i64,
    known: &'static [Known],
    report: Report,
    options: Options,
    step: usize,
}

impl Run {
    fn new(sides: [Side; 2], has_known: bool, options: Options) -> Self {
        Self {
            sides,
            revisions: Revisions { current: 1, compacted: 0 },
            compactions: 0,
            has_range_stream: true,
            watches: Vec::new(),
            history: Vec::new(),
            synced: 1,
            known: if has_known { KNOWN } else { &[] },
            report: Report::default(),
            options,
            step: 0,
        }
    }

    async fn begin(&mut self) {
        let create = WatchCreateRequest {
            key: "\0".into(),
            range_end: "\0".into(),
            start_revision: 1,
            prev_kv: true,
            ..Default::default()
        };
        self.ask(Request::Watch { stream: WITNESS, create }).await;
        let probe = Request::RangeStream(RangeRequest { key: "probe".into(), ..Default::default() });
        let probed = self.sides[0].ask(&probe).await;
        self.has_range_stream = !matches!(probed, Answer::Refused { code: tonic::Code::Unimplemented, .. });
        self.ask(Request::Put(PutRequest { key: "probe".into(), ..Default::default() })).await;
        self.sync().await;
    }

    /// Whether a difference was found and the run was to stop there.
    pub(crate) fn is_over(&self) -> bool {
        let late = self.report.differences.last().is_some_and(Exchange::is_late);
        // Whoever waits once in vain does so again and again.
        late || !self.report.missed.is_empty()
            || (!self.report.differences.is_empty() && !self.options.keep_going)
    }

    /// Asks both servers, compares, and answers as the reference did.
    pub(crate) async fn ask(&mut self, request: Request) -> Answer {
        let [first, _] = self.ask_both(request).await;
        first
    }

    async fn ask_both(&mut self, request: Request) -> [Answer; 2] {
        let request = match self.revisions.resolve_all(request) {
            Request::RangeStream(range) if !self.has_range_stream => Request::Range(range),
            request => request,
        };
        let [reference, subject] = &mut self.sides;
        let (first, second) = tokio::join!(reference.ask(&request), subject.ask(&request));
        self.learn(&request, &first);
        self.compare(request, [first, second])
    }

    /// Makes a watch, and waits until both servers have delivered what it is owed of the past.
    pub(crate) async fn watch(&mut self, stream: usize, create: WatchCreateRequest) {
        let start_revision = self.revisions.resolve(create.start_revision);
        let create = WatchCreateRequest { start_revision, ..create };
        let request = Request::Watch { stream, create: create.clone() };
        let answers = self.ask_both(request).await;
        let [Answer::Watch(answer), Answer::Watch(other)] = answers else { return };
        // A refusal has the id −1, which may as well be the one that was asked for.
        if answer.canceled || other.canceled || answer.watch_id != other.watch_id {
            return;
        }
        let (watch_id, revisions) = (answer.watch_id, (self.revisions.current, self.revisions.compacted));
        let before = self.sides.each_mut().map(|side| side.stream(stream).count(watch_id));
        // Who had the id before has been canceled.
        self.watches.retain(|watched| (watched.stream, watched.watch_id) != (stream, watch_id));
        self.watches.push(Watched::new((stream, watch_id), create, revisions, before));
        self.compare_watches(true).await;
        let current = self.revisions.current;
        if self.watches.last().is_some_and(|newest| newest.catches_up_silently(current)) {
            self.catch_up().await;
        }
    }

    /// Waits until the newest watch has caught up: until one that is made after it was given something of the past.
    /// Else a compaction that comes next overtakes it, or not.
    async fn catch_up(&mut self) {
        let Revisions { current, compacted } = self.revisions;
        if !self.history.iter().rev().any(|change| change.is_kept_from(current, compacted)) {
            self.ask(Request::Put(PutRequest { key: "probe".into(), ..Default::default() })).await;
            self.read_history().await;
        }
        let create = WatchCreateRequest {
            key: "\0".into(),
            range_end: "\0".into(),
            start_revision: self.revisions.current,
            ..Default::default()
        };
        let [mut one, mut other] = patience();
        let [reference, subject] = self.sides.each_mut().map(|side| side.stream(PROBE));
        tokio::join!(reference.create(create.clone()), subject.create(create));
        tokio::join!(reference.reach(0, 1, &mut one), subject.reach(0, 1, &mut other));
        self.close_stream(PROBE);
    }

    /// Cancels the `nth` watch that was made on the stream.
    pub(crate) async fn cancel(&mut self, stream: usize, nth: usize) {
        const NEVER_MADE: i64 = 777;
        let made: Vec<usize> =
            (0..self.watches.len()).filter(|at| self.watches[*at].stream == stream).collect();
        let at = if made.is_empty() { None } else { Some(made[nth % made.len()]) };
        let watch_id = at.map_or(NEVER_MADE, |at| self.watches[at].watch_id);
        let open =
            self.watches.iter_mut().find(|one| one.stream == stream && one.watch_id == watch_id && one.open);
        let standing = if open.is_some() { Standing::Open } else { Standing::Absent };
        if let Some(watched) = open {
            watched.open = false;
        }
        self.ask(Request::Cancel { stream, watch_id, standing }).await;
    }

    /// Asks how far a stream is, where that is clear.
    pub(crate) async fn progress(&mut self, stream: usize) {
        let current = self.revisions.current;
        let mut open = self.watches.iter().filter(|one| one.stream == stream && one.open).peekable();
        if open.peek().is_some() && !open.any(|one| one.waits_beyond(current)) {
            self.ask(Request::Progress { stream, watches: Watches::Synced }).await;
        }
    }

    pub(crate) fn close_stream(&mut self, stream: usize) {
        self.watches.retain(|watched| watched.stream != stream);
        self.sides.iter_mut().for_each(|side| side.close_stream(stream));
    }

    /// Waits until everything that is committed was delivered to every watch on both servers, and compares it.
    pub(crate) async fn sync(&mut self) {
        if self.is_over() {
            return;
        }
        if self.revisions.current > self.synced {
            self.read_history().await;
            self.compare_watches(false).await;
        }
        self.compare_leftovers();
    }

    /// Reads the watch of everything up to the current revision.
    async fn read_history(&mut self) {
        let (revision, [mut one, mut other]) = (self.revisions.current, patience());
        let [reference, subject] = self.sides.each_mut().map(|side| side.stream(WITNESS));
        tokio::join!(
            reference.reach_revision(0, revision, &mut one),
            subject.reach_revision(0, revision, &mut other)
        );
        self.synced = revision;
        let create = WatchCreateRequest {
            key: "\0".into(),
            range_end: "\0".into(),
            prev_kv: true,
            ..Default::default()
        };
        if let Answer::Delivered(delivered) = self.compare_delivered(WITNESS, 0, create, 0) {
            let events = delivered.iter().filter_map(|delivery| match delivery {
                Delivery::Event { event, .. } => Some(Change::of(event)),
                _ => None,
            });
            self.history.extend(events);
        }
    }

    /// Waits for what each watch is owed, or only the newest, and compares what it was given.
    async fn compare_watches(&mut self, newest: bool) {
        let first = if newest { self.watches.len().saturating_sub(1) } else { 0 };
        for at in first..self.watches.len() {
            let owed = self.watches[at].owed(&self.history);
            let watched = &self.watches[at];
            let (stream, watch_id) = (watched.stream, watched.watch_id);
            let [mut one, mut other] = patience();
            let [reference, subject] = self.sides.each_mut().map(|side| side.stream(stream));
            let (first, second) = tokio::join!(
                reach(reference, watched, watched.before[0] + owed, &mut one),
                reach(subject, watched, watched.before[1] + owed, &mut other)
            );
            if !(first && second) {
                self.report.missed.push(terse(&(self.step, first, second, &watched)));
            }
            let (create, compacted) = (watched.create.clone(), watched.compact_revision);
            let delivered = self.compare_delivered(stream, watch_id, create, compacted);
            let ended = |delivery: &Delivery| matches!(delivery, Delivery::Canceled { .. });
            if matches!(delivered, Answer::Delivered(delivered) if delivered.iter().any(ended)) {
                self.watches[at].open = false;
                // As clients do. etcd holds the id until then.
                self.ask(Request::Cancel { stream, watch_id, standing: Standing::Compacted }).await;
            }
        }
    }

    /// Whatever came and is owed to nobody.
    fn compare_leftovers(&mut self) {
        let [reference, subject] = &mut self.sides;
        let mut left = reference.leftovers();
        left.extend(subject.leftovers());
        for (stream, watch_id) in left {
            let watched =
                self.watches.iter().rfind(|one| (one.stream, one.watch_id) == (stream, watch_id)).cloned();
            let create = watched.as_ref().map(|watched| watched.create.clone()).unwrap_or_default();
            let compacted = watched.map_or(0, |watched| watched.compact_revision);
            self.compare_delivered(stream, watch_id, create, compacted);
        }
    }

    fn compare_delivered(
        &mut self,
        stream: usize,
        watch_id: i64,
        create: WatchCreateRequest,
        compact_revision: i64,
    ) -> Answer {
        let answers = self.sides.each_mut().map(|side| side.take_delivered(stream, watch_id));
        let newest = self.watches.iter_mut().rfind(|one| (one.stream, one.watch_id) == (stream, watch_id));
        if let Some(watched) = newest {
            watched.note_forgettable(&answers);
        }
        let [first, _] = match answers {
            [Answer::Delivered(first), Answer::Delivered(second)]
                if first.is_empty() && second.is_empty() =>
            {
                return Answer::Delivered(first);
            }
            answers => {
                let request = Request::Delivered { stream, watch_id, create, compact_revision };
                self.compare(request, answers)
            }
        };
        if let Answer::Delivered(delivered) = &first {
            self.report.events += delivered.len();
        }
        first
    }

    /// What the reference's answer says of where the store is.
    fn learn(&mut self, request: &Request, answer: &Answer) {
        self.revisions.current = self.revisions.current.max(answer.header_revision().unwrap_or(0));
        if let (Request::Compact(compact), Answer::Compact(_)) = (request, answer) {
            self.revisions.compacted = compact.revision;
        }
    }

    fn compare(&mut self, request: Request, mut answers: [Answer; 2]) -> [Answer; 2] {
        self.report.exchanges += 1;
        let [first, second] = &mut answers;
        forgive(first, second);
        let mut exchange = Exchange { step: self.step, request, answers, known: None };
        if exchange.differs() {
            exchange.known = self
                .known
                .iter()
                .find(|known| known.is(&exchange, &self.sides[0].running.version))
                .map(|known| known.id);
            match exchange.known {
                Some(id) => *self.report.known.entry(id).or_default() += 1,
                None => self.report.differences.push(exchange.clone()),
            }
        }
        if self.options.transcript {
            self.report.transcript.push(exchange.clone());
        }
        exchange.answers
    }

    async fn finish(mut self) -> Report {
        self.compare_leftovers();
        if !self.report.differences.is_empty() {
            let output = |side: &Side| format!("{}: {}", side.name, side.running.output());
            self.report.output = self.sides.iter().map(output).collect();
        }
        self.report
    }
}

/// For each server.
fn patience() -> [Patience; 2] {
    [Patience::new(DELIVERED_WITHIN), Patience::new(DELIVERED_WITHIN)]
}

/// Waits until the watch was given `count` events, and those beside them that one of the servers has forgotten.
async fn reach(stream: &mut WatchStream, watched: &Watched, count: usize, patience: &mut Patience) -> bool {
    loop {
        let beside = stream.waiting(watched.watch_id, |delivery| watched.is_forgettable(delivery));
        if !stream.reach(watched.watch_id, count + beside, patience).await {
            return false;
        }
        if stream.waiting(watched.watch_id, |delivery| watched.is_forgettable(delivery)) == beside {
            return true;
        }
    }
}

/// Makes alike what need not be the same: hashes of different bytes, and a time that is left, within a second.
fn forgive(first: &mut Answer, second: &mut Answer) {
    match (first, second) {
        (Answer::HashKv(first), Answer::HashKv(second)) => (first.hash, second.hash) = (0, 0),
        (Answer::LeaseTimeToLive(first), Answer::LeaseTimeToLive(second))
            if first.ttl > 0 && first.ttl.abs_diff(second.ttl) <= 1 =>
        {
            second.ttl = first.ttl;
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use watchful_wire::etcdserverpb::LeaseTimeToLiveResponse;

    fn forgiven(first: i64, second: i64) -> bool {
        let of = |ttl| Answer::LeaseTimeToLive(LeaseTimeToLiveResponse { ttl, ..Default::default() });
        let (mut first, mut second) = (of(first), of(second));
        forgive(&mut first, &mut second);
        first == second
    }

    #[test]
    fn a_second_of_a_lease_is_forgiven_and_no_more() {
        assert!(forgiven(60, 59) && forgiven(59, 60));
        assert!(!forgiven(60, 58));
        assert!(!forgiven(0, -1) && !forgiven(-1, 0));
    }
}
