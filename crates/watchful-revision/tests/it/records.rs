//! Records: what goes in comes out, damage is found, and the bytes are these.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use prost::Message;
use watchful_revision::{
    KeyValue, LeaseId, Put, RECORD_HEADER_LEN, Record, RecordKind, RecordRef, Revision, encode_put,
    encode_tombstone,
};

#[derive(Clone, Debug)]
enum Content {
    Put { key: Vec<u8>, value: Vec<u8>, create_revision: u64, version: u64, lease: LeaseId },
    Tombstone { key: Vec<u8> },
}

impl Content {
    fn encode(&self, revision: Revision) -> Vec<u8> {
        // After something else, as a buffer of many records is written.
        let mut out = b"before".to_vec();
        match self {
            Self::Put { key, value, create_revision, version, lease } => {
                let (create_revision, version, lease) = (*create_revision, *version, *lease);
                encode_put(revision, &Put { key, value, create_revision, version, lease }, &mut out)
            }
            Self::Tombstone { key } => encode_tombstone(revision, key, &mut out),
        }
        .expect("it is far from 4 GiB");
        out.split_off(b"before".len())
    }

    fn kind(&self) -> RecordKind {
        match self {
            Self::Put { .. } => RecordKind::Put,
            Self::Tombstone { .. } => RecordKind::Tombstone,
        }
    }

    fn key_value(&self, revision: Revision) -> KeyValue {
        let mod_revision = revision.main;
        match self.clone() {
            Self::Put { key, value, create_revision, version, lease } => {
                let (key, value) = (key.into(), value.into());
                KeyValue { key, create_revision, mod_revision, version, value, lease }
            }
            Self::Tombstone { key } => KeyValue { key: key.into(), mod_revision, ..KeyValue::default() },
        }
    }
}

fn arb_number() -> impl Strategy<Value = u64> {
    prop_oneof![0..3_u64, 126..130_u64, Just(u64::MAX), any::<u64>()]
}

fn arb_revision() -> impl Strategy<Value = Revision> {
    (arb_number(), any::<u32>()).prop_map(|(main, sub)| Revision::new(main, sub))
}

fn arb_key() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![4 => vec(any::<u8>(), 1..20), 1 => vec(any::<u8>(), 120..300)]
}

fn arb_content() -> impl Strategy<Value = Content> {
    let value = prop_oneof![Just(Vec::new()), vec(any::<u8>(), 1..20), vec(any::<u8>(), 120..300)];
    let lease = prop_oneof![Just(0), Just(-1), Just(LeaseId::MIN), Just(LeaseId::MAX), any::<LeaseId>()];
    let put = (arb_key(), value, arb_number(), arb_number(), lease).prop_map(
        |(key, value, create_revision, version, lease)| Content::Put {
            key,
            value,
            create_revision,
            version,
            lease,
        },
    );
    prop_oneof![3 => put, 1 => arb_key().prop_map(|key| Content::Tombstone { key })]
}

fn check_refused(revision: Revision, bytes: &[u8], what: &str) {
    assert!(RecordRef::parse(revision, bytes).is_err(), "{what}: taken by the view");
    let error = Record::parse(revision, Bytes::copy_from_slice(bytes)).expect_err(what);
    assert_eq!(error.revision, revision);
    assert!(error.to_string().contains("damaged"), "{error}");
}

proptest! {
    #[test]
    fn what_goes_in_comes_out(content in arb_content(), revision in arb_revision()) {
        let bytes = content.encode(revision);
        let record = Record::parse(revision, bytes.clone().into()).unwrap();
        let expected = content.key_value(revision);
        prop_assert_eq!(record.kind(), content.kind());
        prop_assert_eq!((record.revision(), record.mod_revision()), (revision, revision.main));
        prop_assert_eq!((record.key(), record.value()), (&expected.key[..], &expected.value[..]));
        prop_assert_eq!(record.create_revision(), expected.create_revision);
        prop_assert_eq!((record.version(), record.lease()), (expected.version, expected.lease));
        prop_assert_eq!(record.value_bytes(), &expected.value);
        prop_assert_eq!((record.encoded_len(), &record.bytes()[..]), (bytes.len(), &bytes[..]));
        prop_assert_eq!(record.to_key_value(), expected);
        prop_assert_eq!(record.copy_out(), record);
    }

    /// The message is prost's, byte for byte, so it can go over the wire as it is.
    #[test]
    fn the_message_is_as_prost_encodes_it(content in arb_content(), revision in arb_revision()) {
        let record = Record::parse(revision, content.encode(revision).into()).unwrap();
        prop_assert_eq!(&record.key_value_bytes()[..], content.key_value(revision).encode_to_vec());
    }

    #[test]
    fn the_view_says_what_the_record_says(content in arb_content(), revision in arb_revision()) {
        let bytes = content.encode(revision);
        let view = RecordRef::parse(revision, &bytes).unwrap();
        let expected = content.key_value(revision);
        prop_assert_eq!((view.revision(), view.kind(), view.bytes()), (revision, content.kind(), &bytes[..]));
        prop_assert_eq!((view.key(), view.lease()), (&expected.key[..], expected.lease));
        let all = view.key_value().unwrap();
        prop_assert_eq!((all.key, all.value), (&expected.key[..], &expected.value[..]));
        prop_assert_eq!((all.create_revision, all.mod_revision), (expected.create_revision, revision.main));
        prop_assert_eq!((all.version, all.lease), (expected.version, expected.lease));
    }

    #[test]
    fn every_damaged_bit_is_found(content in arb_content(), revision in arb_revision()) {
        let mut bytes = content.encode(revision);
        for bit in (0..bytes.len() * 8).step_by(if cfg!(miri) { 29 } else { 1 }) {
            bytes[bit / 8] ^= 1 << (bit % 8);
            check_refused(revision, &bytes, &format!("bit {bit} flipped"));
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
    }

    #[test]
    fn a_record_cut_short_or_made_longer_is_found(content in arb_content(), revision in arb_revision(), more in any::<u8>()) {
        let bytes = content.encode(revision);
        for len in 0..bytes.len() {
            check_refused(revision, &bytes[..len], &format!("cut to {len}"));
        }
        check_refused(revision, &[&bytes[..], &[more]].concat(), "a byte more");
    }

    #[test]
    fn a_record_under_another_revision_is_found(content in arb_content(), a in arb_revision(), b in arb_revision()) {
        prop_assume!(a != b);
        check_refused(b, &content.encode(a), "moved");
    }

    #[test]
    fn arbitrary_bytes_are_no_record(bytes in vec(any::<u8>(), 0..60), revision in arb_revision()) {
        check_refused(revision, &bytes, "arbitrary");
    }

    /// A right checksum over a wrong message: no disk does this, a faulty program could.
    #[test]
    fn a_sealed_message_that_is_wrong_never_panics(
        content in arb_content(),
        revision in arb_revision(),
        changes in vec((any::<Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = content.encode(revision);
        for (place, byte) in changes {
            let place = 8 + place.index(bytes.len() - 8);
            bytes[place] = byte;
        }
        seal(revision, &mut bytes);
        let record = Record::parse(revision, bytes.clone().into());
        let as_prost = KeyValue::decode(&bytes[RECORD_HEADER_LEN..]);
        if let Ok(record) = record {
            prop_assert_eq!(record.to_key_value(), as_prost.unwrap());
        }
    }
}

/// The checksum as the format has it, written a second time.
fn seal(revision: Revision, record: &mut [u8]) {
    let covered = [&revision.to_bytes()[..], &record[..4], &record[8..]].concat();
    record[4..8].copy_from_slice(&crc32c::crc32c(&covered).to_be_bytes());
}

/// By protobuf's rules the last of two keys counts, and a match looks at the first alone; so there must not be two.
#[test]
fn a_second_key_is_refused() {
    let revision = Revision::new(7, 1);
    let mut bytes = Content::Tombstone { key: b"k".to_vec() }.encode(revision);
    bytes.extend_from_slice(&[1 << 3 | 2, 1, b'x']);
    seal(revision, &mut bytes);
    let view = RecordRef::parse(revision, &bytes).unwrap();
    assert!(view.key_value().is_err());
    assert!(Record::parse(revision, bytes.into()).is_err());
}

#[test]
fn the_checksum_covers_what_the_front_page_says() {
    let revision = Revision::new(7, 1);
    let bytes = Content::Tombstone { key: b"k".to_vec() }.encode(revision);
    let mut sealed = bytes.clone();
    seal(revision, &mut sealed);
    assert_eq!(sealed, bytes);
}

/// Of key `app/web` at revision 4660.5 (0x1234): value `v1`, created at 300, version 3, lease -2.
#[rustfmt::skip]
const GOLDEN_PUT: &[&str] = &[
    "01", // format
    "01", // kind
    "0000", // reserved
    "a7eead7a", // CRC-32C
    "fffffffffffffffe", // lease
    "0a07", // field 1, 7 bytes
    "6170702f776562", // app/web
    "10ac02", // create_revision 300
    "18b424", // mod_revision 0x1234
    "2003", // version 3
    "2a027631", // value v1
    "30feffffffffffffffff01", // lease -2
];

/// Of key `app/web` at revision 4661.0 (0x1235).
#[rustfmt::skip]
const GOLDEN_TOMBSTONE: &[&str] = &[
    "01", // format
    "02", // kind
    "0000", // reserved
    "cb062c61", // CRC-32C
    "0000000000000000", // lease
    "0a07", // field 1, 7 bytes
    "6170702f776562", // app/web
    "18b524", // mod_revision 0x1235
];

/// The bytes of stores that exist: when one of these changes, [`RECORD_FORMAT`](watchful_revision::RECORD_FORMAT) must.
fn check_golden(golden: &[&str], revision: Revision, content: &Content) {
    let bytes = content.encode(revision);
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, golden.concat());
    let record = Record::parse(revision, bytes.into()).expect("these bytes were written by encode");
    assert_eq!(record.to_key_value(), content.key_value(revision));
}

#[test]
fn the_bytes_of_a_put_stay_as_they_are() {
    let (key, value) = (b"app/web".to_vec(), b"v1".to_vec());
    let content = Content::Put { key, value, create_revision: 300, version: 3, lease: -2 };
    check_golden(GOLDEN_PUT, Revision::new(0x1234, 5), &content);
}

#[test]
fn the_bytes_of_a_tombstone_stay_as_they_are() {
    let content = Content::Tombstone { key: b"app/web".to_vec() };
    check_golden(GOLDEN_TOMBSTONE, Revision::new(0x1235, 0), &content);
}

#[test]
fn a_page_of_zeroes_and_an_empty_key_are_no_records() {
    check_refused(Revision::new(2, 0), &[0; 4096], "zeroes");
    let mut bytes = Vec::new();
    encode_tombstone(Revision::new(2, 0), b"", &mut bytes).unwrap();
    check_refused(Revision::new(2, 0), &bytes, "no key");
}
