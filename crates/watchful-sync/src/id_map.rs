//! From a watch id to its member, for one stream.
//!
//! Ids that the stream gave out itself count up from 0, and an idle watcher has 256 bytes in all: so small ids live in
//! a plain vector at four bytes each, and only ids that a caller made up far away from there go to a hash map, where
//! each costs about 35.

use hashbrown::HashMap;

use crate::WatchId;

const NONE: u32 = u32::MAX;

#[derive(Debug, Default)]
pub(crate) struct IdMap {
    dense: Vec<u32>,
    dense_len: usize,
    sparse: HashMap<WatchId, u32, foldhash::fast::RandomState>,
}

impl IdMap {
    pub(crate) fn len(&self) -> usize {
        self.dense_len + self.sparse.len()
    }

    pub(crate) fn get(&self, id: WatchId) -> Option<u32> {
        match self.dense_place(id).map(|place| self.dense[place]) {
            Some(NONE) | None => self.sparse.get(&id).copied(),
            found => found,
        }
    }

    /// Names `member` as the owner of `id`, whoever owned it before.
    pub(crate) fn insert(&mut self, id: WatchId, member: u32) {
        if usize::try_from(id).is_ok_and(|place| place == self.dense.len()) && !self.sparse.contains_key(&id)
        {
            self.dense.push(NONE);
        }
        match self.dense_place(id) {
            Some(place) => {
                self.dense_len += usize::from(self.dense[place] == NONE);
                self.dense[place] = member;
            }
            None => drop(self.sparse.insert(id, member)),
        }
    }

    pub(crate) fn remove(&mut self, id: WatchId) -> Option<u32> {
        let Some(place) = self.dense_place(id) else { return self.sparse.remove(&id) };
        let member = std::mem::replace(&mut self.dense[place], NONE);
        if member == NONE {
            return None;
        }
        self.dense_len -= 1;
        Some(member)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (WatchId, u32)> + '_ {
        let dense =
            (0..).zip(&self.dense).filter(|(_, member)| **member != NONE).map(|(id, member)| (id, *member));
        dense.chain(self.sparse.iter().map(|(id, member)| (*id, *member)))
    }

    /// Where `id` is in the vector, if that is where it belongs. An id in the hash map stays there.
    fn dense_place(&self, id: WatchId) -> Option<usize> {
        usize::try_from(id).ok().filter(|place| *place < self.dense.len())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn is_a_map(steps in prop::collection::vec((any::<bool>(), -3_i64..40, 0_u32..100), 0..400)) {
            let (mut map, mut twin) = (IdMap::default(), BTreeMap::new());
            for (insert, id, member) in steps {
                if insert {
                    map.insert(id, member);
                    twin.insert(id, member);
                } else {
                    prop_assert_eq!(map.remove(id), twin.remove(&id));
                }
                prop_assert_eq!(map.len(), twin.len());
                prop_assert_eq!(map.get(id), twin.get(&id).copied());
            }
            let all: BTreeMap<_, _> = map.iter().collect();
            prop_assert_eq!(all, twin);
        }
    }
}
