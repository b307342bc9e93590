//! A set of watch ids that a delivery can share.
//!
//! A batch is queued once for all watches of a member, with their ids. A million ids must not be copied a batch, and
//! adding one to a million must not copy the million: so the set is kept in sorted blocks behind `Arc`s. Taking a share
//! is one increment; a change copies the list of blocks and one block, and only while a share is out.

use std::sync::Arc;

use crate::WatchId;

/// How many ids a block holds at most: 4 KiB, so that a change moves 2 KiB on average.
const BLOCK_LEN_MAX: usize = 512;

/// A sorted set of watch ids; a clone shares it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchIds(Repr);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Repr {
    One(WatchId),
    /// Sorted blocks, none of them empty; one `Arc` around all, so that a member stays small.
    Many(Arc<Vec<Block>>),
}

/// Some ids, ascending. The first is kept beside the others too: a search for a block of two thousand would wait for the
/// memory of eleven blocks otherwise, one after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Block {
    first: WatchId,
    ids: Arc<Vec<WatchId>>,
}

impl Block {
    /// # Panics
    ///
    /// When there are no ids.
    fn of(ids: Vec<WatchId>) -> Self {
        Self { first: ids[0], ids: Arc::new(ids) }
    }

    fn insert(&mut self, place: usize, id: WatchId) {
        Arc::make_mut(&mut self.ids).insert(place, id);
        self.first = self.ids[0];
    }

    /// Returns whether any is left.
    fn remove(&mut self, place: usize) -> bool {
        Arc::make_mut(&mut self.ids).remove(place);
        match self.ids.first() {
            Some(first) => {
                self.first = *first;
                true
            }
            None => false,
        }
    }
}

impl WatchIds {
    pub(crate) fn one(id: WatchId) -> Self {
        Self(Repr::One(id))
    }

    /// How many ids there are; never 0.
    #[must_use]
    pub fn len(&self) -> usize {
        match &self.0 {
            Repr::One(_) => 1,
            Repr::Many(blocks) => blocks.iter().map(|block| block.ids.len()).sum(),
        }
    }

    /// Never so: a delivery is for somebody.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        false
    }

    /// The ids, ascending.
    pub fn iter(&self) -> impl Iterator<Item = WatchId> + '_ {
        let (one, many) = match &self.0 {
            Repr::One(id) => (Some(*id), None),
            Repr::Many(blocks) => (None, Some(blocks.iter().flat_map(|block| block.ids.iter().copied()))),
        };
        one.into_iter().chain(many.into_iter().flatten())
    }

    /// The least id above `id`; the least of all when that is none. For a receiver that deals a delivery out in pieces,
    /// and holds nothing but the place it has come to. Costs two binary searches.
    #[must_use]
    pub fn next_after(&self, id: Option<WatchId>) -> Option<WatchId> {
        let is_after = |own: WatchId| id.is_none_or(|id| own > id);
        match &self.0 {
            Repr::One(own) => Some(*own).filter(|own| is_after(*own)),
            Repr::Many(blocks) => {
                // The last block that begins at `id` or below may have ids after it, and the one behind it has.
                let at = blocks.partition_point(|block| !is_after(block.first)).saturating_sub(1);
                let after = |ids: &[WatchId]| ids.get(ids.partition_point(|own| !is_after(*own))).copied();
                after(&blocks.get(at)?.ids).or_else(|| blocks.get(at + 1).map(|block| block.first))
            }
        }
    }

    /// Whether `id` is one of them.
    #[must_use]
    pub fn contains(&self, id: WatchId) -> bool {
        match &self.0 {
            Repr::One(own) => *own == id,
            Repr::Many(blocks) => blocks[block_of(blocks, id)].ids.binary_search(&id).is_ok(),
        }
    }

    pub(crate) fn insert(&mut self, id: WatchId) {
        match &mut self.0 {
            Repr::One(own) if *own == id => {}
            Repr::One(own) => {
                let block = if *own < id { vec![*own, id] } else { vec![id, *own] };
                self.0 = Repr::Many(Arc::new(vec![Block::of(block)]));
            }
            Repr::Many(blocks) => insert_into(Arc::make_mut(blocks), id),
        }
    }

    /// Takes `id` out. Returns false when that would leave none: a member without watches is to be removed instead.
    pub(crate) fn remove(&mut self, id: WatchId) -> bool {
        match &mut self.0 {
            Repr::One(own) => *own != id,
            Repr::Many(blocks) => {
                let blocks = Arc::make_mut(blocks);
                let at = block_of(blocks, id);
                let Ok(place) = blocks[at].ids.binary_search(&id) else { return true };
                if !blocks[at].remove(place) {
                    blocks.remove(at);
                }
                !blocks.is_empty()
            }
        }
    }
}

/// The block that holds `id`, or would.
fn block_of(blocks: &[Block], id: WatchId) -> usize {
    blocks.partition_point(|block| block.first <= id).saturating_sub(1)
}

fn insert_into(blocks: &mut Vec<Block>, id: WatchId) {
    let at = block_of(blocks, id);
    let block = &mut blocks[at];
    let Err(place) = block.ids.binary_search(&id) else { return };
    if block.ids.len() < BLOCK_LEN_MAX {
        block.insert(place, id);
    } else if place == BLOCK_LEN_MAX {
        // Ids mostly grow: a full block stays full, instead of being split in halves.
        blocks.insert(at + 1, Block::of(vec![id]));
    } else {
        let mut upper = Block::of(Arc::make_mut(&mut block.ids).split_off(BLOCK_LEN_MAX / 2));
        if place <= BLOCK_LEN_MAX / 2 {
            block.insert(place, id);
        } else {
            upper.insert(place - BLOCK_LEN_MAX / 2, id);
        }
        blocks.insert(at + 1, upper);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn is_a_sorted_set(steps in prop::collection::vec((any::<bool>(), 0_i64..2_000), 1..4_000)) {
            let (mut ids, mut twin) = (WatchIds::one(1_000), BTreeSet::from([1_000_i64]));
            let mut shares = Vec::new();
            for (at, (insert, id)) in steps.into_iter().enumerate() {
                if insert {
                    ids.insert(id);
                    twin.insert(id);
                } else if twin.contains(&id) && twin.len() > 1 {
                    prop_assert!(ids.remove(id));
                    twin.remove(&id);
                }
                if at % 500 == 0 {
                    shares.push((ids.clone(), twin.clone()));
                }
            }
            shares.push((ids, twin));
            for (ids, twin) in shares {
                prop_assert!(ids.iter().eq(twin.iter().copied()));
                prop_assert_eq!(ids.len(), twin.len());
                let walk = std::iter::successors(ids.next_after(None), |id| ids.next_after(Some(*id)));
                prop_assert!(walk.eq(twin.iter().copied()));
            }
        }
    }

    #[test]
    fn ids_that_lie_far_apart_are_found() {
        let uneven = (0..if cfg!(miri) { 30 } else { 600 })
            .flat_map(|n: i64| [n, n * n * n * 40_000_000_000, i64::MIN + n * 7, i64::MAX - n]);
        let (mut ids, mut twin) = (WatchIds::one(5), BTreeSet::from([5]));
        for id in uneven {
            ids.insert(id);
            twin.insert(id);
        }
        assert!(ids.iter().eq(twin.iter().copied()));
        for id in twin.clone() {
            assert!(ids.contains(id), "{id}");
            let neighbour = id.saturating_add(1);
            assert_eq!(ids.contains(neighbour), twin.contains(&neighbour), "{neighbour}");
        }
        for id in twin.clone().into_iter().step_by(3) {
            assert!(ids.remove(id));
            twin.remove(&id);
        }
        assert!(ids.iter().eq(twin.iter().copied()));
    }

    #[test]
    fn the_last_id_is_not_taken_out() {
        let mut ids = WatchIds::one(3);
        assert!(!ids.remove(3));
        ids.insert(4);
        assert!(ids.remove(3));
        assert!(!ids.remove(4));
    }
}
