//! Who is registered: groups and their members, how a watch finds its own, and how two members become one.

use std::collections::BTreeSet;
use std::sync::Arc;

use watchful_revision::Revision;
use watchful_watcher_index::GroupId;

use super::{Engine, Stream};
use crate::spec::GroupOptions;
use crate::{End, Item, KeyRanges, Refusal, WatchId, WatchIds, WatchSpec};

/// Watches with the same ranges and options.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) ranges: KeyRanges,
    pub(crate) options: GroupOptions,
    members: GroupMembers,
}

/// Mostly one. More are kept by stream, so that members of one stream find each other.
#[derive(Debug)]
enum GroupMembers {
    One {
        stream: u32,
        member: u32,
    },
    #[allow(clippy::box_collection, reason = "most groups have one member, and a group is to stay small")]
    Many(Box<BTreeSet<(u32, u32)>>),
}

/// The watches of one group on one stream that are owed the same next.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) group: u32,
    pub(crate) stream: u32,
    pub(crate) ids: WatchIds,
    pub(crate) standing: Standing,
}

/// Where a member is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It starts at a revision that the head has not reached.
    Future { start: u64 },
    /// It has everything up to the head.
    Synced {
        /// It was sent events since the last progress interval.
        sent: bool,
        /// It was sent a part of the revision that the head's scan is in.
        open: bool,
    },
    /// It is owed history: ready for a read, or blocked where its stream is.
    Waiting(Cursor),
    /// A read is out for it.
    Riding { scan: u32, cursor: Cursor },
}

/// The first row that is still owed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cursor {
    pub(crate) next: Revision,
    /// It was sent a part of revision `next.main`, marked as a fragment.
    pub(crate) open: bool,
}

impl Cursor {
    pub(crate) fn at(next: Revision) -> Self {
        Self { next, open: false }
    }

    pub(crate) fn start_of(main: u64) -> Self {
        Self::at(Revision::start_of(main))
    }
}

impl Standing {
    pub(crate) const SYNCED: Self = Self::Synced { sent: false, open: false };

    pub(crate) fn is_synced(self) -> bool {
        matches!(self, Self::Synced { .. })
    }

    /// Whether members in these two standings are owed the same, so that they can become one.
    fn joins(self, other: Self) -> bool {
        match (self, other) {
            (Self::Synced { open, .. }, Self::Synced { open: other, .. }) => open == other,
            (Self::Waiting(cursor), Self::Waiting(other)) => cursor == other,
            (Self::Future { start }, Self::Future { start: other }) => start == other,
            _ => false,
        }
    }
}

impl Group {
    pub(crate) fn members(&self) -> impl Iterator<Item = u32> + '_ {
        let (one, many) = match &self.members {
            GroupMembers::One { member, .. } => (Some(*member), None),
            GroupMembers::Many(members) => (None, Some(members.iter().map(|(_, member)| *member))),
        };
        one.into_iter().chain(many.into_iter().flatten())
    }

    fn members_on(&self, stream: u32) -> impl Iterator<Item = u32> + '_ {
        let (one, many) = match &self.members {
            GroupMembers::One { stream: own, member } => ((*own == stream).then_some(*member), None),
            GroupMembers::Many(members) => (None, Some(members.range((stream, 0)..=(stream, u32::MAX)))),
        };
        one.into_iter().chain(many.into_iter().flatten().map(|(_, member)| *member))
    }

    fn add(&mut self, stream: u32, member: u32) {
        match &mut self.members {
            GroupMembers::One { stream: first_stream, member: first } => {
                let both = BTreeSet::from([(*first_stream, *first), (stream, member)]);
                self.members = GroupMembers::Many(Box::new(both));
            }
            GroupMembers::Many(members) => drop(members.insert((stream, member))),
        }
    }

    /// Returns whether anybody is left.
    fn take_out(&mut self, stream: u32, member: u32) -> bool {
        match &mut self.members {
            GroupMembers::One { member: only, .. } => *only != member,
            GroupMembers::Many(members) => {
                members.remove(&(stream, member));
                !members.is_empty()
            }
        }
    }
}

impl Engine {
    pub(super) fn register(&mut self, stream: u32, watch: WatchId, spec: WatchSpec) {
        let Some(to) = self.streams.get(stream).filter(|to| !to.gone) else { return };
        if to.watches.get(watch).is_some() {
            let refusal = Refusal::DuplicateWatchId;
            return self.push(stream, Item::Refused { watch, refusal });
        }
        self.push(stream, Item::Created { watch, head: self.head });
        let start = spec.start_revision;
        if start < self.compact_revision {
            let end = End::Compacted { compact_revision: self.compact_revision };
            return self.push(stream, Item::Ended { watches: WatchIds::one(watch), end });
        }
        let standing = self.first_standing(start);
        self.join(stream, watch, spec, standing);
    }

    fn first_standing(&self, start: u64) -> Standing {
        // While the head's own scan is out, its matcher may have passed a key before this watch was in the index. So
        // the watch is not synced before that scan is back.
        let head_moves = self.head_read.is_some() || self.head_sub > 0;
        match start.cmp(&(self.head + 1)) {
            std::cmp::Ordering::Less => Standing::Waiting(Cursor::start_of(start)),
            std::cmp::Ordering::Equal if !head_moves => Standing::SYNCED,
            _ => Standing::Future { start },
        }
    }

    fn join(&mut self, stream: u32, watch: WatchId, spec: WatchSpec, standing: Standing) {
        let found = self.find_group(&spec);
        let sibling = found.and_then(|group| self.sibling(group, stream, standing, None));
        if let Some(sibling) = sibling {
            self.adopt(sibling, watch);
            return;
        }
        let member = self.members.insert(Member {
            group: found.unwrap_or(u32::MAX),
            stream,
            ids: WatchIds::one(watch),
            standing: Standing::Future { start: u64::MAX },
        });
        match found {
            Some(group) => {
                if let Some(group) = self.groups.get_mut(group) {
                    group.add(stream, member);
                }
            }
            None => {
                let group = self.new_group(spec, stream, member);
                if let Some(member) = self.members.get_mut(member) {
                    member.group = group;
                }
            }
        }
        if let Some(to) = self.streams.get_mut(stream) {
            to.watches.insert(watch, member);
            to.unsynced += 1;
        }
        self.set_standing(member, standing);
    }

    fn find_group(&self, spec: &WatchSpec) -> Option<u32> {
        let mut found = Vec::new();
        self.index.groups_of(spec.ranges.as_slice().first()?, &mut found);
        found.into_iter().map(|GroupId(group)| group).find(|&group| {
            let same = |group: &Group| group.ranges == spec.ranges && group.options == spec.options;
            self.groups.get(group).is_some_and(same)
        })
    }

    fn new_group(&mut self, spec: WatchSpec, stream: u32, member: u32) -> u32 {
        let options = spec.options;
        let members = GroupMembers::One { stream, member };
        let group = self.groups.insert(Group { ranges: spec.ranges.clone(), options, members });
        for range in spec.ranges.as_slice() {
            self.index.insert(range, GroupId(group));
        }
        if options != GroupOptions::default() {
            Arc::make_mut(&mut self.options).insert(GroupId(group), options);
        }
        if options.prev_kv {
            self.prev_groups += 1;
            // What is kept was published before anybody asked for `prev_kv` of these keys, so it is read again.
            self.recent.clear();
        }
        if let Some(read) = &mut self.head_read {
            read.newcomers.insert(group);
        }
        group
    }

    fn remove_group(&mut self, group: u32) {
        let Some(gone) = self.groups.remove(group) else { return };
        for range in gone.ranges.as_slice() {
            self.index.remove(range, GroupId(group));
        }
        if gone.options != GroupOptions::default() {
            Arc::make_mut(&mut self.options).remove(&GroupId(group));
        }
        self.prev_groups -= usize::from(gone.options.prev_kv);
        for (_, scan) in self.scans.iter_mut() {
            scan.forget_group(group);
        }
        self.kept.forget_group(group);
    }

    /// Another member of the group on the same stream that is owed the same.
    fn sibling(&self, group: u32, stream: u32, standing: Standing, not: Option<u32>) -> Option<u32> {
        let is_sibling = |member: &u32| {
            #[cfg(test)]
            self.looks.set(self.looks.get() + 1);
            let joins = |member: &Member| member.standing.joins(standing);
            Some(*member) != not && self.members.get(*member).is_some_and(joins)
        };
        match standing {
            Standing::Waiting(cursor) => self.waiting.beside(stream, group, cursor.next).find(is_sibling),
            Standing::Future { start } => {
                let at = |member| (start, group, stream, member);
                self.future.range(at(0)..=at(u32::MAX)).map(|(.., member)| *member).find(is_sibling)
            }
            // Who is synced joins the one that is, which mostly was here first.
            Standing::Synced { .. } | Standing::Riding { .. } => {
                self.groups.get(group)?.members_on(stream).find(is_sibling)
            }
        }
    }

    fn adopt(&mut self, member: u32, watch: WatchId) {
        let Some(owner) = self.members.get_mut(member) else { return };
        owner.ids.insert(watch);
        if let Some(to) = self.streams.get_mut(owner.stream) {
            to.watches.insert(watch, member);
        }
    }

    /// Makes one member of two that are owed the same, if there is such a sibling. The smaller set of ids moves.
    pub(super) fn merge(&mut self, member: u32) {
        let Some(this) = self.members.get(member) else { return };
        let Some(other) = self.sibling(this.group, this.stream, this.standing, Some(member)) else { return };
        let Some(that) = self.members.get(other) else { return };
        debug_assert!(this.standing.joins(that.standing), "siblings are owed the same");
        self.unite(member, other);
    }

    /// Makes one member of two of one group and stream, which must be owed the same, and returns its name. The smaller
    /// set of ids moves.
    pub(super) fn unite(&mut self, one: u32, other: u32) -> u32 {
        let ids_of = |name: u32| self.members.get(name).map(|member| &member.ids);
        let (Some(first), Some(second)) = (ids_of(one), ids_of(other)) else { return other };
        let one_is_small = first.len() <= second.len();
        let ids = if one_is_small { first.clone() } else { second.clone() };
        let (small, large) = if one_is_small { (one, other) } else { (other, one) };
        for watch in ids.iter() {
            self.adopt(large, watch);
        }
        self.remove_member(small);
        large
    }

    /// Takes the member out of everything. Its watch ids must already be gone from the stream, or belong to another.
    pub(super) fn remove_member(&mut self, member: u32) {
        self.leave_standing(member);
        let Some(gone) = self.members.remove(member) else { return };
        if let Some(to) = self.streams.get_mut(gone.stream).filter(|_| !gone.standing.is_synced()) {
            to.unsynced -= 1;
        }
        let left = self.groups.get_mut(gone.group).is_some_and(|group| group.take_out(gone.stream, member));
        if !left {
            self.remove_group(gone.group);
        }
        self.progress_may_be_due(gone.stream);
    }
}

impl Stream {
    pub(crate) fn watches(&self) -> impl Iterator<Item = (WatchId, u32)> + '_ {
        self.watches.iter()
    }

    pub(crate) fn member_of(&self, watch: WatchId) -> Option<u32> {
        self.watches.get(watch)
    }
}
