//! Key ranges and whose they are, as a plain list.

use watchful_revision::KeyRange;

/// What an index of key ranges should answer. Answers are sorted.
///
/// ```
/// use watchful_revision::KeyRange;
/// use watchful_testkit::RangeList;
///
/// let mut list = RangeList::default();
/// assert!(list.insert(&KeyRange::prefix("a"), 1) && list.insert(&KeyRange::key("ab"), 2));
/// assert_eq!(list.stab(b"ab"), [1, 2]);
/// assert!(list.remove(&KeyRange::prefix("a"), 1) && !list.remove(&KeyRange::prefix("a"), 1));
/// assert_eq!(list.stab(b"ab"), [2]);
/// ```
#[derive(Clone, Debug)]
pub struct RangeList<T>(Vec<(KeyRange, T)>);

impl<T> Default for RangeList<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Copy + Ord> RangeList<T> {
    /// Adds the pair; false if it was there already.
    pub fn insert(&mut self, range: &KeyRange, whose: T) -> bool {
        let is_new = self.place(range, whose).is_none();
        self.0.extend(is_new.then(|| (range.clone(), whose)));
        is_new
    }

    /// Removes the pair; false if it was not there. The last one takes its place.
    pub fn remove(&mut self, range: &KeyRange, whose: T) -> bool {
        let place = self.place(range, whose);
        place.map(|place| self.0.swap_remove(place)).is_some()
    }

    /// Whose ranges hold `key`.
    #[must_use]
    pub fn stab(&self, key: &[u8]) -> Vec<T> {
        self.whose(|range| range.contains(key))
    }

    /// Who has exactly this range.
    #[must_use]
    pub fn of(&self, range: &KeyRange) -> Vec<T> {
        self.whose(|own| own == range)
    }

    /// How many pairs there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Every pair, in no promised order.
    #[must_use]
    pub fn pairs(&self) -> &[(KeyRange, T)] {
        &self.0
    }

    fn place(&self, range: &KeyRange, whose: T) -> Option<usize> {
        self.0.iter().position(|pair| pair.0 == *range && pair.1 == whose)
    }

    fn whose(&self, belongs: impl Fn(&KeyRange) -> bool) -> Vec<T> {
        let mut found: Vec<T> = self.0.iter().filter(|pair| belongs(&pair.0)).map(|pair| pair.1).collect();
        found.sort();
        found
    }
}
