//! The Auth service: every call, every refusal, and what a restart finds.

mod calls;

mod enabling;

mod logins;

mod roles;

mod users;

mod many;

mod notes;

use tonic::metadata::MetadataValue;
use tonic::transport::Channel;
use tonic::{Code, Request, Response, Status};
use watchful_server::ServerSettings;
use watchful_wire::authpb::permission::Type;
use watchful_wire::authpb::{Permission, UserAddOptions};
use watchful_wire::etcdserverpb as pb;
use watchful_wire::etcdserverpb::auth_client::AuthClient;

use crate::support::TestServer;

/// Little work for a hash: these tests are not about that.
fn quick(mut settings: ServerSettings) -> ServerSettings {
    settings.auth.bcrypt_cost = 4;
    settings.store = settings.store.with_durability(watchful::Durability::Unsynced);
    settings
}

/// A server with the user `root` (password `r`), which has the role root; auth is on. Root's token comes with it.
async fn server_with_root() -> (TestServer, String) {
    let server = TestServer::start_with(quick).await;
    let root = enable(&server).await;
    (server, root)
}

async fn enable(server: &TestServer) -> String {
    let mut auth = client(server);
    auth.user_add(user("root", "r")).await.unwrap();
    auth.role_add(pb::AuthRoleAddRequest { name: "root".to_owned() }).await.unwrap();
    auth.user_grant_role(grant("root", "root")).await.unwrap();
    auth.auth_enable(pb::AuthEnableRequest {}).await.unwrap();
    login(server, "root", "r").await.unwrap()
}

fn client(server: &TestServer) -> AuthClient<Channel> {
    AuthClient::new(server.channel.clone())
}

async fn login(server: &TestServer, name: &str, password: &str) -> Result<String, Status> {
    let request = pb::AuthenticateRequest { name: name.to_owned(), password: password.to_owned() };
    Ok(client(server).authenticate(request).await?.into_inner().token)
}

/// A request with a token; without one where it is empty.
fn by<T>(token: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    if !token.is_empty() {
        request.metadata_mut().insert("token", MetadataValue::try_from(token).unwrap());
    }
    request
}

async fn revision(server: &TestServer) -> u64 {
    client(server).auth_status(pb::AuthStatusRequest {}).await.unwrap().into_inner().auth_revision
}

#[track_caller]
fn check_refused<T: std::fmt::Debug>(answer: Result<Response<T>, Status>, code: Code, message: &str) {
    let refused = answer.expect_err("it is refused");
    assert_eq!((refused.code(), refused.message()), (code, message));
}

fn user(name: &str, password: &str) -> pb::AuthUserAddRequest {
    let (name, password) = (name.to_owned(), password.to_owned());
    pb::AuthUserAddRequest { name, password, ..Default::default() }
}

fn user_without_password(name: &str) -> pb::AuthUserAddRequest {
    pb::AuthUserAddRequest { options: Some(UserAddOptions { no_password: true }), ..user(name, "") }
}

fn role(name: &str) -> pb::AuthRoleAddRequest {
    pb::AuthRoleAddRequest { name: name.to_owned() }
}

fn grant(user: &str, role: &str) -> pb::AuthUserGrantRoleRequest {
    pb::AuthUserGrantRoleRequest { user: user.to_owned(), role: role.to_owned() }
}

fn revoke(user: &str, role: &str) -> pb::AuthUserRevokeRoleRequest {
    pb::AuthUserRevokeRoleRequest { name: user.to_owned(), role: role.to_owned() }
}

fn delete_user(name: &str) -> pb::AuthUserDeleteRequest {
    pb::AuthUserDeleteRequest { name: name.to_owned() }
}

fn change_password(name: &str, password: &str) -> pb::AuthUserChangePasswordRequest {
    let (name, password) = (name.to_owned(), password.to_owned());
    pb::AuthUserChangePasswordRequest { name, password, ..Default::default() }
}

fn delete_role(role: &str) -> pb::AuthRoleDeleteRequest {
    pb::AuthRoleDeleteRequest { role: role.to_owned() }
}

fn permission(kind: Type, key: &str, range_end: &str) -> Permission {
    let (key, range_end) = (key.to_owned().into(), range_end.to_owned().into());
    Permission { perm_type: kind.into(), key, range_end }
}

fn permit(role: &str, permission: Permission) -> pb::AuthRoleGrantPermissionRequest {
    pb::AuthRoleGrantPermissionRequest { name: role.to_owned(), perm: Some(permission) }
}

fn forbid(role: &str, key: &str, range_end: &str) -> pb::AuthRoleRevokePermissionRequest {
    let (role, key) = (role.to_owned(), key.to_owned().into());
    pb::AuthRoleRevokePermissionRequest { role, key, range_end: range_end.to_owned().into() }
}

async fn roles_of(server: &TestServer, token: &str, name: &str) -> Vec<String> {
    let request = by(token, pb::AuthUserGetRequest { name: name.to_owned() });
    client(server).user_get(request).await.unwrap().into_inner().roles
}

async fn permissions_of(server: &TestServer, token: &str, role: &str) -> Vec<Permission> {
    let request = by(token, pb::AuthRoleGetRequest { role: role.to_owned() });
    client(server).role_get(request).await.unwrap().into_inner().perm
}

async fn users(server: &TestServer, token: &str) -> Vec<String> {
    client(server).user_list(by(token, pb::AuthUserListRequest {})).await.unwrap().into_inner().users
}

async fn roles(server: &TestServer, token: &str) -> Vec<String> {
    client(server).role_list(by(token, pb::AuthRoleListRequest {})).await.unwrap().into_inner().roles
}
