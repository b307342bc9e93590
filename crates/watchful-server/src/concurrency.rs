//! What locks and elections have in common: contenders queue up under a prefix, and the one that came first is in.
//!
//! It is the recipe of etcd's clients, so that theirs and the server's contenders meet in one queue: each puts a key
//! `<name>/<lease in hex>` on its lease, and waits until no key of the prefix was created before its own.

use std::sync::Arc;

use bytes::Bytes;
use tonic::Status;
use watchful::{
    Committed, EventKind, KeyRange, PutOptions, RangeOptions, Record, SortOrder, SortTarget, Update,
    WatchOptions,
};
use watchful_wire::etcdserverpb::{LeaseGrantRequest, ResponseHeader};

use crate::answers;
use crate::auth::Need;
use crate::lease::Lease;
use crate::rights::{Refused, Rights};
use crate::state::Shared;

/// The time to live of a lease that the server grants for a caller who named none, in seconds. It is not kept alive.
const OWN_LEASE_TTL_SECONDS: i64 = 60;

/// The keys of the contenders for `name`.
pub(crate) fn contenders(name: &[u8]) -> KeyRange {
    KeyRange::prefix([name, b"/"].concat())
}

/// Refuses whoever may not see the contenders for `name`.
pub(crate) fn may_see(rights: &Rights, name: &[u8]) -> Result<(), Status> {
    // As a prefix: `0` comes right after `/`.
    rights.may(&Need::Read(&[name, b"/"].concat(), &[name, b"0"].concat())).map_err(relayed)
}

/// Refuses whoever may not change a contender's key, and see whether it is what it was.
pub(crate) fn may_change(rights: &Rights, key: &[u8]) -> Result<(), Status> {
    rights.may(&Need::Read(key, b"")).map_err(relayed)?;
    rights.may(&Need::Write(key, b"")).map_err(relayed)
}

/// The contender that came first.
pub(crate) fn first(
    shared: &Shared,
    rights: &Rights,
    name: &[u8],
) -> Result<(ResponseHeader, Option<Record>), Status> {
    may_see(rights, name)?;
    let options = RangeOptions {
        limit: 1,
        target: SortTarget::Create,
        order: SortOrder::Ascend,
        ..RangeOptions::default()
    };
    let view = shared.store.view().map_err(answers::of)?;
    let found = view.range(&contenders(name), &options).map_err(answers::of)?;
    rights.hold().map_err(relayed)?;
    Ok((shared.header_at(view.revision()), found.records.into_iter().next()))
}

/// A contender in the queue. Dropped while it waits, because its caller went away, it leaves the queue.
#[derive(Debug)]
pub(crate) struct Contender {
    shared: Arc<Shared>,
    rights: Rights,
    name: Bytes,
    pub(crate) key: Bytes,
    pub(crate) lease: i64,
    pub(crate) create_revision: u64,
    /// What entering was answered with.
    pub(crate) header: ResponseHeader,
    /// Its key is to go with it: it made the key, and is not in yet.
    leaves: bool,
}

impl Contender {
    /// Enters the queue for `name` on `lease`, with `value`. Who is in it already keeps the place, and gets the value.
    pub(crate) async fn enter(
        shared: &Arc<Shared>,
        rights: Rights,
        name: &Bytes,
        lease: i64,
        value: &[u8],
    ) -> Result<Self, Status> {
        shared.refuse_growth().map_err(relayed)?;
        rights.may(&Need::User).map_err(relayed)?;
        may_see(&rights, name)?;
        let lease = if lease == 0 { own_lease(shared).await.map_err(relayed)? } else { lease };
        let key = Bytes::from([name, &b"/"[..], hex(lease).as_bytes()].concat());
        may_change(&rights, &key)?;
        let (own, value, asked) = (key.clone(), value.to_vec(), rights.clone());
        let entered = shared.store.transact(move |txn| {
            asked.hold_in()?;
            asked.may_attach(txn, [(&*own, lease)])?;
            let before = txn.get(&own)?;
            if before.as_ref().is_none_or(|record| record.value() != &value[..]) {
                txn.put_with(&own, &value, PutOptions { lease, ..PutOptions::default() })?;
            }
            Ok::<_, Refused>(before.map(|record| record.create_revision()))
        });
        let Committed { revision, value: before, .. } =
            shared.written(entered.await).await.map_err(relayed)?;
        Ok(Self {
            shared: Arc::clone(shared),
            rights,
            name: name.clone(),
            key,
            lease,
            create_revision: before.unwrap_or(revision),
            header: shared.header_at(revision),
            leaves: before.is_none(),
        })
    }

    /// Waits until nobody who came before is left. Tells whether this one is still there then.
    pub(crate) async fn wait(&mut self) -> Result<bool, Status> {
        let stopping = self.shared.stopping.clone();
        let is_in = tokio::select! {
            is_in = self.be_first() => is_in?,
            () = stopping.cancelled() => return Err(answers::stopped()),
        };
        self.leaves = false;
        Ok(is_in)
    }

    async fn be_first(&self) -> Result<bool, Status> {
        loop {
            match self.rights.read_renewed(|rights| self.look(rights))? {
                Place::Lost => return Ok(false),
                Place::First => return Ok(true),
                Place::After(before, revision) => self.wait_for_deletes(before.key(), revision).await?,
            }
        }
    }

    fn look(&self, rights: &Rights) -> Result<Place, Status> {
        may_see(rights, &self.name)?;
        let view = self.shared.store.view().map_err(answers::of)?;
        let own = view.get(&self.key).map_err(answers::of)?;
        let before = view.range(&contenders(&self.name), &self.last_before()).map_err(answers::of)?;
        rights.hold().map_err(relayed)?;
        if own.is_none_or(|record| record.create_revision() != self.create_revision) {
            return Ok(Place::Lost);
        }
        let before = before.records.into_iter().next();
        Ok(before.map_or(Place::First, |before| Place::After(before, view.revision())))
    }

    /// The last of those who came before.
    fn last_before(&self) -> RangeOptions {
        RangeOptions {
            limit: 1,
            target: SortTarget::Create,
            order: SortOrder::Descend,
            max_create_revision: self.create_revision - 1,
            ..RangeOptions::default()
        }
    }

    /// Waits until `key` or the contender's own is deleted after `revision`.
    async fn wait_for_deletes(&self, key: &[u8], revision: u64) -> Result<(), Status> {
        let options =
            WatchOptions::new(KeyRange::key(key)).and(KeyRange::key(&self.key)).start_at(revision + 1);
        let mut watch = self.shared.store.watch(&options).map_err(answers::of)?;
        loop {
            match watch.next().await {
                Some(Ok(Update::Events(batch))) if batch.has(EventKind::Delete) => return Ok(()),
                Some(Ok(_)) => {}
                // Compacted meanwhile: a new look tells who is there.
                Some(Err(watchful::End::Compacted { .. })) => return Ok(()),
                Some(Err(_)) | None => return Err(answers::stopped()),
            }
        }
    }
}

impl Drop for Contender {
    fn drop(&mut self) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        if self.leaves && !self.shared.stopping.is_cancelled() {
            let (store, key) = (self.shared.store.clone(), self.key.clone());
            let (rights, create_revision) = (self.rights.clone(), self.create_revision);
            runtime.spawn(async move {
                let (rights, _unchanging) = rights.renewed_unchanging().await;
                // It was let in with the right to do this. Where that fails, the key goes with its lease.
                let _ = delete_created_at(&store, rights, &key, create_revision).await;
            });
        }
    }
}

/// Where a contender is in its queue.
enum Place {
    /// In it no more.
    Lost,
    First,
    /// Behind this one, at this revision.
    After(Record, u64),
}

/// Deletes `key` if it was created at `create_revision`. Tells whether it was.
pub(crate) async fn delete_created_at(
    store: &watchful::Store,
    rights: Rights,
    key: &Bytes,
    create_revision: u64,
) -> Result<Committed<bool>, Status> {
    let key = key.clone();
    let deleted = store.transact(move |txn| {
        rights.hold_in()?;
        let is_it = txn.get(&key)?.is_some_and(|record| record.create_revision() == create_revision);
        Ok::<_, Refused>(is_it && txn.delete(&key)?)
    });
    Ok(deleted.await?)
}

/// An error as etcd's lock and election services give it on: they are clients of its other services, and what those
/// answer loses its code on the way, but not its text.
pub(crate) fn relayed(status: Status) -> Status {
    Status::unknown(status.message())
}

async fn own_lease(shared: &Arc<Shared>) -> Result<i64, Status> {
    let request = LeaseGrantRequest { ttl: OWN_LEASE_TTL_SECONDS, id: 0 };
    Ok(Lease::new(Arc::clone(shared)).grant(request).await?.id)
}

/// A lease as etcd's clients write it.
fn hex(lease: i64) -> String {
    let sign = if lease < 0 { "-" } else { "" };
    format!("{sign}{:x}", lease.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leases_are_written_as_etcds_clients_write_them() {
        assert_eq!(hex(0x694d_8000_1234_abcd), "694d80001234abcd");
        assert_eq!(hex(-255), "-ff");
    }
}
