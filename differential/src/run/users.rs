//! The users of a run: whether anybody has to be one, who has which password, and the login of the run's own watch.
//!
//! A change of who may do what ends, on a server that looks again, the watches that are no longer permitted, and etcd
//! looks once. So the workload's streams are closed before such a change; [`crate::scenes`] has a step for what happens
//! to one that stays.

use std::collections::{BTreeSet, HashMap};

use watchful_wire::authpb::Permission;
use watchful_wire::etcdserverpb as pb;

use super::{Run, stricter};
use crate::answer::Answer;
use crate::auth::{AuthAnswer, AuthCall, Says};
use crate::caller::{Caller, ROOT};
use crate::request::Request;
use crate::workload::STREAMS;

/// The password of nobody.
const WRONG: &str = "wrong";

/// What a run knows of users.
#[derive(Debug, Default)]
pub(super) struct Users {
    pub(super) enabled: bool,
    /// Whether each change makes the tokens from before it old.
    pub(super) have_web_tokens: bool,
    /// Who was given a token.
    known: BTreeSet<&'static str>,
    changes: usize,
    passwords: HashMap<String, String>,
}

impl Users {
    /// Takes note of what was done.
    fn learn(&mut self, call: &AuthCall) {
        match call {
            AuthCall::Enable => self.enabled = true,
            AuthCall::Disable => self.enabled = false,
            AuthCall::UserAdd(add) => self.know(&add.name, &add.password),
            AuthCall::UserChangePassword(change) => self.know(&change.name, &change.password),
            _ => {}
        }
    }

    fn know(&mut self, name: &str, password: &str) {
        self.passwords.insert(name.to_owned(), password.to_owned());
    }
}

/// The number of a stream among those of all callers, which are told apart by the sums of their names.
fn own_of(caller: Caller, stream: usize) -> usize {
    let number = match caller {
        Caller::Nobody => 1,
        Caller::Stranger => 2,
        Caller::User(name) => 3 + name.bytes().map(usize::from).sum::<usize>(),
    };
    number * STREAMS + stream
}

/// Whether it gives the role root to another user. With an old token that one revokes leases, and with etcd 3.4.23 it does
/// not, so the stores would part ways.
fn makes_another_root(call: &AuthCall) -> bool {
    matches!(call, AuthCall::UserGrantRole(grant) if grant.role == ROOT && grant.user != ROOT)
}

impl Run {
    /// Who may see to everything.
    pub(super) fn overseer(&self) -> Caller {
        if self.users.enabled { Caller::User(ROOT) } else { Caller::Nobody }
    }

    /// Whether permissions count for whoever asks.
    pub(super) fn is_limited(&self) -> bool {
        self.users.enabled && self.caller != Caller::User(ROOT)
    }

    /// The stream of whoever asks: while users are asked for, each has its own.
    pub(crate) fn own(&self, stream: usize) -> usize {
        if self.users.enabled { own_of(self.caller, stream) } else { stream }
    }

    /// Makes a call of the Auth service.
    pub(crate) async fn auth(&mut self, call: AuthCall) {
        let call = match call {
            AuthCall::Status { .. } => AuthCall::Status { enabled: self.users.enabled },
            call => call,
        };
        if self.known.is_empty() && stricter::grants_nothing(&call) {
            // etcd 3.4.23 ends of it, and there is nobody else to ask.
            return;
        }
        if self.users.have_web_tokens && makes_another_root(&call) {
            return;
        }
        if let AuthCall::RoleGrantPermission(grant) = &call
            && self.is_granted_behind_another(grant).await
        {
            let pb::AuthRoleGrantPermissionRequest { name, perm } = grant.clone();
            let Permission { key, range_end, .. } = perm.unwrap_or_default();
            let revoke = pb::AuthRoleRevokePermissionRequest { role: name, key, range_end };
            Box::pin(self.auth(AuthCall::RoleRevokePermission(revoke))).await;
        }
        let matters = call == AuthCall::Enable || self.users.enabled && call.changes();
        let renews = matters && call.ends_tokens_of(ROOT);
        if matters {
            self.close_streams(renews);
        }
        let answer = self.ask(Request::Auth(call.clone())).await;
        let is_done = matches!(answer, Answer::Auth(AuthAnswer { says: Says::Done, .. }));
        if is_done {
            self.users.learn(&call);
        }
        if renews {
            self.renew().await;
        } else if is_done && matters {
            self.log_in_again().await;
        }
    }

    /// Whether the role has a permission for this range behind another one whose key is the same: etcd looks only at the
    /// first, and keeps both then.
    async fn is_granted_behind_another(&mut self, grant: &pb::AuthRoleGrantPermissionRequest) -> bool {
        let (Some(perm), true) = (&grant.perm, !self.known.is_empty()) else { return false };
        let get = AuthCall::RoleGet(pb::AuthRoleGetRequest { role: grant.name.clone() });
        let Answer::Auth(told) = self.sides[0].ask(&Request::Auth(get)).await else { return false };
        let Says::Permissions(permissions) = told.says else { return false };
        let mut of_key = permissions.iter().filter(|own| own.key == perm.key);
        of_key.next().is_some_and(|first| first.range_end != perm.range_end)
            && of_key.any(|own| own.range_end == perm.range_end)
    }

    /// Logs a user in, with its password or a wrong one. Who asks brings no token: an old one would not be asked for.
    /// Streams that were opened with an old one, or with none, are closed: what they may see is no longer told by who asks.
    pub(crate) async fn log_in(&mut self, name: &'static str, right: bool) {
        for stream in 0..STREAMS {
            self.close_stream(own_of(Caller::User(name), stream));
        }
        self.users.known.insert(name);
        let password = self.users.passwords.get(name).filter(|_| right);
        let password = password.map_or_else(|| WRONG.to_owned(), Clone::clone);
        let login = AuthCall::Authenticate(pb::AuthenticateRequest { name: name.to_owned(), password });
        let caller = self.act_as(Caller::Nobody);
        self.ask_plainly(Request::Auth(login)).await;
        self.act_as(caller);
    }

    /// Gives those a new token whose old one has become old by a change: root each time, the others mostly.
    pub(crate) async fn log_in_again(&mut self) {
        if !self.users.enabled || !self.users.have_web_tokens {
            return;
        }
        self.log_in(ROOT, true).await;
        self.users.changes += 1;
        if !self.users.changes.is_multiple_of(4) {
            for user in self.users.known.clone() {
                self.log_in(user, true).await;
            }
        }
    }

    /// Opens the watch of everything again, by who may see it now.
    async fn renew(&mut self) {
        if self.users.enabled {
            self.log_in(ROOT, true).await;
        }
        let caller = self.act_as(self.overseer());
        self.watch_everything(self.revisions.current + 1).await;
        self.act_as(caller);
    }
}
