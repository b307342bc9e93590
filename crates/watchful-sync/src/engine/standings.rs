//! Every move of a member between its standings.
//!
//! ```text
//!   Future ──(head comes)──> Synced ──(outbox full)──> Blocked ──(drained)──> Ready ──(read)──> Riding
//!      └──────────────────────> Ready <──(chunk ends before the head)─────────────────────────────┤
//!                               Synced <──(chunk ends at the head: hand-over)─────────────────────┘
//! ```
//!
//! [`Engine::set_standing`] is the only place where a standing changes, and keeps the engine's sets and counters true.

use super::members::{Cursor, Standing};
use super::{Engine, Work};
use crate::{End, LagPolicy, StreamId};

impl Engine {
    /// The only way from one standing to another.
    pub(super) fn set_standing(&mut self, member: u32, standing: Standing) {
        self.leave_standing(member);
        let Some(this) = self.members.get_mut(member) else { return };
        let (was, stream) = (std::mem::replace(&mut this.standing, standing), this.stream);
        match standing {
            Standing::Synced { .. } => self.synced += 1,
            Standing::Future { start } => drop(self.future.insert((start, member))),
            Standing::Ready(cursor) => drop(self.ready.insert((cursor.next, member))),
            Standing::Blocked(_) => drop(self.blocked.insert((stream, member))),
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
        match this.standing {
            Standing::Synced { .. } => self.synced -= 1,
            Standing::Future { start } => drop(self.future.remove(&(start, member))),
            Standing::Ready(cursor) => drop(self.ready.remove(&(cursor.next, member))),
            Standing::Blocked(_) => drop(self.blocked.remove(&(this.stream, member))),
            Standing::Riding { .. } => {}
        }
    }

    /// Puts a member that is owed `cursor` where it belongs now, and makes it one with its siblings there.
    pub(super) fn owe(&mut self, member: u32, cursor: Cursor) {
        if cursor.next.main < self.compact_revision {
            return self.end(member, &End::Compacted { compact_revision: self.compact_revision });
        }
        self.set_standing(member, Standing::Ready(cursor));
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
        self.set_standing(member, Standing::Blocked(cursor));
        self.tell_blocked(stream);
    }

    pub(super) fn tell_blocked(&mut self, stream: u32) {
        let Some(to) = self.streams.get_mut(stream) else { return };
        if !std::mem::replace(&mut to.blocked_told, true) {
            self.work.push(Work::Blocked { stream: StreamId(stream) });
        }
    }

    /// The stream has more room than before. Once half of its outbox is free, all of its members may ride; until then
    /// its receiver is to report once more, because what it had told may have been too early.
    pub(super) fn room_came(&mut self, stream: u32) {
        let Some(to) = self.streams.get_mut(stream) else { return };
        if to.queued_bytes + to.reserved_bytes <= to.outbox_bytes_max / 2 {
            to.blocked_told = false;
            self.unblock(stream);
        } else if to.blocked_told && to.queued_bytes > to.outbox_bytes_max / 2 {
            self.work.push(Work::Blocked { stream: StreamId(stream) });
        }
        self.progress_may_be_due(stream);
    }

    fn unblock(&mut self, stream: u32) {
        let members: Vec<u32> =
            self.blocked.range((stream, 0)..=(stream, u32::MAX)).map(|(_, member)| *member).collect();
        for member in members {
            if let Some(Standing::Blocked(cursor)) = self.members.get(member).map(|member| member.standing) {
                self.owe(member, cursor);
            }
        }
    }
}
