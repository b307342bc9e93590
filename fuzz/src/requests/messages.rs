//! A message of any kind, by its descriptor, and what of earlier answers it may repeat.

use arbitrary::{Result, Unstructured};
use bytes::Bytes;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, Value};

use crate::input::{short, weighted};

/// How deep messages nest: transactions in transactions.
const DEPTH_MAX: usize = 6;

/// Names of users and roles, passwords, and texts that are none.
const TEXTS: [&str; 8] = ["", "root", "a", "b", "c", "ü", "a\0", "x x"];

/// How much of the answers is kept to be asked about.
const SEEN_MAX: usize = 16;

/// Keys and numbers of earlier answers: those of locks, elections, leases and users' tokens cannot be guessed.
#[derive(Debug, Default)]
pub(super) struct Seen {
    bytes: Vec<Bytes>,
    numbers: Vec<i64>,
}

impl Seen {
    pub(super) fn take(&mut self, message: &DynamicMessage) {
        for (_, value) in message.fields() {
            self.take_value(value);
        }
    }

    fn take_value(&mut self, value: &Value) {
        match value {
            Value::Bytes(bytes) if self.bytes.len() < SEEN_MAX && bytes.len() < 100 => {
                self.bytes.push(bytes.clone());
            }
            Value::I64(number) if self.numbers.len() < SEEN_MAX && !self.numbers.contains(number) => {
                self.numbers.push(*number);
            }
            Value::Message(message) => self.take(message),
            Value::List(list) => list.iter().for_each(|value| self.take_value(value)),
            _ => {}
        }
    }
}

/// A message of this kind: some of its fields, each with something that makes sense more often than not.
pub(super) fn message(
    u: &mut Unstructured<'_>,
    kind: &MessageDescriptor,
    seen: &Seen,
) -> Result<DynamicMessage> {
    nested(u, kind, seen, DEPTH_MAX)
}

fn nested(
    u: &mut Unstructured<'_>,
    kind: &MessageDescriptor,
    seen: &Seen,
    depth: usize,
) -> Result<DynamicMessage> {
    let mut message = DynamicMessage::new(kind.clone());
    for field in kind.fields() {
        if depth > 0 && u.arbitrary::<bool>()? {
            let value = field_value(u, &field, seen, depth - 1)?;
            message.set_field(&field, value);
        }
    }
    Ok(message)
}

fn field_value(
    u: &mut Unstructured<'_>,
    field: &FieldDescriptor,
    seen: &Seen,
    depth: usize,
) -> Result<Value> {
    if !field.is_list() {
        return one(u, &field.kind(), seen, depth);
    }
    let count = u.int_in_range(0..=3)?;
    (0..count).map(|_| one(u, &field.kind(), seen, depth)).collect::<Result<_>>().map(Value::List)
}

fn one(u: &mut Unstructured<'_>, kind: &Kind, seen: &Seen, depth: usize) -> Result<Value> {
    Ok(match kind {
        Kind::Message(kind) => Value::Message(nested(u, kind, seen, depth)?),
        Kind::Bytes => Value::Bytes(some_bytes(u, seen)?),
        Kind::String => Value::String((*u.choose(&TEXTS)?).to_owned()),
        Kind::Bool => Value::Bool(u.arbitrary()?),
        Kind::Enum(kind) => {
            let known = u.int_in_range(0..=i32::try_from(kind.values().len()).unwrap_or(1))?;
            Value::EnumNumber(if u.ratio(9, 10)? { known } else { u.arbitrary()? })
        }
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => Value::I64(number(u, seen)?),
        Kind::Uint64 | Kind::Fixed64 => Value::U64(number(u, seen)?.cast_unsigned()),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => Value::I32(u.arbitrary()?),
        Kind::Uint32 | Kind::Fixed32 => Value::U32(u.arbitrary()?),
        Kind::Float => Value::F32(u.arbitrary()?),
        Kind::Double => Value::F64(u.arbitrary()?),
    })
}

fn some_bytes(u: &mut Unstructured<'_>, seen: &Seen) -> Result<Bytes> {
    Ok(match weighted(u, &[10, 2, 1])? {
        1 if !seen.bytes.is_empty() => u.choose(&seen.bytes)?.clone(),
        2 => {
            let len = u.int_in_range(0..=40)?.min(u.len());
            Bytes::copy_from_slice(u.bytes(len)?)
        }
        _ => short(u, 0)?,
    })
}

fn number(u: &mut Unstructured<'_>, seen: &Seen) -> Result<i64> {
    Ok(match weighted(u, &[6, 3, 1])? {
        0 => u.int_in_range(-1..=20)?,
        1 if !seen.numbers.is_empty() => *u.choose(&seen.numbers)?,
        _ => *u.choose(&[i64::MIN, i64::MIN + 1, i64::MAX - 1, i64::MAX, 1 << 32, 1 << 53, -2])?,
    })
}

/// What a message of bytes is, if it is one.
pub(super) fn read(kind: &MessageDescriptor, bytes: &[u8]) -> DynamicMessage {
    let message = DynamicMessage::decode(kind.clone(), bytes);
    message.unwrap_or_else(|error| panic!("an answer is no {}: {error}", kind.full_name()))
}

/// The text in a field of this name, if there is one.
pub(super) fn text(message: &DynamicMessage, name: &str) -> Option<String> {
    let value = message.get_field_by_name(name)?;
    value.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}
