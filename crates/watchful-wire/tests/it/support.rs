//! Records and events, arbitrary ones, and the same as prost's own messages.

use proptest::prelude::*;
use watchful_revision::{Event, Put, Record, Revision, encode_put, encode_tombstone};
use watchful_wire::{KeyValue, mvccpb};

/// A record's content. The key is never empty.
#[derive(Clone, Debug)]
pub(crate) struct Content {
    pub(crate) key: Vec<u8>,
    /// None for a tombstone.
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) revision: u64,
    pub(crate) version: u64,
    pub(crate) lease: i64,
}

pub(crate) fn content() -> impl Strategy<Value = Content> {
    let bytes = |from| prop::collection::vec(any::<u8>(), from..200);
    let number = 1..(u64::MAX >> 1);
    (bytes(1), prop::option::weighted(0.8, bytes(0)), number.clone(), number, any::<i64>())
        .prop_map(|(key, value, revision, version, lease)| Content { key, value, revision, version, lease })
}

impl Content {
    pub(crate) fn record(&self) -> Record {
        let (revision, mut bytes) = (Revision::new(self.revision, 0), Vec::new());
        match &self.value {
            Some(value) => {
                let (key, version, lease) = (&self.key[..], self.version, self.lease);
                let put = Put { key, value, create_revision: self.revision, version, lease };
                encode_put(revision, &put, &mut bytes).unwrap();
            }
            None => encode_tombstone(revision, &self.key, &mut bytes).unwrap(),
        }
        Record::parse(revision, bytes.into()).unwrap()
    }

    /// The same, field by field.
    pub(crate) fn key_value(&self) -> KeyValue {
        let is_put = self.value.is_some();
        KeyValue::from_fields(watchful_revision::KeyValue {
            key: self.key.clone().into(),
            create_revision: if is_put { self.revision } else { 0 },
            mod_revision: self.revision,
            version: if is_put { self.version } else { 0 },
            value: self.value.clone().unwrap_or_default().into(),
            lease: if is_put { self.lease } else { 0 },
        })
    }
}

/// A change, and what was there before.
pub(crate) fn change() -> impl Strategy<Value = (Content, Option<Content>)> {
    (content(), prop::option::of(content()))
}

pub(crate) fn stored(changes: &[(Content, Option<Content>)]) -> Vec<Event> {
    let event = |(now, before): &(Content, Option<Content>)| {
        Event::new(now.record(), before.as_ref().map(Content::record))
    };
    changes.iter().map(event).collect()
}

/// The same events as prost's messages.
pub(crate) fn listed(changes: &[(Content, Option<Content>)]) -> Vec<mvccpb::Event> {
    let event = |(now, before): &(Content, Option<Content>)| mvccpb::Event {
        r#type: i32::from(now.value.is_none()),
        kv: Some(now.key_value()),
        prev_kv: before.as_ref().map(Content::key_value),
    };
    changes.iter().map(event).collect()
}
