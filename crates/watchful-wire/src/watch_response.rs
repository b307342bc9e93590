//! An answer of a watch, with events that are encoded once and shared by all who get them.

use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes};
use prost::encoding::{DecodeContext, WireType, bool, int64, message, string};
use prost::{DecodeError, Message};
use watchful_revision::Event as StoredEvent;

use crate::etcdserverpb::ResponseHeader;
use crate::events::{encode_events, encoded_events_len};
use crate::mvccpb::Event;

/// etcd's `etcdserverpb.WatchResponse`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WatchResponse {
    /// Who answers, and the revision.
    pub header: Option<ResponseHeader>,
    /// Whose answer it is; −1 for the whole stream.
    pub watch_id: i64,
    /// The first answer of each watch.
    pub created: bool,
    /// The last answer of each watch.
    pub canceled: bool,
    /// Where the store was compacted, when that ended the watch.
    pub compact_revision: i64,
    /// Why the watch was ended or refused.
    pub cancel_reason: String,
    /// Whether the revision goes on in the next answer.
    pub fragment: bool,
    /// What happened.
    pub events: Events,
}

/// The events of an answer: as fields, which is what a client decodes, or as shared bytes, which is what a server sends.
#[derive(Clone, Debug, Default)]
pub struct Events {
    list: Vec<Event>,
    shared: Shared,
}

#[derive(Clone, Debug, Default)]
enum Shared {
    #[default]
    None,
    Encoded(Bytes),
    Stored(StoredEvents),
    Joined {
        runs: Arc<[Events]>,
        encoded_len: usize,
    },
}

/// A run of stored events.
#[derive(Clone, Debug)]
pub struct StoredEvents {
    owner: Arc<dyn HasEvents>,
    from: usize,
    to: usize,
    encoded_len: usize,
}

/// Whoever holds stored events: a batch.
pub trait HasEvents: std::fmt::Debug + Send + Sync {
    /// The events.
    fn events(&self) -> &[StoredEvent];
}

impl StoredEvents {
    /// The events `from..to` of `owner`.
    ///
    /// # Panics
    ///
    /// When `owner` has no such events.
    #[must_use]
    pub fn new(owner: Arc<dyn HasEvents>, from: usize, to: usize) -> Self {
        let encoded_len = encoded_events_len(&owner.events()[from..to]);
        Self { owner, from, to, encoded_len }
    }

    fn events(&self) -> &[StoredEvent] {
        &self.owner.events()[self.from..self.to]
    }
}

impl Events {
    /// Events as fields.
    #[must_use]
    pub fn from_list(list: Vec<Event>) -> Self {
        Self { list, shared: Shared::None }
    }

    /// Events that [`encode_events`] has written already, for everybody who gets them.
    #[must_use]
    pub fn encoded(bytes: Bytes) -> Self {
        Self { list: Vec::new(), shared: Shared::Encoded(bytes) }
    }

    /// Stored events, to be encoded straight into the connection's buffer.
    #[must_use]
    pub fn stored(events: StoredEvents) -> Self {
        Self { list: Vec::new(), shared: Shared::Stored(events) }
    }

    /// Several runs of events, one after the other, in one answer. A clone of it costs a count.
    #[must_use]
    pub fn joined(runs: impl IntoIterator<Item = Events>) -> Self {
        let runs: Arc<[Events]> = runs.into_iter().collect();
        let encoded_len = runs.iter().map(Events::encoded_len).sum();
        Self { list: Vec::new(), shared: Shared::Joined { runs, encoded_len } }
    }

    /// The events as fields. None of those that are shared bytes: who sends events does not read them.
    #[must_use]
    pub fn list(&self) -> &[Event] {
        &self.list
    }

    /// The events as fields, taken out. None of those that are shared bytes.
    #[must_use]
    pub fn into_list(self) -> Vec<Event> {
        self.list
    }

    /// How many bytes they take on the wire.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        let shared = match &self.shared {
            Shared::None => 0,
            Shared::Encoded(bytes) => bytes.len(),
            Shared::Stored(stored) => stored.encoded_len,
            Shared::Joined { encoded_len, .. } => *encoded_len,
        };
        message::encoded_len_repeated(11, &self.list) + shared
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.encoded_len() == 0
    }

    fn encode(&self, buf: &mut impl BufMut) {
        message::encode_repeated(11, &self.list, buf);
        match &self.shared {
            Shared::None => {}
            Shared::Encoded(bytes) => buf.put_slice(bytes),
            Shared::Stored(stored) => encode_events(stored.events(), buf),
            Shared::Joined { runs, .. } => runs.iter().for_each(|run| run.encode(buf)),
        }
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.encoded_len());
        self.encode(&mut bytes);
        bytes
    }
}

/// By what they are on the wire.
impl PartialEq for Events {
    fn eq(&self, other: &Self) -> bool {
        self.to_bytes() == other.to_bytes()
    }
}

impl Message for WatchResponse {
    fn encode_raw(&self, buf: &mut impl BufMut) {
        if let Some(header) = &self.header {
            message::encode(1, header, buf);
        }
        if self.watch_id != 0 {
            int64::encode(2, &self.watch_id, buf);
        }
        if self.created {
            bool::encode(3, &true, buf);
        }
        if self.canceled {
            bool::encode(4, &true, buf);
        }
        if self.compact_revision != 0 {
            int64::encode(5, &self.compact_revision, buf);
        }
        if !self.cancel_reason.is_empty() {
            string::encode(6, &self.cancel_reason, buf);
        }
        if self.fragment {
            bool::encode(7, &true, buf);
        }
        self.events.encode(buf);
    }

    fn merge_field(
        &mut self,
        tag: u32,
        wire_type: WireType,
        buf: &mut impl Buf,
        ctx: DecodeContext,
    ) -> Result<(), DecodeError> {
        match tag {
            1 => message::merge(wire_type, self.header.get_or_insert_default(), buf, ctx),
            2 => int64::merge(wire_type, &mut self.watch_id, buf, ctx),
            3 => bool::merge(wire_type, &mut self.created, buf, ctx),
            4 => bool::merge(wire_type, &mut self.canceled, buf, ctx),
            5 => int64::merge(wire_type, &mut self.compact_revision, buf, ctx),
            6 => string::merge(wire_type, &mut self.cancel_reason, buf, ctx),
            7 => bool::merge(wire_type, &mut self.fragment, buf, ctx),
            11 => message::merge_repeated(wire_type, &mut self.events.list, buf, ctx),
            _ => prost::encoding::skip_field(wire_type, tag, buf, ctx),
        }
    }

    fn encoded_len(&self) -> usize {
        let number = |tag, number: &i64| if *number == 0 { 0 } else { int64::encoded_len(tag, number) };
        let flag = |flag| if flag { 2 } else { 0 };
        let header = self.header.as_ref().map_or(0, |header| message::encoded_len(1, header));
        let reason =
            if self.cancel_reason.is_empty() { 0 } else { string::encoded_len(6, &self.cancel_reason) };
        header
            + number(2, &self.watch_id)
            + flag(self.created)
            + flag(self.canceled)
            + number(5, &self.compact_revision)
            + reason
            + flag(self.fragment)
            + self.events.encoded_len()
    }

    fn clear(&mut self) {
        *self = Self::default();
    }
}
