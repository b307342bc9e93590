//! What a watch is owed: the little that has to be known of watching in order to know when to compare.
//!
//! It counts, and it judges nothing: that the two servers deliver the same is compared, and not whether it is this.

use watchful_wire::etcdserverpb::WatchCreateRequest;
use watchful_wire::etcdserverpb::watch_create_request::FilterType;
use watchful_wire::mvccpb::Event;
use watchful_wire::mvccpb::event::EventType;

use crate::answer::{Answer, Delivery};

/// One change, as the watch of everything told it.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    revision: i64,
    key: Vec<u8>,
    delete: bool,
}

impl Change {
    /// Whether a watch from `revision` on is given it, whatever was compacted.
    pub(crate) fn is_kept_from(&self, revision: i64, compact_revision: i64) -> bool {
        self.revision >= revision && (revision > compact_revision || !self.delete)
    }

    pub(crate) fn of(event: &Event) -> Self {
        let (revision, key) =
            event.kv.as_ref().map_or((0, Vec::new()), |kv| (kv.mod_revision(), kv.key().to_vec()));
        Self { revision, key, delete: event.r#type() == EventType::Delete }
    }
}

/// A watch that both servers have.
#[derive(Clone, Debug)]
pub(crate) struct Watched {
    pub(crate) stream: usize,
    pub(crate) watch_id: i64,
    pub(crate) create: WatchCreateRequest,
    /// Where the store was compacted when the watch was made.
    pub(crate) compact_revision: i64,
    pub(crate) open: bool,
    /// What the id had been given on each server before, and what it was given without having to be.
    pub(crate) before: [usize; 2],
    /// Events and a cancellation, since it was made.
    owed: usize,
    /// The first change that it was not asked about yet.
    next: usize,
    start: i64,
}

impl Watched {
    /// A watch that was made at `current_revision`. One that starts below the compact revision is owed a cancellation,
    /// and nothing else.
    pub(crate) fn new(
        (stream, watch_id): (usize, i64),
        create: WatchCreateRequest,
        (current_revision, compact_revision): (i64, i64),
        before: [usize; 2],
    ) -> Self {
        let start = if create.start_revision == 0 { current_revision + 1 } else { create.start_revision };
        let compacted = start < compact_revision;
        let (open, owed) = (!compacted, usize::from(compacted));
        Self { stream, watch_id, create, compact_revision, open, before, owed, next: 0, start }
    }

    /// Whether it waits for a revision that is not there yet, and the next one is not enough.
    pub(crate) fn waits_beyond(&self, current_revision: i64) -> bool {
        self.start > current_revision + 1
    }

    /// Whether it was owed some of the past when it was made at `current_revision`, but none of it was for it: nothing
    /// it is given tells when it has caught up.
    pub(crate) fn catches_up_silently(&self, current_revision: i64) -> bool {
        self.open && self.owed == 0 && self.start <= current_revision
    }

    /// How much it has to have been given, once the changes are `history`.
    pub(crate) fn owed(&mut self, history: &[Change]) -> usize {
        if self.open {
            let fresh = &history[self.next..];
            self.owed += fresh.iter().filter(|change| self.is_owed(change)).count();
            self.next = history.len();
        }
        self.owed
    }

    /// Whether the event is one that is not waited for: etcd 3.4.23 has forgotten the tombstones at the compact
    /// revision, once the compaction is done.
    pub(crate) fn is_forgettable(&self, delivery: &Delivery) -> bool {
        matches!(delivery, Delivery::Event { event, .. } if self.may_be_forgotten(&Change::of(event)))
    }

    /// Those that were given all the same are not part of what it is owed from now on.
    pub(crate) fn note_forgettable(&mut self, taken: &[Answer; 2]) {
        for (at, answer) in taken.iter().enumerate() {
            if let Answer::Delivered(delivered) = answer {
                self.before[at] += delivered.iter().filter(|delivery| self.is_forgettable(delivery)).count();
            }
        }
    }

    fn may_be_forgotten(&self, change: &Change) -> bool {
        change.delete && change.revision == self.compact_revision
    }

    fn is_owed(&self, change: &Change) -> bool {
        let filtered = if change.delete { FilterType::Nodelete } else { FilterType::Noput };
        change.revision >= self.start
            && !self.may_be_forgotten(change)
            && !self.create.filters.contains(&(filtered as i32))
            && self.is_in_range(&change.key)
    }

    fn is_in_range(&self, key: &[u8]) -> bool {
        let from: &[u8] = if self.create.key.is_empty() { b"\0" } else { &self.create.key };
        match self.create.range_end.as_ref() {
            b"" => key == from,
            b"\0" => key >= from,
            end => from <= key && key < end,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(revision: i64, key: &str, delete: bool) -> Change {
        Change { revision, key: key.into(), delete }
    }

    fn owed(create: WatchCreateRequest, current: i64, compact: i64, history: &[Change]) -> usize {
        Watched::new((1, 0), create, (current, compact), [0, 0]).owed(history)
    }

    #[test]
    fn a_watch_is_owed_what_is_in_its_range_from_its_start_on() {
        let history =
            [change(2, "a", false), change(3, "b", false), change(4, "a", true), change(5, "c", false)];
        let create = |key: &'static str, range_end: &'static str, start_revision| WatchCreateRequest {
            key: key.into(),
            range_end: range_end.into(),
            start_revision,
            ..Default::default()
        };
        assert_eq!(owed(create("a", "", 1), 5, 0, &history), 2);
        assert_eq!(owed(create("a", "c", 3), 5, 0, &history), 2);
        assert_eq!(owed(create("", "\0", 1), 5, 0, &history), 4);
        assert_eq!(owed(create("", "\0", 0), 4, 0, &history), 1);
        let filtered = WatchCreateRequest { filters: vec![FilterType::Noput as i32], ..create("a", "c", 2) };
        assert_eq!(owed(filtered, 5, 0, &history), 1);
    }

    #[test]
    fn a_watch_from_below_the_compact_revision_is_owed_its_end() {
        let create = WatchCreateRequest { key: "a".into(), start_revision: 2, ..Default::default() };
        assert_eq!(owed(create, 9, 3, &[change(4, "a", false)]), 1);
    }

    #[test]
    fn changes_are_counted_once() {
        let create = WatchCreateRequest { key: "a".into(), ..Default::default() };
        let mut watched = Watched::new((1, 0), create, (1, 0), [0, 0]);
        let mut history = vec![change(2, "a", false)];
        assert_eq!(watched.owed(&history), 1);
        history.push(change(3, "a", false));
        assert_eq!(watched.owed(&history), 2);
    }

    #[test]
    fn a_delete_at_the_compact_revision_is_not_waited_for_and_not_counted() {
        let create = WatchCreateRequest { key: "a".into(), start_revision: 3, ..Default::default() };
        let mut watched = Watched::new((1, 0), create, (4, 3), [0, 0]);
        assert_eq!(watched.owed(&[change(3, "a", true), change(4, "a", false)]), 1);
        let event =
            |revision: i64, kind| Delivery::Event { header_revision: 4, event: event(revision, kind) };
        let (delete, put) = (event(3, EventType::Delete), event(4, EventType::Put));
        let taken = [Answer::Delivered(vec![put.clone()]), Answer::Delivered(vec![delete, put])];
        watched.note_forgettable(&taken);
        assert_eq!(watched.before, [0, 1]);
    }

    fn event(revision: i64, kind: EventType) -> Event {
        // Field 3 of a record is its `mod_revision`.
        let mut record = Vec::new();
        prost::encoding::int64::encode(3, &revision, &mut record);
        let kv = prost::Message::decode(record.as_slice()).unwrap();
        Event { r#type: kind.into(), kv: Some(kv), prev_kv: None }
    }
}
