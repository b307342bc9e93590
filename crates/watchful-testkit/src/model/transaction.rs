//! How a transaction changes the model.
//!
//! Changes go straight to the log's end; the current revision moves last. So what is under way is told apart from what
//! is done by its revision alone, and a transaction that fails is undone by cutting the log.

use std::cmp::Ordering;

use bytes::Bytes;
use watchful_revision::{EventKind, KeyRange, LeaseId, Revision};

use super::row::Change;
use super::{
    Applied, ApplyError, Compare, CompareTarget, Comparison, Model, OWN_WRITES, Op, OpResult, Row, Txn,
};

impl Model {
    /// Applies one transaction: all of `ops` in order, or nothing.
    ///
    /// Reads see the transaction's own writes. A transaction that changes nothing takes no revision.
    ///
    /// # Errors
    ///
    /// [`ApplyError`]; nothing has changed then.
    pub fn apply(&mut self, ops: &[Op]) -> Result<Applied, ApplyError> {
        let results = self.all_or_nothing(|model| {
            let path = model.plan(ops);
            model.run(ops, &mut path.into_iter())
        })?;
        Ok(Applied { revision: self.finish(), results })
    }

    /// Applies one transaction with compares. Its answer is a single [`OpResult::Txn`].
    ///
    /// # Errors
    ///
    /// [`ApplyError`]; nothing has changed then.
    pub fn apply_txn(&mut self, txn: &Txn) -> Result<Applied, ApplyError> {
        self.apply(&[Op::Txn(txn.clone())])
    }

    /// Whether a compare holds for the store as it is now.
    #[must_use]
    pub fn compare(&self, compare: &Compare) -> bool {
        let rows = self.rows_at(&compare.range, self.current_revision);
        if rows.is_empty() {
            return holds(compare, None);
        }
        rows.iter().all(|row| holds(compare, Some(row)))
    }

    /// Makes the transaction under way the newest revision, if it changed anything.
    pub(super) fn finish(&mut self) -> Option<u64> {
        let newest = self.log.last()?.row.revision.main;
        let changed = newest > self.current_revision;
        self.current_revision = self.current_revision.max(newest);
        changed.then_some(newest)
    }

    /// Deletes each key of the range that is there, in key order, and answers what was there.
    pub(super) fn delete(&mut self, range: &KeyRange) -> Vec<Row> {
        let rows = self.rows_at(range, OWN_WRITES);
        for row in &rows {
            let tombstone = Row {
                key: row.key.clone(),
                value: Bytes::new(),
                create_revision: 0,
                revision: self.next_revision(),
                version: 0,
                lease: 0,
            };
            self.push(EventKind::Delete, tombstone);
        }
        rows
    }

    fn all_or_nothing<R, E>(&mut self, run: impl FnOnce(&mut Self) -> Result<R, E>) -> Result<R, E> {
        let len = self.log.len();
        let result = run(self);
        if result.is_err() {
            self.cut(len);
        }
        result
    }

    fn cut(&mut self, len: usize) {
        self.log.truncate(len);
        self.by_key.retain(|_, places| {
            places.retain(|&place| place < len);
            !places.is_empty()
        });
    }

    /// Answers the compares of all nested transactions that will run, in the order they will run in, before anything is
    /// written.
    fn plan(&self, ops: &[Op]) -> Vec<bool> {
        let mut path = Vec::new();
        for op in ops {
            if let Op::Txn(txn) = op {
                let succeeded = txn.compares.iter().all(|compare| self.compare(compare));
                path.push(succeeded);
                path.extend(self.plan(txn.branch(succeeded)));
            }
        }
        path
    }

    fn run(&mut self, ops: &[Op], path: &mut std::vec::IntoIter<bool>) -> Result<Vec<OpResult>, ApplyError> {
        ops.iter().map(|op| self.run_op(op, path)).collect()
    }

    fn run_op(&mut self, op: &Op, path: &mut std::vec::IntoIter<bool>) -> Result<OpResult, ApplyError> {
        match op {
            Op::Put { .. } => self.put(op),
            Op::DeleteRange(range) => Ok(OpResult::Deleted { prev: self.delete(range) }),
            Op::Range { range, options, revision: 0 } => {
                Ok(OpResult::Range(options.answer(self.rows_at(range, OWN_WRITES))))
            }
            Op::Range { range, options, revision } => {
                Ok(OpResult::Range(self.range_at(range, options, *revision)?))
            }
            Op::Txn(txn) => {
                let succeeded = path.next().expect("the plan has an answer for every nested transaction");
                let results = self.run(txn.branch(succeeded), path)?;
                Ok(OpResult::Txn { succeeded, results })
            }
        }
    }

    fn put(&mut self, op: &Op) -> Result<OpResult, ApplyError> {
        let Op::Put { key, value, lease, ignore_value, ignore_lease } = op else {
            unreachable!("only puts come here");
        };
        self.check_put(key, value, *lease, *ignore_value, *ignore_lease)?;
        let prev = self.row_at(key, OWN_WRITES);
        if (*ignore_value || *ignore_lease) && prev.is_none() {
            return Err(ApplyError::KeyNotFound);
        }
        let revision = self.next_revision();
        let mut row = Row {
            key: key.clone(),
            value: value.clone(),
            create_revision: revision.main,
            revision,
            version: 1,
            lease: *lease,
        };
        if let Some(prev) = &prev {
            row.create_revision = prev.create_revision;
            row.version = prev.version + 1;
            row.value = if *ignore_value { prev.value.clone() } else { row.value };
            row.lease = if *ignore_lease { prev.lease } else { row.lease };
        }
        self.push(EventKind::Put, row);
        Ok(OpResult::Put { prev })
    }

    fn check_put(
        &self,
        key: &[u8],
        value: &[u8],
        lease: LeaseId,
        ignore_value: bool,
        ignore_lease: bool,
    ) -> Result<(), ApplyError> {
        if key.is_empty() {
            return Err(ApplyError::EmptyKey);
        }
        if ignore_value && !value.is_empty() {
            return Err(ApplyError::ValueProvided);
        }
        if ignore_lease && lease != 0 {
            return Err(ApplyError::LeaseProvided);
        }
        if lease != 0 && !self.leases.contains_key(&lease) {
            return Err(ApplyError::LeaseNotFound { id: lease });
        }
        Ok(())
    }

    /// The revision that the next change will get.
    fn next_revision(&self) -> Revision {
        match self.log.last() {
            Some(last) if last.row.revision.main > self.current_revision => last.row.revision.next(),
            _ => Revision::start_of(self.current_revision + 1),
        }
    }

    fn push(&mut self, kind: EventKind, row: Row) {
        let places = self.by_key.entry(row.key.clone()).or_default();
        let prev = places.last().copied().filter(|&place| self.log[place].is_put());
        places.push(self.log.len());
        self.log.push(Change { kind, row, prev });
    }
}

impl Txn {
    fn branch(&self, succeeded: bool) -> &[Op] {
        if succeeded { &self.then_ops } else { &self.else_ops }
    }
}

/// Whether a compare holds for one row, or for a missing key.
fn holds(compare: &Compare, row: Option<&Row>) -> bool {
    let number = |field: fn(&Row) -> u64, target: &u64| row.map_or(0, field).cmp(target);
    let ordering = match &compare.target {
        CompareTarget::Version(target) => number(|row| row.version, target),
        CompareTarget::Create(target) => number(|row| row.create_revision, target),
        CompareTarget::Mod(target) => number(Row::mod_revision, target),
        CompareTarget::Lease(target) => row.map_or(0, |row| row.lease).cmp(target),
        CompareTarget::Value(target) => match row {
            Some(row) => row.value.cmp(target),
            None => return false,
        },
    };
    match compare.comparison {
        Comparison::Equal => ordering == Ordering::Equal,
        Comparison::Greater => ordering == Ordering::Greater,
        Comparison::Less => ordering == Ordering::Less,
        Comparison::NotEqual => ordering != Ordering::Equal,
    }
}
