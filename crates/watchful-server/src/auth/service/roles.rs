//! Roles: added, deleted, and what they permit.

use bytes::Bytes;
use tonic::{Request, Status};
use watchful_wire::authpb::permission::Type;
use watchful_wire::authpb::{Permission, Role};
use watchful_wire::etcdserverpb::{
    AuthRoleAddRequest, AuthRoleDeleteRequest, AuthRoleGetRequest, AuthRoleGrantPermissionRequest,
    AuthRoleRevokePermissionRequest,
};

use super::Auth;
use crate::answers;
use crate::auth::authority::Ends;
use crate::auth::need::Need;
use crate::auth::notes::check_name;
use crate::auth::permissions::is_range;
use crate::auth::state::{ROOT, has_role};

impl Auth {
    pub(super) async fn add_role(&self, request: Request<AuthRoleAddRequest>) -> Result<(), Status> {
        let caller = self.check(&request, &Need::Root)?;
        let name = request.into_inner().name;
        if name.is_empty() {
            return Err(answers::role_empty());
        }
        check_name("role", &name)?;
        let told = name.clone();
        let added = self.authority().change(Ends::Nobody, move |notes| {
            notes.check_root(&caller)?;
            if notes.role(&name)?.is_some() {
                return Err(answers::role_exists().into());
            }
            notes.put_role(&name, Role { name: name.clone().into(), key_permission: Vec::new() })?;
            notes.raise_revision()
        });
        added.await?;
        tracing::info!(role = told, "added a role");
        Ok(())
    }

    /// Deletes a role, and takes it from everybody who has it.
    pub(super) async fn delete_role(&self, request: Request<AuthRoleDeleteRequest>) -> Result<(), Status> {
        let caller = self.check(&request, &Need::Root)?;
        let name = request.into_inner().role;
        let told = name.clone();
        let deleted = self.authority().change(Ends::Nobody, move |notes| {
            notes.check_root(&caller)?;
            if name == ROOT && notes.is_enabled()? {
                return Err(answers::invalid_auth_management().into());
            }
            notes.role(&name)?.ok_or_else(answers::role_not_found)?;
            notes.remove_role(&name)?;
            for (user_name, mut user) in notes.users()? {
                if has_role(&user, &name) {
                    user.roles.retain(|own| *own != name);
                    notes.put_user(&user_name, user)?;
                }
            }
            notes.raise_revision()
        });
        deleted.await?;
        tracing::info!(role = told, "deleted a role");
        Ok(())
    }

    /// What a role permits. Those who have it may ask.
    pub(super) fn permissions_of_role(
        &self,
        request: &Request<AuthRoleGetRequest>,
    ) -> Result<Vec<Permission>, Status> {
        let name = &request.get_ref().role;
        self.check(request, &Need::Role(name))?;
        let state = self.authority().state();
        let role = state.roles.get(name.as_str()).ok_or_else(answers::role_not_found)?;
        Ok(if name == ROOT { vec![everything()] } else { role.key_permission.clone() })
    }

    pub(super) async fn grant_permission(
        &self,
        request: Request<AuthRoleGrantPermissionRequest>,
    ) -> Result<(), Status> {
        let caller = self.check(&request, &Need::Root)?;
        let AuthRoleGrantPermissionRequest { name, perm } = request.into_inner();
        let permission = perm.ok_or_else(answers::permission_not_given)?;
        if !is_range(&permission.key, &permission.range_end) {
            return Err(answers::invalid_auth_management());
        }
        if Type::try_from(permission.perm_type).is_err() {
            return Err(Status::invalid_argument(format!(
                "watchful: permission type {} is none of READ (0), WRITE (1) and READWRITE (2)",
                permission.perm_type
            )));
        }
        let told = name.clone();
        let granted = self.authority().change(Ends::Nobody, move |notes| {
            notes.check_root(&caller)?;
            let mut role = notes.role(&name)?.ok_or_else(answers::role_not_found)?;
            grant(&mut role.key_permission, permission);
            notes.put_role(&name, role)?;
            notes.raise_revision()
        });
        granted.await?;
        tracing::info!(role = told, "granted a permission");
        Ok(())
    }

    pub(super) async fn revoke_permission(
        &self,
        request: Request<AuthRoleRevokePermissionRequest>,
    ) -> Result<(), Status> {
        let caller = self.check(&request, &Need::Root)?;
        let AuthRoleRevokePermissionRequest { role: name, key, range_end } = request.into_inner();
        let told = name.clone();
        let revoked = self.authority().change(Ends::Nobody, move |notes| {
            notes.check_root(&caller)?;
            let mut role = notes.role(&name)?.ok_or_else(answers::role_not_found)?;
            let before = role.key_permission.len();
            role.key_permission.retain(|own| own.key != key || own.range_end != range_end);
            if role.key_permission.len() == before {
                return Err(answers::permission_not_granted().into());
            }
            notes.put_role(&name, role)?;
            notes.raise_revision()
        });
        revoked.await?;
        tracing::info!(role = told, "revoked a permission");
        Ok(())
    }
}

/// What the role root permits, as etcd tells it.
fn everything() -> Permission {
    Permission { perm_type: Type::Readwrite.into(), key: Bytes::new(), range_end: Bytes::from_static(b"\0") }
}

/// Puts a permission among the others, by key. One for the same range is replaced.
///
/// etcd looks only at the first that has the same key, and otherwise adds a second for the same range, so that a narrower
/// grant does not take there.
fn grant(permissions: &mut Vec<Permission>, new: Permission) {
    let is_same = |own: &Permission| own.key == new.key && own.range_end == new.range_end;
    let place = permissions.iter().position(is_same);
    permissions.retain(|own| !is_same(own));
    match place {
        Some(place) => permissions.insert(place.min(permissions.len()), new),
        None => {
            permissions.push(new);
            permissions.sort_by(|one, other| one.key.cmp(&other.key));
        }
    }
}
