//! Ranges that end before they start, turned round.
//!
//! They hold no key. Whether etcd finds them permitted depends on the shape of the tree in which it keeps permissions, and
//! so on the order in which those were granted. So only who may do everything asks for them while permissions count.

use bytes::Bytes;
use watchful_wire::etcdserverpb::TxnRequest;
use watchful_wire::etcdserverpb::request_op::Request as Operation;

use crate::request::Request;

/// The request with every range the right way round.
pub(crate) fn straight(mut request: Request) -> Request {
    match &mut request {
        Request::Range(range) | Request::RangeStream(range) => turn(&mut range.key, &mut range.range_end),
        Request::DeleteRange(delete) => turn(&mut delete.key, &mut delete.range_end),
        Request::Txn(txn) => turn_all(txn),
        Request::Watch { create, .. } => turn(&mut create.key, &mut create.range_end),
        _ => {}
    }
    request
}

fn turn_all(txn: &mut TxnRequest) {
    for compare in &mut txn.compare {
        turn(&mut compare.key, &mut compare.range_end);
    }
    for operation in txn.success.iter_mut().chain(&mut txn.failure) {
        match &mut operation.request {
            Some(Operation::RequestRange(range)) => turn(&mut range.key, &mut range.range_end),
            Some(Operation::RequestDeleteRange(delete)) => turn(&mut delete.key, &mut delete.range_end),
            Some(Operation::RequestTxn(inner)) => turn_all(inner),
            _ => {}
        }
    }
}

fn turn(key: &mut Bytes, range_end: &mut Bytes) {
    let ends = !range_end.is_empty() && *range_end != "\0";
    if ends && key == range_end {
        *range_end = Bytes::new();
    } else if ends && *key > *range_end {
        std::mem::swap(key, range_end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use watchful_wire::etcdserverpb::RangeRequest;

    #[test]
    fn what_ends_before_it_starts_is_turned_round() {
        let range = |key: &'static str, range_end: &'static str| {
            Request::Range(RangeRequest {
                key: key.into(),
                range_end: range_end.into(),
                ..Default::default()
            })
        };
        assert_eq!(straight(range("b", "a")), range("a", "b"));
        assert_eq!(straight(range("b", "b")), range("b", ""));
        for (key, range_end) in [("a", "b"), ("b", "\0"), ("b", ""), ("", "b")] {
            assert_eq!(straight(range(key, range_end)), range(key, range_end));
        }
    }
}
