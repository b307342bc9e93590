//! Watches of everything that go on, stream after stream, from what they had.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use watchful_clients::events_of;
use watchful_harness::PATIENCE;
use watchful_revision::{Event, KeyRange};
use watchful_testkit::{Model, Observation, Observed, WatchSpec, checkers};
use watchful_wire::WatchResponse;
use watchful_wire::etcdserverpb::kv_client::KvClient;
use watchful_wire::etcdserverpb::watch_client::WatchClient;
use watchful_wire::etcdserverpb::watch_request::RequestUnion;
use watchful_wire::etcdserverpb::{RangeRequest, WatchCreateRequest, WatchProgressRequest, WatchRequest};

use super::{Shared, client, words};
use crate::trials::Outcome;

/// How often a watch that is to come to an end asks how far it is.
const ASK_AGAIN: Duration = Duration::from_millis(50);

/// A watch, and what it saw on each stream.
pub(super) struct Following {
    spec: WatchSpec,
    parts: Vec<Observed>,
}

impl Following {
    /// Watches from the first revision on until it is told which is the last and has it.
    pub(super) async fn follow(shared: Arc<Shared>) -> Self {
        let mut following = Self { spec: WatchSpec::new(KeyRange::everything(), 1), parts: Vec::new() };
        while following.next_revision() <= shared.end.borrow().filter(|last| *last > 0).unwrap_or(u64::MAX) {
            // A stream that breaks is followed by another.
            let _ = following.one_stream(&shared).await;
        }
        following
    }

    fn next_revision(&self) -> u64 {
        let mut spec = self.spec.clone();
        for part in &self.parts {
            spec.start_revision = part.next_revision(&spec);
        }
        spec.start_revision
    }

    async fn one_stream(&mut self, shared: &Shared) -> Outcome {
        let (requests, mut answers) = open(shared, self.next_revision()).await?;
        self.parts.push(Observed::new());
        let (mut ask, mut end) = (tokio::time::interval(ASK_AGAIN), shared.end.clone());
        loop {
            let last = end.borrow_and_update().filter(|last| *last > 0);
            if last.is_some_and(|last| self.next_revision() > last) {
                return Ok(());
            }
            tokio::select! {
                answer = answers.message() => {
                    let answer = answer?.ok_or("the stream ended")?;
                    self.parts.last_mut().expect("it was begun").push(observation(answer)?);
                }
                _ = ask.tick(), if last.is_some() => {
                    requests.send(request(RequestUnion::ProgressRequest(WatchProgressRequest {}))).await?;
                }
                changed = end.changed() => changed?,
            }
        }
    }

    /// Checks all it saw. Answers with how often it went on.
    pub(super) fn check(&self, model: &Model) -> u64 {
        let mut spec = self.spec.clone();
        for part in &self.parts {
            if let Err(violations) = checkers::check_all(&spec, part, model) {
                panic!("{spec:?}: {violations:#?}");
            }
            spec.start_revision = part.next_revision(&spec);
        }
        let parts: Vec<_> = self.parts.iter().collect();
        checkers::resumable(&self.spec, &parts, model).unwrap_or_else(|violation| panic!("{violation}"));
        self.parts.len() as u64 - 1
    }
}

type Open = (mpsc::Sender<WatchRequest>, Streaming<WatchResponse>);

async fn open(shared: &Shared, start_revision: u64) -> Outcome<Open> {
    let (requests, receiver) = mpsc::channel(8);
    let create = WatchCreateRequest {
        key: vec![0].into(),
        range_end: vec![0].into(),
        start_revision: start_revision.cast_signed(),
        ..WatchCreateRequest::default()
    };
    requests.send(request(RequestUnion::CreateRequest(create))).await?;
    let mut client = WatchClient::new(client::connect(shared).await).max_decoding_message_size(usize::MAX);
    Ok((requests, client.watch(ReceiverStream::new(receiver)).await?.into_inner()))
}

fn request(union: RequestUnion) -> WatchRequest {
    WatchRequest { request_union: Some(union) }
}

/// The last revision, and everything that ever happened, as the server tells it to a watch from the beginning.
pub(super) async fn history(shared: &Shared) -> Outcome<(u64, Vec<Event>)> {
    let mut kv = KvClient::new(client::connect(shared).await);
    let header =
        kv.range(RangeRequest { key: "a".into(), ..RangeRequest::default() }).await?.into_inner().header;
    let last = words::revision_of(header);
    let (_requests, mut answers) = open(shared, 1).await?;
    let mut history: Vec<Event> = Vec::new();
    // Every revision has an event.
    while history.last().map_or(1, |event| event.revision().main) < last {
        let answer = timeout(PATIENCE, answers.message()).await??.ok_or("the stream ended")?;
        history.extend(observation(answer)?.events().iter().cloned());
    }
    Ok((last, history))
}

fn observation(answer: WatchResponse) -> Outcome<Observation> {
    if answer.created {
        return Ok(Observation::Created);
    }
    if answer.canceled {
        return Err(format!("the watch was cancelled: {}", answer.cancel_reason).into());
    }
    let revision = words::revision_of(answer.header);
    let events = events_of(&answer.events.into_list());
    Ok(if events.is_empty() { Observation::Progress { revision } } else { Observation::batch(events) })
}
