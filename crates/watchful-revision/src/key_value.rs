//! The key-value message: prost's owned form, and a borrowed view that reads the same bytes without a copy.
//!
//! The view exists because a match must not cost a decode: on the design machine a view took about 30 ns and a prost
//! decode 100 to 150 ns. It accepts what prost accepts and reads it as prost does (the last of a repeated field wins,
//! unknown fields are passed over), which a property test checks on arbitrary bytes.

#[allow(missing_docs, unreachable_pub, reason = "prost's output; the fields are documented in record.proto")]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/watchful.record.rs"));
}

pub use generated::KeyValue;

/// A key-value message, read in place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyValueRef<'a> {
    /// The key.
    pub key: &'a [u8],
    /// The main revision that created the key; 0 in a tombstone.
    pub create_revision: u64,
    /// The main revision of this change.
    pub mod_revision: u64,
    /// How many changes the key has had since it was created; 0 in a tombstone.
    pub version: u64,
    /// The value.
    pub value: &'a [u8],
    /// The lease the key is attached to; 0 for none.
    pub lease: i64,
}

/// Bytes that are not a key-value message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the bytes are not a key-value message")]
pub struct MalformedKeyValue;

impl<'a> KeyValueRef<'a> {
    /// Reads the message in `bytes`.
    ///
    /// # Errors
    ///
    /// [`MalformedKeyValue`] wherever prost would refuse the bytes.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, MalformedKeyValue> {
        let mut reader = Reader { rest: bytes };
        let mut view = Self::default();
        while !reader.rest.is_empty() {
            let (field, wire) = reader.tag()?;
            match (field, wire) {
                (1, Wire::Len) => view.key = reader.bytes()?,
                (2, Wire::Varint) => view.create_revision = reader.varint()?,
                (3, Wire::Varint) => view.mod_revision = reader.varint()?,
                (4, Wire::Varint) => view.version = reader.varint()?,
                (5, Wire::Len) => view.value = reader.bytes()?,
                (6, Wire::Varint) => view.lease = reader.varint()?.cast_signed(),
                (1..=6, _) => return Err(MalformedKeyValue),
                _ => reader.skip(field, wire, SKIP_DEPTH_MAX)?,
            }
        }
        Ok(view)
    }
}

impl<'a> From<&'a KeyValue> for KeyValueRef<'a> {
    fn from(fields: &'a KeyValue) -> Self {
        Self {
            key: &fields.key,
            create_revision: fields.create_revision,
            mod_revision: fields.mod_revision,
            version: fields.version,
            value: &fields.value,
            lease: fields.lease,
        }
    }
}

/// How deep groups may nest in a field that is passed over: prost's own recursion limit.
const SKIP_DEPTH_MAX: u32 = 100;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Wire {
    Varint,
    Fixed64,
    Len,
    StartGroup,
    EndGroup,
    Fixed32,
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn varint(&mut self) -> Result<u64, MalformedKeyValue> {
        // Tags, and most lengths and versions, have one byte.
        if let [byte @ 0..=0x7f, rest @ ..] = self.rest {
            self.rest = rest;
            return Ok(u64::from(*byte));
        }
        self.long_varint()
    }

    fn long_varint(&mut self) -> Result<u64, MalformedKeyValue> {
        let mut value = 0_u64;
        for (at, &byte) in self.rest.iter().take(10).enumerate() {
            // The tenth byte has room for one bit.
            if at == 9 && byte > 1 {
                return Err(MalformedKeyValue);
            }
            value |= u64::from(byte & 0x7f) << (7 * at);
            if byte < 0x80 {
                self.rest = &self.rest[at + 1..];
                return Ok(value);
            }
        }
        Err(MalformedKeyValue)
    }

    fn tag(&mut self) -> Result<(u32, Wire), MalformedKeyValue> {
        let tag = u32::try_from(self.varint()?).map_err(|_| MalformedKeyValue)?;
        let wire = match tag & 7 {
            0 => Wire::Varint,
            1 => Wire::Fixed64,
            2 => Wire::Len,
            3 => Wire::StartGroup,
            4 => Wire::EndGroup,
            5 => Wire::Fixed32,
            _ => return Err(MalformedKeyValue),
        };
        match tag >> 3 {
            0 => Err(MalformedKeyValue),
            field => Ok((field, wire)),
        }
    }

    fn take(&mut self, len: u64) -> Result<&'a [u8], MalformedKeyValue> {
        let len = usize::try_from(len).map_err(|_| MalformedKeyValue)?;
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(MalformedKeyValue)?;
        self.rest = rest;
        Ok(taken)
    }

    fn bytes(&mut self) -> Result<&'a [u8], MalformedKeyValue> {
        let len = self.varint()?;
        self.take(len)
    }

    fn skip(&mut self, field: u32, wire: Wire, depth: u32) -> Result<(), MalformedKeyValue> {
        if depth == 0 {
            return Err(MalformedKeyValue);
        }
        match wire {
            Wire::Varint => self.varint().map(drop),
            Wire::Fixed64 => self.take(8).map(drop),
            Wire::Fixed32 => self.take(4).map(drop),
            Wire::Len => self.bytes().map(drop),
            Wire::EndGroup => Err(MalformedKeyValue),
            Wire::StartGroup => self.skip_group(field, depth),
        }
    }

    fn skip_group(&mut self, group: u32, depth: u32) -> Result<(), MalformedKeyValue> {
        loop {
            match self.tag()? {
                (field, Wire::EndGroup) if field == group => return Ok(()),
                (field, wire) => self.skip(field, wire, depth - 1)?,
            }
        }
    }
}
