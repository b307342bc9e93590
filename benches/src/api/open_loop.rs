//! Puts that come when they are due, whatever became of those before.
//!
//! Each is timed from the moment it was due, so that a server which stalls cannot hide the puts that had to wait.

use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use watchful_testkit::SplitMix64;

use super::calls::PUT;
use super::closed_loop::{new_latencies, note};
use super::connection::{Connection, Method, Refused};
use crate::Outcome;
use crate::keys::{KEYS_SEED, any_below};
use crate::workloads::support::figure;

/// What came of the puts.
pub(crate) struct Arrivals {
    /// Of those that were refused too.
    pub(crate) latencies: Histogram<u64>,
    /// "Too many requests", and the like.
    pub(crate) refused: u64,
    /// Given up unanswered. Their latency is how long they had waited by then, which is too little.
    pub(crate) unanswered: u64,
    /// What the first of those met whose connection broke; they are among the unanswered.
    pub(crate) broken: Option<String>,
}

/// How much longer than they came puts are waited for, at most.
const ANSWERED_WITHIN: Duration = Duration::from_secs(5);

/// Puts on these connections, so many a second, for so long. The number of those under way is bounded by their product. A
/// server that answers none does not hold this up for more than the bound.
pub(crate) async fn arrive(
    connections: &[Connection],
    keys: u64,
    rate: f64,
    window: Duration,
) -> Outcome<Arrivals> {
    let latencies = Arc::new(Mutex::new(new_latencies()?));
    let methods: Vec<_> =
        connections.iter().map(|connection| connection.method(PUT.path)).collect::<Outcome<_>>()?;
    let (send, mut due) = unbounded_channel();
    let clock = thread::spawn(move || tick(&send, rate, window));
    let (mut tasks, mut rng) = (Vec::new(), SplitMix64::new(KEYS_SEED));
    while let Some(due) = due.recv().await {
        let method = methods[tasks.len() % methods.len()].clone();
        let number = any_below(&mut rng, keys);
        tasks.push((due, tokio::spawn(put(method, number, due, Arc::clone(&latencies)))));
    }
    clock.join().map_err(|_| "the clock panicked")?;
    let (mut refused, mut unanswered, mut broken) = (0, 0, None);
    let until = tokio::time::Instant::now() + ANSWERED_WITHIN;
    for (due, task) in &mut tasks {
        match tokio::time::timeout_at(until, &mut *task).await {
            Ok(answered) => match answered?? {
                Answered::Done => {}
                Answered::Refused => refused += 1,
                Answered::Broken(error) => {
                    unanswered += 1;
                    broken.get_or_insert(error);
                }
            },
            Err(_) => {
                task.abort();
                note(&latencies, due.elapsed());
                unanswered += 1;
            }
        }
    }
    let latencies = latencies.lock().map_err(|_| "a put panicked")?.clone();
    Ok(Arrivals { latencies, refused, unanswered, broken })
}

/// A thread of its own wakes more exactly than a runtime's timer, whose ticks are milliseconds.
fn tick(due: &UnboundedSender<Instant>, rate: f64, window: Duration) {
    let (begun, mut number) = (Instant::now(), 0);
    loop {
        let at = begun + Duration::from_secs_f64(figure(number) / rate);
        if at > begun + window {
            return;
        }
        thread::sleep(at.saturating_duration_since(Instant::now()));
        if due.send(at).is_err() {
            return;
        }
        number += 1;
    }
}

/// What came of one put.
enum Answered {
    Done,
    Refused,
    /// The connection is gone.
    Broken(String),
}

async fn put(
    method: Method,
    number: u64,
    due: Instant,
    latencies: Arc<Mutex<Histogram<u64>>>,
) -> Outcome<Answered> {
    let answer = method.call((PUT.request)(number)?).await;
    note(&latencies, due.elapsed());
    match answer {
        Ok(answer) => (PUT.check)(number, &answer).map(|()| Answered::Done),
        Err(error) if error.is::<Refused>() => Ok(Answered::Refused),
        Err(error) => Ok(Answered::Broken(error.to_string())),
    }
}
