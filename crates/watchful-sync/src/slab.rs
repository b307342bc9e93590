//! Things that are named by a small number. A name is used again after its thing is gone, so whoever keeps a name over
//! time also checks that the thing is still the one it meant.

/// A vector with holes.
#[derive(Debug)]
pub(crate) struct Slab<T> {
    slots: Vec<Option<T>>,
    free: Vec<u32>,
}

impl<T> Slab<T> {
    pub(crate) fn new() -> Self {
        Self { slots: Vec::new(), free: Vec::new() }
    }

    /// How many things there are.
    pub(crate) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// # Panics
    ///
    /// When four thousand million things are there already: their bookkeeping alone would fill 160 GiB.
    pub(crate) fn insert(&mut self, thing: T) -> u32 {
        if let Some(name) = self.free.pop() {
            self.slots[name as usize] = Some(thing);
            return name;
        }
        let name = u32::try_from(self.slots.len()).expect("fewer than 2^32 things fit into memory");
        self.slots.push(Some(thing));
        name
    }

    pub(crate) fn remove(&mut self, name: u32) -> Option<T> {
        let thing = self.slots.get_mut(name as usize)?.take()?;
        self.free.push(name);
        // The last one out gives the memory back: a million watchers may have come and gone.
        if self.len() == 0 {
            *self = Self::new();
        }
        Some(thing)
    }

    pub(crate) fn get(&self, name: u32) -> Option<&T> {
        self.slots.get(name as usize)?.as_ref()
    }

    pub(crate) fn get_mut(&mut self, name: u32) -> Option<&mut T> {
        self.slots.get_mut(name as usize)?.as_mut()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        (0_u32..).zip(&self.slots).filter_map(|(name, slot)| Some((name, slot.as_ref()?)))
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (u32, &mut T)> {
        (0_u32..).zip(&mut self.slots).filter_map(|(name, slot)| Some((name, slot.as_mut()?)))
    }
}
