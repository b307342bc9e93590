//! Users that are there from the start: root, and one who may read and write some of the keys.

use watchful_wire::authpb::{Permission, permission::Type};
use watchful_wire::etcdserverpb::{
    AuthEnableRequest, AuthRoleAddRequest, AuthRoleGrantPermissionRequest, AuthUserAddRequest,
    AuthUserGrantRoleRequest, AuthenticateRequest,
};

use super::door::Door;

/// Of the keys that calls are about: some of the short ones.
const PERMITTED: [&[u8]; 2] = [b"a", b"c"];

/// Makes them, turns auth on, and logs them in.
pub(super) async fn come(door: &mut Door) {
    for name in ["root", "a"] {
        let user = AuthUserAddRequest { name: name.into(), password: name.into(), ..Default::default() };
        door.tell("UserAdd", &user, 0).await;
        door.tell("RoleAdd", &AuthRoleAddRequest { name: name.into() }, 0).await;
        door.tell("UserGrantRole", &AuthUserGrantRoleRequest { user: name.into(), role: name.into() }, 0)
            .await;
    }
    let [key, range_end] = PERMITTED.map(Into::into);
    let permission = Permission { perm_type: Type::Readwrite.into(), key, range_end };
    let granted = AuthRoleGrantPermissionRequest { name: "a".into(), perm: Some(permission) };
    door.tell("RoleGrantPermission", &granted, 0).await;
    door.tell("AuthEnable", &AuthEnableRequest {}, 0).await;
    for name in ["root", "a"] {
        let login = AuthenticateRequest { name: name.into(), password: name.into() };
        door.tell("Authenticate", &login, 0).await;
    }
}
