//! How many connections there may be: as many as the process has descriptors for, less those that the store needs.
//!
//! Without such a bound a crowd of connections leaves no descriptor for a snapshot, for the log, or for accepting at all.

use std::sync::{Arc, LazyLock};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Kept for the store's files, copies, certificates and the log: as many as etcd keeps.
const KEPT: u64 = 150;

/// The places of this process: all its listeners share them, as they share the descriptors.
static PLACES: LazyLock<Arc<Semaphore>> =
    LazyLock::new(|| Arc::new(Semaphore::new(places_of(getrlimit(Resource::Nofile).current))));

#[derive(Debug)]
pub(super) struct Places(Arc<Semaphore>);

/// One connection's place. Dropped, it is free for another.
#[derive(Debug)]
pub(super) struct Place(#[expect(dead_code, reason = "it is held to be dropped")] OwnedSemaphorePermit);

impl Places {
    pub(super) fn of_this_process() -> Self {
        Self(Arc::clone(&PLACES))
    }

    /// One that is free now.
    pub(super) fn free(&self) -> Option<Place> {
        Arc::clone(&self.0).try_acquire_owned().ok().map(Place)
    }

    /// Waits for one.
    pub(super) async fn wait(&self) -> Place {
        match Arc::clone(&self.0).acquire_owned().await {
            Ok(place) => Place(place),
            // Nobody closes it.
            Err(_) => std::future::pending().await,
        }
    }
}

/// None is no limit.
fn places_of(descriptors: Option<u64>) -> usize {
    let places = descriptors.map_or(u64::MAX, |descriptors| descriptors - KEPT.min(descriptors / 2));
    usize::try_from(places).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS)
}

/// Asks for as many descriptors as the process may have, as etcd's runtime does. To be called before anything listens.
/// Where it is refused, there are as many as there were.
pub fn raise_descriptors() {
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_descriptors_are_kept() {
        assert_eq!(places_of(Some(1024)), 874);
        assert_eq!(places_of(Some(100)), 50);
        assert_eq!(places_of(None), Semaphore::MAX_PERMITS);
    }
}
