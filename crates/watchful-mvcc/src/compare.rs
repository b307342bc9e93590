//! Compares, and transactions that are given as data.

use std::cmp::Ordering;

use watchful_revision::{KeyRange, KeyValueRef, RangeShape, RecordRef};

use crate::MvccError;
use crate::index::{Direction, Newest};
use crate::range::Rows;
use crate::request::{
    Compare, CompareResult, CompareTarget, Deleted, OpResponse, RangeResult, RequestOp, TxnRequest,
    TxnResponse,
};
use crate::txn::Txn;

impl Txn<'_, '_> {
    /// Whether a condition holds, after what the transaction did so far. It must hold for every key of its range; where
    /// there is none, a value compare fails and the others see zeroes.
    ///
    /// # Errors
    ///
    /// `Damaged`, or what the backend said.
    pub fn compare(&self, compare: &Compare) -> Result<bool, MvccError> {
        match compare.range.as_ref().map(KeyRange::shape) {
            None => Ok(compare.holds_for_none()),
            Some(RangeShape::Key(key)) => self.compare_key(key, compare),
            Some(_) => self.compare_range(compare),
        }
    }

    /// Only a value has to be read; the rest is in memory.
    fn compare_key(&self, key: &[u8], compare: &Compare) -> Result<bool, MvccError> {
        let Some(newest) = self.newest(key).filter(Newest::is_live) else {
            return Ok(compare.holds_for_none());
        };
        if let CompareTarget::Value(_) = compare.target {
            let record = self.get(key)?;
            let value = record.as_ref().map_or(&b""[..], |record| record.value());
            return Ok(compare.holds_for(&KeyValueRef { value, ..KeyValueRef::default() }));
        }
        Ok(compare.holds_for(&KeyValueRef {
            create_revision: newest.create_revision,
            mod_revision: newest.revision().main,
            version: newest.changes,
            lease: self.lease_of(key),
            ..KeyValueRef::default()
        }))
    }

    fn compare_range(&self, compare: &Compare) -> Result<bool, MvccError> {
        let Some(range) = &compare.range else { return Ok(compare.holds_for_none()) };
        let mut rows = self.rows(range, u64::MAX, Direction::Ascending);
        let (mut holds, mut is_empty, mut revisions) = (true, true, Vec::new());
        loop {
            revisions.clear();
            let has_more = rows.turn(&mut |_, revision| revisions.push(revision))?;
            is_empty &= revisions.is_empty();
            rows.read(&revisions, &mut |place, record| {
                holds &= compare.holds_for(&RecordRef::parse(revisions[place], record)?.key_value()?);
                Ok(())
            })?;
            if !holds || !has_more {
                return Ok(if is_empty { compare.holds_for_none() } else { holds });
            }
        }
    }

    /// Runs a transaction that is given as data, inside this one.
    ///
    /// All its compares, those of nested transactions too, are worked out before its first operation.
    ///
    /// # Errors
    ///
    /// What its operations answer; the first that fails ends it.
    pub fn execute(&mut self, request: &TxnRequest) -> Result<TxnResponse, MvccError> {
        let mut path = Vec::new();
        self.choose(request, &mut path)?;
        self.run(request, &mut path.into_iter())
    }

    /// Works out which way each transaction goes: this one first, then those nested in the operations it will run.
    fn choose(&self, request: &TxnRequest, path: &mut Vec<bool>) -> Result<(), MvccError> {
        let mut succeeded = true;
        for compare in &request.compares {
            succeeded = succeeded && self.compare(compare)?;
        }
        path.push(succeeded);
        for op in request.chosen(succeeded) {
            if let RequestOp::Txn(nested) = op {
                self.choose(nested, path)?;
            }
        }
        Ok(())
    }

    fn run(
        &mut self,
        request: &TxnRequest,
        path: &mut impl Iterator<Item = bool>,
    ) -> Result<TxnResponse, MvccError> {
        // `choose` has walked the same operations, so there is a choice for each transaction.
        let succeeded = path.next().unwrap_or(false);
        let chosen = request.chosen(succeeded);
        let mut responses = Vec::with_capacity(chosen.len());
        for op in chosen {
            responses.push(self.run_op(op, path)?);
        }
        Ok(TxnResponse { succeeded, responses })
    }

    fn run_op(
        &mut self,
        op: &RequestOp,
        path: &mut impl Iterator<Item = bool>,
    ) -> Result<OpResponse, MvccError> {
        Ok(match op {
            RequestOp::Range { range, revision, options } => OpResponse::Range(match range {
                Some(range) => self.range_at(*revision, range, options)?,
                // The differential test found that etcd looks at the revision of an empty range too.
                None => self.check_readable(*revision).map(|()| RangeResult::default())?,
            }),
            RequestOp::Put { key, value, options } => OpResponse::Put(self.put(key, value, *options)?),
            RequestOp::DeleteRange { range, prev_kv } => OpResponse::Delete(match range {
                Some(range) => self.delete_range(range, *prev_kv)?,
                None => Deleted::default(),
            }),
            RequestOp::Txn(nested) => OpResponse::Txn(self.run(nested, path)?),
        })
    }
}

impl TxnRequest {
    fn chosen(&self, succeeded: bool) -> &[RequestOp] {
        if succeeded { &self.then } else { &self.or_else }
    }
}

impl Compare {
    fn holds_for_none(&self) -> bool {
        match self.target {
            CompareTarget::Value(_) => false,
            _ => self.holds_for(&KeyValueRef::default()),
        }
    }

    fn holds_for(&self, own: &KeyValueRef<'_>) -> bool {
        let order = match &self.target {
            CompareTarget::Version(version) => own.version.cmp(version),
            CompareTarget::Create(revision) => own.create_revision.cmp(revision),
            CompareTarget::Mod(revision) => own.mod_revision.cmp(revision),
            CompareTarget::Lease(lease) => own.lease.cmp(lease),
            CompareTarget::Value(value) => own.value.cmp(value),
        };
        match self.result {
            CompareResult::Equal => order == Ordering::Equal,
            CompareResult::Greater => order == Ordering::Greater,
            CompareResult::Less => order == Ordering::Less,
            CompareResult::NotEqual => order != Ordering::Equal,
        }
    }
}
