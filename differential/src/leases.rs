//! Names for leases: each server chooses ids of its own, so a workload names the first one that is chosen
//! [`CHOSEN`]` + 1`, the next one `+ 2`, and so on. Ids that the workload chooses are their own names.

use std::collections::HashMap;

use prost::Message as _;
use watchful_wire::KeyValue;
use watchful_wire::etcdserverpb::compare::TargetUnion;
use watchful_wire::etcdserverpb::request_op::Request as Operation;
use watchful_wire::etcdserverpb::response_op::Response;
use watchful_wire::etcdserverpb::{TxnRequest, TxnResponse};

use crate::answer::{Answer, Delivery};
use crate::request::Request;

/// Names of leases whose id was chosen by the server are above this.
pub(crate) const CHOSEN: i64 = 1_000_000;

/// One server's ids for the names.
#[derive(Default)]
pub(crate) struct LeaseNames {
    ids: HashMap<i64, i64>,
    names: HashMap<i64, i64>,
    granted: i64,
}

impl LeaseNames {
    /// A lease was asked for without an id: what the server called it, if it was granted, is now the next name's.
    pub(crate) fn name_chosen(&mut self, id: Option<i64>) {
        self.granted += 1;
        if let Some(id) = id {
            self.ids.insert(CHOSEN + self.granted, id);
            self.names.insert(id, CHOSEN + self.granted);
        }
    }

    /// The request as this server has to be asked it.
    pub(crate) fn with_ids(&self, mut request: Request) -> Request {
        let id = |lease: &mut i64| *lease = self.ids.get(lease).copied().unwrap_or(*lease);
        match &mut request {
            Request::Put(put) => id(&mut put.lease),
            Request::Txn(txn) => self.txn_with_ids(txn),
            Request::LeaseGrant(grant) => id(&mut grant.id),
            Request::LeaseRevoke(revoke) => id(&mut revoke.id),
            Request::LeaseKeepAlive(keep) => id(&mut keep.id),
            Request::LeaseTimeToLive(ask) => id(&mut ask.id),
            _ => {}
        }
        request
    }

    fn txn_with_ids(&self, txn: &mut TxnRequest) {
        let id = |lease: &mut i64| *lease = self.ids.get(lease).copied().unwrap_or(*lease);
        for compare in &mut txn.compare {
            if let Some(TargetUnion::Lease(lease)) = &mut compare.target_union {
                id(lease);
            }
        }
        for operation in txn.success.iter_mut().chain(&mut txn.failure) {
            match &mut operation.request {
                Some(Operation::RequestPut(put)) => id(&mut put.lease),
                Some(Operation::RequestTxn(inner)) => self.txn_with_ids(inner),
                _ => {}
            }
        }
    }

    /// The answer with the names of leases.
    pub(crate) fn with_names(&self, mut answer: Answer) -> Answer {
        if self.names.is_empty() {
            return answer;
        }
        match &mut answer {
            Answer::Range(range) => self.name_all(&mut range.kvs),
            Answer::Put(put) => self.name_all(&mut put.prev_kv),
            Answer::DeleteRange(deleted) => self.name_all(&mut deleted.prev_kvs),
            Answer::Txn(txn) => self.name_txn(txn),
            Answer::LeaseGrant(granted) => self.name(&mut granted.id),
            Answer::LeaseKeepAlive(kept) => self.name(&mut kept.id),
            Answer::LeaseTimeToLive(told) => self.name(&mut told.id),
            Answer::LeaseLeases(list) => list.leases.iter_mut().for_each(|lease| self.name(&mut lease.id)),
            Answer::Delivered(deliveries) => deliveries.iter_mut().for_each(|one| self.name_delivery(one)),
            _ => {}
        }
        answer
    }

    fn name_delivery(&self, delivery: &mut Delivery) {
        if let Delivery::Event { event, .. } = delivery {
            self.name_all(event.kv.iter_mut().chain(&mut event.prev_kv));
        }
    }

    fn name_txn(&self, txn: &mut TxnResponse) {
        for operation in &mut txn.responses {
            match &mut operation.response {
                Some(Response::ResponseRange(range)) => self.name_all(&mut range.kvs),
                Some(Response::ResponsePut(put)) => self.name_all(&mut put.prev_kv),
                Some(Response::ResponseDeleteRange(deleted)) => self.name_all(&mut deleted.prev_kvs),
                Some(Response::ResponseTxn(inner)) => self.name_txn(inner),
                None => {}
            }
        }
    }

    fn name(&self, lease: &mut i64) {
        *lease = self.names.get(lease).copied().unwrap_or(*lease);
    }

    fn name_all<'a>(&self, kvs: impl IntoIterator<Item = &'a mut KeyValue>) {
        for kv in kvs {
            if let Some(name) = self.names.get(&kv.lease()) {
                *kv = with_lease(kv, *name);
            }
        }
    }
}

/// The same with another lease. In a message the last one of a field counts.
fn with_lease(kv: &KeyValue, lease: i64) -> KeyValue {
    const LEASE: u32 = 6;
    let mut bytes = kv.encode_to_vec();
    prost::encoding::int64::encode(LEASE, &lease, &mut bytes);
    KeyValue::decode(bytes.as_slice()).unwrap_or_else(|_| kv.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use watchful_wire::etcdserverpb::{LeaseRevokeRequest, RangeResponse};

    #[test]
    fn ids_that_a_server_chose_have_names() {
        let mut names = LeaseNames::default();
        names.name_chosen(Some(777));
        names.name_chosen(None);
        names.name_chosen(Some(888));
        let revoke = |id| Request::LeaseRevoke(LeaseRevokeRequest { id });
        assert_eq!(names.with_ids(revoke(CHOSEN + 1)), revoke(777));
        assert_eq!(names.with_ids(revoke(CHOSEN + 3)), revoke(888));
        assert_eq!(names.with_ids(revoke(5)), revoke(5));
        let holder = |lease| RangeResponse {
            kvs: vec![with_lease(&KeyValue::default(), lease)],
            ..Default::default()
        };
        assert_eq!(names.with_names(Answer::Range(holder(888))), Answer::Range(holder(CHOSEN + 3)));
        assert_eq!(names.with_names(Answer::Range(holder(5))), Answer::Range(holder(5)));
    }
}
