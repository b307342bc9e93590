//! The watcher index from outside: against a plain list, and with readers beside a writer.

mod concurrent;
mod stories;
mod twin;
