//! What a trial has done, in numbers: kills, images, events.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

/// Counts by what was counted.
#[derive(Debug, Default)]
pub(crate) struct Tally(BTreeMap<Cow<'static, str>, u64>);

impl Tally {
    pub(crate) fn add(&mut self, what: impl Into<Cow<'static, str>>, count: u64) {
        *self.0.entry(what.into()).or_default() += count;
    }

    /// Of these, what was never done.
    pub(crate) fn never(&self, wanted: &[&'static str]) -> Vec<&'static str> {
        wanted.iter().copied().filter(|what| self.0.get(*what).is_none_or(|count| *count == 0)).collect()
    }

    /// Of what is not counted but measured, the most.
    pub(crate) fn raise(&mut self, what: &'static str, measured: u64) {
        let most = self.0.entry(what.into()).or_default();
        *most = measured.max(*most);
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (what, count)) in self.0.iter().enumerate() {
            write!(f, "{}{count} {what}", if at > 0 { ", " } else { "" })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rounds of panics in which no panic came were told as rounds with one, and nobody looked whether any did.
    #[test]
    fn what_was_never_done_is_told() {
        let mut tally = Tally::default();
        tally.add("kills", 3);
        tally.add("panics", 0);
        assert_eq!(tally.never(&["kills", "panics", "errors"]), ["panics", "errors"]);
    }
}
