//! A change as etcd stores it: what its snapshots are made of, and what its hash of a history is over.
//!
//! The key is `main` (8 bytes), `_`, `sub` (8 bytes), both big-endian, and behind a tombstone's a `t`. The value is the
//! key-value message, which of a tombstone has the key alone.

use prost::encoding::encoded_len_varint;

use crate::{RECORD_HEADER_LEN, RecordKind, RecordRef, Revision};

/// The length of a put's key. A tombstone's has one byte more.
const KEY_LEN: usize = 17;

const SEPARATOR: u8 = b'_';
const TOMBSTONE: u8 = b't';

/// A record's key and value, as etcd stores them.
///
/// ```
/// use watchful_revision::{EtcdRow, RecordKind, RecordRef, Revision, encode_tombstone};
/// let mut record = Vec::new();
/// encode_tombstone(Revision::new(5, 1), b"a", &mut record)?;
/// let record = RecordRef::parse(Revision::new(5, 1), &record)?;
/// let row = EtcdRow::of(&record);
/// assert_eq!(row.key(), b"\0\0\0\0\0\0\0\x05_\0\0\0\0\0\0\0\x01t");
/// assert_eq!(row.value(), b"\x0a\x01a");
/// assert_eq!(EtcdRow::parse_key(row.key()), Some((Revision::new(5, 1), RecordKind::Tombstone)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct EtcdRow<'a> {
    key: [u8; KEY_LEN + 1],
    key_len: usize,
    value: &'a [u8],
}

impl<'a> EtcdRow<'a> {
    /// The row of a record. Nothing is decoded: the stored message is what etcd would have written.
    #[must_use]
    pub fn of(record: &RecordRef<'a>) -> Self {
        let message = &record.bytes()[RECORD_HEADER_LEN..];
        let (key_len, value) = match record.kind() {
            RecordKind::Put => (KEY_LEN, message),
            // Its key is the message's first field.
            RecordKind::Tombstone => (KEY_LEN + 1, &message[..key_field_len(record.key())]),
        };
        let mut key = [0; KEY_LEN + 1];
        key[..KEY_LEN].copy_from_slice(&Self::put_key(record.revision()));
        key[KEY_LEN] = TOMBSTONE;
        Self { key, key_len, value }
    }

    /// The key of a put at `revision`.
    #[must_use]
    pub fn put_key(revision: Revision) -> [u8; KEY_LEN] {
        let mut key = [SEPARATOR; KEY_LEN];
        key[..8].copy_from_slice(&revision.main.to_be_bytes());
        key[9..].copy_from_slice(&u64::from(revision.sub).to_be_bytes());
        key
    }

    /// The key.
    #[must_use]
    pub fn key(&self) -> &[u8] {
        &self.key[..self.key_len]
    }

    /// The value.
    #[must_use]
    pub fn value(&self) -> &'a [u8] {
        self.value
    }

    /// What a row's key tells. `None` when it is no row's.
    #[must_use]
    pub fn parse_key(key: &[u8]) -> Option<(Revision, RecordKind)> {
        let (main, rest) = key.split_first_chunk::<8>()?;
        let (sub, rest) = rest.strip_prefix(&[SEPARATOR])?.split_first_chunk::<8>()?;
        let kind = match rest {
            [] => RecordKind::Put,
            [TOMBSTONE] => RecordKind::Tombstone,
            _ => return None,
        };
        // etcd counts both in signed numbers, and negative ones are none of its.
        let main = u64::try_from(i64::from_be_bytes(*main)).ok()?;
        let sub = u32::try_from(u64::from_be_bytes(*sub)).ok()?;
        Some((Revision::new(main, sub), kind))
    }
}

/// How many bytes the message's first field takes: its tag, its length, and the key itself.
fn key_field_len(key: &[u8]) -> usize {
    1 + encoded_len_varint(key.len() as u64) + key.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_key(key: &[u8], expected: Option<(u64, u32, RecordKind)>) {
        let expected = expected.map(|(main, sub, kind)| (Revision::new(main, sub), kind));
        assert_eq!(EtcdRow::parse_key(key), expected, "{key:?}");
    }

    #[test]
    fn a_key_is_seventeen_bytes_and_a_tombstones_one_more() {
        check_key(b"\0\0\0\0\0\0\0\x02_\0\0\0\0\0\0\0\0", Some((2, 0, RecordKind::Put)));
        check_key(b"\0\0\0\0\0\0\0\x02_\0\0\0\0\0\0\0\x03t", Some((2, 3, RecordKind::Tombstone)));
        check_key(b"", None);
        check_key(b"\0\0\0\0\0\0\0\x02_\0\0\0\0\0\0\0", None);
        check_key(b"\0\0\0\0\0\0\0\x02-\0\0\0\0\0\0\0\0", None);
        check_key(b"\0\0\0\0\0\0\0\x02_\0\0\0\0\0\0\0\0u", None);
        check_key(b"\0\0\0\0\0\0\0\x02_\0\0\0\0\0\0\0\0tt", None);
        check_key(b"\xff\0\0\0\0\0\0\x02_\0\0\0\0\0\0\0\0", None);
        check_key(b"\0\0\0\0\0\0\0\x02_\0\0\x01\0\0\0\0\0", None);
    }
}
