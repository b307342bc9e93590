//! How large a run is.

/// Full sizes are those that the goals speak of; quick ones are for a look, and to see that everything still works.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    pub(crate) quick: bool,
}

/// How many rounds a median is taken of.
pub(crate) const ROUNDS: usize = 5;

impl Scale {
    /// The size for this run.
    pub(crate) fn pick<T>(self, full: T, quick: T) -> T {
        if self.quick { quick } else { full }
    }

    pub(crate) fn name(self) -> &'static str {
        self.pick("full", "quick")
    }
}
