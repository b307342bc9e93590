//! The Cluster service of one member.

use std::sync::Arc;

use tonic::{Request, Response, Status};
use watchful_wire::etcdserverpb::{
    Member, MemberAddRequest, MemberAddResponse, MemberListRequest, MemberListResponse, MemberPromoteRequest,
    MemberPromoteResponse, MemberRemoveRequest, MemberRemoveResponse, MemberUpdateRequest,
    MemberUpdateResponse, cluster_server,
};

use crate::answers;
use crate::auth::Need;
use crate::state::Shared;

/// etcd would accept the member and wait for a quorum that never comes.
const ONE_MEMBER: &str = "watchful: this server is the only member and takes no others: it does not replicate. To \
                          move to a cluster, restore a snapshot of it there (see `etcdctl snapshot restore`)";

const NO_PEERS: &str = "watchful: the only member has no peers, so it has no peer URLs to change";

/// The Cluster service.
#[derive(Clone, Debug)]
pub(crate) struct Cluster {
    shared: Arc<Shared>,
}

impl Cluster {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Refuses for a member that is not there, or, where it is this one, for `reason`.
    fn refuse(&self, member_id: u64, reason: Status) -> Status {
        if member_id == self.shared.identity.member_id { reason } else { answers::member_not_found() }
    }

    fn member(&self) -> Member {
        let settings = &self.shared.settings;
        Member {
            id: self.shared.identity.member_id,
            name: settings.name.clone(),
            peer_ur_ls: Vec::new(),
            client_ur_ls: settings.advertise_client_urls.clone(),
            is_learner: false,
        }
    }
}

#[tonic::async_trait]
impl cluster_server::Cluster for Cluster {
    async fn member_add(
        &self,
        request: Request<MemberAddRequest>,
    ) -> Result<Response<MemberAddResponse>, Status> {
        self.shared.require(&request, &Need::Root)?;
        Err(Status::failed_precondition(ONE_MEMBER))
    }

    async fn member_remove(
        &self,
        request: Request<MemberRemoveRequest>,
    ) -> Result<Response<MemberRemoveResponse>, Status> {
        self.shared.require(&request, &Need::Root)?;
        Err(self.refuse(request.get_ref().id, answers::not_enough_members()))
    }

    async fn member_update(
        &self,
        request: Request<MemberUpdateRequest>,
    ) -> Result<Response<MemberUpdateResponse>, Status> {
        self.shared.require(&request, &Need::Root)?;
        Err(self.refuse(request.get_ref().id, Status::failed_precondition(NO_PEERS)))
    }

    async fn member_list(
        &self,
        request: Request<MemberListRequest>,
    ) -> Result<Response<MemberListResponse>, Status> {
        self.shared.require(&request, &Need::User)?;
        // As in etcd, what is told of members tells no revision.
        let (header, members) = (Some(self.shared.header_at(0)), vec![self.member()]);
        Ok(Response::new(MemberListResponse { header, members }))
    }

    async fn member_promote(
        &self,
        request: Request<MemberPromoteRequest>,
    ) -> Result<Response<MemberPromoteResponse>, Status> {
        self.shared.require(&request, &Need::Root)?;
        Err(self.refuse(request.get_ref().id, answers::not_a_learner()))
    }
}
