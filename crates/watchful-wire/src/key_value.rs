//! A key-value message: as fields, or as the bytes that are stored.

use std::fmt;
use std::hash::{Hash, Hasher};

use bytes::{Buf, BufMut, Bytes};
use prost::encoding::{DecodeContext, WireType};
use prost::{DecodeError, Message};
use watchful_revision::{KeyValue as Fields, KeyValueRef, Record};

/// etcd's `mvccpb.KeyValue`.
///
/// Made from a [`Record`], it holds a share of the stored bytes and is encoded by copying them; decoded from a message,
/// it holds the fields. Both compare and read alike.
#[derive(Clone)]
pub struct KeyValue(Repr);

#[derive(Clone)]
enum Repr {
    /// A key-value message that was checked when its record was read.
    Stored(Bytes),
    Fields(Fields),
}

impl KeyValue {
    /// The message of these fields.
    #[must_use]
    pub fn from_fields(fields: Fields) -> Self {
        Self(Repr::Fields(fields))
    }

    /// All fields, read in place. Costs a walk over the message, some 30 ns, where it is stored bytes.
    #[must_use]
    pub fn view(&self) -> KeyValueRef<'_> {
        match &self.0 {
            // A record's content is checked before it is a `Record`.
            Repr::Stored(bytes) => KeyValueRef::parse(bytes).unwrap_or_default(),
            Repr::Fields(fields) => fields.into(),
        }
    }

    /// The key.
    #[must_use]
    pub fn key(&self) -> &[u8] {
        self.view().key
    }

    /// The value.
    #[must_use]
    pub fn value(&self) -> &[u8] {
        self.view().value
    }

    /// The main revision that created the key; 0 in a tombstone.
    #[must_use]
    pub fn create_revision(&self) -> i64 {
        self.view().create_revision.cast_signed()
    }

    /// The main revision of this change.
    #[must_use]
    pub fn mod_revision(&self) -> i64 {
        self.view().mod_revision.cast_signed()
    }

    /// 1 on create, one more on each change; 0 in a tombstone.
    #[must_use]
    pub fn version(&self) -> i64 {
        self.view().version.cast_signed()
    }

    /// The lease; 0 for none.
    #[must_use]
    pub fn lease(&self) -> i64 {
        self.view().lease
    }
}

impl From<&Record> for KeyValue {
    fn from(record: &Record) -> Self {
        Self(Repr::Stored(record.key_value_bytes()))
    }
}

impl From<Record> for KeyValue {
    fn from(record: Record) -> Self {
        Self(Repr::Stored(record.into_key_value_bytes()))
    }
}

impl Default for KeyValue {
    fn default() -> Self {
        Self(Repr::Fields(Fields::default()))
    }
}

impl PartialEq for KeyValue {
    fn eq(&self, other: &Self) -> bool {
        self.view() == other.view()
    }
}

impl Eq for KeyValue {}

impl Hash for KeyValue {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let view = self.view();
        (view.key, view.value, view.create_revision, view.mod_revision, view.version, view.lease).hash(state);
    }
}

impl fmt::Debug for KeyValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let view = self.view();
        f.debug_struct("KeyValue")
            .field("key", &format_args!("{}", view.key.escape_ascii()))
            .field("create_revision", &view.create_revision)
            .field("mod_revision", &view.mod_revision)
            .field("version", &view.version)
            .field("value", &format_args!("{}", view.value.escape_ascii()))
            .field("lease", &view.lease)
            .finish()
    }
}

impl Message for KeyValue {
    fn encode_raw(&self, buf: &mut impl BufMut) {
        match &self.0 {
            Repr::Stored(bytes) => buf.put_slice(bytes),
            Repr::Fields(fields) => fields.encode_raw(buf),
        }
    }

    fn merge_field(
        &mut self,
        tag: u32,
        wire_type: WireType,
        buf: &mut impl Buf,
        ctx: DecodeContext,
    ) -> Result<(), DecodeError> {
        if let Repr::Stored(bytes) = &self.0 {
            self.0 = Repr::Fields(Fields::decode(bytes.clone())?);
        }
        match &mut self.0 {
            Repr::Fields(fields) => fields.merge_field(tag, wire_type, buf, ctx),
            Repr::Stored(_) => Ok(()),
        }
    }

    fn encoded_len(&self) -> usize {
        match &self.0 {
            Repr::Stored(bytes) => bytes.len(),
            Repr::Fields(fields) => fields.encoded_len(),
        }
    }

    fn clear(&mut self) {
        *self = Self::default();
    }
}
