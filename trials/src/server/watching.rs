//! Watches that go on, stream after stream, from what they had.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};
use watchful_clients::{bounds, row_of};
use watchful_harness::PATIENCE;
use watchful_revision::{Event, KeyRange, Record, Revision, encode_tombstone};
use watchful_testkit::{Filters, Model, Observation, Observed, Row, SplitMix64, WatchSpec, checkers};
use watchful_wire::etcdserverpb::kv_client::KvClient;
use watchful_wire::etcdserverpb::watch_client::WatchClient;
use watchful_wire::etcdserverpb::watch_create_request::FilterType;
use watchful_wire::etcdserverpb::watch_request::RequestUnion;
use watchful_wire::etcdserverpb::{RangeRequest, WatchCreateRequest, WatchProgressRequest, WatchRequest};
use watchful_wire::{KeyValue, WatchResponse, mvccpb};

use super::client::Link;
use super::{Shared, words};
use crate::trials::Outcome;

/// How often a watch that is to come to an end asks how far it is.
const ASK_AGAIN: Duration = Duration::from_millis(50);

/// A watch, and what it was told on each stream.
pub(super) struct Following {
    spec: WatchSpec,
    streams: Vec<Vec<WatchResponse>>,
}

/// All that ever happens.
pub(super) fn everything() -> WatchSpec {
    WatchSpec::new(KeyRange::everything(), 1)
}

/// Some keys or all, from the beginning or from a revision that is still to come, with whatever else may be asked for.
pub(super) fn some(rng: &mut SplitMix64) -> WatchSpec {
    let ranges = [
        KeyRange::everything(),
        KeyRange::key("key/2"),
        KeyRange::prefix("key/"),
        KeyRange::from_key("key/3"),
        KeyRange::between("key/1", "key/4").expect("it begins before it ends"),
    ];
    let mut spec = WatchSpec::new(rng.pick(&ranges).clone(), 1 + rng.below(2) * rng.below(300));
    spec.prev_kv = rng.chance(2);
    let filtered = rng.below(4);
    spec.filters = Filters { no_put: filtered == 0, no_delete: filtered == 1 };
    spec
}

/// Why a stream is over.
enum Over {
    Status(Status),
    /// What must not be, whoever is killed.
    Wrong(String),
}

impl From<Status> for Over {
    fn from(status: Status) -> Self {
        Self::Status(status)
    }
}

impl Following {
    /// Watches until it is told which revision is the last and has it.
    pub(super) async fn follow(shared: Arc<Shared>, spec: WatchSpec) -> Result<Self, String> {
        let mut following = Self { spec, streams: Vec::new() };
        while following.next_revision()? <= shared.end.borrow().filter(|last| *last > 0).unwrap_or(u64::MAX) {
            let link = Link::make(&shared).await;
            match following.one_stream(&link, &shared).await {
                Ok(()) => {}
                // A stream that is lost with its server is followed by another.
                Err(Over::Status(status)) => link
                    .check_lost(&shared, &status)
                    .map_err(|why| format!("{why}, to a watch of {:?}", following.spec))?,
                Err(Over::Wrong(why)) => return Err(format!("a watch of {:?}: {why}", following.spec)),
            }
        }
        Ok(following)
    }

    fn next_revision(&self) -> Result<u64, String> {
        let mut spec = self.spec.clone();
        for stream in &self.streams {
            spec.start_revision = observed(stream, &Places::Counted)?.next_revision(&spec);
        }
        Ok(spec.start_revision)
    }

    async fn one_stream(&mut self, link: &Link, shared: &Shared) -> Result<(), Over> {
        let mut next = self.next_revision().map_err(Over::Wrong)?;
        let (requests, mut answers) = open(link, &self.spec, next).await?;
        self.streams.push(Vec::new());
        let (mut ask, mut end) = (tokio::time::interval(ASK_AGAIN), shared.end.clone());
        loop {
            let last = end.borrow_and_update().filter(|last| *last > 0);
            if last.is_some_and(|last| next > last) {
                return Ok(());
            }
            tokio::select! {
                answer = answers.message() => {
                    let answer = answer?.ok_or_else(|| Over::Wrong("the server ended the stream".to_owned()))?;
                    next = next.max(told_up_to(&answer) + 1);
                    self.streams.last_mut().expect("it was begun").push(answer);
                }
                // A stream that is lost says so by its answers.
                _ = ask.tick(), if last.is_some() => {
                    _ = requests.send(request(RequestUnion::ProgressRequest(WatchProgressRequest {}))).await;
                }
                changed = end.changed() => changed.map_err(|_| Over::Wrong("the round is over".to_owned()))?,
            }
        }
    }

    /// Checks all it saw: a server that is not killed keeps a stream, and each of its events has its place in `history`.
    /// Answers with how often it went on.
    pub(super) fn check(&self, model: &Model, history: &[Event], kills: u64) -> Outcome<u64> {
        let resumed = (self.streams.len() as u64).saturating_sub(1);
        if resumed > kills {
            return Err(format!("{resumed} streams of {:?} broke for {kills} kills", self.spec).into());
        }
        let known = history.iter().map(|event| ((event.revision().main, event.key()), event.revision()));
        let places = Places::Known(known.collect());
        let (mut spec, mut parts) = (self.spec.clone(), Vec::new());
        for stream in &self.streams {
            let part = observed(stream, &places)?;
            if !matches!(part.observations(), [] | [Observation::Created, ..]) {
                return Err(
                    format!("a stream of {:?} does not begin with its watch: {part:?}", self.spec).into()
                );
            }
            if let Err(violations) = checkers::check_all(&spec, &part, model) {
                panic!("{spec:?}: {violations:#?}");
            }
            spec.start_revision = part.next_revision(&spec);
            parts.push(part);
        }
        let parts: Vec<_> = parts.iter().collect();
        checkers::resumable(&self.spec, &parts, model).unwrap_or_else(|violation| panic!("{violation}"));
        Ok(resumed)
    }
}

type Open = (mpsc::Sender<WatchRequest>, Streaming<WatchResponse>);

async fn open(link: &Link, spec: &WatchSpec, start_revision: u64) -> Result<Open, Status> {
    let (requests, receiver) = mpsc::channel(8);
    let [range] = &spec.ranges[..] else { panic!("a watch over the API has one range") };
    let (key, range_end) = bounds(range);
    let filters = [(spec.filters.no_put, FilterType::Noput), (spec.filters.no_delete, FilterType::Nodelete)];
    let create = WatchCreateRequest {
        key: key.into(),
        range_end: range_end.into(),
        start_revision: start_revision.cast_signed(),
        prev_kv: spec.prev_kv,
        filters: filters.iter().filter(|(is_set, _)| *is_set).map(|(_, filter)| (*filter).into()).collect(),
        ..WatchCreateRequest::default()
    };
    // There is room for it.
    _ = requests.send(request(RequestUnion::CreateRequest(create))).await;
    let mut client = WatchClient::new(link.channel.clone()).max_decoding_message_size(usize::MAX);
    Ok((requests, client.watch(ReceiverStream::new(receiver)).await?.into_inner()))
}

fn request(union: RequestUnion) -> WatchRequest {
    WatchRequest { request_union: Some(union) }
}

/// The last revision, and everything that ever happened, as the server tells it to a watch from the beginning.
pub(super) async fn history(shared: &Shared) -> Outcome<(u64, Vec<Event>)> {
    let link = Link::make(shared).await;
    let mut kv = KvClient::new(link.channel.clone());
    let header =
        kv.range(RangeRequest { key: "a".into(), ..RangeRequest::default() }).await?.into_inner().header;
    let last = words::revision_of(header);
    let (_requests, mut answers) = open(&link, &everything(), 1).await?;
    let mut history: Vec<Event> = Vec::new();
    // Every revision has an event.
    while history.last().map_or(1, |event| event.revision().main) < last {
        let answer = timeout(PATIENCE, answers.message()).await??.ok_or("the stream ended")?;
        history.extend(observation(&answer, &Places::Counted)?.events().iter().cloned());
    }
    Ok((last, history))
}

/// Up to where an answer tells everything.
fn told_up_to(answer: &WatchResponse) -> u64 {
    let last =
        answer.events.list().iter().filter_map(|event| event.kv.as_ref()).map(KeyValue::mod_revision).max();
    let is_progress = !answer.created && !answer.canceled;
    let progress = || if is_progress { words::revision_of(answer.header) } else { 0 };
    last.map_or_else(progress, i64::cast_unsigned)
}

/// Where events are in their transactions, which an answer does not tell.
enum Places<'h> {
    /// As they come: right for a watch of everything, and enough to tell where to go on.
    Counted,
    /// Of each change, by its main revision and its key.
    Known(HashMap<(u64, &'h [u8]), Revision>),
}

impl Places<'_> {
    /// That of a key's change, behind the one `before` it in the same revision.
    fn of(&self, main: u64, key: &[u8], before: Option<Revision>) -> Result<Revision, String> {
        match self {
            Self::Counted => Ok(before.map_or(Revision::start_of(main), |before| before.next())),
            Self::Known(places) => {
                let place = places.get(&(main, key)).copied();
                place.ok_or_else(|| format!("{main} did not change {}", key.escape_ascii()))
            }
        }
    }
}

fn observed(answers: &[WatchResponse], places: &Places<'_>) -> Result<Observed, String> {
    answers.iter().map(|answer| observation(answer, places)).collect()
}

fn observation(answer: &WatchResponse, places: &Places<'_>) -> Result<Observation, String> {
    if answer.created {
        return Ok(Observation::Created);
    }
    if answer.canceled {
        return Err(format!("the watch was cancelled: {}", answer.cancel_reason));
    }
    let revision = words::revision_of(answer.header);
    let mut events: Vec<Event> = Vec::new();
    for event in answer.events.list() {
        let kv = event.kv.as_ref().ok_or("an event without a key")?;
        let main = kv.mod_revision().cast_unsigned();
        let before = events.last().map(|last| last.revision()).filter(|last| last.main == main);
        events.push(event_of(event, kv, places.of(main, kv.key(), before)?, places)?);
    }
    Ok(if events.is_empty() { Observation::Progress { revision } } else { Observation::batch(events) })
}

fn event_of(
    event: &mvccpb::Event,
    kv: &KeyValue,
    revision: Revision,
    places: &Places<'_>,
) -> Result<Event, String> {
    let record = match event.r#type() {
        mvccpb::event::EventType::Put => Row { revision, ..row_of(kv) }.to_record(),
        mvccpb::event::EventType::Delete => {
            let mut bytes = Vec::new();
            encode_tombstone(revision, kv.key(), &mut bytes).map_err(|error| error.to_string())?;
            Record::parse(revision, bytes.into()).map_err(|error| error.to_string())?
        }
    };
    let prev = event.prev_kv.as_ref().map(|prev| {
        let revision = places.of(prev.mod_revision().cast_unsigned(), prev.key(), None)?;
        Ok::<_, String>(Row { revision, ..row_of(prev) }.to_record())
    });
    Ok(Event::new(record, prev.transpose()?))
}
