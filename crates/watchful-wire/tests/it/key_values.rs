//! A key-value message as stored bytes and as fields: the same on the wire, and the same to read.

use proptest::prelude::*;
use prost::Message;
use watchful_wire::KeyValue;
use watchful_wire::etcdserverpb::RangeResponse;

use crate::support::content;

proptest! {
    #[test]
    fn stored_bytes_are_what_prost_writes(content in content()) {
        let (stored, fields) = (KeyValue::from(content.record()), content.key_value());
        prop_assert_eq!(stored.encode_to_vec(), fields.encode_to_vec());
        prop_assert_eq!(stored.encoded_len(), fields.encoded_len());
        prop_assert_eq!(&stored, &fields);
        prop_assert_eq!(KeyValue::decode(stored.encode_to_vec().as_slice()).unwrap(), fields);
    }

    #[test]
    fn an_answer_of_stored_bytes_is_read_field_by_field(contents in prop::collection::vec(content(), 0..20)) {
        let kvs = contents.iter().map(|content| content.record().into()).collect();
        let answer = RangeResponse { kvs, count: 7, ..RangeResponse::default() };
        let read = RangeResponse::decode(answer.encode_to_vec().as_slice()).unwrap();
        let expected: Vec<KeyValue> = contents.iter().map(|content| content.key_value()).collect();
        prop_assert_eq!(read.kvs, expected);
    }

    #[test]
    fn a_message_that_is_merged_into_stored_bytes_wins(first in content(), second in content()) {
        let mut merged = KeyValue::from(first.record());
        merged.merge(second.key_value().encode_to_vec().as_slice()).unwrap();
        let mut expected = first.key_value();
        expected.merge(second.key_value().encode_to_vec().as_slice()).unwrap();
        prop_assert_eq!(merged, expected);
    }
}
