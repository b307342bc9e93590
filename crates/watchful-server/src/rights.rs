//! The rights of a call: who makes it, and the state of auth that it is decided on.
//!
//! Every method asks for them first ([`Shared::rights`]) and then whether they suffice ([`Rights::may`]); what they are
//! is decided in [`auth`](crate::auth) alone. A decision counts for the moment at which it takes effect: a write asks
//! once more inside its transaction whether the state still holds ([`Rights::hold_in`]), a read after it was read
//! ([`Rights::hold`]), and a stream before each answer ([`Rights::renewed`]). So what was refused to somebody is never
//! done after the refusal was answered, however the two crossed on their way. Where they did, it is decided again, on
//! what is so by then ([`Shared::decided`]).

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;

use tokio::sync::RwLockReadGuard;
use tonic::{Request, Status};
use watchful::{Error, Txn};

use crate::answers;
use crate::auth::{Authority, Caller, Credentials, Need, State};
use crate::state::Shared;

/// How often something is read again because users or permissions changed meanwhile: a read is over long before the next
/// change is on the disk.
const READS_MAX: usize = 4;

/// Who makes a call, and the state that it is decided on.
#[derive(Clone, Debug)]
pub(crate) struct Rights {
    authority: Authority,
    state: Arc<State>,
    caller: Caller,
}

/// Why a write was not made.
#[derive(Debug)]
pub(crate) enum Refused {
    /// The store said so.
    Store(Error),
    /// It was not permitted.
    Denied(Status),
}

impl Shared {
    /// The rights of the one who makes this call.
    ///
    /// # Errors
    ///
    /// `Unauthenticated` for a token that is not valid, or no longer.
    pub(crate) fn rights<T>(&self, request: &Request<T>) -> Result<Rights, Status> {
        let state = self.authority.state();
        let caller = self.authority.caller(request.metadata(), request.extensions())?;
        Ok(Rights { authority: self.authority.clone(), state, caller })
    }

    /// The rights of the one who opened a stream, as they are now.
    ///
    /// # Errors
    ///
    /// As [`rights`](Self::rights).
    pub(crate) fn rights_of(&self, credentials: &Credentials) -> Result<Rights, Status> {
        let state = self.authority.state();
        let caller = self.authority.caller_of(credentials)?;
        Ok(Rights { authority: self.authority.clone(), state, caller })
    }

    /// Does a call on the rights of its maker; and where users or permissions changed before it took effect, once more, on
    /// what is so then and with no change meanwhile. A web token that is older than the change is told so instead.
    ///
    /// # Errors
    ///
    /// As [`rights`](Self::rights), and those of the call.
    pub(crate) async fn decided<M, T, F: Future<Output = Result<T, Status>>>(
        &self,
        request: &Request<M>,
        call: impl Fn(Rights) -> F,
    ) -> Result<T, Status> {
        match call(self.rights(request)?).await {
            Err(status) if answers::is_old_revision(&status) => {}
            done => return done,
        }
        let _unchanging = self.authority.unchanging().await;
        call(self.rights(request)?).await
    }

    /// Refuses a call whose maker has not what it needs.
    pub(crate) fn require<T>(&self, request: &Request<T>, need: &Need<'_>) -> Result<(), Status> {
        self.rights(request)?.may(need)
    }
}

impl Rights {
    /// Whether they suffice.
    pub(crate) fn may(&self, need: &Need<'_>) -> Result<(), Status> {
        self.state.may(&self.caller, need)
    }

    /// Whether they are still what they were: to be asked after a read. A change is not answered before they are not.
    pub(crate) fn hold(&self) -> Result<(), Status> {
        if self.authority.is_now(&self.state) { Ok(()) } else { Err(answers::old_revision()) }
    }

    /// The same caller's rights as they are now. Whoever was let in stays in, even if a token was made before the newest
    /// change: what counts is what the user may do.
    pub(crate) fn renewed(&self) -> Self {
        Self { state: self.authority.state(), caller: self.caller.as_let_in(), ..self.clone() }
    }

    /// Reads something on the same caller's rights as they are now.
    pub(crate) fn read_renewed<T>(&self, read: impl Fn(&Self) -> Result<T, Status>) -> Result<T, Status> {
        for _ in 1..READS_MAX {
            match read(&self.renewed()) {
                Err(status) if answers::is_old_revision(&status) => {}
                done => return done,
            }
        }
        read(&self.renewed())
    }

    /// [`renewed`](Self::renewed) once the changes that are under way are done, and for as long as no other is let begin.
    pub(crate) async fn renewed_unchanging(&self) -> (Self, RwLockReadGuard<'_, ()>) {
        let unchanging = self.authority.unchanging().await;
        (self.renewed(), unchanging)
    }

    /// Whether nobody was asked who they are: auth is off.
    pub(crate) fn are_unasked(&self) -> bool {
        !self.state.enabled
    }

    /// Whether there are keys that they do not suffice for.
    pub(crate) fn are_limited(&self) -> bool {
        self.may(&Need::Root).is_err()
    }

    /// Whether they suffice to read each of these keys.
    pub(crate) fn may_read<K: AsRef<[u8]>>(&self, keys: impl IntoIterator<Item = K>) -> Result<(), Status> {
        keys.into_iter().try_for_each(|key| self.may(&Need::Read(key.as_ref(), b"")))
    }

    /// Whether they suffice to write each of these keys.
    pub(crate) fn may_write<K: AsRef<[u8]>>(&self, keys: impl IntoIterator<Item = K>) -> Result<(), Status> {
        keys.into_iter().try_for_each(|key| self.may(&Need::Write(key.as_ref(), b"")))
    }

    /// Whether they still hold: to be asked inside the transaction of a write.
    pub(crate) fn hold_in(&self) -> Result<(), Refused> {
        if self.authority.guard(&self.state).holds() { Ok(()) } else { Err(answers::old_revision().into()) }
    }

    /// Inside a transaction: whether they suffice to end a lease. That deletes what is on it, so one has to be permitted to
    /// write all of that.
    pub(crate) fn may_end(&self, txn: &Txn<'_, '_, '_>, lease: i64) -> Result<(), Refused> {
        if self.are_limited() {
            txn.each_lease_key(lease, |key| self.may(&Need::Write(key, b"")))?;
        }
        Ok(())
    }

    /// Inside a transaction: whether they suffice to put these keys onto these leases, which is to be able to delete what
    /// is on them. Who puts a key that is there already comes to nothing new.
    pub(crate) fn may_attach<'k>(
        &self,
        txn: &Txn<'_, '_, '_>,
        attached: impl IntoIterator<Item = (&'k [u8], i64)>,
    ) -> Result<(), Refused> {
        if !self.are_limited() {
            return Ok(());
        }
        let new = attached.into_iter().filter(|(key, lease)| *lease != 0 && txn.lease_of(key) != *lease);
        // Each lease once: there may be many keys on it, and the writer waits.
        let leases: BTreeSet<i64> = new.map(|(_, lease)| lease).collect();
        leases.into_iter().try_for_each(|lease| self.may_end(txn, lease))
    }
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self::Store(error)
    }
}

impl From<Status> for Refused {
    fn from(status: Status) -> Self {
        Self::Denied(status)
    }
}

impl From<Refused> for Status {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Store(error) => answers::of(error),
            Refused::Denied(status) => status,
        }
    }
}
