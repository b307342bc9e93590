//! The fuzzer's program: libFuzzer around one target, which the environment names.
//!
//! `cargo xtask fuzz` builds it with coverage and starts it; the arguments are libFuzzer's.
#![no_main]
#![allow(unsafe_code, reason = "libFuzzer is C++, and calls in by names that are not mangled")]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use watchful_fuzz::Target;

/// Says which target.
const TARGET: &str = "WATCHFUL_FUZZ_TARGET";

static CHOSEN: LazyLock<&Target> = LazyLock::new(|| {
    let name = std::env::var(TARGET).unwrap_or_else(|_| panic!("{TARGET} names no target"));
    watchful_fuzz::target(&name).unwrap_or_else(|| panic!("there is no target {name}"))
});

fuzz_target!(|input: &[u8]| (CHOSEN.run)(input));
