//! The key ranges of one watch, kept disjoint and sorted, so that a key matches at most one of them and two watches of
//! the same keys can be recognised.

use std::sync::Arc;

use watchful_revision::KeyRange;

/// One or more disjoint key ranges in key order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct KeyRanges(Repr);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Repr {
    One(KeyRange),
    /// At least two.
    Many(Arc<[KeyRange]>),
}

impl KeyRanges {
    /// The keys that any of `ranges` holds; ranges that touch or overlap become one. None when there are no ranges.
    #[must_use]
    pub fn union(ranges: impl IntoIterator<Item = KeyRange>) -> Option<Self> {
        let mut ranges: Vec<KeyRange> = ranges.into_iter().collect();
        ranges.sort_by(|a, b| a.start().cmp(b.start()));
        let mut merged: Vec<KeyRange> = Vec::new();
        for range in ranges {
            match merged.last_mut().and_then(|last| Some((join(last, &range)?, last))) {
                Some((joined, last)) => *last = joined,
                None => merged.push(range),
            }
        }
        match merged.len() {
            0 => None,
            1 => merged.pop().map(Self::from),
            _ => Some(Self(Repr::Many(merged.into()))),
        }
    }

    /// The ranges, in key order.
    #[must_use]
    pub fn as_slice(&self) -> &[KeyRange] {
        match &self.0 {
            Repr::One(range) => std::slice::from_ref(range),
            Repr::Many(ranges) => ranges,
        }
    }

    /// Whether one of the ranges holds `key`.
    #[must_use]
    pub fn contains(&self, key: &[u8]) -> bool {
        let ranges = self.as_slice();
        let after = ranges.partition_point(|range| range.start() <= key);
        after.checked_sub(1).is_some_and(|at| ranges[at].contains(key))
    }
}

impl From<KeyRange> for KeyRanges {
    fn from(range: KeyRange) -> Self {
        Self(Repr::One(range))
    }
}

/// Both ranges as one, where the second starts inside the first or right at its end.
fn join(first: &KeyRange, second: &KeyRange) -> Option<KeyRange> {
    let Some(first_end) = first.end() else { return Some(first.clone()) };
    if second.start() > first_end.as_slice() {
        return None;
    }
    match second.end() {
        None => Some(KeyRange::from_key(first.start())),
        Some(end) => KeyRange::between(first.start(), end.max(first_end)).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn touching_ranges_become_one() {
        let between = |start: &str, end: &str| KeyRange::between(start, end).unwrap();
        let ranges =
            KeyRanges::union([between("m", "p"), between("a", "c"), between("c", "d"), KeyRange::key("n")]);
        assert_eq!(ranges.unwrap().as_slice(), [between("a", "d"), between("m", "p")]);
        let all = KeyRanges::union([KeyRange::everything(), KeyRange::key("n")]);
        assert_eq!(all.unwrap().as_slice(), [KeyRange::everything()]);
        assert_eq!(KeyRanges::union([]), None);
    }

    #[test]
    fn contains_looks_at_the_one_range_that_may_hold_the_key() {
        let ranges =
            KeyRanges::union([KeyRange::key("a"), KeyRange::prefix("c"), KeyRange::from_key("x")]).unwrap();
        for (key, held) in
            [("a", true), ("ab", false), ("c", true), ("cz", true), ("d", false), ("z", true), ("", false)]
        {
            assert_eq!(ranges.contains(key.as_bytes()), held, "{key}");
        }
    }
}
