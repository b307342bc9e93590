//! Named places where a trial may pause, fail, panic, or kill the process, by the crate `fail`.
//!
//! Only the feature `failpoints` makes them, and no build has it that does not ask for it: without it there is nothing here,
//! and the crate `fail` is not built.

/// A place by its name. With an error, a trial may have it returned there.
macro_rules! failpoint {
    ($name:literal) => {
        #[cfg(feature = "failpoints")]
        fail::fail_point!($name);
    };
    ($name:literal, $error:expr) => {
        #[cfg(feature = "failpoints")]
        fail::fail_point!($name, |_| Err($error));
    };
}

pub(crate) use failpoint;
