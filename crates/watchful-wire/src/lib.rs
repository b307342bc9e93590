//! etcd's v3 API as Rust types: its messages, its services, and answers that are spliced from stored bytes.
//!
//! **What it is for:** whoever speaks to an etcd, or answers as one: the server, the client program, the tests and the
//! benchmarks. The clients and the servers' traits are tonic's; the messages are prost's.
//!
//! **What it is not for:** nothing here serves, connects, stores or waits.
//!
//! # Its types
//!
//! - [`etcdserverpb`], [`mvccpb`], [`authpb`], [`v3lockpb`], [`v3electionpb`]: etcd's packages. [`watchers`]: ours.
//! - [`KeyValue`]: a key-value message that is either fields or the bytes as they are stored.
//! - [`WatchResponse`], [`Events`]: an answer of a watch, whose events are encoded once and shared.
//! - [`DESCRIPTORS`]: the encoded descriptors of everything above, for reflection and for JSON.
//!
//! # Invariants
//!
//! - **Nothing stored is decoded on its way out.** A stored record holds the key-value message as it goes over the wire,
//!   so encoding an answer copies it, once, into the connection's buffer.
//! - What is encoded here, prost's own types decode to the same fields, and the other way round.
//!
//! ```
//! use prost::Message;
//! use watchful_revision::{Put, Record, Revision, encode_put};
//! use watchful_wire::etcdserverpb::RangeResponse;
//!
//! let revision = Revision::new(2, 0);
//! let mut bytes = Vec::new();
//! encode_put(revision, &Put { key: b"a", value: b"1", create_revision: 2, version: 1, lease: 0 }, &mut bytes)?;
//! let record = Record::parse(revision, bytes.into())?;
//!
//! let answer = RangeResponse { kvs: vec![(&record).into()], count: 1, ..Default::default() };
//! let read = RangeResponse::decode(answer.encode_to_vec().as_slice())?;
//! assert_eq!((read.kvs[0].key(), read.kvs[0].value()), (&b"a"[..], &b"1"[..]));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod key_value;

mod watch_response;

mod events;

mod codec;

mod generated;

pub use codec::{WireCodec, WireDecoder, WireEncoder};
pub use events::{encode_events, encoded_events_len};
pub use generated::{authpb, etcdserverpb, mvccpb, v3electionpb, v3lockpb, watchers};
pub use key_value::KeyValue;
pub use watch_response::{Events, HasEvents, StoredEvents, WatchResponse};

/// The encoded `FileDescriptorSet` of all messages and services, for gRPC reflection and for the JSON mapping.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
