//! How a watch ends: cancelled, lagged, compacted, unreadable. Each hears it once, and nothing after it.

use super::Engine;
use super::members::{Member, Standing};
use crate::{End, Item, WatchId, WatchIds};

impl Engine {
    /// All watches of the member hear why, once, and are gone.
    pub(super) fn end(&mut self, member: u32, end: &End) {
        let Some(this) = self.members.get(member) else { return };
        let (stream, ids) = (this.stream, this.ids.clone());
        if let Some(to) = self.streams.get_mut(stream) {
            for watch in ids.iter() {
                to.watches.remove(watch);
            }
        }
        self.push(stream, Item::Ended { watches: ids, end: end.clone() });
        self.remove_member(member);
    }

    pub(super) fn cancel_watch(&mut self, stream: u32, watch: WatchId) {
        let Some(member) = self.streams.get_mut(stream).and_then(|to| to.watches.remove(watch)) else {
            return;
        };
        self.push(stream, Item::Ended { watches: WatchIds::one(watch), end: End::Cancelled });
        let left = self.members.get_mut(member).is_some_and(|owner| owner.ids.remove(watch));
        if !left {
            self.remove_member(member);
        }
    }

    /// Everybody who is owed something below `revision` hears it now, whatever their standing.
    pub(super) fn compact_to(&mut self, revision: u64) {
        if revision <= self.compact_revision {
            return;
        }
        self.compact_revision = revision;
        self.kept.forget_compacted(revision);
        let end = End::Compacted { compact_revision: revision };
        for member in self.owed_below(revision) {
            self.end(member, &end);
        }
        if self.head + 1 < revision {
            self.head_sub = 0;
            if let Some(read) = &mut self.head_read {
                read.stale = true;
            }
            self.advance_head(revision - 1);
        }
    }

    fn owed_below(&self, revision: u64) -> Vec<u32> {
        let synced_too = self.head + 1 < revision;
        let owed = |member: &Member| match member.standing {
            Standing::Waiting(cursor) | Standing::Riding { cursor, .. } => cursor.next.main < revision,
            Standing::Future { start } => start < revision,
            Standing::Synced { .. } => synced_too,
        };
        // Synced members are many, and need no look as long as the head is not behind the compaction.
        if synced_too {
            return self.members.iter().filter(|(_, member)| owed(member)).map(|(name, _)| name).collect();
        }
        let waiting = self.waiting.below(revision);
        let riding = self.scans.iter().flat_map(|(_, scan)| scan.riders().iter().copied());
        let future = self.future.range(..(revision, 0, 0, 0)).map(|(.., member)| *member);
        let mut all: Vec<u32> = waiting.chain(riding).chain(future).collect();
        all.sort_unstable();
        all.dedup();
        all.retain(|&name| self.members.get(name).is_some_and(owed));
        all
    }
}
