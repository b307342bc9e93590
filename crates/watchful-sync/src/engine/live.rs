//! A published batch on its way to those who await it, and the head, which is the cursor that all synced members share.
//!
//! A batch is built once a group and queued once a member. With one event and one group that is all there is, however
//! many watches the member has.

use std::sync::Arc;

use watchful_revision::Revision;
use watchful_watcher_index::{GroupId, WatcherIndex};

use super::members::{Cursor, Standing};
use super::{Engine, HeadRead, Work};
use crate::spec::GroupOptions;
use crate::{Batch, Item, Matcher, Published, ReadRequest, ScanId};

/// A slice that would keep a buffer alive that is this many times larger is copied out of it.
const PINNED_RATIO_MAX: usize = 4;

/// Buffers below this many bytes may be pinned by anything.
const PINNED_BYTES_MIN: usize = 16 << 10;

/// Which members a published batch is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Audience {
    Synced,
    Riding { scan: u32 },
}

/// Batches of the whole transaction, which groups with the same options share.
#[derive(Default)]
struct WholeBatches {
    plain: Option<Arc<Batch>>,
    with_prev: Option<Arc<Batch>>,
}

impl Engine {
    /// Whether a group that watches `key` asked for `prev_kv`, so that whoever publishes need look it up for them only.
    #[must_use]
    pub fn wants_prev(&self, key: &[u8]) -> bool {
        if self.prev_groups == 0 {
            return false;
        }
        let mut groups = Vec::new();
        self.index.stab(key, &mut groups);
        groups.iter().any(|group| self.options.get(group).is_some_and(|options| options.prev_kv))
    }

    /// Whether anybody is registered. Where nobody is, nothing published need be kept for the engine.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.members.len() == 0
    }

    /// The next revision after the head goes out to all synced members.
    pub(super) fn hand_out(&mut self, batch: &Published) {
        self.head = batch.revision();
        self.deliver_published(batch, Audience::Synced);
        self.advance_head(batch.revision());
    }

    /// Without a synced member there is nobody to hand anything out to, and the head may as well be at the end.
    pub(super) fn skip_ahead(&mut self) {
        if self.synced == 0 && self.head_read.is_none() && self.head < self.published {
            self.head_sub = 0;
            self.advance_head(self.published);
        }
    }

    /// Brings the head to the newest revision: by what was kept, by nothing where nobody waits, or by a read.
    pub(super) fn move_head(&mut self) {
        if self.head_read.is_some() {
            return;
        }
        self.skip_ahead();
        if self.head_sub == 0 {
            while let Some(kept) =
                self.recent.all_of(self.head + 1, self.head + 1).and_then(|mut one| one.pop())
            {
                self.hand_out(&kept);
            }
        }
        if self.head < self.published {
            self.read_for_head();
        } else if self.reads_out == 0 {
            self.recent.forget_up_to(self.head);
        }
    }

    fn read_for_head(&mut self) {
        self.head_read = Some(HeadRead::default());
        self.reads_out += 1;
        self.reads_asked += 1;
        self.work.push(Work::Read(ReadRequest {
            scan: ScanId::Head,
            from: self.head_next(),
            to: self.published,
            bytes_max: self.settings.chunk_bytes_max,
            revisions_max: self.settings.chunk_revisions_max,
            matcher: Matcher { index: Arc::clone(&self.index), options: Arc::clone(&self.options) },
        }));
    }

    /// The first row that synced members are owed.
    pub(super) fn head_next(&self) -> Revision {
        Revision::new(self.head + 1, self.head_sub)
    }

    /// Everything up to `head` has been handed out: those who waited for it come in. In the middle of a revision nobody
    /// does, for its first part is gone.
    pub(super) fn advance_head(&mut self, head: u64) {
        self.head = head;
        let last = (head + 1, u32::MAX, u32::MAX, u32::MAX);
        let due: Vec<(u64, u32)> =
            self.future.range(..=last).map(|(start, .., member)| (*start, *member)).collect();
        for (start, member) in due {
            if start <= head {
                self.owe(member, Cursor::start_of(start));
            } else if self.head_sub == 0 {
                self.become_synced(member, false);
            }
        }
        self.all_progress_may_be_due();
    }

    pub(super) fn deliver_published(&mut self, batch: &Published, audience: Audience) {
        let index = match audience {
            Audience::Synced => Arc::clone(&self.index),
            Audience::Riding { scan } => match self.scans.get(scan) {
                Some(scan) => scan.index(),
                None => return,
            },
        };
        let mut whole = WholeBatches::default();
        for picked in picks(&index, batch).chunk_by(|a, b| a.0 == b.0) {
            self.deliver_picked(batch, picked, audience, &mut whole);
        }
    }

    fn deliver_picked(
        &mut self,
        batch: &Published,
        picked: &[(GroupId, u32)],
        audience: Audience,
        whole: &mut WholeBatches,
    ) {
        let GroupId(group) = picked[0].0;
        let Some(found) = self.groups.get(group) else { return };
        let Some(built) = build(batch, picked, found.options, whole) else { return };
        let too_large = built.charge_bytes() > self.settings.chunk_bytes_max;
        let members: Vec<u32> = found.members().collect();
        for member in members {
            if !self.is_in(member, audience) {
            } else if too_large {
                // It goes out in fragments, read back from history, so that no outbox must hold it whole.
                self.owe(member, Cursor::start_of(batch.revision()));
            } else {
                self.deliver(member, &built, Cursor::start_of(batch.revision()));
            }
        }
    }

    fn is_in(&self, member: u32, audience: Audience) -> bool {
        match (self.members.get(member).map(|member| member.standing), audience) {
            (Some(Standing::Synced { .. }), Audience::Synced) => true,
            (Some(Standing::Riding { scan: on, .. }), Audience::Riding { scan }) => on == scan,
            _ => false,
        }
    }

    /// Queues the batch for the member, or leaves its cursor where the batch begins.
    pub(super) fn deliver(&mut self, member: u32, batch: &Arc<Batch>, cursor: Cursor) {
        let Some(this) = self.members.get_mut(member) else { return };
        let stream = this.stream;
        if !self.streams.get(stream).is_some_and(|to| to.has_room(batch.charge_bytes())) {
            return self.fall_behind(member, cursor);
        }
        if let Standing::Synced { sent, .. } = &mut this.standing {
            *sent = true;
        }
        let item = Item::Events { batch: Arc::clone(batch), watches: this.ids.clone() };
        self.push(stream, item);
    }
}

/// Which group wants which event: sorted by group, and within a group in the order of events.
fn picks(index: &WatcherIndex, batch: &Published) -> Vec<(GroupId, u32)> {
    let (mut picked, mut groups) = (Vec::new(), Vec::new());
    for (at, event) in (0_u32..).zip(batch.events()) {
        groups.clear();
        index.stab(event.key(), &mut groups);
        picked.extend(groups.iter().map(|group| (*group, at)));
    }
    picked.sort_unstable();
    picked
}

/// The group's batch; none where its filter leaves nothing.
fn build(
    batch: &Published,
    picked: &[(GroupId, u32)],
    options: GroupOptions,
    whole: &mut WholeBatches,
) -> Option<Arc<Batch>> {
    let mut events: Vec<_> = picked
        .iter()
        .map(|(_, at)| &batch.events()[*at as usize])
        .filter(|event| options.filter.takes(event.kind()))
        .collect();
    if events.len() == batch.events().len() {
        let shared = if options.prev_kv { &mut whole.with_prev } else { &mut whole.plain };
        let built = shared.get_or_insert_with(|| Arc::new(own(&events, options, batch.revision(), false)));
        return Some(Arc::clone(built));
    }
    let bytes: usize = events.iter().map(|event| event.record().encoded_len()).sum();
    let copy_out = pins_too_much(bytes, batch.charge_bytes());
    let events = std::mem::take(&mut events);
    (!events.is_empty()).then(|| Arc::new(own(&events, options, batch.revision(), copy_out)))
}

pub(super) fn own(
    events: &[&watchful_revision::Event],
    options: GroupOptions,
    head: u64,
    copy_out: bool,
) -> Batch {
    let own_event = |event: &&watchful_revision::Event| {
        let event = if options.prev_kv { (*event).clone() } else { event.without_prev() };
        if copy_out { event.copy_out() } else { event }
    };
    Batch::new(events.iter().map(own_event).collect(), head)
}

/// Whether slices of `bytes` in all would keep a buffer of `buffer_bytes` alive for too little.
pub(super) fn pins_too_much(bytes: usize, buffer_bytes: usize) -> bool {
    buffer_bytes >= PINNED_BYTES_MIN && bytes < buffer_bytes / PINNED_RATIO_MAX
}
