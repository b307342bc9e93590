//! The store's answers on the wire: records go in as they are stored.

use watchful::{Committed, Deleted, OpResponse, RangeResult, Record, TxnResponse};
use watchful_wire::etcdserverpb as pb;
use watchful_wire::etcdserverpb::ResponseHeader;
use watchful_wire::etcdserverpb::response_op::Response;

use crate::state::Shared;

pub(super) fn range(header: Option<ResponseHeader>, found: RangeResult) -> pb::RangeResponse {
    let RangeResult { records, count, more } = found;
    let kvs = records.into_iter().map(Into::into).collect();
    pb::RangeResponse { header, kvs, more, count: count.cast_signed() }
}

pub(super) fn delete_range(header: Option<ResponseHeader>, deleted: Deleted) -> pb::DeleteRangeResponse {
    let prev_kvs = deleted.prev.into_iter().map(Into::into).collect();
    pb::DeleteRangeResponse { header, deleted: deleted.count.cast_signed(), prev_kvs }
}

pub(super) fn txn(shared: &Shared, executed: Committed<TxnResponse>) -> pb::TxnResponse {
    let before = executed.revision - u64::from(executed.changed);
    let mut told = Told { before, changed: false };
    let header = shared.header_at(executed.revision);
    pb::TxnResponse { header: Some(header), ..told.txn(executed.value) }
}

/// How many bytes records take.
pub(super) fn bytes(records: &[Record]) -> usize {
    records.iter().map(Record::encoded_len).sum()
}

/// How many bytes were found, in whatever part of a transaction.
pub(super) fn found_bytes(done: &TxnResponse) -> usize {
    let found = done.responses.iter().map(|response| match response {
        OpResponse::Range(found) => bytes(&found.records),
        OpResponse::Put(prev) => bytes(prev.as_slice()),
        OpResponse::Delete(deleted) => bytes(&deleted.prev),
        OpResponse::Txn(nested) => found_bytes(nested),
    });
    found.sum()
}

/// What the answers inside a transaction say of revisions: each names the one that was the newest when it was worked
/// out, and nothing else of a header. A nested transaction has an empty one.
struct Told {
    before: u64,
    changed: bool,
}

impl Told {
    fn txn(&mut self, done: TxnResponse) -> pb::TxnResponse {
        pb::TxnResponse {
            header: Some(ResponseHeader::default()),
            succeeded: done.succeeded,
            responses: done.responses.into_iter().map(|response| self.response(response)).collect(),
        }
    }

    fn response(&mut self, response: OpResponse) -> pb::ResponseOp {
        let response = match response {
            OpResponse::Range(found) => Response::ResponseRange(range(self.header(), found)),
            OpResponse::Put(prev) => {
                self.changed = true;
                let (header, prev_kv) = (self.header(), prev.map(Into::into));
                Response::ResponsePut(pb::PutResponse { header, prev_kv })
            }
            OpResponse::Delete(deleted) => {
                self.changed |= deleted.count > 0;
                Response::ResponseDeleteRange(delete_range(self.header(), deleted))
            }
            OpResponse::Txn(nested) => Response::ResponseTxn(self.txn(nested)),
        };
        pb::ResponseOp { response: Some(response) }
    }

    fn header(&self) -> Option<ResponseHeader> {
        let revision = self.before + u64::from(self.changed);
        Some(ResponseHeader { revision: revision.cast_signed(), ..ResponseHeader::default() })
    }
}
