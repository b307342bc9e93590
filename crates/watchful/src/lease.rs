//! Leases in time: who expires when.
//!
//! The store below keeps each lease's time to live and its keys. The deadlines are kept here, in memory: after a restart
//! every lease has its full time again. The writer checks a deadline once more when it applies the expiry, under the same
//! lock a keep-alive takes, so a keep-alive that was acknowledged is never overtaken.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use watchful_mvcc::LeaseInfo;
use watchful_revision::LeaseId;

use crate::Clock;

/// A lease, as its owner may ask for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseStatus {
    /// The lease.
    pub id: LeaseId,
    /// The time to live that was granted, in seconds.
    pub ttl_seconds: i64,
    /// What is left of it; zero once it is due.
    pub remaining: Duration,
    /// The keys attached to it, in key order.
    pub keys: Vec<Vec<u8>>,
}

pub(crate) struct LeaseClock {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    by_id: HashMap<LeaseId, Deadline>,
    by_time: BTreeSet<(Duration, LeaseId)>,
}

#[derive(Clone, Copy)]
struct Deadline {
    at: Duration,
    ttl: Duration,
    expiry: Expiry,
}

/// How far a lease's expiry has come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Expiry {
    None,
    /// It is in line with the writer. A keep-alive still wins.
    InLine,
    /// It is being written: no keep-alive comes in between any more.
    Writing,
}

impl LeaseClock {
    pub(crate) fn new(clock: Arc<dyn Clock>, leases: Vec<LeaseInfo>) -> Self {
        let all = Self { clock, state: Mutex::default() };
        for lease in leases {
            all.granted(lease.id, lease.ttl_seconds);
        }
        all
    }

    /// The lease counts from now.
    pub(crate) fn granted(&self, id: LeaseId, ttl_seconds: i64) {
        let ttl = Duration::from_secs(u64::try_from(ttl_seconds).unwrap_or(0));
        self.state.lock().set(id, self.clock.now(), ttl);
    }

    pub(crate) fn revoked(&self, id: LeaseId) {
        self.state.lock().remove(id);
    }

    /// Gives the lease its full time again. None when there is no such lease, or its expiry is being written.
    pub(crate) fn keep_alive(&self, id: LeaseId) -> Option<Duration> {
        let mut state = self.state.lock();
        let lease = *state.by_id.get(&id).filter(|lease| lease.expiry != Expiry::Writing)?;
        state.set(id, self.clock.now(), lease.ttl);
        Some(lease.ttl)
    }

    pub(crate) fn remaining(&self, id: LeaseId) -> Option<Duration> {
        let state = self.state.lock();
        Some(state.by_id.get(&id)?.at.saturating_sub(self.clock.now()))
    }

    pub(crate) fn by_end(&self) -> Vec<LeaseId> {
        self.state.lock().by_time.iter().map(|(_, id)| *id).collect()
    }

    /// Leases whose time is over and whose expiry is to be put in line; each is told once.
    pub(crate) fn take_due(&self) -> Vec<LeaseId> {
        let (now, mut state) = (self.clock.now(), self.state.lock());
        let mut due = Vec::new();
        while let Some((at, id)) = state.by_time.first().copied().filter(|(at, _)| *at <= now) {
            state.by_time.remove(&(at, id));
            if let Some(lease) = state.by_id.get_mut(&id) {
                lease.expiry = Expiry::InLine;
            }
            due.push(id);
        }
        due
    }

    /// When the next lease is due.
    pub(crate) fn next_due(&self) -> Option<Duration> {
        self.state.lock().by_time.first().map(|(at, _)| *at)
    }

    /// The writer is about to apply the expiry: whether it is still due. From here on no keep-alive is accepted.
    pub(crate) fn begin_expiry(&self, id: LeaseId) -> bool {
        let mut state = self.state.lock();
        let lease = state.by_id.get_mut(&id).filter(|lease| lease.expiry == Expiry::InLine);
        lease.map(|lease| lease.expiry = Expiry::Writing).is_some()
    }

    /// The expiry was written; or it was not, and is due again in a second. One that was kept alive goes on.
    pub(crate) fn end_expiry(&self, id: LeaseId, written: bool) {
        const AGAIN: Duration = Duration::from_secs(1);
        let mut state = self.state.lock();
        let Some(lease) = state.by_id.get(&id).copied().filter(|lease| lease.expiry != Expiry::None) else {
            return;
        };
        if written && lease.expiry == Expiry::Writing {
            state.remove(id);
        } else {
            state.set_deadline(id, Deadline { at: self.clock.now() + AGAIN, expiry: Expiry::None, ..lease });
        }
    }
}

impl State {
    fn set(&mut self, id: LeaseId, now: Duration, ttl: Duration) {
        self.set_deadline(id, Deadline { at: now.saturating_add(ttl), ttl, expiry: Expiry::None });
    }

    fn set_deadline(&mut self, id: LeaseId, deadline: Deadline) {
        if let Some(before) = self.by_id.insert(id, deadline) {
            self.by_time.remove(&(before.at, id));
        }
        self.by_time.insert((deadline.at, id));
    }

    fn remove(&mut self, id: LeaseId) {
        if let Some(lease) = self.by_id.remove(&id) {
            self.by_time.remove(&(lease.at, id));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ManualClock;

    /// A keep-alive that is acknowledged must win over an expiry that was found due just before.
    #[test]
    fn a_keep_alive_is_never_overtaken() {
        let clock = ManualClock::default();
        let leases = LeaseClock::new(Arc::new(clock.clone()), Vec::new());
        leases.granted(7, 5);
        clock.advance(Duration::from_secs(5));
        assert_eq!(leases.take_due(), [7]);
        assert_eq!(leases.keep_alive(7), Some(Duration::from_secs(5)));
        assert!(!leases.begin_expiry(7), "it was kept alive after it was found due");
        leases.end_expiry(7, false);

        clock.advance(Duration::from_secs(5));
        assert_eq!(leases.take_due(), [7]);
        assert_eq!(leases.take_due(), [], "it is told once");
        assert!(leases.begin_expiry(7));
        assert_eq!(leases.keep_alive(7), None, "its end is being written");
        leases.end_expiry(7, false);
        assert_eq!(leases.next_due(), Some(Duration::from_secs(11)), "it could not be written");
        clock.advance(Duration::from_secs(1));
        assert_eq!(leases.take_due(), [7]);
        assert!(leases.begin_expiry(7));
        leases.end_expiry(7, true);
        assert_eq!((leases.next_due(), leases.keep_alive(7)), (None, None));
    }
}
