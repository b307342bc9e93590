//! The borrowed view of a key-value message against prost: the same bytes are accepted, and read as the same values.

use prost::Message;
use watchful_revision::{KeyValue, KeyValueRef};

pub(crate) fn run(input: &[u8]) {
    let owned = KeyValue::decode(input).ok();
    let view = KeyValueRef::parse(input).ok();
    assert_eq!(view, owned.as_ref().map(KeyValueRef::from), "the view, then prost, of {input:02x?}");
    if let Some(owned) = owned {
        let again = owned.encode_to_vec();
        assert_eq!(KeyValueRef::parse(&again), Ok(KeyValueRef::from(&owned)));
    }
}
