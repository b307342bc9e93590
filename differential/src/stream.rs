//! One stream of watches to one server, and what came over it, sorted by watch.

use std::collections::HashMap;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};
use watchful_wire::WatchResponse;
use watchful_wire::etcdserverpb::watch_client::WatchClient;
use watchful_wire::etcdserverpb::watch_request::RequestUnion;
use watchful_wire::etcdserverpb::{
    WatchCancelRequest, WatchCreateRequest, WatchProgressRequest, WatchRequest,
};

use crate::answer::{Answer, Delivery, anonymous, deliveries};
use crate::caller::Called;
use crate::patience::{OutOfPatience, Patience};

/// The id of answers that are for no watch: refusals, and progress that was asked for.
const NO_WATCH: i64 = -1;

/// A watch that is made and canceled where no answer is due: what comes before its `created` is all there is.
const FLUSH: i64 = 1 << 40;

/// Answers that wait to be read. When so many do, the connection waits.
const INBOX: usize = 1024;

/// How long a control answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(15);

/// A stream of watches.
pub(crate) struct WatchStream {
    requests: mpsc::Sender<WatchRequest>,
    inbox: mpsc::Receiver<Result<WatchResponse, Status>>,
    delivered: HashMap<i64, Vec<Delivery>>,
    /// Events and cancellations of each watch since the stream was opened.
    counts: HashMap<i64, usize>,
    /// Watches whose last answer promised a further fragment.
    unfinished: Vec<i64>,
    /// Why the stream ended, when it did.
    ended: Option<Answer>,
    reader: JoinHandle<()>,
}

/// Ends the call. Closing only our half would not do: etcd goes on then.
impl Drop for WatchStream {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

impl WatchStream {
    pub(crate) fn open(channel: Called) -> Self {
        let (requests, asked) = mpsc::channel(INBOX);
        let (answers, inbox) = mpsc::channel(INBOX);
        let reader = tokio::spawn(read(channel, ReceiverStream::new(asked), answers));
        Self {
            reader,
            requests,
            inbox,
            delivered: HashMap::new(),
            counts: HashMap::new(),
            unfinished: Vec::new(),
            ended: None,
        }
    }

    /// Makes a watch, and waits until that is answered.
    pub(crate) async fn create(&mut self, create: WatchCreateRequest) -> Answer {
        self.send(RequestUnion::CreateRequest(create)).await;
        self.control("the creation of a watch", |answer| answer.created).await
    }

    /// Cancels a watch. Where it is not open, nothing is due.
    pub(crate) async fn cancel(&mut self, watch_id: i64, open: bool) -> Answer {
        self.send(RequestUnion::CancelRequest(WatchCancelRequest { watch_id })).await;
        let canceled = |answer: &WatchResponse| answer.canceled && answer.watch_id == watch_id;
        if open {
            return self.control("a cancellation", canceled).await;
        }
        self.nothing_or(canceled).await
    }

    /// Asks how far the stream is.
    pub(crate) async fn progress(&mut self, due: bool) -> Answer {
        self.send(RequestUnion::ProgressRequest(WatchProgressRequest {})).await;
        let progress = |answer: &WatchResponse| answer.watch_id == NO_WATCH && !answer.created;
        if due {
            return self.control("progress", progress).await;
        }
        self.nothing_or(progress).await
    }

    /// The answer that is not due, or nothing. Control answers keep their order, so a watch made after the request
    /// shows when none came: its creation, or, where whoever opened the stream may not watch, its refusal.
    async fn nothing_or(&mut self, found: impl Fn(&WatchResponse) -> bool) -> Answer {
        let create = WatchCreateRequest { key: "flush".into(), watch_id: FLUSH, ..Default::default() };
        self.send(RequestUnion::CreateRequest(create)).await;
        let made = |answer: &WatchResponse| answer.created && answer.watch_id == FLUSH;
        let flushed = |answer: &WatchResponse| made(answer) || answer.created && answer.canceled;
        let first = self.control("a watch", |answer| found(answer) || flushed(answer)).await;
        let none = matches!(&first, Answer::Watch(answer) if flushed(answer));
        let flush = if none { first.clone() } else { self.control("a watch", flushed).await };
        if matches!(&flush, Answer::Watch(answer) if made(answer)) {
            self.send(RequestUnion::CancelRequest(WatchCancelRequest { watch_id: FLUSH })).await;
            self.control("a cancellation", |answer| answer.canceled && answer.watch_id == FLUSH).await;
        }
        if none { Answer::Nothing } else { first }
    }

    /// Reads on until the watch was given `count` events and cancellations in all, or out of patience.
    pub(crate) async fn reach(&mut self, watch_id: i64, count: usize, patience: &mut Patience) -> bool {
        while self.count(watch_id) < count {
            if !self.read_one(patience).await {
                return false;
            }
        }
        true
    }

    /// Reads on until an event of this revision or a later one waits to be taken for the watch, or out of patience.
    pub(crate) async fn reach_revision(
        &mut self,
        watch_id: i64,
        revision: i64,
        patience: &mut Patience,
    ) -> bool {
        let reached = |delivery: &Delivery| match delivery {
            Delivery::Event { event, .. } => {
                event.kv.as_ref().is_some_and(|kv| kv.mod_revision() >= revision)
            }
            _ => false,
        };
        let last = |delivered: &HashMap<i64, Vec<Delivery>>| delivered.get(&watch_id)?.last().map(reached);
        while last(&self.delivered) != Some(true) {
            if !self.read_one(patience).await {
                return false;
            }
        }
        true
    }

    /// Reads what has come already.
    pub(crate) fn drain(&mut self) {
        while let Ok(answer) = self.inbox.try_recv() {
            if let Some(answer) = self.noted(answer) {
                self.file(answer);
            }
        }
    }

    /// How many events and cancellations the watch was given in all.
    pub(crate) fn count(&self, watch_id: i64) -> usize {
        self.counts.get(&watch_id).copied().unwrap_or(0)
    }

    /// How many of the deliveries that wait to be taken for the watch are such ones.
    pub(crate) fn waiting(&self, watch_id: i64, is: impl Fn(&Delivery) -> bool) -> usize {
        self.delivered.get(&watch_id).map_or(0, |waiting| waiting.iter().filter(|one| is(one)).count())
    }

    /// What the watch was given and nobody took yet.
    pub(crate) fn take(&mut self, watch_id: i64) -> Vec<Delivery> {
        let mut taken = self.delivered.remove(&watch_id).unwrap_or_default();
        if self.unfinished.contains(&watch_id) {
            taken.push(Delivery::UnfinishedFragment);
        }
        if let Some(ended) = &self.ended {
            taken.push(Delivery::StreamEnded(Box::new(ended.clone())));
        }
        taken
    }

    /// The watches that something was delivered to and nobody took it.
    pub(crate) fn untaken(&self) -> Vec<i64> {
        self.delivered.keys().copied().collect()
    }

    async fn send(&mut self, request: RequestUnion) {
        // Where the stream has ended, the answer that is waited for tells why.
        let _ = self.requests.send(WatchRequest { request_union: Some(request) }).await;
    }

    /// Reads on until an answer that `found` accepts.
    async fn control(&mut self, what: &str, found: impl Fn(&WatchResponse) -> bool) -> Answer {
        let mut patience = Patience::new(ANSWER_WITHIN);
        loop {
            let Ok(answer) = patience.wait(self.inbox.recv()).await else {
                return Answer::Late { waited_for: format!("{what}, {ANSWER_WITHIN:?}") };
            };
            match answer.map(|answer| self.noted(answer)) {
                Some(Some(mut answer)) if found(&answer) => {
                    anonymous(&mut answer.header);
                    return Answer::Watch(answer);
                }
                Some(Some(answer)) => self.file(answer),
                Some(None) | None => return self.why_ended(),
            }
        }
    }

    async fn read_one(&mut self, patience: &mut Patience) -> bool {
        match patience.wait(self.inbox.recv()).await {
            Ok(Some(answer)) => self.noted(answer).map(|answer| self.file(answer)).is_some(),
            Ok(None) | Err(OutOfPatience) => false,
        }
    }

    /// An answer, or the note that the stream has ended.
    fn noted(&mut self, answer: Result<WatchResponse, Status>) -> Option<WatchResponse> {
        answer.map_err(|status| self.ended = Some(Answer::refused(&status))).ok()
    }

    fn why_ended(&self) -> Answer {
        let unsaid = || Answer::Late { waited_for: "a stream that is over without an error".to_owned() };
        self.ended.clone().unwrap_or_else(unsaid)
    }

    fn file(&mut self, answer: WatchResponse) {
        let watch_id = answer.watch_id;
        self.unfinished.retain(|unfinished| *unfinished != watch_id);
        if answer.fragment {
            self.unfinished.push(watch_id);
        }
        let taken_apart = deliveries(answer);
        let counted = taken_apart.iter().filter(|one| !matches!(one, Delivery::Progress { .. })).count();
        *self.counts.entry(watch_id).or_default() += counted;
        if !taken_apart.is_empty() {
            self.delivered.entry(watch_id).or_default().extend(taken_apart);
        }
    }
}

/// Reads a stream for as long as somebody wants its answers.
async fn read(
    channel: Called,
    asked: ReceiverStream<WatchRequest>,
    answers: mpsc::Sender<Result<WatchResponse, Status>>,
) {
    // etcd answers the call itself together with its first message.
    let opened = WatchClient::new(channel).max_decoding_message_size(usize::MAX).watch(asked).await;
    let read = match opened {
        Ok(stream) => forward(stream.into_inner(), &answers).await,
        Err(status) => Err(status),
    };
    if let Err(status) = read {
        // Where nobody listens any more, nobody wants to know.
        let _ = answers.send(Err(status)).await;
    }
}

async fn forward(
    mut stream: Streaming<WatchResponse>,
    answers: &mpsc::Sender<Result<WatchResponse, Status>>,
) -> Result<(), Status> {
    while let Some(answer) = stream.message().await? {
        if answers.send(Ok(answer)).await.is_err() {
            break;
        }
    }
    Ok(())
}
