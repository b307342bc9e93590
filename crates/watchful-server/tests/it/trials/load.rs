//! Writers that go on through crashes and know what they were told, and the judgement over what is left of their work.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tonic::Status;
use tonic::transport::Channel;
use watchful_clients::row_of;
use watchful_revision::{Event, EventKind};
use watchful_testkit::{Model, Row, SplitMix64, checkers};
use watchful_wire::etcdserverpb::kv_client::KvClient;
use watchful_wire::etcdserverpb::{DeleteRangeRequest, PutRequest, RangeRequest};

use crate::support::{DEADLINE, connect, connect_when_up, model_of, read_history, writes_of};

/// One in so many writes is a delete.
const DELETES: u64 = 8;

/// What one writer tried, and what it was told.
#[derive(Default)]
pub(super) struct Written {
    /// The values it put. No two of a load are the same.
    attempted: Vec<String>,
    /// Revision, key and value, which is empty for a delete.
    acknowledged: Vec<(u64, String, String)>,
    /// How many calls failed, so that nobody knows what became of them.
    pub(super) failed: usize,
}

/// Writers at work.
pub(super) struct Load {
    writers: JoinSet<Written>,
    stop: Arc<AtomicBool>,
    acknowledged: watch::Receiver<u64>,
}

/// What every writer of a load shares.
#[derive(Clone)]
struct Plan {
    endpoint: String,
    keys: u64,
    stop: Arc<AtomicBool>,
    count: Arc<AtomicU64>,
    acknowledged: watch::Sender<u64>,
}

impl Load {
    /// Starts `writers` on as many keys, `key/00000` and so on.
    pub(super) fn start(endpoint: &str, writers: u64, keys: u64) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (sender, acknowledged) = watch::channel(0);
        let plan = Plan {
            endpoint: endpoint.to_owned(),
            keys,
            stop: Arc::clone(&stop),
            count: Arc::default(),
            acknowledged: sender,
        };
        let writers = (0..writers).map(|writer| write(plan.clone(), writer)).collect();
        Self { writers, stop, acknowledged }
    }

    /// Waits until so many more writes than now are acknowledged.
    pub(super) async fn until_acknowledged(&mut self, more: u64) {
        let goal = *self.acknowledged.borrow() + more;
        let reached = self.acknowledged.wait_for(|count| *count >= goal);
        timeout(DEADLINE, reached)
            .await
            .expect("the writers should get on")
            .expect("the writers should live");
    }

    /// Stops the writers once each has its answer.
    pub(super) async fn stop(self) -> Vec<Written> {
        self.stop.store(true, Ordering::Relaxed);
        timeout(DEADLINE, self.writers.join_all()).await.expect("the writers should come to an end")
    }
}

async fn write(plan: Plan, writer: u64) -> Written {
    let mut written = Written::default();
    let mut random = SplitMix64::new(writer);
    let mut kv = KvClient::new(connect_when_up(&plan.endpoint).await);
    while !plan.stop.load(Ordering::Relaxed) {
        let key = key_name(random.next_u64() % plan.keys);
        let outcome = match random.next_u64() % DELETES {
            0 => delete(&mut kv, key).await,
            _ => put(&mut kv, key, format!("{writer}-{}", written.attempted.len()), &mut written).await,
        };
        match outcome {
            Ok(acknowledged) => {
                written.acknowledged.extend(acknowledged);
                plan.acknowledged.send_replace(plan.count.fetch_add(1, Ordering::Relaxed) + 1);
            }
            Err(_) if plan.stop.load(Ordering::Relaxed) => written.failed += 1,
            Err(_) => {
                written.failed += 1;
                kv = KvClient::new(connect_when_up(&plan.endpoint).await);
            }
        }
    }
    written
}

pub(super) fn key_name(number: u64) -> String {
    format!("key/{number:05}")
}

type Acknowledged = Option<(u64, String, String)>;

async fn put(
    kv: &mut KvClient<Channel>,
    key: String,
    value: String,
    written: &mut Written,
) -> Result<Acknowledged, Status> {
    written.attempted.push(value.clone());
    let (wire_key, wire_value) = (key.clone().into(), value.clone().into());
    let request = PutRequest { key: wire_key, value: wire_value, ..Default::default() };
    let answer = kv.put(request).await?.into_inner();
    Ok(Some((answer.header.unwrap().revision.cast_unsigned(), key, value)))
}

/// Deletes a key. Nothing is acknowledged where it was not there.
async fn delete(kv: &mut KvClient<Channel>, key: String) -> Result<Acknowledged, Status> {
    let request = DeleteRangeRequest { key: key.clone().into(), ..Default::default() };
    let answer = kv.delete_range(request).await?.into_inner();
    let revision = answer.header.unwrap().revision.cast_unsigned();
    Ok((answer.deleted == 1).then_some((revision, key, String::new())))
}

/// The store's revision and its rows.
pub(super) async fn read_everything(endpoint: &str) -> (u64, Vec<Row>) {
    let mut kv = KvClient::new(connect(endpoint).await).max_decoding_message_size(usize::MAX);
    let request = RangeRequest { key: vec![0].into(), range_end: vec![0].into(), ..Default::default() };
    let answer = kv.range(request).await.unwrap().into_inner();
    (answer.header.unwrap().revision.cast_unsigned(), answer.kvs.iter().map(row_of).collect())
}

/// Judges what the server holds after a load: every acknowledged write is in the history at its revision, everything in
/// the history was tried and is there once, and the keys are what the history makes of them. Answers with the model.
pub(super) async fn judge(endpoint: &str, written: &[Written]) -> Model {
    let (revision, rows) = read_everything(endpoint).await;
    let history = read_history(endpoint, revision).await;
    assert!(history.iter().map(|event| event.revision().main).eq(2..=revision), "a revision is missing");
    check_acknowledged(&history, written);
    check_attempted(&history, written);
    let model = model_of(&history);
    let acknowledged = written.iter().flat_map(|written| &written.acknowledged);
    let acknowledged = acknowledged.map(|(revision, ..)| *revision).max().unwrap_or(1);
    checkers::durable(&model, acknowledged, revision, &rows).unwrap();
    model
}

fn check_acknowledged(history: &[Event], written: &[Written]) {
    let there = writes_of(history);
    for (revision, key, value) in written.iter().flat_map(|written| &written.acknowledged) {
        let found = there.get(revision);
        let found = found.map(|(key, value)| (key.as_slice(), value.as_slice()));
        let expected = Some((key.as_bytes(), value.as_bytes()));
        assert_eq!(found, expected, "{key}={value} was acknowledged at revision {revision}");
    }
}

fn check_attempted(history: &[Event], written: &[Written]) {
    let mut attempted: HashSet<&[u8]> =
        written.iter().flat_map(|written| &written.attempted).map(String::as_bytes).collect();
    for event in history.iter().filter(|event| event.kind() == EventKind::Put) {
        assert!(attempted.remove(event.value()), "{event:?} was written by nobody, or twice");
    }
}
