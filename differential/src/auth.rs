//! The calls of etcd's Auth service, and their answers: tokens are told by being there.

use tonic::Status;
use watchful_wire::authpb::Permission;
use watchful_wire::etcdserverpb as pb;
use watchful_wire::etcdserverpb::ResponseHeader;
use watchful_wire::etcdserverpb::auth_client::AuthClient;

use crate::answer::Answer;
use crate::caller::{Called, Tokens};

/// A call.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum AuthCall {
    Enable,
    Disable,
    /// Whether it is enabled, which the workload knows when it is asked.
    Status {
        enabled: bool,
    },
    Authenticate(pb::AuthenticateRequest),
    UserAdd(pb::AuthUserAddRequest),
    UserGet(pb::AuthUserGetRequest),
    UserList,
    UserDelete(pb::AuthUserDeleteRequest),
    UserChangePassword(pb::AuthUserChangePasswordRequest),
    UserGrantRole(pb::AuthUserGrantRoleRequest),
    UserRevokeRole(pb::AuthUserRevokeRoleRequest),
    RoleAdd(pb::AuthRoleAddRequest),
    RoleGet(pb::AuthRoleGetRequest),
    RoleList,
    RoleDelete(pb::AuthRoleDeleteRequest),
    RoleGrantPermission(pb::AuthRoleGrantPermissionRequest),
    RoleRevokePermission(pb::AuthRoleRevokePermissionRequest),
}

/// What a call was answered.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct AuthAnswer {
    pub(crate) header: Option<ResponseHeader>,
    pub(crate) says: Says,
}

/// What an answer says.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Says {
    Done,
    Status {
        enabled: bool,
        auth_revision: u64,
    },
    /// A token was given, which can be sent.
    Token,
    /// An answer without a token that can be sent.
    NoToken,
    Names(Vec<String>),
    Permissions(Vec<Permission>),
}

impl AuthCall {
    /// Whether it may change who may do what.
    pub(crate) fn changes(&self) -> bool {
        !matches!(
            self,
            Self::Status { .. }
                | Self::Authenticate(_)
                | Self::UserGet(_)
                | Self::UserList
                | Self::RoleGet(_)
                | Self::RoleList
        )
    }

    /// Whether it may end the tokens of `user`.
    pub(crate) fn ends_tokens_of(&self, user: &str) -> bool {
        match self {
            Self::Enable | Self::Disable => true,
            Self::UserChangePassword(change) => change.name == user,
            Self::UserDelete(delete) => delete.name == user,
            _ => false,
        }
    }
}

/// Most permissions of a role that Go's sort leaves in the order in which they came, where their keys are the same.
const IN_ORDER_MAX: usize = 12;

/// Makes the call, and keeps the token that it gives.
pub(crate) async fn call(client: &mut AuthClient<Called>, tokens: &mut Tokens, call: AuthCall) -> Answer {
    match dispatch(client, tokens, call).await {
        Ok((header, says)) => Answer::Auth(AuthAnswer { header, says }),
        Err(status) => Answer::refused(&status),
    }
}

async fn dispatch(
    client: &mut AuthClient<Called>,
    tokens: &mut Tokens,
    call: AuthCall,
) -> Result<(Option<ResponseHeader>, Says), Status> {
    /// The answer of a call that has nothing to tell.
    macro_rules! done {
        ($call:expr) => {
            ($call.await?.into_inner().header, Says::Done)
        };
    }
    Ok(match call {
        AuthCall::Enable => done!(client.auth_enable(pb::AuthEnableRequest {})),
        AuthCall::Disable => done!(client.auth_disable(pb::AuthDisableRequest {})),
        AuthCall::UserAdd(add) => done!(client.user_add(add)),
        AuthCall::UserDelete(delete) => done!(client.user_delete(delete)),
        AuthCall::UserChangePassword(change) => done!(client.user_change_password(change)),
        AuthCall::UserGrantRole(grant) => done!(client.user_grant_role(grant)),
        AuthCall::UserRevokeRole(revoke) => done!(client.user_revoke_role(revoke)),
        AuthCall::RoleAdd(add) => done!(client.role_add(add)),
        AuthCall::RoleDelete(delete) => done!(client.role_delete(delete)),
        AuthCall::RoleGrantPermission(grant) => done!(client.role_grant_permission(grant)),
        AuthCall::RoleRevokePermission(revoke) => done!(client.role_revoke_permission(revoke)),
        AuthCall::Authenticate(login) => {
            let name = login.name.clone();
            let answer = client.authenticate(login).await?.into_inner();
            let says = if tokens.keep(name, &answer.token) { Says::Token } else { Says::NoToken };
            (answer.header, says)
        }
        asked => told(client, asked).await?,
    })
}

/// What calls tell that change nothing.
async fn told(
    client: &mut AuthClient<Called>,
    call: AuthCall,
) -> Result<(Option<ResponseHeader>, Says), Status> {
    Ok(match call {
        AuthCall::UserGet(get) => {
            let answer = client.user_get(get).await?.into_inner();
            (answer.header, Says::Names(answer.roles))
        }
        AuthCall::UserList => {
            let answer = client.user_list(pb::AuthUserListRequest {}).await?.into_inner();
            (answer.header, Says::Names(answer.users))
        }
        AuthCall::RoleGet(get) => {
            let answer = client.role_get(get).await?.into_inner();
            (answer.header, Says::Permissions(ordered(answer.perm)))
        }
        AuthCall::RoleList => {
            let answer = client.role_list(pb::AuthRoleListRequest {}).await?.into_inner();
            (answer.header, Says::Names(answer.roles))
        }
        _ => {
            let answer = client.auth_status(pb::AuthStatusRequest {}).await?.into_inner();
            let (enabled, auth_revision) = (answer.enabled, answer.auth_revision);
            (answer.header, Says::Status { enabled, auth_revision })
        }
    })
}

/// A role's permissions are sorted by their keys. In which order many stand that have the same key is Go's secret.
fn ordered(mut permissions: Vec<Permission>) -> Vec<Permission> {
    let sorted = permissions.is_sorted_by(|one, other| one.key <= other.key);
    if sorted && permissions.len() > IN_ORDER_MAX {
        permissions.sort_by(|one, other| (&one.key, &one.range_end).cmp(&(&other.key, &other.range_end)));
    }
    permissions
}
