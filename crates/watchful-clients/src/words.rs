//! etcd's words and the testkit's: a range as a request has it, and what an answer tells.

use watchful_revision::{Event, KeyRange, Record, Revision, encode_tombstone};
use watchful_testkit::Row;
use watchful_wire::mvccpb::event::EventType;
use watchful_wire::{KeyValue, mvccpb};

/// A range as etcd has it: a key, and where it ends.
#[must_use]
pub fn bounds(range: &KeyRange) -> (Vec<u8>, Vec<u8>) {
    let start = if range.start().is_empty() { vec![0] } else { range.start().to_vec() };
    if KeyRange::key(range.start()) == *range {
        return (start, Vec::new());
    }
    (start, range.end().unwrap_or_else(|| vec![0]))
}

/// A key as an answer tells it: with the main revision of its last change alone.
#[must_use]
pub fn row_of(kv: &KeyValue) -> Row {
    row_at(Revision::start_of(kv.mod_revision().cast_unsigned()), kv)
}

/// The events of one answer. It does not tell their places in their transactions, so those of one revision are counted as they
/// come: right where the watch has all of them.
///
/// # Panics
///
/// When an event has no key.
#[must_use]
pub fn events_of(answered: &[mvccpb::Event]) -> Vec<Event> {
    let mut events: Vec<Event> = Vec::with_capacity(answered.len());
    for event in answered {
        let kv = event.kv.as_ref().expect("an event has a key");
        let first = Revision::start_of(kv.mod_revision().cast_unsigned());
        let before = events.last().map(Event::revision).filter(|before| before.main == first.main);
        let revision = before.map_or(first, |before| before.next());
        let record = match event.r#type() {
            EventType::Put => row_at(revision, kv).to_record(),
            EventType::Delete => tombstone(revision, kv.key()),
        };
        events.push(Event::new(record, event.prev_kv.as_ref().map(|prev| row_of(prev).to_record())));
    }
    events
}

fn row_at(revision: Revision, kv: &KeyValue) -> Row {
    let told = kv.view();
    Row {
        key: told.key.to_vec().into(),
        value: told.value.to_vec().into(),
        create_revision: told.create_revision,
        revision,
        version: told.version,
        lease: told.lease,
    }
}

fn tombstone(revision: Revision, key: &[u8]) -> Record {
    let mut bytes = Vec::new();
    encode_tombstone(revision, key, &mut bytes).expect("tests use small keys");
    Record::parse(revision, bytes.into()).expect("what was just encoded is a record")
}
