//! From a key's hash to its number, for building an index: nothing is ever taken out, and searches come by the dozen.
//!
//! A general hash table touches two lines of memory a search, its control bytes and its entry, and finds out about the
//! second from the first. Here a slot is eight bytes and a search goes on in the slot after it, so nearly every search touches
//! one line, which is known beforehand and can be fetched for many searches at once. A million keys take 16 MiB.

/// Some keys are at most, so that a slot stays free even where the table cannot grow any more.
pub(super) const KEYS_MAX: u32 = NONE;

const NONE: u32 = u32::MAX;

/// A search begins at the slot that the first bits of the hash name.
#[derive(Clone, Copy)]
struct Slot {
    hash: u32,
    /// The key's number; [`NONE`] when the slot is free.
    number: u32,
}

const FREE: Slot = Slot { hash: 0, number: NONE };

/// A hash has no more bits to name a slot by.
const BITS_MAX: u32 = 32;

/// Invariant: the number of slots is a power of two, and one of them at least is free.
pub(super) struct Table {
    slots: Vec<Slot>,
    bits: u32,
    used: usize,
}

impl Default for Table {
    fn default() -> Self {
        Self::of_bits(1)
    }
}

impl Table {
    /// A table that does not grow before it has so many keys.
    pub(super) fn with_room(keys: usize) -> Self {
        Self::of_bits(
            (keys.saturating_mul(4) / 3 + 1).next_power_of_two().trailing_zeros().clamp(1, BITS_MAX),
        )
    }

    fn of_bits(bits: u32) -> Self {
        Self { slots: vec![FREE; 1 << bits], bits, used: 0 }
    }

    fn start(&self, hash: u32) -> usize {
        (hash >> (BITS_MAX - self.bits)) as usize
    }

    /// Has the processor fetch the slots where searches for these hashes begin, all at once.
    pub(super) fn fetch(&self, hashes: impl Iterator<Item = u32>) {
        let fetched = hashes.map(|hash| self.slots[self.start(hash)].number);
        std::hint::black_box(fetched.fold(0, u32::wrapping_add));
    }

    /// The number with this hash for which `is_it` holds.
    pub(super) fn find(&self, hash: u32, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        let mut at = self.start(hash);
        loop {
            let slot = self.slots[at];
            if slot.number == NONE {
                return None;
            }
            if slot.hash == hash && is_it(slot.number) {
                return Some(slot.number);
            }
            at = (at + 1) & (self.slots.len() - 1);
        }
    }

    /// Adds a number, which is below [`KEYS_MAX`] and not there yet.
    pub(super) fn insert(&mut self, hash: u32, number: u32) {
        if self.used >= self.slots.len() / 4 * 3 && self.bits < BITS_MAX {
            self.grow();
        }
        self.put(Slot { hash, number });
        self.used += 1;
    }

    fn put(&mut self, slot: Slot) {
        let mut at = self.start(slot.hash);
        while self.slots[at].number != NONE {
            at = (at + 1) & (self.slots.len() - 1);
        }
        self.slots[at] = slot;
    }

    fn grow(&mut self) {
        let grown = Self { used: self.used, ..Self::of_bits(self.bits + 1) };
        let before = std::mem::replace(self, grown);
        before.slots.into_iter().filter(|slot| slot.number != NONE).for_each(|slot| self.put(slot));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The last slots go on in the first ones, and numbers of one hash are told apart by their keys.
    #[test]
    fn what_was_put_in_is_found_whatever_the_hashes() {
        for hash_of in [|number: u32| number.wrapping_mul(0x9e37_79b9), |_| u32::MAX, |number| number % 7] {
            let mut table = Table::default();
            for number in 0..1000 {
                assert_eq!(table.find(hash_of(number), |own| own == number), None);
                table.insert(hash_of(number), number);
            }
            for number in 0..1000 {
                assert_eq!(table.find(hash_of(number), |own| own == number), Some(number));
            }
        }
    }
}
