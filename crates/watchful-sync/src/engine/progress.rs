//! "You have everything up to r."
//!
//! An answer is an item of the stream's own outbox, queued behind every event up to r, so it overtakes nothing. It is
//! given at the end of a turn only: in the middle of one, a stream may have some of a revision's events and not others.

use super::Engine;
use super::members::Standing;
use crate::{Item, StreamId, WatchIds};

impl Engine {
    /// Somebody asks how far the whole stream has come. One answer is given, for all its watches, once every one of
    /// them has started and is synced and the head is at `revision_min` at least; a question asked meanwhile joins it.
    /// A stream without watches is silent.
    pub fn ask_progress(&mut self, stream: StreamId, revision_min: u64) {
        let Some(asked) = self.streams.get_mut(stream.0) else { return };
        if asked.watches.len() == 0 {
            return;
        }
        asked.progress_asked = asked.progress_asked.max(Some(revision_min));
        self.progress_waiting.insert(stream.0);
        self.progress_may_be_due(stream.0);
    }

    /// The store's progress interval is over: every synced member that asked for it and was sent nothing in the interval
    /// hears where it stands. A full outbox hears nothing.
    pub fn progress_tick(&mut self) {
        let mut due: Vec<(u32, WatchIds)> = Vec::new();
        for (_, member) in self.members.iter_mut() {
            let Standing::Synced { sent, open: false } = &mut member.standing else { continue };
            let quiet = !std::mem::replace(sent, false);
            let notify = self.groups.get(member.group).is_some_and(|group| group.options.progress_notify);
            if quiet && notify {
                due.push((member.stream, member.ids.clone()));
            }
        }
        for (stream, watches) in due {
            if self.streams.get(stream).is_some_and(|to| to.has_room(Item::CONTROL_BYTES)) {
                self.push(stream, Item::Progress { revision: self.head, watches: Some(watches) });
            }
        }
    }

    pub(super) fn progress_may_be_due(&mut self, stream: u32) {
        if self.streams.get(stream).is_some_and(|to| to.progress_asked.is_some()) {
            self.progress_due.push(stream);
        }
    }

    /// The head moved: answers that wait for a revision may be due. Few streams wait at any time.
    pub(super) fn all_progress_may_be_due(&mut self) {
        self.progress_due.extend(&self.progress_waiting);
    }

    pub(super) fn answer_progress(&mut self) {
        let mut due = std::mem::take(&mut self.progress_due);
        due.sort_unstable();
        due.dedup();
        for stream in due {
            self.answer_one(stream);
        }
    }

    fn answer_one(&mut self, stream: u32) {
        let Some(to) = self.streams.get_mut(stream) else { return };
        let Some(revision_min) = to.progress_asked else { return };
        let is_due = to.unsynced == 0 && self.head >= revision_min && self.head_sub == 0;
        if to.watches.len() == 0 {
            to.progress_asked = None;
            self.progress_waiting.remove(&stream);
        } else if is_due && !to.has_room(Item::CONTROL_BYTES) {
            self.block(stream);
        } else if is_due {
            to.progress_asked = None;
            self.progress_waiting.remove(&stream);
            self.push(stream, Item::Progress { revision: self.head, watches: None });
        }
    }
}
