//! Revisions of a workload that are told only when it runs: "three before the current one".
//!
//! A workload is made from its seed before anything runs, and steps are left out of it while it shrinks. So a revision
//! field holds a token, a number that no run reaches, which [`Revisions::resolve`] replaces.

use watchful_wire::etcdserverpb::compare::TargetUnion;
use watchful_wire::etcdserverpb::request_op::Request as Operation;
use watchful_wire::etcdserverpb::{RangeRequest, TxnRequest};

use crate::request::Request;

const CURRENT: i64 = 1 << 61;
const COMPACTED: i64 = 3 << 60;
const REACH: i64 = 1 << 40;

/// The current revision when the step runs, and `offset` more.
pub(crate) const fn current(offset: i64) -> i64 {
    CURRENT + offset
}

/// Where the store is compacted when the step runs, and `offset` more.
pub(crate) const fn compacted(offset: i64) -> i64 {
    COMPACTED + offset
}

/// The revisions that tokens stand for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Revisions {
    pub(crate) current: i64,
    pub(crate) compacted: i64,
}

impl Revisions {
    /// The number, or what it stands for where it is a token.
    pub(crate) fn resolve(self, number: i64) -> i64 {
        let offset_from = |token: i64| number.checked_sub(token).filter(|offset| offset.abs() < REACH);
        match (offset_from(CURRENT), offset_from(COMPACTED)) {
            // A run is at its first revisions for a while, and nothing is before the first.
            (Some(offset), _) => (self.current + offset).max(1),
            // And for a while it is never compacted. Numbers below zero have steps of their own.
            (_, Some(offset)) => (self.compacted + offset).max(0),
            _ => number,
        }
    }

    /// The request with the revisions that its tokens stand for.
    pub(crate) fn resolve_all(self, mut request: Request) -> Request {
        match &mut request {
            Request::Range(range) | Request::RangeStream(range) => self.resolve_range(range),
            Request::Txn(txn) => self.resolve_txn(txn),
            Request::Compact(compact) => compact.revision = self.resolve(compact.revision),
            Request::HashKv(hash) => hash.revision = self.resolve(hash.revision),
            Request::Watch { create, .. } => create.start_revision = self.resolve(create.start_revision),
            _ => {}
        }
        request
    }

    fn resolve_range(self, range: &mut RangeRequest) {
        for revision in [
            &mut range.revision,
            &mut range.min_mod_revision,
            &mut range.max_mod_revision,
            &mut range.min_create_revision,
            &mut range.max_create_revision,
        ] {
            *revision = self.resolve(*revision);
        }
    }

    fn resolve_txn(self, txn: &mut TxnRequest) {
        for compare in &mut txn.compare {
            if let Some(TargetUnion::CreateRevision(revision) | TargetUnion::ModRevision(revision)) =
                &mut compare.target_union
            {
                *revision = self.resolve(*revision);
            }
        }
        for operation in txn.success.iter_mut().chain(&mut txn.failure) {
            match &mut operation.request {
                Some(Operation::RequestRange(range)) => self.resolve_range(range),
                Some(Operation::RequestTxn(inner)) => self.resolve_txn(inner),
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_told_and_numbers_are_left() {
        let revisions = Revisions { current: 50, compacted: 20 };
        let cases = [
            (current(0), 50),
            (current(-3), 47),
            (current(-60), 1),
            (compacted(2), 22),
            (compacted(-60), 0),
            (0, 0),
            (-1, -1),
            (7, 7),
            (i64::MAX, i64::MAX),
            (i64::MIN, i64::MIN),
        ];
        for (number, expected) in cases {
            assert_eq!(revisions.resolve(number), expected, "of {number}");
        }
    }
}
