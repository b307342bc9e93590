//! The authority: the state that holds now, how it changes, and what tells a change from the outside.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use tokio::sync::{RwLock, RwLockReadGuard, watch};
use tonic::Status;
use watchful::Store;

use super::error::OpenError;
use super::notes::{Notes, Refused};
use super::passwords::Passwords;
use super::settings::AuthSettings;
use super::state::State;
use super::tokens::Tokens;

/// Who decides. A clone is another handle.
#[derive(Clone, Debug)]
pub(crate) struct Authority {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    store: Store,
    settings: AuthSettings,
    state: ArcSwap<State>,
    /// The generation that transactions see: raised inside the transaction of a change, before the state follows.
    seen: Arc<AtomicU64>,
    /// The generation of the state, told to those who wait for changes.
    changed: watch::Sender<u64>,
    /// Changes come one at a time, each with this for writing until it has replaced the state. Who has it for reading is
    /// met by none.
    turn: RwLock<()>,
    tokens: Tokens,
    passwords: Passwords,
}

/// Whether the state that a write was decided on is the one that its transaction sees.
///
/// To be asked inside the transaction's closure: changes of auth are transactions of the same store, so there is an order
/// between them. Where it does not hold, nothing must be written; decide again.
#[derive(Clone, Debug)]
pub(crate) struct Guard {
    seen: Arc<AtomicU64>,
    decided_on: u64,
}

/// Which tokens a change ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ends {
    Nobody,
    User(String),
    Everybody,
}

impl Authority {
    /// The authority of a store that has just been opened.
    ///
    /// # Errors
    ///
    /// [`OpenError`]: notes that are damaged, keys for tokens that cannot be read.
    pub(crate) fn open(
        store: &Store,
        settings: &AuthSettings,
        clock: Arc<dyn watchful::Clock>,
    ) -> Result<Self, OpenError> {
        let inner = Inner {
            store: store.clone(),
            settings: settings.clone(),
            state: ArcSwap::from_pointee(State::noted_in(store)?),
            seen: Arc::default(),
            changed: watch::Sender::new(0),
            turn: RwLock::default(),
            tokens: Tokens::new(settings, clock)?,
            passwords: Passwords::new(settings.bcrypt_cost),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The state that holds now.
    pub(crate) fn state(&self) -> Arc<State> {
        self.inner.state.load_full()
    }

    /// Whether `state` is the one that holds now.
    pub(crate) fn is_now(&self, state: &State) -> bool {
        self.inner.state.load().generation == state.generation
    }

    /// How many changes the state has seen since the start. Cheap: watch streams ask for each answer.
    pub(crate) fn generation(&self) -> u64 {
        self.inner.state.load().generation
    }

    /// Tells when the state has changed. What it holds is a count of changes.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.inner.changed.subscribe()
    }

    /// What tells, inside a transaction, whether `state` still holds.
    pub(crate) fn guard(&self, state: &State) -> Guard {
        Guard { seen: Arc::clone(&self.inner.seen), decided_on: state.generation }
    }

    /// Waits for the changes that are under way. Until what is given back is dropped, the state stays what it is: to be
    /// held for a transaction at most.
    pub(crate) async fn unchanging(&self) -> RwLockReadGuard<'_, ()> {
        self.inner.turn.read().await
    }

    pub(super) fn settings(&self) -> &AuthSettings {
        &self.inner.settings
    }

    pub(super) fn tokens(&self) -> &Tokens {
        &self.inner.tokens
    }

    pub(super) fn passwords(&self) -> &Passwords {
        &self.inner.passwords
    }

    /// Changes the notes in one transaction, and then the state.
    ///
    /// It runs to its end even if the caller goes: else the state would stay behind the notes.
    pub(super) async fn change<T: Send + 'static>(
        &self,
        ends: Ends,
        work: impl FnOnce(&mut Notes<'_, '_, '_, '_>) -> Result<T, Refused> + Send + 'static,
    ) -> Result<T, Status> {
        let authority = self.clone();
        let changed = tokio::spawn(async move { authority.change_in_turn(ends, work).await });
        match changed.await {
            Ok(outcome) => outcome,
            Err(panic) => Err(Status::internal(format!("watchful: {panic}"))),
        }
    }

    async fn change_in_turn<T: Send + 'static>(
        &self,
        ends: Ends,
        work: impl FnOnce(&mut Notes<'_, '_, '_, '_>) -> Result<T, Refused> + Send + 'static,
    ) -> Result<T, Status> {
        let inner = &self.inner;
        let _turn = inner.turn.write().await;
        let before = self.state();
        let (seen, next) = (Arc::clone(&inner.seen), before.generation + 1);
        let written = inner.store.transact(move |txn| {
            let mut notes = Notes::new(txn);
            let answer = work(&mut notes)?;
            let edits = notes.into_edits();
            if !edits.is_empty() {
                seen.store(next, Ordering::Release);
            }
            Ok::<_, Refused>((answer, edits))
        });
        match written.await {
            Ok(committed) => {
                let (answer, edits) = committed.value;
                if !edits.is_empty() {
                    self.replace(before.after(edits), &ends);
                }
                Ok(answer)
            }
            Err(Refused(status)) => {
                inner.seen.store(before.generation, Ordering::Release);
                Err(status)
            }
        }
    }

    /// The order matters: a token that is issued meanwhile sees the new state, or is ended with the others.
    fn replace(&self, state: State, ends: &Ends) {
        let generation = state.generation;
        self.inner.state.store(Arc::new(state));
        self.inner.tokens.end(ends);
        self.inner.changed.send_replace(generation);
    }
}

impl Guard {
    /// Whether it does.
    pub(crate) fn holds(&self) -> bool {
        self.seen.load(Ordering::Acquire) == self.decided_on
    }
}
