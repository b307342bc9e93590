//! The KV service: ranges, puts, deletes, transactions, compaction.
//!
//! [`check`](self::check) refuses what etcd refuses, in its order; [`request`](self::request) says the rest in the
//! store's words; [`answer`](self::answer) puts stored records into answers without decoding them.

mod check;

mod needs;

mod intervals;

mod request;

mod answer;

mod stream;

use std::future::ready;
use std::sync::Arc;

use prost::Message;
use tokio::runtime::RuntimeFlavor;
use tonic::{Request, Response, Status};
use watchful::{Committed, Error, KeyRange, OpResponse, RangeOptions, RangeResult};
use watchful_wire::etcdserverpb::{
    CompactionRequest, CompactionResponse, DeleteRangeRequest, DeleteRangeResponse, PutRequest, PutResponse,
    RangeRequest, RangeResponse, TxnRequest, TxnResponse, kv_server,
};

use crate::answers;
use crate::auth::Need;
use crate::rights::{Refused, Rights};
use crate::state::Shared;
use crate::unread::{Charge, Unread};

pub(crate) use stream::RangeStream;

/// The KV service.
#[derive(Clone, Debug)]
pub(crate) struct Kv {
    shared: Arc<Shared>,
}

impl Kv {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Refuses a request that is larger than the server takes.
    fn check_size(&self, request: &impl Message) -> Result<(), Status> {
        let is_too_large = request.encoded_len() > self.shared.settings.limits.request_bytes_max;
        if is_too_large { Err(answers::request_too_large()) } else { Ok(()) }
    }

    /// What it finds of before counts as the connection's from within the transaction on: many are worked out together.
    pub(crate) async fn put(
        &self,
        rights: Rights,
        request: &PutRequest,
        unread: Option<Arc<Unread>>,
    ) -> Result<PutResponse, Status> {
        self.check_size(request)?;
        self.shared.refuse_growth()?;
        needs::put(&rights, request)?;
        let options = request::put_options(request);
        let (key, value, lease) = (request.key.clone(), request.value.clone(), request.lease);
        let put = self.shared.store.transact(move |txn| {
            rights.hold_in()?;
            look_for_room(unread.as_ref())?;
            rights.may_attach(txn, [(&*key, lease)])?;
            let prev = txn.put_with(&key, &value, options)?;
            let charge = reserve(unread.as_ref(), answer::bytes(prev.as_slice()));
            Ok::<_, Refused>((prev, charge))
        });
        let put = self.shared.written(put.await).await?;
        let Committed { revision, value: (prev, _until_it_is_an_answer), .. } = put;
        self.shared.counts.puts.add(1);
        let header = Some(self.shared.header_at(revision));
        Ok(PutResponse { header, prev_kv: prev.map(Into::into) })
    }

    /// Counted as what a put finds.
    pub(crate) async fn delete_range(
        &self,
        rights: Rights,
        request: &DeleteRangeRequest,
        unread: Option<Arc<Unread>>,
    ) -> Result<DeleteRangeResponse, Status> {
        self.check_size(request)?;
        self.shared.refuse_damaged()?;
        needs::delete_range(&rights, request)?;
        let prev_kv = request.prev_kv;
        let Ok(range) = KeyRange::from_etcd(&request.key, &request.range_end) else {
            let header = Some(self.shared.header());
            return Ok(DeleteRangeResponse { header, ..DeleteRangeResponse::default() });
        };
        let deleted = self.shared.store.transact(move |txn| {
            rights.hold_in()?;
            look_for_room(unread.as_ref())?;
            let deleted = txn.delete_range(&range, prev_kv)?;
            let charge = reserve(unread.as_ref(), answer::bytes(&deleted.prev));
            Ok::<_, Refused>((deleted, charge))
        });
        let Committed { revision, value: (deleted, _until_it_is_an_answer), .. } = deleted.await?;
        self.shared.counts.deletes.add(1);
        Ok(answer::delete_range(Some(self.shared.header_at(revision)), deleted))
    }

    /// Counted as what a put finds.
    pub(crate) async fn txn(
        &self,
        rights: Rights,
        request: &TxnRequest,
        unread: Option<Arc<Unread>>,
    ) -> Result<TxnResponse, Status> {
        if request::has_put(request) {
            self.check_size(request)?;
            self.shared.refuse_growth()?;
        }
        self.shared.refuse_damaged()?;
        needs::txn(&rights, request)?;
        let (attached, transaction) = (needs::attached(request), request::txn(request, &self.shared.store)?);
        let executed = self.shared.store.transact(move |txn| {
            rights.hold_in()?;
            look_for_room(unread.as_ref())?;
            rights.may_attach(txn, attached.iter().map(|(key, lease)| (&**key, *lease)))?;
            let done = txn.execute(&transaction)?;
            let charge = reserve(unread.as_ref(), answer::found_bytes(&done));
            Ok::<_, Refused>((done, charge))
        });
        let executed = self.shared.written(executed.await).await?;
        let Committed { revision, changed, value: (value, _until_it_is_an_answer) } = executed;
        self.shared.counts.txns.add(1);
        self.count_operations(&value);
        Ok(answer::txn(&self.shared, Committed { revision, changed, value }))
    }

    pub(crate) fn range(&self, rights: &Rights, request: &RangeRequest) -> Result<RangeResponse, Status> {
        self.shared.refuse_damaged()?;
        needs::range(rights, request)?;
        let options = request::range_options(request);
        let range = KeyRange::from_etcd(&request.key, &request.range_end).ok();
        let read = || self.read(range.as_ref(), request.revision, &options);
        let read = if is_small(range.as_ref(), &options) { read() } else { aside(read) };
        let (revision, found) = read.map_err(answers::of)?;
        rights.hold()?;
        self.count(&found);
        Ok(answer::range(Some(self.shared.header_at(revision)), found))
    }

    /// The header's revision and what was found. A read of the newest revision names the very revision that was read,
    /// so that a watch can go on from it.
    fn read(
        &self,
        range: Option<&KeyRange>,
        revision: i64,
        options: &RangeOptions,
    ) -> Result<(u64, RangeResult), Error> {
        let store = &self.shared.store;
        loop {
            let view = match u64::try_from(revision) {
                Ok(revision) if revision > 0 => store.view_at(revision)?,
                _ => store.view()?,
            };
            let found = range.map_or(Ok(RangeResult::default()), |range| view.range(range, options));
            let header = if revision > 0 { store.current_revision() } else { view.revision() };
            match found {
                // A compaction came in between; the newest revision is a newer one now.
                Err(Error::Compacted { .. }) if revision <= 0 => {}
                found => return Ok((header, found?)),
            }
        }
    }

    fn count_operations(&self, done: &watchful::TxnResponse) {
        for response in &done.responses {
            match response {
                OpResponse::Range(found) => self.count(found),
                OpResponse::Put(_) => self.shared.counts.puts.add(1),
                OpResponse::Delete(_) => self.shared.counts.deletes.add(1),
                OpResponse::Txn(nested) => self.count_operations(nested),
            }
        }
    }

    fn count(&self, found: &RangeResult) {
        self.shared.counts.ranges.add(1);
        let bytes = found.records.iter().map(watchful::Record::encoded_len).sum::<usize>();
        self.shared.counts.range_copied_bytes.add(bytes as u64);
    }

    async fn compact_at(&self, request: CompactionRequest) -> Result<CompactionResponse, Status> {
        self.shared.refuse_damaged()?;
        // A revision below zero was never there; etcd calls that compacted.
        let revision = u64::try_from(request.revision).map_err(|_| answers::compacted())?;
        self.shared.store.compact(revision).await.map_err(answers::of)?;
        if request.physical {
            self.shared.store.compacted().await.map_err(answers::of)?;
        }
        Ok(CompactionResponse { header: Some(self.shared.header()) })
    }
}

/// Refuses a write whose answer there is no room for: it is done once there is some.
fn look_for_room(unread: Option<&Arc<Unread>>) -> Result<(), Refused> {
    if unread.is_some_and(|unread| unread.is_full()) { Err(answers::no_room().into()) } else { Ok(()) }
}

/// Counts what a write has found.
fn reserve(unread: Option<&Arc<Unread>>, bytes: usize) -> Option<Charge> {
    unread.and_then(|unread| unread.reserve(bytes))
}

/// Does a write, when there is room for its answer.
async fn in_room<T, F: Future<Output = Result<T, Status>>>(
    unread: Option<&Arc<Unread>>,
    write: impl Fn() -> F,
) -> Result<T, Status> {
    match unread {
        Some(unread) => unread.until_room(write).await,
        None => write().await,
    }
}

/// Runs a long read, which may touch cold pages, where the other tasks of this thread can go on elsewhere meanwhile.
fn aside<T>(read: impl FnOnce() -> T) -> T {
    match tokio::runtime::Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(read),
        _ => read(),
    }
}

fn is_small_request(request: &RangeRequest) -> bool {
    let range = || KeyRange::from_etcd(&request.key, &request.range_end).ok();
    request.range_end.is_empty() || is_small(range().as_ref(), &request::range_options(request))
}

/// Whether a read is over in microseconds.
fn is_small(range: Option<&KeyRange>, options: &RangeOptions) -> bool {
    const SMALL_LIMIT: u64 = 64;
    let one = range.is_none_or(|range| matches!(range.shape(), watchful::RangeShape::Key(_)));
    let cut = options.limit > 0 && options.limit <= SMALL_LIMIT && *options == plain(options.limit);
    one || cut
}

fn plain(limit: u64) -> RangeOptions {
    RangeOptions { limit, ..RangeOptions::default() }
}

#[tonic::async_trait]
impl kv_server::Kv for Kv {
    async fn range(&self, request: Request<RangeRequest>) -> Result<Response<RangeResponse>, Status> {
        check::range(request.get_ref())?;
        let unread = Unread::of(request.extensions()).filter(|_| !is_small_request(request.get_ref()));
        let _turn = match unread {
            Some(unread) => unread.turn().await,
            None => None,
        };
        let read = |rights| ready(Kv::range(self, &rights, request.get_ref()));
        self.shared.decided(&request, read).await.map(Response::new)
    }

    type RangeStreamStream = RangeStream;

    async fn range_stream(
        &self,
        request: Request<RangeRequest>,
    ) -> Result<Response<Self::RangeStreamStream>, Status> {
        check::range_stream(request.get_ref())?;
        let rights = self.shared.rights(&request)?;
        needs::range(&rights, request.get_ref())?;
        Ok(Response::new(RangeStream::new(self.clone(), rights, request.into_inner())))
    }

    async fn put(&self, request: Request<PutRequest>) -> Result<Response<PutResponse>, Status> {
        check::put(request.get_ref())?;
        let unread = Unread::of(request.extensions()).filter(|_| request.get_ref().prev_kv);
        let put = |rights| Kv::put(self, rights, request.get_ref(), unread.cloned());
        in_room(unread, || self.shared.decided(&request, put)).await.map(Response::new)
    }

    async fn delete_range(
        &self,
        request: Request<DeleteRangeRequest>,
    ) -> Result<Response<DeleteRangeResponse>, Status> {
        check::delete_range(request.get_ref())?;
        let unread = Unread::of(request.extensions()).filter(|_| request.get_ref().prev_kv);
        let delete = |rights| Kv::delete_range(self, rights, request.get_ref(), unread.cloned());
        in_room(unread, || self.shared.decided(&request, delete)).await.map(Response::new)
    }

    async fn txn(&self, request: Request<TxnRequest>) -> Result<Response<TxnResponse>, Status> {
        check::txn(request.get_ref(), self.shared.settings.limits.txn_ops_max)?;
        intervals::check(&request.get_ref().success)?;
        intervals::check(&request.get_ref().failure)?;
        let unread = Unread::of(request.extensions());
        let txn = |rights| Kv::txn(self, rights, request.get_ref(), unread.cloned());
        in_room(unread, || self.shared.decided(&request, txn)).await.map(Response::new)
    }

    async fn compact(
        &self,
        request: Request<CompactionRequest>,
    ) -> Result<Response<CompactionResponse>, Status> {
        // It takes the history of all keys. etcd lets anybody do it.
        self.shared.require(&request, &Need::Write(b"\0", b"\0"))?;
        self.compact_at(request.into_inner()).await.map(Response::new)
    }
}
