//! The Lock service.

use std::sync::Arc;

use bytes::Bytes;
use tonic::{Request, Response, Status};
use watchful_wire::v3lockpb::{LockRequest, LockResponse, UnlockRequest, UnlockResponse, lock_server};

use crate::answers;
use crate::concurrency::{Contender, relayed};
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
        let LockRequest { name, lease } = request.into_inner();
        let mut contender = Contender::enter(&self.shared, name, lease, Bytes::new()).await?;
        if !contender.wait().await? {
            return Err(Status::unknown("mutex: session is expired"));
        }
        let header = Some(self.shared.header());
        Ok(Response::new(LockResponse { header, key: contender.key.clone() }))
    }

    async fn unlock(&self, request: Request<UnlockRequest>) -> Result<Response<UnlockResponse>, Status> {
        let UnlockRequest { key } = request.into_inner();
        if key.is_empty() {
            return Err(relayed(answers::empty_key()));
        }
        let deleted = self.shared.store.delete(&key).await.map_err(answers::of)?;
        Ok(Response::new(UnlockResponse { header: Some(self.shared.header_at(deleted.revision)) }))
    }
}
