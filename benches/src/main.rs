//! The harness's program: `cargo xtask bench` hands it its arguments, and `--help` tells them.
#![forbid(unsafe_code)]

use std::process::ExitCode;

/// The most that may be allocated at once. Beyond it the run ends, instead of the machine: the largest workload needs a
/// fifth of this.
#[cfg(feature = "count-allocations")]
const ALLOCATED_BYTES_MAX: usize = 12 << 30;

#[cfg(feature = "count-allocations")]
#[global_allocator]
static ALLOCATOR: cap::Cap<std::alloc::System> = cap::Cap::new(std::alloc::System, ALLOCATED_BYTES_MAX);

#[cfg(feature = "count-allocations")]
fn live_bytes() -> Option<usize> {
    Some(ALLOCATOR.allocated())
}

#[cfg(not(feature = "count-allocations"))]
fn live_bytes() -> Option<usize> {
    None
}

fn main() -> ExitCode {
    watchful_benches::main(live_bytes)
}
