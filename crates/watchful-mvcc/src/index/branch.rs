//! Neighbouring children, leaves or branches, and the separators between them.

use super::keys::Keys;

/// Invariants: there is one child more than separators; what is below a separator is in a child before it, what is at it
/// or above is in a child after it.
pub(super) struct Branch<T> {
    separators: Keys,
    pub(super) children: Vec<T>,
}

impl<T> Branch<T> {
    pub(super) fn of(child: T) -> Self {
        Self { separators: Keys::default(), children: vec![child] }
    }

    /// A branch of children that are in order, each with the separator before it; the first one's is left out.
    pub(super) fn from_sorted(children: impl IntoIterator<Item = (Box<[u8]>, T)>) -> Self {
        let mut branch = Self { separators: Keys::default(), children: Vec::new() };
        for (separator, child) in children {
            if !branch.children.is_empty() {
                branch.separators.push(&separator);
            }
            branch.children.push(child);
        }
        branch.separators.settle();
        branch
    }

    pub(super) fn len(&self) -> usize {
        self.children.len()
    }

    /// The number of the child that `key` belongs to.
    pub(super) fn child_of(&self, key: &[u8]) -> usize {
        self.separators.search(key).map_or_else(|at| at, |at| at + 1)
    }

    /// Adds a child after child number `at`.
    pub(super) fn insert_after(&mut self, at: usize, separator: &[u8], child: T) {
        self.separators.insert(at, separator);
        self.children.insert(at + 1, child);
    }

    /// Takes out child number `at`. What would belong to it belongs to a neighbour from now on. There is another.
    pub(super) fn remove(&mut self, at: usize) -> T {
        self.separators.remove(at.saturating_sub(1));
        self.children.remove(at)
    }

    /// Takes the second half of the children into a branch of their own. Tells the separator between the two.
    pub(super) fn split(&mut self) -> (Box<[u8]>, Self) {
        let half = self.len() / 2;
        let mut separators = self.separators.split_off(half - 1);
        let between = separators.get(0).into();
        separators.remove(0);
        separators.settle();
        (between, Self { separators, children: self.children.split_off(half) })
    }

    /// Adds the children of `other`, which come after `separator`.
    pub(super) fn append(&mut self, separator: &[u8], mut other: Self) {
        self.separators.insert(self.len() - 1, separator);
        self.separators.append(&other.separators);
        self.children.append(&mut other.children);
    }

    /// The separator after child number `at`.
    pub(super) fn separator_after(&self, at: usize) -> &[u8] {
        self.separators.get(at)
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.separators.heap_bytes() + self.children.capacity() * size_of::<T>()
    }
}
