//! Users and roles in memory: what is asked on every call. Immutable; each change makes another, which shares with the
//! one before all that did not change.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

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
    /// How many changes this program has made: see [`Guard`](super::authority::Guard).
    pub(super) generation: u64,
    pub(super) users: BTreeMap<Arc<str>, Arc<Known>>,
    pub(super) roles: BTreeMap<Arc<str>, Arc<Role>>,
    /// The cost that most passwords have, where there are any: it is what one more costs that is nobody's.
    pub(super) usual_cost: Option<u32>,
}

/// A user, with what it may do.
pub(super) struct Known {
    pub(super) user: User,
    pub(super) permissions: Permissions,
    /// The cost of its password; none where it has none.
    cost: Option<u32>,
}

impl State {
    /// What the store's notes say.
    ///
    /// # Errors
    ///
    /// [`OpenError::Damaged`] for a note that cannot be understood, or what the store said.
    pub(super) fn noted_in(store: &Store) -> Result<Self, OpenError> {
        let empty = Self { revision: notes::FIRST_REVISION, ..Self::default() };
        let noted = store.notes(notes::PREFIX)?;
        let edits = noted.iter().map(|(name, value)| notes::read(name, value));
        Ok(empty.with(edits.collect::<Result<_, _>>()?))
    }

    /// The state after a change.
    pub(super) fn after(&self, edits: Vec<Edit>) -> Self {
        Self { generation: self.generation + 1, ..self.with(edits) }
    }

    /// Roles first: what a user may do is worked out from all of them.
    fn with(&self, edits: Vec<Edit>) -> Self {
        let (mut state, mut users, mut roles) = (self.clone(), Vec::new(), Vec::new());
        for edit in edits {
            match edit {
                Edit::Enabled(enabled) => state.enabled = enabled,
                Edit::Revision(revision) => state.revision = revision,
                Edit::User(name, user) => users.push((name, user)),
                Edit::Role(name, role) => {
                    match role {
                        Some(role) => drop(state.roles.insert(name.as_str().into(), Arc::new(role))),
                        None => drop(state.roles.remove(name.as_str())),
                    }
                    roles.push(name);
                }
            }
        }
        state.grant_to_those_with(&roles);
        for (name, user) in users {
            match user {
                Some(user) => drop(state.users.insert(name.into(), Arc::new(state.known(user)))),
                None => drop(state.users.remove(name.as_str())),
            }
        }
        state.usual_cost = state.most_usual_cost();
        state
    }

    fn grant_to_those_with(&mut self, roles: &[String]) {
        if roles.is_empty() {
            return;
        }
        let is_concerned = |known: &Known| roles.iter().any(|role| known.has_role(role));
        let concerned = self.users.iter().filter(|(_, known)| is_concerned(known));
        let granted: Vec<_> = concerned
            .map(|(name, known)| (Arc::clone(name), Arc::new(self.known(known.user.clone()))))
            .collect();
        self.users.extend(granted);
    }

    /// Works out what a user may do. A role that is not there gives nothing, as in etcd.
    fn known(&self, user: User) -> Known {
        let roles = user.roles.iter().filter_map(|name| self.roles.get(name.as_str()));
        let permissions = Permissions::of(roles.map(AsRef::as_ref));
        Known { cost: cost_of(&user.password), permissions, user }
    }

    fn most_usual_cost(&self) -> Option<u32> {
        let mut costs: BTreeMap<u32, usize> = BTreeMap::new();
        for cost in self.users.values().filter_map(|known| known.cost) {
            *costs.entry(cost).or_default() += 1;
        }
        costs.into_iter().max_by_key(|(_, users)| *users).map(|(cost, _)| cost)
    }

    pub(super) fn user(&self, name: &str) -> Option<&Known> {
        self.users.get(name).map(AsRef::as_ref)
    }

    /// The hash of a user's password; none where there is no such user, or it has no password.
    pub(super) fn password(&self, name: &str) -> Option<Bytes> {
        let user = &self.user(name)?.user;
        let has_one = !user.options.is_some_and(|options| options.no_password) && !user.password.is_empty();
        has_one.then(|| user.password.clone())
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
