//! The Auth service: users, roles, permissions, and turning auth on and off.
//!
//! Each change looks at the notes inside its transaction, in etcd's order: whether the caller may, then whether it can be
//! done. What is read is read from the state in memory, which has every change that was answered.

mod users;

mod roles;

mod enabling;

mod authenticate;

use std::sync::Arc;

use tonic::{Request, Response, Status};
use watchful_wire::etcdserverpb as pb;
use watchful_wire::etcdserverpb::auth_server;

use super::authority::Authority;
use super::caller::Caller;
use super::need::Need;
use crate::state::Shared;

/// The Auth service.
#[derive(Clone, Debug)]
pub(crate) struct Auth {
    shared: Arc<Shared>,
}

impl Auth {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    fn authority(&self) -> &Authority {
        &self.shared.authority
    }

    fn header(&self) -> Option<pb::ResponseHeader> {
        Some(self.shared.header())
    }

    fn caller<T>(&self, request: &Request<T>) -> Result<Caller, Status> {
        self.authority().caller(request.metadata(), request.extensions())
    }

    /// Refuses whoever does not have what it needs.
    fn check<T>(&self, request: &Request<T>, need: &Need<'_>) -> Result<Caller, Status> {
        let caller = self.caller(request)?;
        self.authority().state().may(&caller, need)?;
        Ok(caller)
    }
}

/// Answers with what a function of the service gives.
macro_rules! answer {
    ($service:expr, $answer:ident, $done:expr) => {{
        $done.await?;
        Ok(Response::new(pb::$answer { header: $service.header() }))
    }};
}

#[tonic::async_trait]
impl auth_server::Auth for Auth {
    async fn auth_enable(
        &self,
        request: Request<pb::AuthEnableRequest>,
    ) -> Result<Response<pb::AuthEnableResponse>, Status> {
        answer!(self, AuthEnableResponse, self.enable(request))
    }

    async fn auth_disable(
        &self,
        request: Request<pb::AuthDisableRequest>,
    ) -> Result<Response<pb::AuthDisableResponse>, Status> {
        answer!(self, AuthDisableResponse, self.disable(request))
    }

    async fn auth_status(
        &self,
        request: Request<pb::AuthStatusRequest>,
    ) -> Result<Response<pb::AuthStatusResponse>, Status> {
        self.check(&request, &Need::Nothing)?;
        let state = self.authority().state();
        let (enabled, auth_revision) = (state.enabled, state.revision);
        Ok(Response::new(pb::AuthStatusResponse { header: self.header(), enabled, auth_revision }))
    }

    async fn authenticate(
        &self,
        request: Request<pb::AuthenticateRequest>,
    ) -> Result<Response<pb::AuthenticateResponse>, Status> {
        let token = self.token(request).await?;
        Ok(Response::new(pb::AuthenticateResponse { header: self.header(), token }))
    }

    async fn user_add(
        &self,
        request: Request<pb::AuthUserAddRequest>,
    ) -> Result<Response<pb::AuthUserAddResponse>, Status> {
        answer!(self, AuthUserAddResponse, self.add_user(request))
    }

    async fn user_get(
        &self,
        request: Request<pb::AuthUserGetRequest>,
    ) -> Result<Response<pb::AuthUserGetResponse>, Status> {
        let roles = self.roles_of_user(&request)?;
        Ok(Response::new(pb::AuthUserGetResponse { header: self.header(), roles }))
    }

    async fn user_list(
        &self,
        request: Request<pb::AuthUserListRequest>,
    ) -> Result<Response<pb::AuthUserListResponse>, Status> {
        self.check(&request, &Need::Root)?;
        let users = self.authority().state().users.keys().map(ToString::to_string).collect();
        Ok(Response::new(pb::AuthUserListResponse { header: self.header(), users }))
    }

    async fn user_delete(
        &self,
        request: Request<pb::AuthUserDeleteRequest>,
    ) -> Result<Response<pb::AuthUserDeleteResponse>, Status> {
        answer!(self, AuthUserDeleteResponse, self.delete_user(request))
    }

    async fn user_change_password(
        &self,
        request: Request<pb::AuthUserChangePasswordRequest>,
    ) -> Result<Response<pb::AuthUserChangePasswordResponse>, Status> {
        answer!(self, AuthUserChangePasswordResponse, self.change_password(request))
    }

    async fn user_grant_role(
        &self,
        request: Request<pb::AuthUserGrantRoleRequest>,
    ) -> Result<Response<pb::AuthUserGrantRoleResponse>, Status> {
        answer!(self, AuthUserGrantRoleResponse, self.grant_role(request))
    }

    async fn user_revoke_role(
        &self,
        request: Request<pb::AuthUserRevokeRoleRequest>,
    ) -> Result<Response<pb::AuthUserRevokeRoleResponse>, Status> {
        answer!(self, AuthUserRevokeRoleResponse, self.revoke_role(request))
    }

    async fn role_add(
        &self,
        request: Request<pb::AuthRoleAddRequest>,
    ) -> Result<Response<pb::AuthRoleAddResponse>, Status> {
        answer!(self, AuthRoleAddResponse, self.add_role(request))
    }

    async fn role_get(
        &self,
        request: Request<pb::AuthRoleGetRequest>,
    ) -> Result<Response<pb::AuthRoleGetResponse>, Status> {
        let perm = self.permissions_of_role(&request)?;
        Ok(Response::new(pb::AuthRoleGetResponse { header: self.header(), perm }))
    }

    async fn role_list(
        &self,
        request: Request<pb::AuthRoleListRequest>,
    ) -> Result<Response<pb::AuthRoleListResponse>, Status> {
        self.check(&request, &Need::Root)?;
        let roles = self.authority().state().roles.keys().map(ToString::to_string).collect();
        Ok(Response::new(pb::AuthRoleListResponse { header: self.header(), roles }))
    }

    async fn role_delete(
        &self,
        request: Request<pb::AuthRoleDeleteRequest>,
    ) -> Result<Response<pb::AuthRoleDeleteResponse>, Status> {
        answer!(self, AuthRoleDeleteResponse, self.delete_role(request))
    }

    async fn role_grant_permission(
        &self,
        request: Request<pb::AuthRoleGrantPermissionRequest>,
    ) -> Result<Response<pb::AuthRoleGrantPermissionResponse>, Status> {
        answer!(self, AuthRoleGrantPermissionResponse, self.grant_permission(request))
    }

    async fn role_revoke_permission(
        &self,
        request: Request<pb::AuthRoleRevokePermissionRequest>,
    ) -> Result<Response<pb::AuthRoleRevokePermissionResponse>, Status> {
        answer!(self, AuthRoleRevokePermissionResponse, self.revoke_permission(request))
    }
}
