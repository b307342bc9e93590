//! How auth is kept: as notes of the store, each the very bytes that etcd keeps in its buckets `auth`, `authUsers` and
//! `authRoles`, so that a snapshot moves them as they are.
//!
//! | Note | Value |
//! |---|---|
//! | `auth/enabled` | one byte, 1; not there while auth is off |
//! | `auth/revision` | 8 bytes, big-endian; not there means 1 |
//! | `auth/user/<name>` | `authpb.User` |
//! | `auth/role/<name>` | `authpb.Role` |

use prost::Message;
use tonic::Status;
use watchful::{Error, NOTE_NAME_BYTES_MAX, NOTE_VALUE_BYTES_MAX, Txn};
use watchful_wire::authpb::{Role, User};

use super::caller::Caller;
use super::error::OpenError;
use super::state::{ROOT, has_role};
use crate::answers;

pub(super) const PREFIX: &str = "auth/";

pub(crate) const ENABLED: &str = "auth/enabled";

pub(crate) const REVISION: &str = "auth/revision";

/// What the notes' names of users begin with.
pub(crate) const USER: &str = "auth/user/";

/// What the notes' names of roles begin with.
pub(crate) const ROLE: &str = "auth/role/";

/// The revision of a store that was never changed in this respect.
pub(super) const FIRST_REVISION: u64 = 1;

/// The most bytes that the name of a user or a role may have: it is part of a note's name.
pub(super) const NAME_BYTES_MAX: usize = NOTE_NAME_BYTES_MAX - USER.len();

/// What one note says, or what became of it.
pub(super) enum Edit {
    Enabled(bool),
    Revision(u64),
    User(String, Option<User>),
    Role(String, Option<Role>),
}

/// Why a change was not made.
#[derive(Debug)]
pub(super) struct Refused(pub(super) Status);

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self(answers::of(error))
    }
}

impl From<Status> for Refused {
    fn from(status: Status) -> Self {
        Self(status)
    }
}

impl From<OpenError> for Refused {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Store(error) => error.into(),
            damage => {
                tracing::error!(error = %damage, "a request failed");
                Self(Status::internal(format!("watchful: {damage}")))
            }
        }
    }
}

/// Reads one note.
pub(super) fn read(name: &[u8], value: &[u8]) -> Result<Edit, OpenError> {
    let damaged = |reason: &str| OpenError::Damaged {
        name: String::from_utf8_lossy(name).into_owned(),
        reason: reason.to_owned(),
    };
    let name = std::str::from_utf8(name).map_err(|_| damaged("its name is not UTF-8"))?;
    if let Some(user) = name.strip_prefix(USER) {
        let read = User::decode(value).map_err(|_| damaged("its value is no authpb.User"))?;
        return match read.name == user {
            true => Ok(Edit::User(user.to_owned(), Some(read))),
            false => Err(damaged("its value is another user")),
        };
    }
    if let Some(role) = name.strip_prefix(ROLE) {
        let read = Role::decode(value).map_err(|_| damaged("its value is no authpb.Role"))?;
        return match read.name == role {
            true => Ok(Edit::Role(role.to_owned(), Some(read))),
            false => Err(damaged("its value is another role")),
        };
    }
    match name {
        ENABLED if value.len() == 1 => Ok(Edit::Enabled(value == [1])),
        ENABLED => Err(damaged("its value is not one byte")),
        REVISION => {
            let bytes = value.try_into().map_err(|_| damaged("its value is not eight bytes"))?;
            Ok(Edit::Revision(u64::from_be_bytes(bytes)))
        }
        _ => Err(damaged("this version knows no such note")),
    }
}

/// Whether a note that comes from elsewhere is one.
pub(crate) fn check(name: &[u8], value: &[u8]) -> Result<(), OpenError> {
    read(name, value).map(drop)
}

/// The notes in the transaction of one change. What is changed is remembered for the state in memory.
pub(super) struct Notes<'n, 't, 'g, 'm> {
    txn: &'n mut Txn<'t, 'g, 'm>,
    edits: Vec<Edit>,
}

impl<'n, 't, 'g, 'm> Notes<'n, 't, 'g, 'm> {
    pub(super) fn new(txn: &'n mut Txn<'t, 'g, 'm>) -> Self {
        Self { txn, edits: Vec::new() }
    }

    pub(super) fn into_edits(self) -> Vec<Edit> {
        self.edits
    }

    /// Refuses everybody but root where auth is on.
    pub(super) fn check_root(&self, caller: &Caller) -> Result<(), Refused> {
        if !self.is_enabled()? {
            return Ok(());
        }
        let name = caller.name().ok_or_else(answers::user_empty)?;
        let user = self.user(name)?.ok_or_else(answers::user_not_found)?;
        if has_role(&user, ROOT) { Ok(()) } else { Err(answers::permission_denied().into()) }
    }

    pub(super) fn is_enabled(&self) -> Result<bool, Refused> {
        Ok(self.txn.note(ENABLED)?.is_some_and(|value| value == [1][..]))
    }

    pub(super) fn enable(&mut self) -> Result<(), Refused> {
        self.txn.set_note(ENABLED, [1])?;
        self.edits.push(Edit::Enabled(true));
        Ok(())
    }

    pub(super) fn disable(&mut self) -> Result<(), Refused> {
        self.txn.remove_note(ENABLED)?;
        self.edits.push(Edit::Enabled(false));
        Ok(())
    }

    /// Raises the revision, as every change does but the one that turns auth on.
    pub(super) fn raise_revision(&mut self) -> Result<(), Refused> {
        let revision = match self.txn.note(REVISION)? {
            Some(value) => match read(REVISION.as_bytes(), &value)? {
                Edit::Revision(revision) => revision,
                _ => FIRST_REVISION,
            },
            None => FIRST_REVISION,
        };
        let raised = revision.saturating_add(1);
        self.txn.set_note(REVISION, raised.to_be_bytes())?;
        self.edits.push(Edit::Revision(raised));
        Ok(())
    }

    pub(super) fn user(&self, name: &str) -> Result<Option<User>, Refused> {
        let note = format!("{USER}{name}");
        if note.len() > NOTE_NAME_BYTES_MAX {
            return Ok(None);
        }
        match self.txn.note(&note)?.map(|value| read(note.as_bytes(), &value)).transpose()? {
            Some(Edit::User(_, user)) => Ok(user),
            _ => Ok(None),
        }
    }

    pub(super) fn role(&self, name: &str) -> Result<Option<Role>, Refused> {
        let note = format!("{ROLE}{name}");
        if note.len() > NOTE_NAME_BYTES_MAX {
            return Ok(None);
        }
        match self.txn.note(&note)?.map(|value| read(note.as_bytes(), &value)).transpose()? {
            Some(Edit::Role(_, role)) => Ok(role),
            _ => Ok(None),
        }
    }

    pub(super) fn users(&self) -> Result<Vec<(String, User)>, Refused> {
        let mut users = Vec::new();
        for (name, value) in self.txn.notes(USER)? {
            if let Edit::User(name, Some(user)) = read(&name, &value)? {
                users.push((name, user));
            }
        }
        Ok(users)
    }

    pub(super) fn put_user(&mut self, name: &str, user: User) -> Result<(), Refused> {
        self.set("user", &format!("{USER}{name}"), &user.encode_to_vec())?;
        self.edits.push(Edit::User(name.to_owned(), Some(user)));
        Ok(())
    }

    pub(super) fn put_role(&mut self, name: &str, role: Role) -> Result<(), Refused> {
        self.set("role", &format!("{ROLE}{name}"), &role.encode_to_vec())?;
        self.edits.push(Edit::Role(name.to_owned(), Some(role)));
        Ok(())
    }

    fn set(&mut self, what: &str, note: &str, value: &[u8]) -> Result<(), Refused> {
        if value.len() > NOTE_VALUE_BYTES_MAX {
            return Err(Refused(Status::invalid_argument(format!(
                "watchful: the {what} would take {} bytes, and {NOTE_VALUE_BYTES_MAX} are the most; grant less, or \
                 split it",
                value.len()
            ))));
        }
        Ok(self.txn.set_note(note, value)?)
    }

    pub(super) fn remove_user(&mut self, name: &str) -> Result<(), Refused> {
        self.txn.remove_note(format!("{USER}{name}"))?;
        self.edits.push(Edit::User(name.to_owned(), None));
        Ok(())
    }

    pub(super) fn remove_role(&mut self, name: &str) -> Result<(), Refused> {
        self.txn.remove_note(format!("{ROLE}{name}"))?;
        self.edits.push(Edit::Role(name.to_owned(), None));
        Ok(())
    }
}

/// Refuses a new name that no note could have.
pub(super) fn check_name(what: &str, name: &str) -> Result<(), Status> {
    if name.len() <= NAME_BYTES_MAX {
        return Ok(());
    }
    Err(Status::invalid_argument(format!(
        "watchful: the name of a {what} may have {NAME_BYTES_MAX} bytes, and this one has {}; choose a shorter one",
        name.len()
    )))
}
