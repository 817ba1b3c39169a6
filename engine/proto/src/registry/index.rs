//! A hash index over the positions of a vector: where in the vector is the element with this name?
//!
//! It stores four bytes an entry and not the names again, which is what keeps a peer of a big swarm below
//! 16 bytes. Linear probing, removal by backward shift. The hash is keyed, for the names are strangers'.

use std::hash::Hasher;

use siphasher::sip::SipHasher13;

/// No position.
const VACANT: u32 = u32::MAX;

/// The smallest table.
const MIN_SLOTS: usize = 16;

/// The keyed hash of names; one for the whole registry.
#[derive(Clone, Copy, Debug)]
pub(super) struct HashKey(SipHasher13);

impl HashKey {
    pub(super) fn new(key: &[u8; 16]) -> Self {
        Self(SipHasher13::new_with_key(key))
    }

    pub(super) fn hash(&self, name: &[u8]) -> u64 {
        let mut hasher = self.0;
        hasher.write(name);
        hasher.finish()
    }
}

/// Positions by the hash of the element's name.
#[derive(Clone, Debug, Default)]
pub(super) struct Index {
    slots: Vec<u32>,
    len: usize,
}

impl Index {
    /// The position among those with `hash` for which `is_it` holds.
    pub(super) fn find(&self, hash: u64, is_it: impl Fn(usize) -> bool) -> Option<usize> {
        self.slot(hash, is_it).and_then(|slot| self.slots.get(slot)).map(|&position| position as usize)
    }

    /// Adds a position that is not in the index; `hash_of` is the hash of the element at a position.
    pub(super) fn insert(&mut self, hash: u64, position: usize, hash_of: impl Fn(usize) -> u64) {
        // At most three quarters full, or probing grows long.
        if (self.len + 1) * 4 > self.slots.len() * 3 {
            self.grow(&hash_of);
        }
        self.len += 1;
        self.place(hash, position as u32);
    }

    /// Takes `position` out; `hash_of` must still know every element that is in the index.
    pub(super) fn remove(&mut self, hash: u64, position: usize, hash_of: impl Fn(usize) -> u64) {
        let Some(mut hole) = self.slot(hash, |candidate| candidate == position) else { return };
        self.len -= 1;
        let mask = self.mask();
        let mut next = hole;
        loop {
            next = (next + 1) & mask;
            let moved = self.slots[next];
            if moved == VACANT {
                break;
            }
            // An entry may move back into the hole unless its home lies behind the hole.
            let home = hash_of(moved as usize) as usize & mask;
            if next.wrapping_sub(home) & mask >= next.wrapping_sub(hole) & mask {
                self.slots[hole] = moved;
                hole = next;
            }
        }
        self.slots[hole] = VACANT;
    }

    /// The element with `hash` has moved in the vector.
    pub(super) fn moved(&mut self, hash: u64, from: usize, to: usize) {
        if let Some(slot) = self.slot(hash, |candidate| candidate == from) {
            self.slots[slot] = to as u32;
        }
    }

    fn slot(&self, hash: u64, is_it: impl Fn(usize) -> bool) -> Option<usize> {
        if self.slots.is_empty() {
            return None;
        }
        let mask = self.mask();
        let mut slot = hash as usize & mask;
        // A quarter of the slots is vacant, so this ends.
        while self.slots[slot] != VACANT {
            if is_it(self.slots[slot] as usize) {
                return Some(slot);
            }
            slot = (slot + 1) & mask;
        }
        None
    }

    fn place(&mut self, hash: u64, position: u32) {
        let mask = self.mask();
        let mut slot = hash as usize & mask;
        while self.slots[slot] != VACANT {
            slot = (slot + 1) & mask;
        }
        self.slots[slot] = position;
    }

    fn grow(&mut self, hash_of: &impl Fn(usize) -> u64) {
        let slots = (self.slots.len() * 2).max(MIN_SLOTS);
        let old = std::mem::replace(&mut self.slots, vec![VACANT; slots]);
        for position in old.into_iter().filter(|&position| position != VACANT) {
            self.place(hash_of(position as usize), position);
        }
    }

    /// The table's length is a power of two.
    const fn mask(&self) -> usize {
        self.slots.len() - 1
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Names below 64 with a hash of three bits: every probe collides.
        #[test]
        fn it_finds_what_a_vector_holds(steps in vec((0u8..64, any::<bool>()), 0..300)) {
            let hash = |name: u8| u64::from(name & 7);
            let mut names: Vec<u8> = Vec::new();
            let mut index = Index::default();
            for (name, remove) in steps {
                let found = index.find(hash(name), |position| names[position] == name);
                prop_assert_eq!(found, names.iter().position(|&other| other == name));
                match (found, remove) {
                    (None, false) => {
                        names.push(name);
                        index.insert(hash(name), names.len() - 1, |position| hash(names[position]));
                    }
                    (Some(position), true) => {
                        index.remove(hash(name), position, |position| hash(names[position]));
                        let last = names.len() - 1;
                        if position != last {
                            index.moved(hash(names[last]), last, position);
                        }
                        names.swap_remove(position);
                    }
                    (None, true) | (Some(_), false) => {}
                }
                prop_assert_eq!(index.len, names.len());
            }
        }
    }
}
