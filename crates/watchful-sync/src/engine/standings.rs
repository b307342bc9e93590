//! Every move of a member between its standings.
//!
//! ```text
//!   Future ──(head comes)──> Synced ──(outbox full)──> Waiting ──(room, and a read)──> Riding
//!      └──────────────────────> Waiting <──(chunk ends before the head)──────────────────┤
//!                               Synced <──(chunk ends at the head: hand-over)────────────┘
//! ```
//!
//! Whoever waits is *ready*, or *blocked* where its stream has no room.
//!
//! [`Engine::set_standing`] is the only place where a standing changes, and keeps the engine's sets and counters true.

use super::members::{Cursor, Standing};
use super::waiting::Place;
use super::{Engine, Work};
use crate::{End, LagPolicy, StreamId};

impl Engine {
    /// The only way from one standing to another.
    pub(super) fn set_standing(&mut self, member: u32, standing: Standing) {
        self.leave_standing(member);
        let Some(this) = self.members.get_mut(member) else { return };
        let (was, stream, group) = (std::mem::replace(&mut this.standing, standing), this.stream, this.group);
        match standing {
            Standing::Synced { .. } => self.synced += 1,
            Standing::Future { start } => drop(self.future.insert((start, group, stream, member))),
            Standing::Waiting(Cursor { next, .. }) => {
                let has_room = self.streams.get(stream).is_some_and(|to| !to.blocked);
                self.waiting.insert(Place { stream, next, group, member }, has_room);
            }
            Standing::Riding { .. } => {}
        }
        if was.is_synced() != standing.is_synced() {
            if let Some(to) = self.streams.get_mut(stream) {
                to.unsynced = if standing.is_synced() { to.unsynced - 1 } else { to.unsynced + 1 };
            }
            self.progress_may_be_due(stream);
        }
    }

    /// Takes the member out of the set its standing keeps it in.
    pub(super) fn leave_standing(&mut self, member: u32) {
        let Some(this) = self.members.get(member) else { return };
        let (stream, group) = (this.stream, this.group);
        match this.standing {
            Standing::Synced { .. } => self.synced -= 1,
            Standing::Future { start } => drop(self.future.remove(&(start, group, stream, member))),
            Standing::Waiting(Cursor { next, .. }) => {
                self.waiting.remove(Place { stream, next, group, member });
            }
            Standing::Riding { .. } => {}
        }
    }

    /// Puts a member that is owed `cursor` where it belongs now, and makes it one with its siblings there.
    pub(super) fn owe(&mut self, member: u32, cursor: Cursor) {
        if cursor.next.main < self.compact_revision {
            return self.end(member, &End::Compacted { compact_revision: self.compact_revision });
        }
        self.set_standing(member, Standing::Waiting(cursor));
        self.merge(member);
    }

    pub(super) fn become_synced(&mut self, member: u32, sent: bool) {
        self.set_standing(member, Standing::Synced { sent, open: false });
        self.merge(member);
    }

    /// There was no room for what a synced or riding member is owed from `cursor` on.
    pub(super) fn fall_behind(&mut self, member: u32, cursor: Cursor) {
        let Some(this) = self.members.get(member) else { return };
        let stream = this.stream;
        let lag = self.groups.get(this.group).map(|group| group.options.lag);
        if lag == Some(LagPolicy::Cancel) && this.standing.is_synced() {
            return self.end(member, &End::Lagged { next_revision: cursor.next.main });
        }
        self.block(stream);
        self.set_standing(member, Standing::Waiting(cursor));
        self.merge(member);
    }

    /// The stream has no room: nothing is read for any of its members until its receiver has reported. More than half of
    /// its outbox is taken, or nobody would.
    pub(super) fn block(&mut self, stream: u32) {
        let Some(to) = self.streams.get_mut(stream) else { return };
        debug_assert!(to.queued_bytes + to.reserved_bytes > to.outbox_bytes_max / 2, "nobody will report");
        if !std::mem::replace(&mut to.blocked, true) {
            self.waiting.leave_line(stream);
            self.work.push(Work::Blocked { stream: StreamId(stream) });
        }
    }

    /// The stream has more room than before. Once half of its outbox is free, all of its members may ride; until then
    /// its receiver is to report once more, because what it had told may have been too early.
    pub(super) fn room_came(&mut self, stream: u32) {
        let Some(to) = self.streams.get_mut(stream) else { return };
        if to.queued_bytes + to.reserved_bytes <= to.outbox_bytes_max / 2 {
            if std::mem::replace(&mut to.blocked, false) {
                self.waiting.join_line(stream);
            }
        } else if to.blocked && to.queued_bytes > to.outbox_bytes_max / 2 {
            self.work.push(Work::Blocked { stream: StreamId(stream) });
        }
        self.progress_may_be_due(stream);
    }
}
