//! One stored change: a fixed header, then the key-value message.
//!
//! ```text
//! byte 0       format, now 1
//! byte 1       kind: 1 put, 2 tombstone (never 0, so a page of zeroes is not a record)
//! bytes 2..4   reserved, 0
//! bytes 4..8   CRC-32C, big-endian, of the revision's twelve bytes, of bytes 0..4 and of bytes 8 to the end
//! bytes 8..16  lease, big-endian, 0 for none
//! bytes 16..   the protobuf KeyValue, `key` first
//! ```
//!
//! LMDB has no checksums of its own, so ours is checked on the way in and on the way back. It covers the revision the
//! record is stored under: a record that turns up under another key is damage too.

use std::fmt;

use bytes::{Buf, Bytes};
use prost::encoding::{encode_varint, encoded_len_varint};

use crate::{KeyValue, KeyValueRef, LeaseId, MalformedKeyValue, Revision};

/// The format of the records this crate writes. A record of another format is refused by name.
pub const RECORD_FORMAT: u8 = 1;

/// How many bytes come before the key-value message.
pub const RECORD_HEADER_LEN: usize = 16;

const KIND_PUT: u8 = 1;
const KIND_TOMBSTONE: u8 = 2;

/// What a record did to its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RecordKind {
    /// The key was created or changed.
    Put,
    /// The key was deleted.
    Tombstone,
}

/// The content of a put, before it is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Put<'a> {
    /// The key, not empty.
    pub key: &'a [u8],
    /// The value.
    pub value: &'a [u8],
    /// The main revision that created the key.
    pub create_revision: u64,
    /// 1 on create, one more on each change.
    pub version: u64,
    /// The lease the key is attached to; 0 for none.
    pub lease: LeaseId,
}

/// The put that a message tells of. When it was is told apart from it.
impl<'a> From<KeyValueRef<'a>> for Put<'a> {
    fn from(told: KeyValueRef<'a>) -> Self {
        let KeyValueRef { key, create_revision, mod_revision: _, version, value, lease } = told;
        Self { key, value, create_revision, version, lease }
    }
}

/// A key and value that do not fit into one record: the record's length must fit into 32 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a key and its value of {bytes} bytes do not fit into one record: the most is 4 GiB less 1 KiB")]
pub struct TooLarge {
    /// The bytes of the key and value together.
    pub bytes: usize,
}

/// The most bytes a key and its value may have together. What is left is room for the header and the other fields.
const CONTENT_LEN_MAX: usize = (u32::MAX - 1023) as usize;

/// Appends the record of a put at `revision` to `out`.
///
/// # Errors
///
/// [`TooLarge`] when key and value together come near 4 GiB.
pub fn encode_put(revision: Revision, put: &Put<'_>, out: &mut Vec<u8>) -> Result<(), TooLarge> {
    check_len(put.key.len() + put.value.len())?;
    // 16 for the header, at most 6 + 6 for the two lengths, at most 11 for each of the four numbers.
    out.reserve(RECORD_HEADER_LEN + 12 + put.key.len() + put.value.len() + 44);
    let start = begin(KIND_PUT, put.lease, out);
    encode_bytes(TAG_KEY, put.key, out);
    encode_number(TAG_CREATE_REVISION, put.create_revision, out);
    encode_number(TAG_MOD_REVISION, revision.main, out);
    encode_number(TAG_VERSION, put.version, out);
    encode_bytes(TAG_VALUE, put.value, out);
    encode_number(TAG_LEASE, put.lease.cast_unsigned(), out);
    seal(revision, &mut out[start..]);
    Ok(())
}

/// Appends the tombstone of `key` at `revision` to `out`.
///
/// # Errors
///
/// [`TooLarge`] when the key comes near 4 GiB.
pub fn encode_tombstone(revision: Revision, key: &[u8], out: &mut Vec<u8>) -> Result<(), TooLarge> {
    check_len(key.len())?;
    let start = begin(KIND_TOMBSTONE, 0, out);
    encode_bytes(TAG_KEY, key, out);
    encode_number(TAG_MOD_REVISION, revision.main, out);
    seal(revision, &mut out[start..]);
    Ok(())
}

// Each tag fits one byte: field number, then wire type (0 a number, 2 bytes with their length).
const TAG_KEY: u8 = 1 << 3 | 2;
const TAG_CREATE_REVISION: u8 = 2 << 3;
const TAG_MOD_REVISION: u8 = 3 << 3;
const TAG_VERSION: u8 = 4 << 3;
const TAG_VALUE: u8 = 5 << 3 | 2;
const TAG_LEASE: u8 = 6 << 3;

fn check_len(bytes: usize) -> Result<(), TooLarge> {
    if bytes > CONTENT_LEN_MAX { Err(TooLarge { bytes }) } else { Ok(()) }
}

fn begin(kind: u8, lease: LeaseId, out: &mut Vec<u8>) -> usize {
    let start = out.len();
    out.extend_from_slice(&[RECORD_FORMAT, kind, 0, 0, 0, 0, 0, 0]);
    out.extend_from_slice(&lease.to_be_bytes());
    start
}

/// As proto3 has it, an empty field is left out.
fn encode_bytes(tag: u8, bytes: &[u8], out: &mut Vec<u8>) {
    if !bytes.is_empty() {
        out.push(tag);
        encode_varint(bytes.len() as u64, out);
        out.extend_from_slice(bytes);
    }
}

fn encode_number(tag: u8, number: u64, out: &mut Vec<u8>) {
    if number != 0 {
        out.push(tag);
        encode_varint(number, out);
    }
}

fn seal(revision: Revision, record: &mut [u8]) {
    let checksum = checksum(revision, record);
    record[4..8].copy_from_slice(&checksum.to_be_bytes());
}

fn checksum(revision: Revision, record: &[u8]) -> u32 {
    let mut head = [0; 16];
    head[..12].copy_from_slice(&revision.to_bytes());
    head[12..].copy_from_slice(&record[..4]);
    crc32c::crc32c_append(crc32c::crc32c(&head), &record[8..])
}

/// Why bytes are not the record of a revision.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the record of revision {revision} is damaged: {damage}")]
pub struct RecordError {
    /// The revision whose record it should have been.
    pub revision: Revision,
    damage: Damage,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Damage {
    Short { len: usize },
    Format { format: u8 },
    Header,
    Checksum,
    Content,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short { len } => write!(f, "it has {len} bytes, fewer than its header"),
            Self::Format { format } => {
                write!(f, "it has format {format}, and this program reads {RECORD_FORMAT}")
            }
            Self::Header => write!(f, "its header is not one this program writes"),
            Self::Checksum => write!(f, "its checksum does not match"),
            Self::Content => write!(f, "its content does not fit its header"),
        }
    }
}

/// A record read in place, whose checksum has been checked.
///
/// This is what a scan looks at: finding the key costs the checksum and a few bytes more, and no allocation.
#[derive(Clone, Copy, Debug)]
pub struct RecordRef<'a> {
    revision: Revision,
    bytes: &'a [u8],
    key_start: usize,
    key_end: usize,
}

impl<'a> RecordRef<'a> {
    /// Checks `bytes`, stored under `revision`.
    ///
    /// # Errors
    ///
    /// [`RecordError`] for anything that [`encode_put`] and [`encode_tombstone`] could not have written.
    pub fn parse(revision: Revision, bytes: &'a [u8]) -> Result<Self, RecordError> {
        let damaged = |damage| RecordError { revision, damage };
        if bytes.len() < RECORD_HEADER_LEN {
            return Err(damaged(Damage::Short { len: bytes.len() }));
        }
        if bytes[0] != RECORD_FORMAT {
            return Err(damaged(Damage::Format { format: bytes[0] }));
        }
        if !matches!(bytes[1], KIND_PUT | KIND_TOMBSTONE) || bytes[2..4] != [0, 0] {
            return Err(damaged(Damage::Header));
        }
        if bytes[4..8] != checksum(revision, bytes).to_be_bytes() {
            return Err(damaged(Damage::Checksum));
        }
        let (key_start, key_end) = find_key(bytes).ok_or_else(|| damaged(Damage::Content))?;
        Ok(Self { revision, bytes, key_start, key_end })
    }

    /// The revision the record is stored under.
    #[must_use]
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// Whether it is a put or a tombstone.
    #[must_use]
    pub fn kind(&self) -> RecordKind {
        if self.bytes[1] == KIND_TOMBSTONE { RecordKind::Tombstone } else { RecordKind::Put }
    }

    /// The key.
    #[must_use]
    pub fn key(&self) -> &'a [u8] {
        &self.bytes[self.key_start..self.key_end]
    }

    /// The lease; 0 for none.
    #[must_use]
    pub fn lease(&self) -> LeaseId {
        lease_of(self.bytes)
    }

    /// The whole record, header and all.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Every field of the key-value message.
    ///
    /// # Errors
    ///
    /// [`RecordError`] when the message is not one, or does not fit the header and the revision.
    pub fn key_value(&self) -> Result<KeyValueRef<'a>, RecordError> {
        let damaged = RecordError { revision: self.revision, damage: Damage::Content };
        let view = KeyValueRef::parse(&self.bytes[RECORD_HEADER_LEN..])
            .map_err(|MalformedKeyValue| damaged.clone())?;
        // Nearly always the key is in one place, and then it need not be looked at.
        let is_same_key = std::ptr::eq(view.key, self.key()) || view.key == self.key();
        if view.mod_revision == self.revision.main && view.lease == self.lease() && is_same_key {
            Ok(view)
        } else {
            Err(damaged)
        }
    }

    /// Checks every field, and appends the record to `buffer`. [`CopiedRecord::in_buffer`] then makes a [`Record`] of
    /// it without checking it, or summing it up, a second time.
    ///
    /// # Errors
    ///
    /// As [`key_value`](Self::key_value).
    pub fn copy_into(&self, buffer: &mut Vec<u8>) -> Result<CopiedRecord, RecordError> {
        let fields = Fields::of(self)?;
        let start = buffer.len();
        buffer.extend_from_slice(self.bytes);
        Ok(CopiedRecord { start, len: self.bytes.len(), fields })
    }
}

/// A record that was checked and then copied into a buffer that holds others too: its place there.
///
/// ```
/// use watchful_revision::{Put, RecordRef, Revision, encode_put};
/// let (at, mut stored, mut buffer) = (Revision::start_of(2), Vec::new(), Vec::new());
/// encode_put(at, &Put { key: b"a", value: b"1", create_revision: 2, version: 1, lease: 0 }, &mut stored)?;
/// let copied = RecordRef::parse(at, &stored)?.copy_into(&mut buffer)?;
/// assert_eq!(copied.in_buffer(&buffer.into()).value(), b"1");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CopiedRecord {
    start: usize,
    len: usize,
    fields: Fields,
}

impl CopiedRecord {
    /// Checks a record that was copied first: what is in `buffer` from `start` to its end, stored under `revision`.
    ///
    /// A copy waits for the memory of several lines at once, and a checksum for one after the other. So this is the
    /// faster way where the record is not near the processor.
    ///
    /// # Errors
    ///
    /// As [`Record::parse`].
    ///
    /// # Panics
    ///
    /// When the buffer ends before `start`.
    pub fn at_end_of(buffer: &[u8], start: usize, revision: Revision) -> Result<Self, RecordError> {
        let record = RecordRef::parse(revision, &buffer[start..])?;
        Ok(Self { start, len: record.bytes.len(), fields: Fields::of(&record)? })
    }

    /// How many bytes the record has.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        self.len
    }

    /// The record, as a share of `buffer`: of what became of the buffer that it was copied into.
    ///
    /// # Panics
    ///
    /// When the buffer ends before the record does, because it is another one.
    #[must_use]
    pub fn in_buffer(self, buffer: &Bytes) -> Record {
        let bytes = buffer.slice(self.start..self.start + self.len);
        debug_assert_eq!(
            RecordRef::parse(self.fields.revision, &bytes).and_then(|record| Fields::of(&record)),
            Ok(self.fields),
            "it is the buffer that the record was copied into"
        );
        Record { bytes, fields: self.fields }
    }
}

/// The key is the message's first field, so its place is known without reading the others.
fn find_key(bytes: &[u8]) -> Option<(usize, usize)> {
    let message = &bytes[RECORD_HEADER_LEN..];
    let mut rest = message.strip_prefix(&[TAG_KEY])?;
    let len = usize::try_from(prost::encoding::decode_varint(&mut rest).ok()?).ok()?;
    let start = bytes.len() - rest.len();
    let end = start.checked_add(len)?;
    (len > 0 && end <= bytes.len()).then_some((start, end))
}

fn lease_of(record: &[u8]) -> LeaseId {
    let mut lease = [0; 8];
    lease.copy_from_slice(&record[8..16]);
    LeaseId::from_be_bytes(lease)
}

/// A record that owns its bytes (or a share of a larger buffer) and whose checksum and content have been checked.
///
/// 80 bytes; a clone costs one atomic increment. Every field is read without decoding.
#[derive(Clone, PartialEq, Eq)]
pub struct Record {
    bytes: Bytes,
    fields: Fields,
}

/// What a record says, and where in it the rest is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Fields {
    revision: Revision,
    create_revision: u64,
    version: u64,
    key_len: u32,
    value_len: u32,
    value_start: u32,
}

impl Fields {
    fn of(record: &RecordRef<'_>) -> Result<Self, RecordError> {
        let (view, bytes) = (record.key_value()?, record.bytes);
        let damaged = |_| RecordError { revision: record.revision, damage: Damage::Content };
        // A value that was left out is empty and has no place; any place will do for it.
        let value_start = match view.value {
            [] => bytes.len(),
            value => value.as_ptr().addr() - bytes.as_ptr().addr(),
        };
        Ok(Self {
            revision: record.revision,
            create_revision: view.create_revision,
            version: view.version,
            key_len: u32::try_from(view.key.len()).map_err(damaged)?,
            value_len: u32::try_from(view.value.len()).map_err(damaged)?,
            value_start: u32::try_from(value_start).map_err(damaged)?,
        })
    }
}

impl Record {
    /// Checks `bytes`, stored under `revision`, and takes them.
    ///
    /// # Errors
    ///
    /// [`RecordError`] for anything that [`encode_put`] and [`encode_tombstone`] could not have written.
    pub fn parse(revision: Revision, bytes: Bytes) -> Result<Self, RecordError> {
        let fields = Fields::of(&RecordRef::parse(revision, &bytes)?)?;
        Ok(Self { bytes, fields })
    }

    /// The revision of the change.
    #[must_use]
    pub fn revision(&self) -> Revision {
        self.fields.revision
    }

    /// Whether it is a put or a tombstone.
    #[must_use]
    pub fn kind(&self) -> RecordKind {
        if self.bytes[1] == KIND_TOMBSTONE { RecordKind::Tombstone } else { RecordKind::Put }
    }

    /// The key.
    #[must_use]
    pub fn key(&self) -> &[u8] {
        let start = RECORD_HEADER_LEN + 1 + encoded_len_varint(u64::from(self.fields.key_len));
        &self.bytes[start..start + self.fields.key_len as usize]
    }

    /// The value; empty in a tombstone.
    #[must_use]
    pub fn value(&self) -> &[u8] {
        let start = self.fields.value_start as usize;
        &self.bytes[start..start + self.fields.value_len as usize]
    }

    /// The value as a share of the record's buffer, without a copy.
    #[must_use]
    pub fn value_bytes(&self) -> Bytes {
        let start = self.fields.value_start as usize;
        self.bytes.slice(start..start + self.fields.value_len as usize)
    }

    /// The main revision that created the key; 0 in a tombstone.
    #[must_use]
    pub fn create_revision(&self) -> u64 {
        self.fields.create_revision
    }

    /// The main revision of this change.
    #[must_use]
    pub fn mod_revision(&self) -> u64 {
        self.fields.revision.main
    }

    /// 1 on create, one more on each change; 0 in a tombstone.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.fields.version
    }

    /// The lease the key is attached to; 0 for none.
    #[must_use]
    pub fn lease(&self) -> LeaseId {
        lease_of(&self.bytes)
    }

    /// How many bytes the whole record has.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        self.bytes.len()
    }

    /// The whole record, header and all.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The key-value message, as it goes over the wire, without a copy.
    #[must_use]
    pub fn key_value_bytes(&self) -> Bytes {
        self.bytes.slice(RECORD_HEADER_LEN..)
    }

    /// The key-value message, as it goes over the wire, in place of the record.
    #[must_use]
    pub fn into_key_value_bytes(mut self) -> Bytes {
        self.bytes.advance(RECORD_HEADER_LEN);
        self.bytes
    }

    /// The message with all its fields; key and value share the record's buffer.
    #[must_use]
    pub fn to_key_value(&self) -> KeyValue {
        KeyValue {
            key: self.bytes.slice_ref(self.key()),
            create_revision: self.fields.create_revision,
            mod_revision: self.fields.revision.main,
            version: self.fields.version,
            value: self.value_bytes(),
            lease: self.lease(),
        }
    }

    /// The same record in a buffer of its own, for a record that would keep a much larger buffer alive.
    #[must_use]
    pub fn copy_out(&self) -> Self {
        Self { bytes: Bytes::copy_from_slice(&self.bytes), ..self.clone() }
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.kind() {
            RecordKind::Put => "Put",
            RecordKind::Tombstone => "Tombstone",
        };
        let mut out = f.debug_struct(name);
        out.field("revision", &format_args!("{}", self.fields.revision));
        out.field("key", &format_args!("{}", self.key().escape_ascii()));
        if self.kind() == RecordKind::Put {
            out.field("value", &format_args!("{}", self.value().escape_ascii()))
                .field("create_revision", &self.fields.create_revision)
                .field("version", &self.fields.version)
                .field("lease", &self.lease());
        }
        out.finish()
    }
}
