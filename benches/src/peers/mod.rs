//! The peers: what ours is held against, in the same run.
//!
//! redb, fjall, sled and etcd are to come here too.

pub(crate) mod broadcast;

pub(crate) mod lmdb;
