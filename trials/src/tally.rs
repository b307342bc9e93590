//! What a trial has done, in numbers: kills, images, events.

use std::collections::BTreeMap;
use std::fmt;

/// Counts by what was counted.
#[derive(Debug, Default)]
pub(crate) struct Tally(BTreeMap<&'static str, u64>);

impl Tally {
    pub(crate) fn add(&mut self, what: &'static str, count: u64) {
        *self.0.entry(what).or_default() += count;
    }

    /// Of what is not counted but measured, the most.
    pub(crate) fn raise(&mut self, what: &'static str, measured: u64) {
        let most = self.0.entry(what).or_default();
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
