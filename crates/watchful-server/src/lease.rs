//! The Lease service.
//!
//! The store counts leases down and deletes their keys; here are etcd's bounds and answers.

use std::future::ready;
use std::pin::Pin;
use std::sync::Arc;

use futures_core::Stream;
use tokio_stream::StreamExt;
use tonic::{Request, Response, Status, Streaming};
use watchful::{Committed, Error};
use watchful_wire::etcdserverpb::{
    LeaseGrantRequest, LeaseGrantResponse, LeaseKeepAliveRequest, LeaseKeepAliveResponse, LeaseLeasesRequest,
    LeaseLeasesResponse, LeaseRevokeRequest, LeaseRevokeResponse, LeaseStatus, LeaseTimeToLiveRequest,
    LeaseTimeToLiveResponse, lease_server,
};

use crate::answers;
use crate::auth::{Credentials, Need};
use crate::rights::Rights;
use crate::state::Shared;

/// The longest time to live that etcd takes, in seconds.
const TTL_MAX_SECONDS: i64 = 9_000_000_000;

/// The Lease service.
#[derive(Clone, Debug)]
pub(crate) struct Lease {
    shared: Arc<Shared>,
}

impl Lease {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    pub(crate) async fn grant(&self, request: LeaseGrantRequest) -> Result<LeaseGrantResponse, Status> {
        self.shared.refuse_growth()?;
        if request.ttl > TTL_MAX_SECONDS {
            return Err(answers::lease_ttl_too_large());
        }
        let ttl = request.ttl.max(self.shared.settings.lease_ttl_min_seconds);
        let granted = self.shared.store.lease_grant(request.id, ttl).await;
        let id = self.shared.written(granted).await?;
        self.shared.counts.leases_granted.add(1);
        Ok(LeaseGrantResponse { header: Some(self.shared.header()), id, ttl, error: String::new() })
    }

    pub(crate) async fn revoke(
        &self,
        rights: Rights,
        request: &LeaseRevokeRequest,
    ) -> Result<LeaseRevokeResponse, Status> {
        rights.may(&Need::User)?;
        self.shared.refuse_damaged()?;
        let LeaseRevokeRequest { id } = *request;
        let revoked = self.shared.store.lease_revoke_if(id, move |txn| {
            rights.hold_in()?;
            rights.may_end(txn, id)
        });
        let Committed { revision, .. } = revoked.await?;
        self.shared.counts.leases_revoked.add(1);
        Ok(LeaseRevokeResponse { header: Some(self.shared.header_at(revision)) })
    }

    /// A lease that is not there has a time to live of 0: that is how a client learns that it is over.
    fn keep_alive(&self, credentials: &Credentials, id: i64) -> Result<LeaseKeepAliveResponse, Status> {
        let rights = self.shared.rights_of(credentials)?;
        rights.may(&Need::User)?;
        if rights.are_limited() {
            rights.may_write(self.keys_on(id))?;
        }
        let ttl = match self.shared.store.lease_keep_alive(id) {
            Ok(ttl) => {
                self.shared.counts.leases_renewed.add(1);
                seconds(ttl)
            }
            Err(Error::LeaseNotFound { .. }) => 0,
            Err(error) => return Err(answers::of(error)),
        };
        Ok(LeaseKeepAliveResponse { header: Some(self.shared.header()), id, ttl })
    }

    /// The keys on a lease; none where there is no such lease.
    fn keys_on(&self, id: i64) -> Vec<Vec<u8>> {
        self.shared.store.lease(id).map(|lease| lease.keys).unwrap_or_default()
    }

    fn leases(&self, rights: &Rights) -> Result<LeaseLeasesResponse, Status> {
        rights.may(&Need::User)?;
        let leases = self.shared.store.leases_by_end();
        if rights.are_limited() {
            leases.iter().try_for_each(|id| rights.may_read(self.keys_on(*id)))?;
        }
        rights.hold()?;
        let leases = leases.into_iter().map(|id| LeaseStatus { id }).collect();
        Ok(LeaseLeasesResponse { header: Some(self.shared.header()), leases })
    }

    fn time_to_live(
        &self,
        rights: &Rights,
        request: &LeaseTimeToLiveRequest,
    ) -> Result<LeaseTimeToLiveResponse, Status> {
        rights.may(&Need::User)?;
        let answer = self.lasting(request);
        // Those that are told, and no others.
        rights.may_read(&answer.keys)?;
        rights.hold()?;
        Ok(answer)
    }

    fn lasting(&self, request: &LeaseTimeToLiveRequest) -> LeaseTimeToLiveResponse {
        let header = Some(self.shared.header());
        match self.shared.store.lease(request.id) {
            Ok(lease) => LeaseTimeToLiveResponse {
                header,
                id: lease.id,
                ttl: seconds(lease.remaining),
                granted_ttl: lease.ttl_seconds,
                keys: match request.keys {
                    true => lease.keys.into_iter().map(Into::into).collect(),
                    false => Vec::new(),
                },
            },
            Err(_) => LeaseTimeToLiveResponse {
                header,
                id: request.id,
                ttl: -1,
                ..LeaseTimeToLiveResponse::default()
            },
        }
    }
}

/// Whole seconds, as etcd tells them.
fn seconds(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

#[tonic::async_trait]
impl lease_server::Lease for Lease {
    async fn lease_grant(
        &self,
        request: Request<LeaseGrantRequest>,
    ) -> Result<Response<LeaseGrantResponse>, Status> {
        self.shared.require(&request, &Need::User)?;
        self.grant(request.into_inner()).await.map(Response::new)
    }

    async fn lease_revoke(
        &self,
        request: Request<LeaseRevokeRequest>,
    ) -> Result<Response<LeaseRevokeResponse>, Status> {
        let revoke = |rights| self.revoke(rights, request.get_ref());
        self.shared.decided(&request, revoke).await.map(Response::new)
    }

    type LeaseKeepAliveStream =
        Pin<Box<dyn Stream<Item = Result<LeaseKeepAliveResponse, Status>> + Send + 'static>>;

    async fn lease_keep_alive(
        &self,
        request: Request<Streaming<LeaseKeepAliveRequest>>,
    ) -> Result<Response<Self::LeaseKeepAliveStream>, Status> {
        let this = self.clone();
        let credentials = self.shared.authority.credentials(request.metadata(), request.extensions());
        let answers = request.into_inner().map(move |request| this.keep_alive(&credentials, request?.id));
        Ok(Response::new(Box::pin(self.shared.until_stopped(answers))))
    }

    async fn lease_time_to_live(
        &self,
        request: Request<LeaseTimeToLiveRequest>,
    ) -> Result<Response<LeaseTimeToLiveResponse>, Status> {
        let tell = |rights| ready(self.time_to_live(&rights, request.get_ref()));
        self.shared.decided(&request, tell).await.map(Response::new)
    }

    async fn lease_leases(
        &self,
        request: Request<LeaseLeasesRequest>,
    ) -> Result<Response<LeaseLeasesResponse>, Status> {
        let list = |rights| ready(self.leases(&rights));
        self.shared.decided(&request, list).await.map(Response::new)
    }
}
