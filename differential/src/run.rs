//! One run of a workload against two fresh servers, in step, compared as it goes.

//!
//! - [`report`] is what came of it.
//! - [`watches`] makes watches and waits for what they are owed.
//! - [`users`] keeps track of who may still ask.
//! - [`stricter`] asks only one of the servers what the other one does although it should not.

mod report;

mod watches;

mod users;

mod stricter;

use watchful_wire::etcdserverpb::{PutRequest, RangeRequest};

use crate::answer::Answer;
use crate::caller::Caller;
use crate::known::{KNOWN, Known};
use crate::owed::{Change, Watched};
use crate::request::Request;
use crate::side::Side;
use crate::step::Step;
use crate::straight::straight;
use crate::tokens::Revisions;
use crate::{Failure, scenes};

pub(crate) use report::{Exchange, Options, Pair, Report};

/// Runs the steps against fresh servers.
pub(crate) async fn run(pair: &Pair, steps: &[Step], options: Options) -> Result<Report, Failure> {
    let (reference, subject) = tokio::join!(Side::start(&pair.reference), Side::start(&pair.subject));
    let mut run = Run::new([reference?, subject?], pair.has_known, options);
    run.users.have_web_tokens = pair.reference.has_web_tokens;
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
    /// Who asks.
    caller: Caller,
    users: users::Users,
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
            caller: Caller::Nobody,
            users: users::Users::default(),
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
        self.watch_everything(1).await;
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

    /// The request as it is sent.
    fn as_asked(&self, request: Request) -> Request {
        let request = match self.revisions.resolve_all(request) {
            Request::RangeStream(range) if !self.has_range_stream => Request::Range(range),
            request => request,
        };
        if self.is_limited() { straight(request) } else { request }
    }

    async fn ask_both(&mut self, request: Request) -> [Answer; 2] {
        let request = self.as_asked(request);
        match self.stricter(&request).await {
            Some(refusal) => self.ask_stricter(request, refusal).await,
            None => self.ask_plainly(request).await,
        }
    }

    async fn ask_plainly(&mut self, request: Request) -> [Answer; 2] {
        let [reference, subject] = &mut self.sides;
        let (first, second) = tokio::join!(reference.ask(&request), subject.ask(&request));
        self.learn(&request, &first);
        self.compare(request, [first, second])
    }

    /// From now on this one asks. Who asked before.
    pub(crate) fn act_as(&mut self, caller: Caller) -> Caller {
        let is_sent = self.users.enabled || !self.looks_when_off();
        self.sides[0].caller = if is_sent { caller } else { Caller::Nobody };
        self.sides[1].caller = caller;
        std::mem::replace(&mut self.caller, caller)
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
        let mut exchange = Exchange { step: self.step, caller: self.caller, request, answers, known: None };
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
