//! A watch whose user loses the permission for it.

use watchful_wire::authpb::{Permission, permission};
use watchful_wire::etcdserverpb::{
    AuthRoleAddRequest, AuthRoleGrantPermissionRequest, AuthUserAddRequest, AuthUserGrantRoleRequest,
    AuthUserRevokeRoleRequest, PutRequest, WatchCreateRequest,
};

use super::ALONE;
use crate::auth::AuthCall;
use crate::caller::{Caller, ROOT};
use crate::known::WATCHED;
use crate::request::Request;
use crate::run::Run;

/// A user of this scene alone, and its role.
const GUEST: &str = "guest";
const GUESTS: &str = "guests";

pub(super) async fn watch_until_revoked(run: &mut Run) {
    let before = run.act_as(Caller::User(ROOT));
    invite(run).await;
    run.log_in(GUEST, true).await;
    run.act_as(Caller::User(GUEST));
    run.watch(ALONE, WatchCreateRequest { key: WATCHED.into(), ..Default::default() }).await;
    run.act_as(Caller::User(ROOT));
    let revoke = AuthUserRevokeRoleRequest { name: GUEST.to_owned(), role: GUESTS.to_owned() };
    // The stream stays open.
    run.ask(Request::Auth(AuthCall::UserRevokeRole(revoke))).await;
    run.log_in(ROOT, true).await;
    run.ask(Request::Put(PutRequest { key: WATCHED.into(), ..Default::default() })).await;
    run.sync().await;
    run.close_stream(ALONE);
    run.act_as(before);
}

/// Makes the guest and its role where they are not there, and gives it the role.
async fn invite(run: &mut Run) {
    let perm =
        Permission { perm_type: permission::Type::Read.into(), key: WATCHED.into(), ..Default::default() };
    let add = AuthUserAddRequest { name: GUEST.to_owned(), password: GUEST.to_owned(), ..Default::default() };
    run.auth(AuthCall::UserAdd(add)).await;
    run.auth(AuthCall::RoleAdd(AuthRoleAddRequest { name: GUESTS.to_owned() })).await;
    let grant = AuthRoleGrantPermissionRequest { name: GUESTS.to_owned(), perm: Some(perm) };
    run.auth(AuthCall::RoleGrantPermission(grant)).await;
    let grant = AuthUserGrantRoleRequest { user: GUEST.to_owned(), role: GUESTS.to_owned() };
    run.auth(AuthCall::UserGrantRole(grant)).await;
}
