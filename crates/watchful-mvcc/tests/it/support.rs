//! What the tests share is what fuzzing and the facade's tests share too.

pub(crate) use watchful_mvcc_twin::{Store, read_all, rows_at, settings};
