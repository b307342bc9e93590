//! Records: what goes in comes out, whatever is changed in it is found, and a faulty program's record never panics.

use arbitrary::{Arbitrary, Unstructured};
use bytes::Bytes;
use prost::Message;
use watchful_revision::{
    KeyValue, LeaseId, Put, RECORD_HEADER_LEN, Record, RecordKind, RecordRef, Revision, encode_put,
    encode_tombstone,
};

#[derive(Arbitrary, Debug)]
enum Case {
    /// A record as it is written, and then with one thing about it changed.
    Written { main: u64, sub: u32, content: Content, damage: Damage },
    /// A header and a message of any bytes, under the checksum that belongs to them: no disk does this, a faulty program could.
    Sealed { main: u64, sub: u32, bytes: Vec<u8> },
    /// Any bytes.
    Loose { main: u64, sub: u32, bytes: Vec<u8> },
}

#[derive(Arbitrary, Debug)]
enum Content {
    Put { key: Vec<u8>, value: Vec<u8>, create_revision: u64, version: u64, lease: LeaseId },
    Tombstone { key: Vec<u8> },
}

#[derive(Arbitrary, Debug)]
enum Damage {
    Change { at: usize, by: u8 },
    Cut { at: usize },
    Longer { byte: u8 },
    OtherRevision { main: u64, sub: u32 },
}

pub(crate) fn run(input: &[u8]) {
    let Ok(case) = Case::arbitrary_take_rest(Unstructured::new(input)) else { return };
    match case {
        Case::Written { main, sub, content, damage } => {
            let revision = Revision::new(main, sub);
            let Some(bytes) = written(revision, &content) else { return };
            check_whole(revision, &content, &bytes);
            check_damaged(revision, bytes, &damage);
        }
        Case::Sealed { main, sub, mut bytes } if bytes.len() >= RECORD_HEADER_LEN => {
            let revision = Revision::new(main, sub);
            seal(revision, &mut bytes);
            check_any(revision, &bytes);
        }
        Case::Sealed { main, sub, bytes } | Case::Loose { main, sub, bytes } => {
            check_any(Revision::new(main, sub), &bytes);
        }
    }
}

/// None where there is no key.
fn written(revision: Revision, content: &Content) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    match content {
        Content::Put { key, .. } | Content::Tombstone { key } if key.is_empty() => return None,
        Content::Put { key, value, create_revision, version, lease } => {
            let (create_revision, version, lease) = (*create_revision, *version, *lease);
            encode_put(revision, &Put { key, value, create_revision, version, lease }, &mut out)
        }
        Content::Tombstone { key } => encode_tombstone(revision, key, &mut out),
    }
    .unwrap();
    Some(out)
}

fn check_whole(revision: Revision, content: &Content, bytes: &[u8]) {
    let record = Record::parse(revision, Bytes::copy_from_slice(bytes)).unwrap();
    let (kind, expected) = match content {
        Content::Tombstone { key } => {
            let key = key.clone().into();
            (RecordKind::Tombstone, KeyValue { key, mod_revision: revision.main, ..KeyValue::default() })
        }
        Content::Put { key, value, create_revision, version, lease } => {
            let all = KeyValue {
                key: key.clone().into(),
                create_revision: *create_revision,
                mod_revision: revision.main,
                version: *version,
                value: value.clone().into(),
                lease: *lease,
            };
            (RecordKind::Put, all)
        }
    };
    assert_eq!((record.kind(), record.revision()), (kind, revision));
    assert_eq!((record.key(), record.value()), (&expected.key[..], &expected.value[..]));
    assert_eq!((record.create_revision(), record.version()), (expected.create_revision, expected.version));
    assert_eq!(record.lease(), expected.lease);
    assert_eq!(record.key_value_bytes(), expected.encode_to_vec());
    check_any(revision, bytes);
}

fn check_damaged(mut revision: Revision, mut bytes: Vec<u8>, damage: &Damage) {
    match damage {
        Damage::Change { by: 0, .. } => return,
        Damage::Change { at, by } => {
            let at = at % bytes.len();
            bytes[at] ^= by;
        }
        Damage::Cut { at } => bytes.truncate(at % bytes.len()),
        Damage::Longer { byte } => bytes.push(*byte),
        Damage::OtherRevision { main, sub } if Revision::new(*main, *sub) == revision => return,
        Damage::OtherRevision { main, sub } => revision = Revision::new(*main, *sub),
    }
    assert!(RecordRef::parse(revision, &bytes).is_err(), "{damage:?} is not seen by the view");
    let error = Record::parse(revision, bytes.into()).expect_err("damage is found");
    assert_eq!(error.revision, revision);
}

/// Whatever the bytes are: the view and the record agree, and what they take is what prost reads.
fn check_any(revision: Revision, bytes: &[u8]) {
    let view = RecordRef::parse(revision, bytes);
    let record = Record::parse(revision, Bytes::copy_from_slice(bytes));
    let Ok(record) = record else {
        assert!(
            view.is_err() || view.unwrap().key_value().is_err(),
            "the view takes what the record refuses"
        );
        return;
    };
    let view = view.unwrap();
    let all = view.key_value().unwrap();
    assert_eq!((view.kind(), view.key(), view.lease()), (record.kind(), record.key(), record.lease()));
    assert_eq!((all.key, all.value), (record.key(), record.value()));
    assert_eq!((all.create_revision, all.version), (record.create_revision(), record.version()));
    assert_eq!(record.to_key_value(), KeyValue::decode(&bytes[RECORD_HEADER_LEN..]).unwrap());
    assert_eq!(record.copy_out(), record);
}

/// The checksum as the format has it, written a second time.
fn seal(revision: Revision, record: &mut [u8]) {
    let covered = [&revision.to_bytes()[..], &record[..4], &record[8..]].concat();
    record[4..8].copy_from_slice(&crc32c::crc32c(&covered).to_be_bytes());
}
