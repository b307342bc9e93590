//! What goes out as stored bytes must be what prost would have written, to the last byte: any client reads it then.

#![allow(clippy::unwrap_used, reason = "a test that meets an error has failed")]

mod key_values;

mod watch_responses;

mod support;
