//! What the tests share: a store in a folder of its own, and the testkit's words for what a store answers.

use std::path::{Path, PathBuf};

use tempfile::TempDir;
use watchful_mvcc::{
    CommittedBatch, Compare, CompareResult, CompareTarget, Durability, Group, HistoryLimits, HistoryRow,
    Mvcc, MvccError, MvccSettings, OpResponse, OpenReport, PutOptions, RangeOptions, RangeResult, RequestOp,
    SortOrder, SortTarget, TxnRequest, Want,
};
use watchful_revision::{KeyRange, Record, Revision};
use watchful_testkit as kit;

/// A store that can be closed and opened again. The tests wait for no disk.
pub(crate) struct Store {
    dir: TempDir,
    pub(crate) settings: MvccSettings,
    mvcc: Option<Mvcc>,
}

impl Store {
    pub(crate) fn new() -> Self {
        Self::with(settings())
    }

    pub(crate) fn with(settings: MvccSettings) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mvcc = Mvcc::open(dir.path(), &settings).unwrap().0;
        Self { dir, settings, mvcc: Some(mvcc) }
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn data_file(&self) -> PathBuf {
        self.path().join("data.mdb")
    }

    pub(crate) fn close(&mut self) {
        self.mvcc = None;
    }

    pub(crate) fn reopen(&mut self) -> OpenReport {
        self.close();
        let (mvcc, report) = Mvcc::open(self.dir.path(), &self.settings).unwrap();
        self.mvcc = Some(mvcc);
        report
    }

    /// Runs one script line a transaction (see `watchful_testkit::script`) and commits each.
    pub(crate) fn run(&self, script: &str) {
        for step in kit::script::parse(script) {
            let mut group = self.begin_group().unwrap();
            run_step(&mut group, &step).unwrap();
            group.commit().unwrap();
        }
    }

    /// Compacts to `revision` and deletes all that leaves behind. Tells how many rows that were.
    pub(crate) fn compact(&self, revision: u64) -> usize {
        self.run(&format!("compact {revision}"));
        let mut group = self.begin_group().unwrap();
        let slice = group.compact_slice(usize::MAX).unwrap();
        assert!(slice.is_done);
        group.commit().unwrap();
        slice.rows
    }

    /// Every key at a revision, as `key=value`.
    pub(crate) fn all_at(&self, revision: u64) -> Vec<String> {
        let rows = rows_at(self, revision);
        rows.iter().map(|row| format!("{}={}", row.key.escape_ascii(), row.value.escape_ascii())).collect()
    }
}

impl std::ops::Deref for Store {
    type Target = Mvcc;

    fn deref(&self) -> &Mvcc {
        self.mvcc.as_ref().unwrap()
    }
}

pub(crate) fn settings() -> MvccSettings {
    MvccSettings::default().with_durability(Durability::Unsynced).with_quota_bytes(64 << 20)
}

pub(crate) fn rows_at(mvcc: &Mvcc, revision: u64) -> Vec<kit::Row> {
    let view = mvcc.view(Some(revision)).unwrap();
    rows(&view.range(&KeyRange::everything(), &RangeOptions::default()).unwrap().records)
}

pub(crate) fn rows(records: &[Record]) -> Vec<kit::Row> {
    records.iter().map(kit::Row::from).collect()
}

/// Reads history in chunks within `limits` until the current revision.
pub(crate) fn read_all(mvcc: &Mvcc, from: u64, limits: &HistoryLimits) -> Result<Vec<HistoryRow>, MvccError> {
    let mut next = Revision::start_of(from);
    let mut rows = Vec::new();
    let current = mvcc.current_revision();
    while next.main <= current {
        let chunk = mvcc.read_history(next, current, limits, &mut |row| Want::TakeWithPrev {
            charge_bytes: row.encoded_len(),
        })?;
        assert!(chunk.next > next, "a chunk always moves on");
        next = chunk.next;
        rows.extend(chunk.into_rows(Into::into));
    }
    Ok(rows)
}

/// What a step of a script answers, in the testkit's words.
pub(crate) type Answer = Result<Option<kit::Applied>, String>;

/// Runs a step in the model; none for what has no answer.
pub(crate) fn run_in_model(model: &mut kit::Model, step: &kit::script::Step) -> Answer {
    use kit::script::Step;
    match step {
        Step::Txn(ops) => model.apply(ops).map(Some).map_err(|error| in_words_of_model(&error)),
        Step::Compact(revision) => {
            model.compact(*revision).map(|()| None).map_err(|error| format!("{error:?}"))
        }
        Step::Grant { id, ttl } => {
            model.lease_grant(*id, *ttl).map(|()| None).map_err(|error| format!("Lease{error:?}"))
        }
        Step::Revoke { id } => {
            let applied = model.lease_revoke(*id).map_err(|error| format!("Lease{error:?}"))?;
            Ok(Some(kit::Applied { revision: applied.revision, results: Vec::new() }))
        }
        Step::Call { .. } => Ok(None),
    }
}

fn in_words_of_model(error: &kit::ApplyError) -> String {
    match error {
        kit::ApplyError::Read(error) => format!("{error:?}"),
        other => format!("{other:?}"),
    }
}

/// Runs a step in a group of a store.
pub(crate) fn run_step(group: &mut Group<'_>, step: &kit::script::Step) -> Answer {
    use kit::script::Step;
    let words = |error: MvccError| match error {
        MvccError::LeaseExists { id } => format!("LeaseExists {{ id: {id} }}"),
        error => format!("{error:?}"),
    };
    match step {
        Step::Txn(ops) => {
            let outcome = group.execute(&request(ops)).map_err(words)?;
            let results = outcome.value.responses.iter().map(result).collect();
            Ok(Some(kit::Applied { revision: outcome.revision, results }))
        }
        Step::Compact(revision) => group.schedule_compaction(*revision).map(|()| None).map_err(words),
        Step::Grant { id, ttl } => group.txn(|txn| txn.lease_grant(*id, *ttl)).map(|_| None).map_err(words),
        Step::Revoke { id } => {
            let outcome = group.txn(|txn| txn.lease_revoke(*id)).map_err(words)?;
            Ok(Some(kit::Applied { revision: outcome.revision, results: Vec::new() }))
        }
        Step::Call { .. } => Ok(None),
    }
}

pub(crate) fn request(ops: &[kit::Op]) -> TxnRequest {
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

pub(crate) fn compare(compare: &kit::Compare) -> Compare {
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

pub(crate) fn options(options: &kit::RangeOptions) -> RangeOptions {
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

fn result(response: &OpResponse) -> kit::OpResult {
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

pub(crate) fn range_answer(answer: &RangeResult) -> kit::RangeAnswer {
    kit::RangeAnswer {
        rows: rows(&answer.records),
        count: usize::try_from(answer.count).unwrap(),
        more: answer.more,
    }
}

/// The changes of a batch, told as the model tells its events.
pub(crate) fn told(batch: &CommittedBatch) -> Vec<(Record, Option<Revision>)> {
    batch.rows.iter().map(|row| (row.record.clone(), row.prev)).collect()
}
