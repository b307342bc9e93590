//! Named places where a trial may pause, panic, or kill the process, by the crate `fail`.
//!
//! Only the feature `failpoints` makes them, and no build has it that does not ask for it: without it there is nothing here,
//! and the crate `fail` is not built.

/// A place by its name.
macro_rules! failpoint {
    ($name:literal) => {
        #[cfg(feature = "failpoints")]
        fail::fail_point!($name);
    };
}

pub(crate) use failpoint;
