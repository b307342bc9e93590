//! Chunks that were dealt a moment ago, for those who had no room when they were read.
//!
//! Receivers of the same history that take it at almost the same pace are hardly ever ready at the same moment: some have
//! room when a chunk is read, and the others are behind for the rest of their way. Whoever has room again and waits at a place
//! that is in a kept chunk is dealt that chunk, and nothing is read.
//!
//! # Invariants
//!
//! - A kept chunk is whole revisions, none of them compacted, and was read before its end was the head.
//! - It is for the groups that were asked for and have been there ever since; none of them conflates, because what is
//!   superseded changes.
//! - No kept chunk is larger than the room that is reserved for one. (One that was read is, if its first row is.)
//! - Nothing is kept unless somebody waits.

use std::collections::VecDeque;

use hashbrown::HashSet;
use watchful_revision::Revision;

use super::Engine;
use super::dealt::Dealt;

/// The most chunks that are kept, however small they are: each is looked at once a turn.
const CHUNKS_MAX: usize = 64;

/// Who is dealt a kept chunk rides for as long as that takes, on no scan. No scan has this name.
const NO_SCAN: u32 = u32::MAX;

type Groups = HashSet<u32, foldhash::fast::RandomState>;

/// A chunk that may be dealt again.
struct KeptChunk {
    from: Revision,
    groups: Groups,
    dealt: Dealt,
}

/// The newest at the back.
#[derive(Default)]
pub(super) struct Kept {
    chunks: VecDeque<KeptChunk>,
    pub(super) bytes: usize,
}

impl std::fmt::Debug for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let places = self.chunks.iter().map(|chunk| (chunk.from, chunk.dealt.next()));
        f.debug_list().entries(places).finish()
    }
}

impl KeptChunk {
    fn holds(&self, at: Revision) -> bool {
        (self.from..self.dealt.next()).contains(&at)
    }

    fn is_for(&self, group: u32) -> bool {
        self.groups.contains(&group)
    }
}

impl Kept {
    fn push(&mut self, chunk: KeptChunk, bytes_max: usize) {
        self.bytes += chunk.dealt.charge_bytes();
        self.chunks.push_back(chunk);
        while self.bytes > bytes_max || self.chunks.len() > CHUNKS_MAX {
            let Some(oldest) = self.chunks.pop_front() else { return };
            self.bytes -= oldest.dealt.charge_bytes();
        }
    }

    /// Takes out the newest that holds the place.
    fn take(&mut self, place: Revision) -> Option<KeptChunk> {
        let index = self.chunks.iter().rposition(|chunk| chunk.holds(place))?;
        let taken = self.chunks.remove(index)?;
        self.bytes -= taken.dealt.charge_bytes();
        Some(taken)
    }

    fn retain(&mut self, stays: impl FnMut(&KeptChunk) -> bool) {
        self.chunks.retain(stays);
        self.bytes = self.chunks.iter().map(|chunk| chunk.dealt.charge_bytes()).sum();
    }

    /// The group is gone, and its name may be given to another.
    pub(super) fn forget_group(&mut self, group: u32) {
        for chunk in &mut self.chunks {
            chunk.groups.remove(&group);
        }
        self.retain(|chunk| !chunk.groups.is_empty());
    }

    /// What came before an event of revision `compact_revision` may be gone too.
    pub(super) fn forget_compacted(&mut self, compact_revision: u64) {
        self.retain(|chunk| chunk.from.main > compact_revision);
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

impl Engine {
    /// Keeps what was read for the scan, if that may be dealt again.
    pub(super) fn keep(&mut self, name: u32, from: Revision, mut dealt: Dealt) {
        let Some(scan) = self.scans.get(name) else { return };
        let too_large = dealt.charge_bytes() > self.settings.chunk_bytes_max;
        let compacted = from.main <= self.compact_revision;
        if too_large || compacted || from.sub > 0 || dealt.next().sub > 0 || scan.conflates() {
            return;
        }
        let groups: Groups = scan.groups().collect();
        dealt.forget_parts(from);
        if !groups.is_empty() {
            self.kept.push(KeptChunk { from, groups, dealt }, self.settings.kept_bytes_max);
        }
    }

    /// Deals kept chunks to those in line who wait in one, the rearmost first. Nothing is read for them, so they need no
    /// turn of a scan, and those that have fallen behind the others come up to them.
    pub(super) fn deal_kept(&mut self) {
        let mut places: Vec<(Revision, Revision)> =
            self.kept.chunks.iter().map(|kept| (kept.from, kept.dealt.next())).collect();
        places.sort_unstable();
        for (from, next) in places {
            if let Some(rearmost) = self.waiting.rearmost(from, next.main - 1) {
                self.deal_again(rearmost);
            }
        }
    }

    /// Deals the chunk that holds the place to those in line from there to its end, unless one of them waits for
    /// something that was not asked for: then all of them are better served by one read.
    fn deal_again(&mut self, place: Revision) {
        let Some(mut kept) = self.kept.take(place) else { return };
        let last = Revision::new(kept.dealt.next().main - 1, u32::MAX);
        let in_line = || self.waiting.in_line(place, last).map(|(_, member)| member);
        let is_owed = |member| self.members.get(member).is_some_and(|member| kept.is_for(member.group));
        if in_line().all(is_owed) {
            let passed: Vec<u32> = in_line().collect();
            self.deal_to(&passed, &mut kept);
        }
        self.kept.push(kept, self.settings.kept_bytes_max);
    }

    fn deal_to(&mut self, passed: &[u32], kept: &mut KeptChunk) {
        self.reads_asked += 1;
        let (riders, reserved) = self.let_all_ride(passed, NO_SCAN);
        self.release(&reserved);
        kept.dealt.move_head(self.head);
        self.deal_all(&riders, NO_SCAN, &mut kept.dealt);
        kept.dealt.forget_parts(kept.from);
        self.dismount(NO_SCAN, &riders, kept.dealt.next());
        self.room_is_back(&reserved);
    }
}
