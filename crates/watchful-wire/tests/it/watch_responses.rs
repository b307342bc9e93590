//! An answer of a watch, with its events as fields, encoded beforehand, or stored: the same bytes.

use std::sync::Arc;

use proptest::prelude::*;
use prost::Message;
use watchful_revision::Event;
use watchful_wire::etcdserverpb::ResponseHeader;
use watchful_wire::{Events, HasEvents, StoredEvents, WatchResponse, encode_events, encoded_events_len};

use crate::support::{change, listed, stored};

#[derive(Debug)]
struct Owner(Vec<Event>);

impl HasEvents for Owner {
    fn events(&self) -> &[Event] {
        &self.0
    }
}

fn response(events: Events, numbers: (i64, i64), flags: (bool, bool, bool), reason: &str) -> WatchResponse {
    WatchResponse {
        header: Some(ResponseHeader { cluster_id: 1, member_id: 2, revision: 3, raft_term: 4 }),
        watch_id: numbers.0,
        created: flags.0,
        canceled: flags.1,
        compact_revision: numbers.1,
        cancel_reason: reason.to_owned(),
        fragment: flags.2,
        events,
    }
}

proptest! {
    #[test]
    fn however_its_events_are_held_an_answer_has_the_same_bytes(
        changes in prop::collection::vec(change(), 0..10),
        numbers in any::<(i64, i64)>(),
        flags in any::<(bool, bool, bool)>(),
        reason in ".{0,20}",
    ) {
        let own = stored(&changes);
        let mut bytes = Vec::new();
        encode_events(&own, &mut bytes);
        prop_assert_eq!(bytes.len(), encoded_events_len(&own));
        let len = own.len();
        let held = [
            Events::from_list(listed(&changes)),
            Events::encoded(bytes.into()),
            Events::stored(StoredEvents::new(Arc::new(Owner(own)), 0, len)),
            Events::joined(changes.chunks(3).enumerate().map(|(at, changes)| match at % 2 {
                0 => Events::from_list(listed(changes)),
                _ => Events::stored(StoredEvents::new(Arc::new(Owner(stored(changes))), 0, changes.len())),
            })),
        ];
        let [as_list, as_bytes, in_store, joined] = held.map(|events| response(events, numbers, flags, &reason));
        let expected = as_list.encode_to_vec();
        prop_assert_eq!(as_list.encoded_len(), expected.len());
        for answer in [as_bytes, in_store, joined] {
            prop_assert_eq!(answer.encoded_len(), expected.len());
            prop_assert_eq!(answer.encode_to_vec(), &expected[..]);
        }
        let read = WatchResponse::decode(expected.as_slice()).unwrap();
        prop_assert_eq!(&read, &as_list);
        prop_assert_eq!(read.events.list().len(), changes.len());
    }

    #[test]
    fn a_run_of_stored_events_is_those_events_and_no_others(
        changes in prop::collection::vec(change(), 1..10),
        cut in any::<(prop::sample::Index, prop::sample::Index)>(),
    ) {
        let (a, b) = (cut.0.index(changes.len() + 1), cut.1.index(changes.len() + 1));
        let (from, to) = (a.min(b), a.max(b));
        let run = Events::stored(StoredEvents::new(Arc::new(Owner(stored(&changes))), from, to));
        prop_assert_eq!(run, Events::from_list(listed(&changes[from..to])));
    }

    #[test]
    fn damaged_bytes_are_an_error_or_an_answer_and_never_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = WatchResponse::decode(bytes.as_slice());
    }
}
