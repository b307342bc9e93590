//! What a chunk of history does: its rows go to those who ride, their cursors move to its end, and when that is the head
//! they are handed over to live.
//!
//! The hand-over is one step. The read was asked for up to the head as it was then; what was published since has been
//! kept. The riders get the chunk, then what was kept, and are synced before anything else can be published. Where too
//! much was published to keep, they are simply owed the rest, and the scan asks again.

use std::sync::Arc;

use watchful_revision::{Event, Revision};

use super::dealt::Dealt;
use super::live::Audience;
use super::members::{Cursor, Standing};
use super::scans::Scan;
use super::{Engine, HeadRead};
use crate::spec::GroupOptions;
use crate::{Batch, End, HistoryChunk, HistoryFailure, Item, ScanId};

/// A rider's place in the order in which a chunk is dealt: members of one group on one stream follow each other, by what
/// they are owed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Seat {
    stream: u32,
    group: u32,
    next: Revision,
    member: u32,
}

impl Seat {
    fn is_beside(&self, other: &Self) -> bool {
        (self.stream, self.group) == (other.stream, other.group)
    }
}

impl Engine {
    pub(super) fn take_history(&mut self, answer: Result<HistoryChunk, HistoryFailure>) {
        match answer {
            Ok(chunk) => match chunk.scan {
                ScanId::Head => self.head_came(chunk),
                ScanId::Shared(scan) => self.chunk_came(scan, chunk),
            },
            Err(HistoryFailure::Compacted { scan, compact_revision }) => {
                self.give_up_read(scan, |next| {
                    (next.main < compact_revision).then_some(End::Compacted { compact_revision })
                });
            }
            Err(HistoryFailure::Unreadable { scan, reason }) => {
                // Those who ride from further on are not known to be owed what cannot be read: they ask again.
                let from = self.position_of(scan);
                self.give_up_read(scan, |next| {
                    (Some(next) == from).then(|| End::Unreadable { reason: Arc::clone(&reason) })
                });
            }
        }
    }

    fn chunk_came(&mut self, name: u32, chunk: HistoryChunk) {
        let Some((out, riders)) = self.scans.get_mut(name).and_then(|scan| scan.come_back()) else { return };
        self.release(&out.reserved);
        let (next, from) = (chunk.next, self.position_of(ScanId::Shared(name)));
        let mut dealt = Dealt::new(chunk, self.head);
        self.deal_all(&riders, name, &mut dealt);
        if next.main > out.to && self.hand_over(name, out.to) {
            for &member in &riders {
                if let Some(cursor) = self.riding_cursor(member, name) {
                    debug_assert!(!cursor.open, "a chunk that ends at the head ends whole revisions");
                    self.reach_head(member);
                }
            }
        }
        let somebody_waits = !self.waiting.is_empty();
        self.dismount(name, &riders, next);
        if let Some(from) = from.filter(|_| somebody_waits && next.main <= out.to) {
            self.keep(name, from, dealt);
        }
        self.room_is_back(&out.reserved);
    }

    /// Deals the chunk to all who still ride. Where one member comes to the place of another of its group on its stream,
    /// the two become one. So a stream is given each row once a group, and never more than was kept for the chunk.
    pub(super) fn deal_all(&mut self, riders: &[u32], scan: u32, dealt: &mut Dealt) {
        let mut seats: Vec<Seat> = riders.iter().filter_map(|&member| self.seat(member, scan)).collect();
        seats.sort_unstable();
        for at in 0..seats.len() {
            let (seat, after) = (seats[at], at + 1);
            let beside = seats[after..].iter().take_while(|other| other.is_beside(&seat));
            let meets = beside.map(|other| other.next).find(|next| *next > seat.next);
            let to = meets.map_or(dealt.next(), |next| next.min(dealt.next()));
            self.deal(seat.member, scan, to, dealt);
            if to < dealt.next() {
                self.join_ride(seat, scan, to, &mut seats[after..]);
            }
        }
    }

    fn seat(&self, member: u32, scan: u32) -> Option<Seat> {
        let next = self.riding_cursor(member, scan)?.next;
        let this = self.members.get(member)?;
        Some(Seat { stream: this.stream, group: this.group, next, member })
    }

    /// The member has come to the place of the next one beside it. Who is owed the same goes on as one; who is not (one
    /// of the two has an open part, which only conflation can bring about) waits for a read of its own.
    fn join_ride(&mut self, seat: Seat, scan: u32, to: Revision, after: &mut [Seat]) {
        let Some(cursor) = self.riding_cursor(seat.member, scan) else { return };
        let same = |other: &&mut Seat| {
            other.is_beside(&seat)
                && other.next == to
                && self.riding_cursor(other.member, scan) == Some(cursor)
        };
        match after.iter_mut().find(same) {
            Some(other) => other.member = self.unite(seat.member, other.member),
            None => self.owe(seat.member, cursor),
        }
    }

    /// Gives one rider its rows of the chunk up to `to`, and moves its cursor there. One that the chunk did not reach
    /// keeps its place.
    fn deal(&mut self, member: u32, scan: u32, to: Revision, dealt: &mut Dealt) {
        let Some(cursor) = self.riding_cursor(member, scan) else { return };
        if cursor.next >= dealt.next() {
            return self.owe(member, cursor);
        }
        let Some((group, options)) = self.group_of(member) else { return };
        let batch = dealt.batch(group, cursor.next, to, options);
        self.send_dealt(member, cursor, to, batch.as_ref(), dealt.head);
        let moved = cursor.moved(to, batch.as_deref());
        self.set_standing(member, Standing::Riding { scan, cursor: moved });
    }

    fn send_dealt(
        &mut self,
        member: u32,
        cursor: Cursor,
        to: Revision,
        batch: Option<&Arc<Batch>>,
        head: u64,
    ) {
        let Some(this) = self.members.get(member) else { return };
        let (stream, watches) = (this.stream, this.ids.clone());
        if cursor.closes(to, batch.map(|batch| &**batch)) {
            let closing = Arc::new(Batch::closing(cursor.next.main, head));
            self.push(stream, Item::Events { batch: closing, watches: watches.clone() });
        }
        if let Some(batch) = batch {
            self.push(stream, Item::Events { batch: Arc::clone(batch), watches });
        }
    }

    /// Gives all who ride what was published since the read was asked for. Returns false when not all of it was kept.
    fn hand_over(&mut self, scan: u32, to: u64) -> bool {
        let Some(kept) = self.recent.all_of(to + 1, self.head) else { return false };
        for batch in kept {
            self.deliver_published(&batch, Audience::Riding { scan });
        }
        true
    }

    /// The member has everything up to the head, and is synced, unless the head is in the middle of something that the
    /// member is not part of: a revision in fragments, or a read that was asked for before its group was in the index.
    /// Then it is owed what comes after the head, as soon as the head has moved.
    fn reach_head(&mut self, member: u32) {
        let Some(group) = self.members.get(member).map(|member| member.group) else { return };
        let missed = |read: &HeadRead| !read.stale && read.newcomers.contains(&group);
        if self.head_sub > 0 || self.head_read.as_ref().is_some_and(missed) {
            return self.owe(member, Cursor::start_of(self.head + 1));
        }
        self.become_synced(member, true);
    }

    /// Those who still ride are owed the rest; the scan goes on from there, if anybody waits for it.
    pub(super) fn dismount(&mut self, name: u32, riders: &[u32], next: Revision) {
        for &member in riders {
            if let Some(cursor) = self.riding_cursor(member, name) {
                self.owe(member, cursor);
            }
        }
        let revisions_max = self.settings.chunk_revisions_max;
        if next.main > self.head {
            self.scans.remove(name);
        } else if let Some(scan) = self.scans.get_mut(name) {
            scan.go_on_at(next, revisions_max);
        }
    }

    /// The head's own scan came back: all synced members share its rows, and the head moves to its end.
    fn head_came(&mut self, chunk: HistoryChunk) {
        let Some(read) = self.head_read.take() else { return };
        let from = self.head_next();
        let next = chunk.next;
        if read.stale || next <= from {
            return;
        }
        // Where the chunk ends inside a revision, its events are of that one: no batch is told before its events.
        let newest = if next.sub > 0 { next.main } else { next.main.saturating_sub(1) };
        let mut dealt = Dealt::new(chunk, newest.max(self.head));
        for member in self.synced_of_interest(&dealt, from) {
            self.deal_head(member, from, &mut dealt);
        }
        self.head_sub = next.sub;
        self.advance_head(next.main - 1);
    }

    /// Synced members of groups that have rows in the chunk; where the head stood inside a revision, also those that
    /// were sent a part of it.
    fn synced_of_interest(&self, dealt: &Dealt, from: Revision) -> Vec<u32> {
        let is_synced =
            |member: &u32| self.members.get(*member).is_some_and(|member| member.standing.is_synced());
        let groups = dealt.groups();
        let of_groups =
            groups.iter().filter_map(|group| self.groups.get(*group)).flat_map(|group| group.members());
        let mut members: Vec<u32> = of_groups.filter(is_synced).collect();
        if from.sub > 0 {
            let open = |standing| matches!(standing, Standing::Synced { open: true, .. });
            members.extend(
                self.members.iter().filter(|(_, member)| open(member.standing)).map(|(name, _)| name),
            );
            members.sort_unstable();
            members.dedup();
        }
        members
    }

    fn deal_head(&mut self, member: u32, from: Revision, dealt: &mut Dealt) {
        let Some(this) = self.members.get(member) else { return };
        let (stream, Standing::Synced { sent, open }) = (this.stream, this.standing) else { return };
        let Some((group, options)) = self.group_of(member) else { return };
        // The chunk was matched while groups may have come and gone under the same name.
        let to = dealt.next();
        let batch = dealt.batch(group, from, to, options).filter(|batch| self.is_of_group(group, batch));
        let cursor = Cursor { next: from, open };
        let bytes = batch.as_ref().map_or(0, |batch| batch.charge_bytes());
        if !self.streams.get(stream).is_some_and(|to| to.has_room(bytes)) {
            // One row that no chunk holds does not fit into half an outbox either, and is no reason to wait for that.
            let too_large = bytes > self.settings.chunk_bytes_max;
            return if too_large { self.owe(member, cursor) } else { self.fall_behind(member, cursor) };
        }
        self.send_dealt(member, cursor, to, batch.as_ref(), dealt.head);
        let moved = cursor.moved(to, batch.as_deref());
        // Where it conflates, there may have been nothing for it in the chunk after all.
        let sent = sent || batch.is_some();
        self.set_standing(member, Standing::Synced { sent, open: moved.open });
    }

    fn is_of_group(&self, group: u32, batch: &Batch) -> bool {
        let holds =
            |event: &Event| self.groups.get(group).is_some_and(|group| group.ranges.contains(event.key()));
        batch.events().first().is_some_and(holds)
    }

    fn group_of(&self, member: u32) -> Option<(u32, GroupOptions)> {
        let group = self.members.get(member)?.group;
        Some((group, self.groups.get(group)?.options))
    }

    fn position_of(&self, scan: ScanId) -> Option<Revision> {
        match scan {
            ScanId::Head => Some(self.head_next()),
            ScanId::Shared(name) => self.scans.get(name).map(Scan::position),
        }
    }

    /// A read came back without history. Those it was for are owed it again, or end.
    fn give_up_read(&mut self, scan: ScanId, end: impl Fn(Revision) -> Option<End>) {
        let mut reserved = Vec::new();
        let members: Vec<u32> = match scan {
            ScanId::Head => {
                if self.head_read.take().is_none_or(|read| read.stale) {
                    return;
                }
                self.members
                    .iter()
                    .filter(|(_, member)| member.standing.is_synced())
                    .map(|(name, _)| name)
                    .collect()
            }
            ScanId::Shared(name) => {
                let Some((out, riders)) = self.scans.get_mut(name).and_then(|scan| scan.come_back()) else {
                    return;
                };
                self.release(&out.reserved);
                reserved = out.reserved;
                riders
            }
        };
        for member in members {
            match self.members.get(member).map(|member| member.standing) {
                Some(Standing::Riding { cursor, .. }) => match end(cursor.next) {
                    Some(end) => self.end(member, &end),
                    None => self.owe(member, cursor),
                },
                Some(Standing::Synced { .. }) => {
                    if let Some(end) = end(self.head_next()) {
                        self.end(member, &end);
                    }
                }
                _ => {}
            }
        }
        self.room_is_back(&reserved);
    }
}
