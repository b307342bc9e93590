//! The Lock service.

use std::sync::Arc;

use bytes::Bytes;
use tonic::{Request, Response, Status};
use watchful_wire::v3lockpb::{LockRequest, LockResponse, UnlockRequest, UnlockResponse, lock_server};

use crate::answers;
use crate::auth::Need;
use crate::concurrency::{Contender, relayed};
use crate::rights::Refused;
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
}

#[tonic::async_trait]
impl lock_server::Lock for Lock {
    async fn lock(&self, request: Request<LockRequest>) -> Result<Response<LockResponse>, Status> {
        let rights = self.shared.rights(&request).map_err(relayed)?;
        let LockRequest { name, lease } = request.into_inner();
        let mut contender = Contender::enter(&self.shared, rights, name, lease, Bytes::new()).await?;
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
        let rights = self.shared.rights(&request).map_err(relayed)?;
        let UnlockRequest { key } = request.into_inner();
        rights.may(&Need::Write(&key, b"")).map_err(relayed)?;
        let deleted = self.shared.store.transact(move |txn| {
            rights.hold()?;
            Ok::<_, Refused>(txn.delete(&key)?)
        });
        let deleted = deleted.await.map_err(|refused| relayed(refused.into()))?;
        Ok(Response::new(UnlockResponse { header: Some(self.shared.header_at(deleted.revision)) }))
    }
}
