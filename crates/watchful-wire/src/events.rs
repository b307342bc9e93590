//! Events on the wire: written from stored records, without decoding them.

use bytes::BufMut;
use prost::encoding::{encode_varint, encoded_len_varint};
use watchful_revision::{Event, EventKind, RECORD_HEADER_LEN, Record};

/// Field 11 of a watch response, bytes with their length.
const TAG_EVENTS: u8 = 11 << 3 | 2;

const TAG_TYPE: u8 = 1 << 3;
const TAG_KV: u8 = 2 << 3 | 2;
const TAG_PREV_KV: u8 = 3 << 3 | 2;
const TYPE_DELETE: u8 = 1;

/// How many bytes [`encode_events`] writes.
#[must_use]
pub fn encoded_events_len(events: &[Event]) -> usize {
    events.iter().map(|event| field_len(event_len(event))).sum()
}

/// Writes the events as the `events` of a watch response, tags and lengths included.
///
/// `events` is the last field of the response, so what this writes can be appended to a header that was encoded
/// elsewhere: that is how one encoding serves every watch of a group. Costs one copy of each record.
pub fn encode_events(events: &[Event], buf: &mut impl BufMut) {
    for event in events {
        buf.put_u8(TAG_EVENTS);
        encode_varint(event_len(event) as u64, buf);
        if event.kind() == EventKind::Delete {
            buf.put_slice(&[TAG_TYPE, TYPE_DELETE]);
        }
        put_record(TAG_KV, event.record(), buf);
        if let Some(prev) = event.prev() {
            put_record(TAG_PREV_KV, prev, buf);
        }
    }
}

fn event_len(event: &Event) -> usize {
    let kind = if event.kind() == EventKind::Delete { 2 } else { 0 };
    kind + field_len(message_len(event.record()))
        + event.prev().map_or(0, |prev| field_len(message_len(prev)))
}

/// A field of `len` bytes, with its one-byte tag and its length.
fn field_len(len: usize) -> usize {
    1 + encoded_len_varint(len as u64) + len
}

fn message_len(record: &Record) -> usize {
    record.encoded_len() - RECORD_HEADER_LEN
}

fn put_record(tag: u8, record: &Record, buf: &mut impl BufMut) {
    buf.put_u8(tag);
    encode_varint(message_len(record) as u64, buf);
    buf.put_slice(&record.bytes()[RECORD_HEADER_LEN..]);
}
