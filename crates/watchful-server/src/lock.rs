//! The Lock service.

use std::sync::Arc;

use bytes::Bytes;
use tonic::{Request, Response, Status};
use watchful_wire::v3lockpb::{LockRequest, LockResponse, UnlockRequest, UnlockResponse, lock_server};

use crate::answers;
use crate::auth::Need;
use crate::concurrency::{Contender, relayed};
use crate::rights::{Refused, Rights};
use crate::state::Shared;

/// The Lock service.
#[derive(Clone, Debug)]
pub(crate) struct Lock {
    shared: Arc<Shared>,
}

impl Lock {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    async fn delete(&self, rights: Rights, key: &Bytes) -> Result<u64, Status> {
        rights.may(&Need::Write(key, b""))?;
        let key = key.clone();
        let deleted = self.shared.store.transact(move |txn| {
            rights.hold_in()?;
            Ok::<_, Refused>(txn.delete(&key)?)
        });
        Ok(deleted.await?.revision)
    }
}

#[tonic::async_trait]
impl lock_server::Lock for Lock {
    async fn lock(&self, request: Request<LockRequest>) -> Result<Response<LockResponse>, Status> {
        let LockRequest { name, lease } = request.get_ref();
        let enter = |rights| Contender::enter(&self.shared, rights, name, *lease, &[]);
        let mut contender = self.shared.decided(&request, enter).await.map_err(relayed)?;
        if !contender.wait().await? {
            return Err(Status::unknown("mutex: session is expired"));
        }
        let header = Some(self.shared.header());
        Ok(Response::new(LockResponse { header, key: contender.key.clone() }))
    }

    async fn unlock(&self, request: Request<UnlockRequest>) -> Result<Response<UnlockResponse>, Status> {
        if request.get_ref().key.is_empty() {
            return Err(relayed(answers::empty_key()));
        }
        let unlock = |rights| self.delete(rights, &request.get_ref().key);
        let revision = self.shared.decided(&request, unlock).await.map_err(relayed)?;
        Ok(Response::new(UnlockResponse { header: Some(self.shared.header_at(revision)) }))
    }
}
