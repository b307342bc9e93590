//! The same key put twice in a transaction, or put and covered by a delete: etcd refuses both, at every level.
//!
//! What a delete covers is what etcd's check takes it to cover: a range whose end is not above its start, `\0` among them,
//! which elsewhere means "every key from there on", covers nothing.
//!
//! The two sides of a nested transaction exclude each other, so both may put one key. Deletes of a nested transaction
//! count for what comes after it and for the puts around it.

use std::collections::HashSet;

use tonic::Status;
use watchful_wire::etcdserverpb::request_op::Request as Op;
use watchful_wire::etcdserverpb::{RequestOp, TxnRequest};

use crate::answers;

/// What one list of operations puts and deletes, nested ones included.
#[derive(Default)]
struct Touched<'a> {
    puts: HashSet<&'a [u8]>,
    deletes: Vec<Covered<'a>>,
}

/// The keys of a delete.
#[derive(Clone, Copy)]
struct Covered<'a> {
    key: &'a [u8],
    range_end: &'a [u8],
}

impl Covered<'_> {
    fn contains(&self, key: &[u8]) -> bool {
        match self.range_end {
            b"" => self.key == key,
            range_end => self.key <= key && key < range_end,
        }
    }
}

/// Refuses overlaps in a list of operations.
pub(super) fn check(ops: &[RequestOp]) -> Result<(), Status> {
    touched(ops).map(drop)
}

fn touched(ops: &[RequestOp]) -> Result<Touched<'_>, Status> {
    let mut all = Touched { deletes: deletes(ops), ..Touched::default() };
    for op in ops {
        if let Some(Op::RequestTxn(nested)) = &op.request {
            all.add_nested(nested)?;
        }
    }
    for op in ops {
        if let Some(Op::RequestPut(put)) = &op.request {
            all.add_put(&put.key)?;
        }
    }
    Ok(all)
}

fn deletes(ops: &[RequestOp]) -> Vec<Covered<'_>> {
    ops.iter().filter_map(covered).collect()
}

fn covered(op: &RequestOp) -> Option<Covered<'_>> {
    match &op.request {
        Some(Op::RequestDeleteRange(delete)) => {
            Some(Covered { key: &delete.key, range_end: &delete.range_end })
        }
        _ => None,
    }
}

impl<'a> Touched<'a> {
    fn add_nested(&mut self, nested: &'a TxnRequest) -> Result<(), Status> {
        let (then, or_else) = (touched(&nested.success)?, touched(&nested.failure)?);
        for key in then.puts.union(&or_else.puts) {
            self.add_put(key)?;
        }
        self.deletes.extend(then.deletes.into_iter().chain(or_else.deletes));
        Ok(())
    }

    fn add_put(&mut self, key: &'a [u8]) -> Result<(), Status> {
        let is_deleted = self.deletes.iter().any(|range| range.contains(key));
        if is_deleted || !self.puts.insert(key) { Err(answers::duplicate_key()) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use watchful_wire::etcdserverpb::{DeleteRangeRequest, PutRequest};

    use super::*;

    fn put(key: &'static str) -> RequestOp {
        op(Op::RequestPut(PutRequest { key: key.into(), ..PutRequest::default() }))
    }

    fn delete(key: &'static str, range_end: &'static str) -> RequestOp {
        let (key, range_end) = (key.into(), range_end.into());
        op(Op::RequestDeleteRange(DeleteRangeRequest { key, range_end, prev_kv: false }))
    }

    fn nested(success: Vec<RequestOp>, failure: Vec<RequestOp>) -> RequestOp {
        op(Op::RequestTxn(TxnRequest { success, failure, compare: Vec::new() }))
    }

    fn op(request: Op) -> RequestOp {
        RequestOp { request: Some(request) }
    }

    #[test]
    fn a_key_is_put_once_and_not_deleted_too() {
        let is_legal = |ops: Vec<RequestOp>| check(&ops).is_ok();
        assert!(is_legal(vec![put("a"), put("b"), delete("c", "d")]));
        assert!(!is_legal(vec![put("a"), put("a")]));
        assert!(!is_legal(vec![put("b"), delete("a", "c")]));
        assert!(is_legal(vec![put("c"), delete("a", "c")]));
        assert!(is_legal(vec![put("c"), delete("d", "c")]), "an empty range deletes nothing");
        assert!(is_legal(vec![put("d"), delete("d", "c")]), "an empty range deletes nothing");
    }

    /// The differential test found that etcd lets a put stand beside a delete of every key from another one on.
    #[test]
    fn a_delete_without_an_end_counts_for_nothing() {
        let is_legal = |ops: Vec<RequestOp>| check(&ops).is_ok();
        assert!(is_legal(vec![delete("a", "\0"), put("z")]));
        assert!(is_legal(vec![delete("a", "\0"), put("a")]));
    }

    #[test]
    fn the_two_sides_of_a_nested_transaction_exclude_each_other() {
        let is_legal = |ops: Vec<RequestOp>| check(&ops).is_ok();
        assert!(is_legal(vec![nested(vec![put("a")], vec![put("a")])]));
        assert!(!is_legal(vec![nested(vec![put("a")], vec![]), put("a")]));
        assert!(!is_legal(vec![nested(vec![put("a")], vec![]), nested(vec![], vec![put("a")])]));
        assert!(!is_legal(vec![nested(vec![delete("a", "c")], vec![]), put("b")]));
        assert!(!is_legal(vec![delete("a", "c"), nested(vec![], vec![put("b")])]));
    }
}
