//! Users and roles in memory: what is asked on every call. Immutable; each change makes another.

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use watchful::Store;
use watchful_wire::authpb::{Role, User};

use super::error::OpenError;
use super::notes::{self, Edit};
use super::passwords::cost_of;
use super::permissions::Permissions;

/// The role that may do everything, and the user that must have it for auth to be on.
pub(super) const ROOT: &str = "root";

/// Who there is and what they may do.
#[derive(Clone, Default)]
pub(crate) struct State {
    /// Whether anybody is asked who they are.
    pub(crate) enabled: bool,
    /// The revision of auth: each change raises it, except for the one that turns auth on.
    pub(crate) revision: u64,
    /// How many changes this program has made: see [`Guard`](super::Guard).
    pub(super) generation: u64,
    pub(super) users: BTreeMap<String, Known>,
    pub(super) roles: BTreeMap<String, Role>,
    /// The cost that most passwords have, where there are any: it is what one more costs that is nobody's.
    pub(super) usual_cost: Option<u32>,
}

/// A user, with what it may do.
#[derive(Clone)]
pub(super) struct Known {
    pub(super) user: User,
    pub(super) permissions: Permissions,
}

impl State {
    /// What the store's notes say.
    ///
    /// # Errors
    ///
    /// [`OpenError::Damaged`] for a note that cannot be understood, or what the store said.
    pub(super) fn noted_in(store: &Store) -> Result<Self, OpenError> {
        let mut state = Self { revision: notes::FIRST_REVISION, ..Self::default() };
        for (name, value) in store.notes(notes::PREFIX)? {
            state.set(notes::read(&name, &value)?);
        }
        state.grant();
        Ok(state)
    }

    /// The state after a change.
    pub(super) fn after(&self, edits: Vec<Edit>) -> Self {
        let mut state = self.clone();
        edits.into_iter().for_each(|edit| state.set(edit));
        state.generation += 1;
        state.grant();
        state
    }

    fn set(&mut self, edit: Edit) {
        match edit {
            Edit::Enabled(enabled) => self.enabled = enabled,
            Edit::Revision(revision) => self.revision = revision,
            Edit::User(name, Some(user)) => {
                self.users.insert(name, Known { user, permissions: Permissions::default() });
            }
            Edit::User(name, None) => drop(self.users.remove(&name)),
            Edit::Role(name, Some(role)) => drop(self.roles.insert(name, role)),
            Edit::Role(name, None) => drop(self.roles.remove(&name)),
        }
    }

    /// Works out what each user may do. A role that is not there gives nothing, as in etcd.
    fn grant(&mut self) {
        for known in self.users.values_mut() {
            let roles = known.user.roles.iter().filter_map(|name| self.roles.get(name));
            known.permissions = Permissions::of(roles);
        }
        let mut costs: BTreeMap<u32, usize> = BTreeMap::new();
        for cost in self.users.values().filter_map(|known| cost_of(&known.user.password)) {
            *costs.entry(cost).or_default() += 1;
        }
        self.usual_cost = costs.into_iter().max_by_key(|(_, users)| *users).map(|(cost, _)| cost);
    }

    /// The hash of a user's password; none where there is no such user, or it has no password.
    pub(super) fn password(&self, name: &str) -> Option<Bytes> {
        let user = &self.user(name)?.user;
        let has_one = !user.options.is_some_and(|options| options.no_password) && !user.password.is_empty();
        has_one.then(|| user.password.clone())
    }

    pub(super) fn user(&self, name: &str) -> Option<&Known> {
        self.users.get(name)
    }
}

impl Known {
    pub(super) fn has_role(&self, role: &str) -> bool {
        has_role(&self.user, role)
    }
}

pub(super) fn has_role(user: &User, role: &str) -> bool {
    user.roles.iter().any(|name| name == role)
}

/// Without users, who have passwords.
impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("State");
        debug.field("enabled", &self.enabled).field("revision", &self.revision);
        debug.field("users", &self.users.len()).field("roles", &self.roles.len()).finish()
    }
}
