//! What goes out as stored bytes must be what prost would have written, to the last byte: any client reads it then.

mod key_values;

mod watch_responses;

mod support;
