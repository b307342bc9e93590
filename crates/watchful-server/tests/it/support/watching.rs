//! Watches over the wire, seen with the testkit's eyes: what a stream told becomes observations, and the history that
//! the server tells becomes the model that they are checked against.
//!
//! Only for histories whose transactions change one key each: the wire does not tell the place of an event in its
//! transaction, and a watch of some of the keys could not count it.

use std::collections::HashMap;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use tonic::transport::Channel;
use watchful_clients::{bounds, events_of};
use watchful_revision::{Event, KeyRange};
use watchful_testkit::{Model, Observation, Observed, Op, Violation, WatchSpec, checkers};
use watchful_wire::WatchResponse;
use watchful_wire::etcdserverpb::watch_client::WatchClient;
use watchful_wire::etcdserverpb::watch_request::RequestUnion;
use watchful_wire::etcdserverpb::{WatchCreateRequest, WatchProgressRequest, WatchRequest};

use super::client::{connect, connect_when_up};
use super::process::DEADLINE;

/// The watch id of an answer that speaks for all watches of its stream.
const ALL_WATCHES: i64 = -1;

/// How often a stream that has to come to an end asks how far it is. An etcd that is not there yet stays silent.
const ASK_AGAIN: Duration = Duration::from_millis(300);

/// One watch, and what it saw on each stream it was on.
pub(crate) struct Resuming {
    spec: WatchSpec,
    histories: Vec<Observed>,
    /// The fragments of an answer whose last one has not come.
    fragments: Vec<Event>,
}

impl Resuming {
    /// A watch of `range` from `start_revision` on, which must not be 0.
    pub(crate) fn new(range: KeyRange, start_revision: u64) -> Self {
        Self {
            spec: WatchSpec::new(range, start_revision).with_prev_kv(),
            histories: Vec::new(),
            fragments: Vec::new(),
        }
    }

    pub(crate) fn without_prev_kv(mut self) -> Self {
        self.spec.prev_kv = false;
        self
    }

    pub(crate) fn events(&self) -> usize {
        self.histories.iter().map(|history| history.events().count()).sum()
    }

    /// On how many streams it was.
    pub(crate) fn streams(&self) -> usize {
        self.histories.len()
    }

    /// Checks each stream's history with every checker, and all of them together for gaps and repeats.
    pub(crate) fn check(&self, model: &Model) -> Result<(), Vec<Violation>> {
        let mut spec = self.spec.clone();
        for history in &self.histories {
            checkers::check_all(&spec, history, model)?;
            spec.start_revision = history.next_revision(&spec);
        }
        let all: Vec<&Observed> = self.histories.iter().collect();
        checkers::resumable(&self.spec, &all, model).map_err(|violation| vec![violation])?;
        let reached = spec.start_revision - 1;
        assert!(reached >= model.current_revision(), "the watch stopped at {reached}");
        Ok(())
    }

    fn next_revision(&self) -> u64 {
        let mut spec = self.spec.clone();
        for history in &self.histories {
            spec.start_revision = history.next_revision(&spec);
        }
        spec.start_revision
    }

    fn create_request(&self, watch_id: i64) -> WatchRequest {
        let (key, range_end) = bounds(&self.spec.ranges[0]);
        request(RequestUnion::CreateRequest(WatchCreateRequest {
            key: key.into(),
            range_end: range_end.into(),
            start_revision: self.next_revision().cast_signed(),
            prev_kv: self.spec.prev_kv,
            watch_id,
            fragment: true,
            ..Default::default()
        }))
    }

    /// Begins a history: a new stream. What was not whole on the last one comes again.
    fn begin(&mut self) {
        self.fragments.clear();
        self.histories.push(Observed::new());
    }

    /// Sees an answer. Its fragments are put together first, as clients do: one may end within a revision or after it.
    fn see_answer(&mut self, answer: WatchResponse, revision: u64) {
        let fragment = answer.fragment;
        match observation_of(answer, revision, &mut self.fragments) {
            Observation::Batch(batch) if fragment => self.fragments = batch.events,
            observation => self.see(observation),
        }
    }

    fn see(&mut self, observation: Observation) {
        self.histories.last_mut().expect("a stream begins with a history").push(observation);
    }
}

/// Some watches on one stream of one connection. When it breaks they go on, on the next one, from where they were.
pub(crate) struct WireEvents {
    endpoint: String,
    watches: Vec<Resuming>,
    /// The revision up to which everything is wanted, once it is known.
    until: watch::Receiver<Option<u64>>,
    /// Told each time that all watches have been created.
    standing: mpsc::UnboundedSender<()>,
    /// Nothing is read from the first stream before this is told.
    deaf_until: Option<oneshot::Receiver<()>>,
}

impl WireEvents {
    pub(crate) fn new(
        endpoint: String,
        watches: Vec<Resuming>,
        until: watch::Receiver<Option<u64>>,
        standing: mpsc::UnboundedSender<()>,
    ) -> Self {
        Self { endpoint, watches, until, standing, deaf_until: None }
    }

    /// The same, but it opens its watches and then reads nothing before `gate` is told.
    pub(crate) fn deaf_until(self, gate: oneshot::Receiver<()>) -> Self {
        Self { deaf_until: Some(gate), ..self }
    }

    /// Watches until everything up to the revision of `until` has come. Answers with what was seen.
    pub(crate) async fn follow(mut self) -> Vec<Resuming> {
        loop {
            let channel = connect_when_up(&self.endpoint).await;
            if self.one_stream(channel).await.is_some() {
                return self.watches;
            }
        }
    }

    /// Watches on one stream. Answers with nothing when it broke.
    async fn one_stream(&mut self, channel: Channel) -> Option<()> {
        let (requests, receiver) = mpsc::channel(self.watches.len() + 8);
        for (at, watch) in self.watches.iter().enumerate() {
            requests.try_send(watch.create_request(id_of(at))).unwrap();
        }
        let mut client = WatchClient::new(channel).max_decoding_message_size(usize::MAX);
        let mut answers = client.watch(ReceiverStream::new(receiver)).await.ok()?.into_inner();
        self.watches.iter_mut().for_each(Resuming::begin);
        if let Some(gate) = self.deaf_until.take() {
            // A test that is gone wants nothing more.
            gate.await.ok()?;
        }
        self.take_all(&mut answers, &requests).await
    }

    async fn take_all(
        &mut self,
        answers: &mut Streaming<WatchResponse>,
        requests: &mpsc::Sender<WatchRequest>,
    ) -> Option<()> {
        let mut created = 0;
        let mut ask = tokio::time::interval(ASK_AGAIN);
        loop {
            let until = *self.until.borrow();
            let answer = tokio::select! {
                answer = answers.message() => answer.ok()??,
                _ = self.until.changed(), if until.is_none() => continue,
                _ = ask.tick(), if until.is_some() => {
                    requests.send(request(RequestUnion::ProgressRequest(WatchProgressRequest {}))).await.ok()?;
                    continue;
                }
            };
            created += usize::from(answer.created);
            if answer.created && created == self.watches.len() {
                // The test may have seen enough already.
                let _ = self.standing.send(());
            }
            if self.take(answer).is_some_and(|revision| until.is_some_and(|until| revision >= until)) {
                return Some(());
            }
        }
    }

    /// Takes one answer. Answers with the revision up to which all watches have everything, where it tells one.
    fn take(&mut self, answer: WatchResponse) -> Option<u64> {
        let revision = answer.header.as_ref().unwrap().revision.cast_unsigned();
        if answer.watch_id == ALL_WATCHES && !answer.canceled {
            self.watches.iter_mut().for_each(|watch| watch.see(Observation::Progress { revision }));
            return Some(revision);
        }
        let watch = &mut self.watches[usize::try_from(answer.watch_id - 1).unwrap()];
        watch.see_answer(answer, revision);
        None
    }
}

fn id_of(at: usize) -> i64 {
    i64::try_from(at).unwrap() + 1
}

fn request(union: RequestUnion) -> WatchRequest {
    WatchRequest { request_union: Some(union) }
}

/// What an answer says, with the events before it of which it is the rest.
fn observation_of(answer: WatchResponse, revision: u64, before: &mut Vec<Event>) -> Observation {
    if answer.created {
        return Observation::Created;
    }
    if answer.canceled && answer.compact_revision > 0 {
        return Observation::Compacted { compact_revision: answer.compact_revision.cast_unsigned() };
    }
    if answer.canceled {
        return Observation::Cancelled;
    }
    let mut events = std::mem::take(before);
    events.extend(events_of(&answer.events.into_list()));
    match events.is_empty() {
        true => Observation::Progress { revision },
        false => Observation::batch(events),
    }
}

/// Everything that ever happened up to `revision`, as the server tells it to a watch from the beginning.
pub(crate) async fn read_history(endpoint: &str, revision: u64) -> Vec<Event> {
    let (requests, receiver) = mpsc::channel(1);
    let everything = Resuming::new(KeyRange::everything(), 1).without_prev_kv();
    requests.send(everything.create_request(1)).await.unwrap();
    let mut client = WatchClient::new(connect(endpoint).await).max_decoding_message_size(usize::MAX);
    let mut answers = client.watch(ReceiverStream::new(receiver)).await.unwrap().into_inner();
    let mut history: Vec<Event> = Vec::new();
    // Every revision has an event. Progress is not asked for: an etcd's may overtake the events it speaks for.
    while history.last().map_or(1, |event| event.revision().main) < revision {
        let answer = timeout(DEADLINE, answers.message()).await.expect("history should come");
        let events = answer.unwrap().expect("the stream should stay").events;
        history.extend(events_of(&events.into_list()));
    }
    history
}

/// The model that did what `history` tells. It has to come out at the same revisions.
pub(crate) fn model_of(history: &[Event]) -> Model {
    let mut model = Model::new();
    for event in history {
        let op = match event.kind() {
            watchful_revision::EventKind::Put => Op::put(event.key(), event.value()),
            watchful_revision::EventKind::Delete => Op::delete(event.key()),
        };
        let applied = model.apply(&[op]).unwrap();
        assert_eq!(
            applied.revision,
            Some(event.revision().main),
            "{event:?} has another revision than it should"
        );
    }
    model
}

/// The history's writes by revision: key and value, which is empty for a delete.
pub(crate) fn writes_of(history: &[Event]) -> HashMap<u64, (Vec<u8>, Vec<u8>)> {
    history
        .iter()
        .map(|event| (event.revision().main, (event.key().to_vec(), event.value().to_vec())))
        .collect()
}
