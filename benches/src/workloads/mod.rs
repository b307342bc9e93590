//! The workloads, one module each.

pub(crate) mod put;

pub(crate) mod group_commit;

pub(crate) mod read;

pub(crate) mod reader;

pub(crate) mod fan_out;

#[cfg(feature = "peers")]
mod fan_out_sled;

pub(crate) mod catch_up;

pub(crate) mod cancel;

pub(crate) mod idle;

pub(crate) mod open;

pub(crate) mod compact;

pub(crate) mod compacting;

pub(crate) mod stab;

pub(crate) mod index;

pub(crate) mod laggard;

pub(crate) mod random_starts;

pub(crate) mod staller;

pub(crate) mod matching;

pub(crate) mod huge_revision;

pub(crate) mod churn;

pub(crate) mod at_the_tail;

pub(crate) mod previous;

pub(crate) mod slow_readers;

pub(crate) mod unread;

pub(crate) mod behind;

pub(crate) mod tail;

pub(crate) mod watched;

pub(crate) mod support;

mod log;

mod storage;

pub(crate) mod arrivals;
