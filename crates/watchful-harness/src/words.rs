//! What the facade has beside the store's requests and answers, watches above all, in the testkit's words and back.

use watchful::{End, EventFilter, KeyRange, LagPolicy, RangeOptions, Store, Update, WatchOptions};
use watchful_mvcc_twin::rows;
use watchful_testkit::{self as kit, Observation, Observed, WatchSpec};

/// Every row of the store at a revision, in key order.
pub fn rows_at(store: &Store, revision: u64) -> Vec<kit::Row> {
    let found = store.view_at(revision).unwrap().range(&KeyRange::everything(), &RangeOptions::default());
    rows(&found.unwrap().records)
}

/// The value of a key as it is now, as text.
pub fn get(store: &Store, key: &str) -> Option<String> {
    store.get(key).unwrap().map(|record| String::from_utf8(record.value().to_vec()).unwrap())
}

/// The options of a watch that asks for what `spec` says.
pub fn watch_options(spec: &WatchSpec) -> WatchOptions {
    let mut ranges = spec.ranges.iter().cloned();
    let first = WatchOptions::new(ranges.next().unwrap()).start_at(spec.start_revision.max(1));
    ranges
        .fold(first, WatchOptions::and)
        .with_filter(EventFilter { no_put: spec.filters.no_put, no_delete: spec.filters.no_delete })
        .with_prev_kv(spec.prev_kv)
        .with_lag_policy(match spec.policy {
            kit::Policy::Replay => LagPolicy::Replay,
            kit::Policy::Conflate => LagPolicy::Conflate,
            kit::Policy::Cancel => LagPolicy::Cancel,
        })
}

/// An update in the testkit's words; none for the end that comes with the store's own.
pub fn observation(update: Result<Update, End>) -> Option<Observation> {
    Some(match update {
        Ok(Update::Events(batch)) => Observation::Batch(kit_batch(&batch)),
        Ok(Update::Progress { revision }) => Observation::Progress { revision },
        Err(End::Compacted { compact_revision }) => Observation::Compacted { compact_revision },
        Err(End::Lagged { .. }) => Observation::Lagged,
        Err(End::Cancelled) => Observation::Cancelled,
        Err(End::Closed) => return None,
        Err(other) => panic!("{other}"),
    })
}

/// A batch in the testkit's words.
pub fn kit_batch(batch: &watchful::Batch) -> kit::Batch {
    kit::Batch {
        first_revision: batch.first_revision(),
        last_revision: batch.last_revision(),
        events: batch.events().to_vec(),
        fragment: batch.is_fragment(),
        conflated: batch.is_conflated(),
    }
}

/// What was seen, one line an event: `2.0 put a=1`, `3.0 del a was 1`; and the end.
pub fn lines(observed: &Observed) -> Vec<String> {
    let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
    let event_line = |event: &watchful::Event| {
        let (revision, key) = (event.revision(), text(event.key()));
        let what = match event.kind() {
            watchful::EventKind::Put => format!("put {key}={}", text(event.value())),
            watchful::EventKind::Delete => format!("del {key}"),
        };
        let prev = event.prev().map_or(String::new(), |prev| format!(" was {}", text(prev.value())));
        format!("{}.{} {what}{prev}", revision.main, revision.sub)
    };
    let mut lines = Vec::new();
    for observation in observed.observations() {
        lines.extend(observation.events().iter().map(event_line));
        if observation.is_end() {
            lines.push(format!("{observation:?}"));
        }
    }
    lines
}

/// The range of all keys.
pub fn everything() -> KeyRange {
    KeyRange::everything()
}
