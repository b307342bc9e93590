//! The facade's requests and answers in the testkit's words, and back.

use watchful::{
    Compare, CompareResult, CompareTarget, End, EventFilter, KeyRange, LagPolicy, OpResponse, PutOptions,
    RangeOptions, RangeResult, Record, RequestOp, SortOrder, SortTarget, Store, TxnRequest, Update,
    WatchOptions,
};
use watchful_testkit::{self as kit, Observation, Observed, WatchSpec};

/// Every row of the store at a revision, in key order.
pub fn rows_at(store: &Store, revision: u64) -> Vec<kit::Row> {
    let found = store.view_at(revision).unwrap().range(&KeyRange::everything(), &RangeOptions::default());
    rows(&found.unwrap().records)
}

/// Records as the testkit's rows.
pub fn rows(records: &[Record]) -> Vec<kit::Row> {
    records.iter().map(kit::Row::from).collect()
}

/// The value of a key as it is now, as text.
pub fn get(store: &Store, key: &str) -> Option<String> {
    store.get(key).unwrap().map(|record| String::from_utf8(record.value().to_vec()).unwrap())
}

/// A transaction of the testkit's operations, which answers with what was before.
pub fn request(ops: &[kit::Op]) -> TxnRequest {
    TxnRequest { then: ops.iter().map(request_op).collect(), ..TxnRequest::default() }
}

fn request_op(op: &kit::Op) -> RequestOp {
    match op {
        kit::Op::Put { key, value, lease, ignore_value, ignore_lease } => RequestOp::Put {
            key: key.clone(),
            value: value.clone(),
            options: PutOptions {
                lease: *lease,
                ignore_value: *ignore_value,
                ignore_lease: *ignore_lease,
                prev_kv: true,
            },
        },
        kit::Op::DeleteRange(range) => RequestOp::DeleteRange { range: Some(range.clone()), prev_kv: true },
        kit::Op::Range { range, options: wanted, revision } => {
            RequestOp::Range { range: Some(range.clone()), revision: *revision, options: options(wanted) }
        }
        kit::Op::Txn(txn) => RequestOp::Txn(TxnRequest {
            compares: txn.compares.iter().map(compare).collect(),
            then: txn.then_ops.iter().map(request_op).collect(),
            or_else: txn.else_ops.iter().map(request_op).collect(),
        }),
    }
}

fn compare(compare: &kit::Compare) -> Compare {
    let target = match &compare.target {
        kit::CompareTarget::Version(version) => CompareTarget::Version(*version),
        kit::CompareTarget::Create(revision) => CompareTarget::Create(*revision),
        kit::CompareTarget::Mod(revision) => CompareTarget::Mod(*revision),
        kit::CompareTarget::Value(value) => CompareTarget::Value(value.clone()),
        kit::CompareTarget::Lease(lease) => CompareTarget::Lease(*lease),
    };
    let result = match compare.comparison {
        kit::Comparison::Equal => CompareResult::Equal,
        kit::Comparison::Greater => CompareResult::Greater,
        kit::Comparison::Less => CompareResult::Less,
        kit::Comparison::NotEqual => CompareResult::NotEqual,
    };
    Compare { range: Some(compare.range.clone()), target, result }
}

fn options(options: &kit::RangeOptions) -> RangeOptions {
    RangeOptions {
        limit: options.limit as u64,
        target: match options.target {
            kit::SortTarget::Key => SortTarget::Key,
            kit::SortTarget::Version => SortTarget::Version,
            kit::SortTarget::Create => SortTarget::Create,
            kit::SortTarget::Mod => SortTarget::Mod,
            kit::SortTarget::Value => SortTarget::Value,
        },
        order: match options.order {
            kit::Order::None => SortOrder::None,
            kit::Order::Ascend => SortOrder::Ascend,
            kit::Order::Descend => SortOrder::Descend,
        },
        min_mod_revision: options.min_mod_revision,
        max_mod_revision: options.max_mod_revision,
        min_create_revision: options.min_create_revision,
        max_create_revision: options.max_create_revision,
        keys_only: options.keys_only,
        count_only: options.count_only,
    }
}

/// The answer to one operation in the testkit's words.
pub fn result(response: &OpResponse) -> kit::OpResult {
    match response {
        OpResponse::Put(prev) => kit::OpResult::Put { prev: prev.as_ref().map(kit::Row::from) },
        OpResponse::Delete(deleted) => {
            assert_eq!(deleted.count, deleted.prev.len() as u64);
            kit::OpResult::Deleted { prev: rows(&deleted.prev) }
        }
        OpResponse::Range(answer) => kit::OpResult::Range(range_answer(answer)),
        OpResponse::Txn(nested) => kit::OpResult::Txn {
            succeeded: nested.succeeded,
            results: nested.responses.iter().map(result).collect(),
        },
    }
}

fn range_answer(answer: &RangeResult) -> kit::RangeAnswer {
    kit::RangeAnswer {
        rows: rows(&answer.records),
        count: usize::try_from(answer.count).unwrap(),
        more: answer.more,
    }
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
