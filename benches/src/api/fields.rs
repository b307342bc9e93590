//! Messages read in place: what a check needs of an answer, without decoding the rest.

use crate::Outcome;

/// A field of a message, as far as etcd's messages have kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field<'m> {
    Number(u64),
    Bytes(&'m [u8]),
}

/// The fields of a message, one after the other, with their numbers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fields<'m>(pub(crate) &'m [u8]);

impl<'m> Iterator for Fields<'m> {
    type Item = Outcome<(u64, Field<'m>)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.take_field().ok_or_else(|| "a message is broken".into());
        if field.is_err() {
            self.0 = &[];
        }
        Some(field)
    }
}

impl<'m> Fields<'m> {
    fn take_field(&mut self) -> Option<(u64, Field<'m>)> {
        let tag = self.take_number()?;
        let field = match tag & 7 {
            0 => Field::Number(self.take_number()?),
            2 => {
                let len = usize::try_from(self.take_number()?).ok()?;
                let (bytes, rest) = self.0.split_at_checked(len)?;
                self.0 = rest;
                Field::Bytes(bytes)
            }
            _ => return None,
        };
        Some((tag >> 3, field))
    }

    fn take_number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }
}

/// What is looked at of a key-value message.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct KeyValue<'m> {
    pub(crate) key: &'m [u8],
    pub(crate) mod_revision: u64,
    pub(crate) version: u64,
    pub(crate) value: &'m [u8],
}

impl<'m> KeyValue<'m> {
    pub(crate) fn parse(message: &'m [u8]) -> Outcome<Self> {
        let mut parsed = Self::default();
        for field in Fields(message) {
            match field? {
                (1, Field::Bytes(key)) => parsed.key = key,
                (3, Field::Number(revision)) => parsed.mod_revision = revision,
                (4, Field::Number(version)) => parsed.version = version,
                (5, Field::Bytes(value)) => parsed.value = value,
                _ => {}
            }
        }
        Ok(parsed)
    }
}

/// An answer of a watch.
#[derive(Debug, Default)]
pub(crate) struct WatchAnswer<'m> {
    pub(crate) watch_id: u64,
    pub(crate) created: bool,
    pub(crate) canceled: bool,
    message: &'m [u8],
}

impl<'m> WatchAnswer<'m> {
    pub(crate) fn parse(message: &'m [u8]) -> Outcome<Self> {
        let mut parsed = Self { message, ..Self::default() };
        for field in Fields(message) {
            match field? {
                (2, Field::Number(id)) => parsed.watch_id = id,
                (3, Field::Number(created)) => parsed.created = created != 0,
                (4, Field::Number(canceled)) => parsed.canceled = canceled != 0,
                // The events are the last field.
                (11, _) => break,
                _ => {}
            }
        }
        Ok(parsed)
    }

    /// What was put, in order. A delete is an error: nothing is deleted here.
    pub(crate) fn puts(&self) -> impl Iterator<Item = Outcome<KeyValue<'m>>> {
        Fields(self.message).filter_map(|field| match field {
            Ok((11, Field::Bytes(event))) => Some(put_in(event)),
            Ok(_) => None,
            Err(error) => Some(Err(error)),
        })
    }
}

fn put_in(event: &[u8]) -> Outcome<KeyValue<'_>> {
    let mut put = None;
    for field in Fields(event) {
        match field? {
            (1, Field::Number(1)) => return Err("a delete came, and nothing was deleted".into()),
            (2, Field::Bytes(message)) => put = Some(KeyValue::parse(message)?),
            _ => {}
        }
    }
    put.ok_or_else(|| "an event came without a key".into())
}

#[cfg(test)]
mod tests {
    use prost::Message as _;
    use watchful_revision::KeyValue as Parts;
    use watchful_wire::mvccpb::Event;
    use watchful_wire::{Events, KeyValue as Wire, WatchResponse};

    use super::*;

    fn event(number: u64) -> Event {
        let parts = Parts {
            key: format!("key {number}").into(),
            value: vec![7; 300].into(),
            mod_revision: number,
            create_revision: 2,
            version: number + 1,
            lease: -1,
        };
        Event { kv: Some(Wire::from_fields(parts)), ..Event::default() }
    }

    #[test]
    fn what_prost_writes_is_read_in_place() {
        let answer = WatchResponse {
            watch_id: 300,
            created: true,
            events: Events::from_list(vec![event(1000), event(1001)]),
            ..WatchResponse::default()
        };
        let bytes = answer.encode_to_vec();
        let parsed = WatchAnswer::parse(&bytes).unwrap();
        assert_eq!((parsed.watch_id, parsed.created, parsed.canceled), (300, true, false));
        let puts: Vec<_> = parsed.puts().map(|put| put.unwrap()).collect();
        assert_eq!(puts.len(), 2);
        assert_eq!(puts[1].key, b"key 1001");
        assert_eq!((puts[1].mod_revision, puts[1].version, puts[1].value), (1001, 1002, &[7; 300][..]));
    }

    #[test]
    fn a_message_that_is_cut_is_an_error_and_no_more_is_read() {
        let bytes = WatchResponse { events: Events::from_list(vec![event(3)]), ..Default::default() };
        let bytes = bytes.encode_to_vec();
        let cut = &bytes[..bytes.len() - 1];
        assert!(WatchAnswer::parse(cut).is_err());
        let fields: Vec<_> = Fields(cut).collect();
        assert_eq!(fields.len(), 1);
        assert!(fields[0].is_err());
    }
}
