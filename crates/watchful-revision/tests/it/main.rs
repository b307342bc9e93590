//! Revisions, key ranges and records from outside: laws on arbitrary input, and the bytes as they are on disk.

mod key_ranges;
mod key_values;
mod records;
mod revisions;
