//! Opening, and what may happen to a store from outside: damage, folders that cannot be used, full disks, and kill -9.
//!
//! Each refusal is a sentence that says what to do, and loses nothing: what was there before is there afterwards, and is
//! the model's. `WATCHFUL_SEED` decides what the killed processes write.

mod damage;

mod folder;

mod space;

mod kill;

mod kill_in_compaction;

use watchful_harness::child;

/// A text for a person: it names each of these.
fn check_says(error: &watchful::Error, parts: &[&str]) {
    let text = error.to_string();
    for part in parts {
        assert!(text.contains(part), "{text:?} should say {part:?}");
    }
}
