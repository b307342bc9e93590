//! Users: added, deleted, their passwords and their roles.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use tonic::{Request, Status};
use watchful_wire::authpb::{User, UserAddOptions};
use watchful_wire::etcdserverpb::{
    AuthUserAddRequest, AuthUserChangePasswordRequest, AuthUserDeleteRequest, AuthUserGetRequest,
    AuthUserGrantRoleRequest, AuthUserRevokeRoleRequest,
};

use super::Auth;
use crate::answers;
use crate::auth::authority::Ends;
use crate::auth::need::Need;
use crate::auth::notes::check_name;
use crate::auth::passwords::{Lane, cost_of};
use crate::auth::state::{ROOT, has_role};

impl Auth {
    pub(super) async fn add_user(&self, request: Request<AuthUserAddRequest>) -> Result<(), Status> {
        let caller = self.check(&request, &Need::Root)?;
        let lane = self.authority().passwords().lane(request.extensions(), caller.name().unwrap_or_default());
        let AuthUserAddRequest { name, password, options, hashed_password } = request.into_inner();
        if name.is_empty() {
            return Err(answers::user_empty());
        }
        check_name("user", &name)?;
        if self.authority().state().user(&name).is_some() {
            return Err(answers::user_exists());
        }
        let options = options.unwrap_or_default();
        let password = match (&options, &*password, &*hashed_password) {
            (UserAddOptions { no_password: true }, ..) => Bytes::new(),
            (_, "", hash) if !hash.is_empty() => hash_given(hash)?,
            _ => self.authority().passwords().hash(lane, password).await?,
        };
        let user = User { name: name.clone().into(), password, roles: Vec::new(), options: Some(options) };
        let added = self.authority().change(Ends::Nobody, {
            let name = name.clone();
            move |notes| {
                notes.check_root(&caller)?;
                if notes.user(&name)?.is_some() {
                    return Err(answers::user_exists().into());
                }
                notes.put_user(&name, user)?;
                notes.raise_revision()
            }
        });
        added.await?;
        tracing::info!(user = name, "added a user");
        Ok(())
    }

    pub(super) async fn delete_user(&self, request: Request<AuthUserDeleteRequest>) -> Result<(), Status> {
        let caller = self.check(&request, &Need::Root)?;
        let name = request.into_inner().name;
        let deleted = self.authority().change(Ends::User(name.clone()), {
            let name = name.clone();
            move |notes| {
                notes.check_root(&caller)?;
                if name == ROOT && notes.is_enabled()? {
                    return Err(answers::invalid_auth_management().into());
                }
                notes.user(&name)?.ok_or_else(answers::user_not_found)?;
                notes.remove_user(&name)?;
                notes.raise_revision()
            }
        });
        deleted.await?;
        tracing::info!(user = name, "deleted a user");
        Ok(())
    }

    pub(super) async fn change_password(
        &self,
        request: Request<AuthUserChangePasswordRequest>,
    ) -> Result<(), Status> {
        let caller = self.check(&request, &Need::Root)?;
        let lane = self.authority().passwords().lane(request.extensions(), caller.name().unwrap_or_default());
        let AuthUserChangePasswordRequest { name, password, hashed_password } = request.into_inner();
        if self.authority().state().user(&name).is_none() {
            return Err(answers::user_not_found());
        }
        let password = self.new_password(lane, password, &hashed_password).await?;
        let changed = self.authority().change(Ends::User(name.clone()), {
            let name = name.clone();
            move |notes| {
                notes.check_root(&caller)?;
                let mut user = notes.user(&name)?.ok_or_else(answers::user_not_found)?;
                // A user without password stays so, as in etcd.
                user.password = if user.options.is_some_and(|options| options.no_password) {
                    Bytes::new()
                } else {
                    password
                };
                notes.put_user(&name, user)?;
                notes.raise_revision()
            }
        });
        changed.await?;
        tracing::info!(user = name, "changed a user's password");
        Ok(())
    }

    /// What is kept of a password that is given itself or as its hash; nothing where neither is, as in etcd: then the user
    /// cannot log in.
    async fn new_password(&self, lane: Lane, password: String, hash: &str) -> Result<Bytes, Status> {
        match (&*password, hash) {
            ("", "") => Ok(Bytes::new()),
            ("", hash) => hash_given(hash),
            _ => self.authority().passwords().hash(lane, password).await,
        }
    }

    /// The roles of a user. Each may ask for their own.
    pub(super) fn roles_of_user(&self, request: &Request<AuthUserGetRequest>) -> Result<Vec<String>, Status> {
        let name = &request.get_ref().name;
        self.check(request, &Need::Oneself(name))?;
        let state = self.authority().state();
        state.user(name).map(|known| known.user.roles.clone()).ok_or_else(answers::user_not_found)
    }

    pub(super) async fn grant_role(&self, request: Request<AuthUserGrantRoleRequest>) -> Result<(), Status> {
        let caller = self.check(&request, &Need::Root)?;
        let AuthUserGrantRoleRequest { user: name, role } = request.into_inner();
        let told = (name.clone(), role.clone());
        let granted = self.authority().change(Ends::Nobody, move |notes| {
            notes.check_root(&caller)?;
            let mut user = notes.user(&name)?.ok_or_else(answers::user_not_found)?;
            // The role root needs not be there, as in etcd.
            if role != ROOT {
                notes.role(&role)?.ok_or_else(answers::role_not_found)?;
            }
            if has_role(&user, &role) {
                return Ok(());
            }
            user.roles.push(role);
            user.roles.sort_unstable();
            notes.put_user(&name, user)?;
            notes.raise_revision()
        });
        granted.await?;
        tracing::info!(user = told.0, role = told.1, "granted a role");
        Ok(())
    }

    pub(super) async fn revoke_role(
        &self,
        request: Request<AuthUserRevokeRoleRequest>,
    ) -> Result<(), Status> {
        let caller = self.check(&request, &Need::Root)?;
        let AuthUserRevokeRoleRequest { name, role } = request.into_inner();
        let told = (name.clone(), role.clone());
        let revoked = self.authority().change(Ends::Nobody, move |notes| {
            notes.check_root(&caller)?;
            if name == ROOT && role == ROOT && notes.is_enabled()? {
                return Err(answers::invalid_auth_management().into());
            }
            let mut user = notes.user(&name)?.ok_or_else(answers::user_not_found)?;
            if !has_role(&user, &role) {
                return Err(answers::role_not_granted().into());
            }
            user.roles.retain(|own| *own != role);
            notes.put_user(&name, user)?;
            notes.raise_revision()
        });
        revoked.await?;
        tracing::info!(user = told.0, role = told.1, "revoked a role");
        Ok(())
    }
}

/// A hash that the caller has made. What is none would be a user who cannot log in, and nobody would see why.
fn hash_given(hash: &str) -> Result<Bytes, Status> {
    let decoded = BASE64_STANDARD.decode(hash).ok().filter(|hash| cost_of(hash).is_some());
    decoded.map(Bytes::from).ok_or_else(|| {
        Status::invalid_argument(
            "watchful: hashedPassword is not the base64 of a hash of bcrypt, as $2a$10$…",
        )
    })
}
