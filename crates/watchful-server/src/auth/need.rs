//! What an action needs, and the one place that decides whether somebody has it.

use tonic::Status;

use super::caller::Caller;
use super::state::{Known, ROOT, State};
use crate::answers;

/// What an action needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need<'a> {
    /// Nothing: anybody may.
    Nothing,
    /// To be a user.
    User,
    /// To read these keys: one where `range_end` is empty, every one from `key` on where it is `\0`.
    Read(&'a [u8], &'a [u8]),
    /// To write these keys, in the same form.
    Write(&'a [u8], &'a [u8]),
    /// The role `root`.
    Root,
    /// To be this user, or the role `root`.
    Oneself(&'a str),
    /// To have this role, or the role `root`.
    Role(&'a str),
}

impl State {
    /// Whether `caller` may do what needs `need`.
    ///
    /// As in etcd, what reads or writes keys is refused to a token that is older than the newest change, and what needs
    /// the role `root` is not.
    ///
    /// # Errors
    ///
    /// etcd's own: the name is missing or unknown, the token is old, permission is denied.
    pub(crate) fn may(&self, caller: &Caller, need: &Need<'_>) -> Result<(), Status> {
        if !self.enabled || *need == Need::Nothing {
            return Ok(());
        }
        let name = caller.name().ok_or_else(answers::user_empty)?;
        if matches!(need, Need::Read(..) | Need::Write(..)) && caller.is_older_than(self.revision) {
            return Err(answers::old_revision());
        }
        let Some(known) = self.user(name) else {
            let is_root_needed = matches!(need, Need::Root | Need::Oneself(_) | Need::Role(_));
            return Err(if is_root_needed {
                answers::user_not_found()
            } else {
                answers::permission_denied()
            });
        };
        if known.may(name, need) { Ok(()) } else { Err(answers::permission_denied()) }
    }
}

impl Known {
    fn may(&self, own_name: &str, need: &Need<'_>) -> bool {
        self.has_role(ROOT)
            || match need {
                Need::Nothing | Need::User => true,
                Need::Read(key, range_end) => self.permissions.read.cover(key, range_end),
                Need::Write(key, range_end) => self.permissions.write.cover(key, range_end),
                Need::Root => false,
                Need::Oneself(name) => *name == own_name,
                Need::Role(role) => self.has_role(role),
            }
    }
}
