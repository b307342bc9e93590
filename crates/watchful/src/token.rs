//! Where to go on: a revision, and of which store and epoch.

use std::fmt;
use std::str::FromStr;

use crate::Error;

/// A store's identity, and its epoch: raised when revisions may have been given out twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StoreName {
    pub(crate) id: u128,
    pub(crate) epoch: u64,
}

/// What a watch needs to go on where another one stopped, also in another process after a restart.
///
/// It is refused by another store, and by the same store in another epoch: after a power failure in
/// [`Durability::Relaxed`](crate::Durability::Relaxed) or [`Durability::Unsynced`](crate::Durability::Unsynced) the last
/// revisions may be given out again, and going on from one of them would miss its second meaning.
///
/// Its text form can be stored: `watchful-1:<store>:<epoch>:<revision>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResumeToken {
    store: StoreName,
    next_revision: u64,
}

impl ResumeToken {
    pub(crate) fn new(store: StoreName, next_revision: u64) -> Self {
        Self { store, next_revision }
    }

    /// The first main revision that is still owed.
    #[must_use]
    pub fn next_revision(&self) -> u64 {
        self.next_revision
    }

    pub(crate) fn next_revision_in(&self, store: &StoreName) -> Result<u64, Error> {
        if self.store.id != store.id {
            return Err(Error::TokenRefused { reason: "it is from another store" });
        }
        if self.store.epoch != store.epoch {
            let reason = "the store lost its newest revisions since, and may have given them out again";
            return Err(Error::TokenRefused { reason });
        }
        Ok(self.next_revision)
    }
}

const PREFIX: &str = "watchful-1";

impl fmt::Display for ResumeToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}:{:032x}:{}:{}", self.store.id, self.store.epoch, self.next_revision)
    }
}

impl FromStr for ResumeToken {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        parse(text).ok_or(Error::TokenRefused { reason: "it is not the text of a resume token" })
    }
}

fn parse(text: &str) -> Option<ResumeToken> {
    let mut parts = text.split(':');
    if parts.next()? != PREFIX {
        return None;
    }
    let id = u128::from_str_radix(parts.next()?, 16).ok()?;
    let epoch = parts.next()?.parse().ok()?;
    let next_revision = parts.next()?.parse().ok()?;
    parts.next().is_none().then_some(ResumeToken { store: StoreName { id, epoch }, next_revision })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_comes_back() {
        let token = ResumeToken::new(StoreName { id: 0xfeed, epoch: 3 }, 17);
        assert_eq!(token.to_string().parse::<ResumeToken>().unwrap(), token);
        for wrong in ["", "watchful-1:0:0", "watchful-1:0:0:1:2", "watchful-2:0:0:1", "watchful-1:x:0:1"] {
            assert!(matches!(wrong.parse::<ResumeToken>(), Err(Error::TokenRefused { .. })), "{wrong}");
        }
    }

    #[test]
    fn another_store_or_epoch_refuses_it() {
        let token = ResumeToken::new(StoreName { id: 1, epoch: 3 }, 17);
        assert_eq!(token.next_revision_in(&StoreName { id: 1, epoch: 3 }).unwrap(), 17);
        assert!(token.next_revision_in(&StoreName { id: 2, epoch: 3 }).is_err());
        assert!(token.next_revision_in(&StoreName { id: 1, epoch: 4 }).is_err());
    }
}
