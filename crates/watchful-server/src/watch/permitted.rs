//! What the watches of a stream may see: asked when each is made, and again whenever users or permissions have changed.
//!
//! A watch that is no longer permitted gets nothing more once the change was answered, not even what waits in the outbox,
//! and is canceled. Of watches that were made while auth was off nobody knows whose they are: when it is turned on, their
//! stream ends with an error that clients know to be passing, and each is asked about when the client makes it again.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use tonic::Status;
use watchful::{WatchControl, WatchId};

use crate::auth::{Credentials, Need};
use crate::rights::Rights;
use crate::state::Shared;

/// What a stream's watches may see.
#[derive(Debug)]
pub(super) struct Permitted {
    credentials: Credentials,
    /// The newest change that everything here was decided on.
    generation: u64,
    /// Of whoever made the watches below.
    rights: Option<Rights>,
    /// The watches that were made while auth was on.
    watches: HashMap<WatchId, Watched>,
    /// Whether a watch was made while it was off.
    has_unnamed: bool,
    /// Those that are on their way to be canceled.
    denied: HashSet<WatchId>,
}

/// The keys that a watch sees, in etcd's words.
#[derive(Debug)]
pub(super) struct Watched {
    key: Bytes,
    range_end: Bytes,
}

impl Permitted {
    pub(super) fn new(shared: &Shared, credentials: Credentials) -> Self {
        Self {
            credentials,
            generation: shared.authority.generation(),
            rights: None,
            watches: HashMap::new(),
            has_unnamed: false,
            denied: HashSet::new(),
        }
    }

    /// Whether a watch of these keys may be made. What is given back goes to [`created`](Self::created).
    pub(super) fn ask(
        &mut self,
        shared: &Shared,
        key: &[u8],
        range_end: &Bytes,
    ) -> Result<Option<Watched>, Status> {
        let rights = shared.rights_of(&self.credentials)?;
        rights.may(&Need::Read(key, range_end))?;
        if rights.are_unasked() {
            self.has_unnamed = true;
            return Ok(None);
        }
        self.rights = Some(rights);
        Ok(Some(Watched { key: Bytes::copy_from_slice(key), range_end: range_end.clone() }))
    }

    /// A watch that was asked for is there. Permissions may have changed since.
    pub(super) fn created(&mut self, control: &WatchControl, id: WatchId, watched: Option<Watched>) {
        let (Some(watched), Some(rights)) = (watched, &self.rights) else { return };
        match watched.is_seen_with(&rights.renewed()) {
            true => drop(self.watches.insert(id, watched)),
            false => self.deny(control, id),
        }
    }

    /// Looks at all watches again if anything changed since the last look.
    ///
    /// # Errors
    ///
    /// `Unavailable` where the stream has to be opened again.
    pub(super) fn look(&mut self, shared: &Shared, control: &WatchControl) -> Result<(), Status> {
        let generation = shared.authority.generation();
        if generation == self.generation {
            return Ok(());
        }
        self.generation = generation;
        if self.has_unnamed && shared.authority.state().enabled {
            return Err(Status::unavailable("watchful: auth was turned on; watch again as a user"));
        }
        let Some(rights) = self.rights.as_ref().map(Rights::renewed) else { return Ok(()) };
        let denied = self.watches.iter().filter(|(_, watched)| !watched.is_seen_with(&rights));
        let denied: Vec<WatchId> = denied.map(|(id, _)| *id).collect();
        denied.into_iter().for_each(|id| self.deny(control, id));
        self.rights = Some(rights);
        Ok(())
    }

    fn deny(&mut self, control: &WatchControl, id: WatchId) {
        self.watches.remove(&id);
        self.denied.insert(id);
        control.cancel(id);
    }

    /// Whether nothing more may be told to this watch.
    pub(super) fn is_denied(&self, id: WatchId) -> bool {
        !self.denied.is_empty() && self.denied.contains(&id)
    }

    /// The watch is over. Tells whether that is because it was denied.
    pub(super) fn ended(&mut self, id: WatchId) -> bool {
        self.watches.remove(&id);
        self.denied.remove(&id)
    }
}

impl Watched {
    fn is_seen_with(&self, rights: &Rights) -> bool {
        rights.may(&Need::Read(&self.key, &self.range_end)).is_ok()
    }
}

/// An error as etcd puts it into the reason of a cancel. Its clients compare the whole text.
pub(super) fn reason(status: &Status) -> String {
    format!("rpc error: code = {:?} desc = {}", status.code(), status.message())
}
