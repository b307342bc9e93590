//! The borrowed view of a key-value message against prost: the same bytes are accepted, and read as the same values.

use bytes::Bytes;
use prost::Message;
use watchful_revision::{KeyValue, KeyValueRef};

pub(crate) fn run(input: &[u8]) {
    let owned = KeyValue::decode(input).ok();
    let view = KeyValueRef::parse(input).ok();
    assert_eq!(view.map(to_owned), owned, "the view, then prost, of {input:02x?}");
    if let Some(owned) = owned {
        let again = owned.encode_to_vec();
        assert_eq!(KeyValueRef::parse(&again).ok().map(to_owned), Some(owned));
    }
}

fn to_owned(view: KeyValueRef<'_>) -> KeyValue {
    KeyValue {
        key: Bytes::copy_from_slice(view.key),
        create_revision: view.create_revision,
        mod_revision: view.mod_revision,
        version: view.version,
        value: Bytes::copy_from_slice(view.value),
        lease: view.lease,
    }
}
