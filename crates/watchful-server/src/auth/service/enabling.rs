//! Turning auth on and off.

use tonic::{Request, Status};
use watchful_wire::etcdserverpb::{AuthDisableRequest, AuthEnableRequest};

use super::Auth;
use crate::answers;
use crate::auth::authority::Ends;
use crate::auth::need::Need;
use crate::auth::state::{ROOT, has_role};

impl Auth {
    /// There has to be a user root with the role root: else nobody could turn it off again. As in etcd, it does not raise
    /// the revision.
    pub(super) async fn enable(&self, request: Request<AuthEnableRequest>) -> Result<(), Status> {
        let caller = self.check(&request, &Need::Root)?;
        let enabled = self.authority().change(Ends::Nobody, move |notes| {
            notes.check_root(&caller)?;
            if notes.is_enabled()? {
                return Ok(());
            }
            let root = notes.user(ROOT)?.ok_or_else(answers::root_user_missing)?;
            if !has_role(&root, ROOT) {
                return Err(answers::root_role_missing().into());
            }
            notes.enable()
        });
        enabled.await?;
        tracing::info!("auth is on");
        Ok(())
    }

    pub(super) async fn disable(&self, request: Request<AuthDisableRequest>) -> Result<(), Status> {
        let caller = self.check(&request, &Need::Root)?;
        let disabled = self.authority().change(Ends::Everybody, move |notes| {
            notes.check_root(&caller)?;
            if !notes.is_enabled()? {
                return Ok(());
            }
            notes.disable()?;
            notes.raise_revision()
        });
        disabled.await?;
        tracing::info!("auth is off");
        Ok(())
    }
}
