//! Members of one role and family in a hash table: who is in, since when, and whom to name.
//!
//! A slot *is* the member, 8 bytes for IPv4, and one probe is one look at memory. The table grows by a quarter
//! at seven eighths, so a peer takes 9.1 to 11.4 bytes. Linear probing, removal by backward shift; hashes are
//! spread over the slots in order, so that growing reads and writes from front to back.

use super::hash::{AddrHash, place};

/// The time of an announce, in [`QUANTUM`](super::QUANTUM)s on a circle of 2¹⁶.
pub(super) type Stamp = u16;

/// Slots of the smallest table: 64 bytes of IPv4.
const MIN_SLOTS: usize = 8;

/// What an allocator needs beside an allocation's own bytes, in the estimate of memory.
pub(super) const ALLOCATION: usize = 16;

/// A member, or vacant.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot<const N: usize> {
    pub(super) addr: [u8; N],
    pub(super) stamp: Stamp,
}

impl<const N: usize> Slot<N> {
    /// No member: port 0 is never let in.
    pub(super) const VACANT: Self = Self { addr: [0; N], stamp: 0 };

    pub(super) fn is_vacant(&self) -> bool {
        self.addr.ends_with(&[0, 0])
    }
}

/// When members are too old to be named.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    pub(super) now: Stamp,
    pub(super) life: Stamp,
}

impl Clock {
    pub(super) const fn is_over(self, stamp: Stamp) -> bool {
        self.now.wrapping_sub(stamp) > self.life
    }
}

/// The table.
#[derive(Debug)]
pub(super) struct Table<const N: usize> {
    slots: Box<[Slot<N>]>,
    len: u32,
}

impl<const N: usize> Default for Table<N> {
    fn default() -> Self {
        Self { slots: Box::default(), len: 0 }
    }
}

impl<const N: usize> Table<N> {
    pub(super) const fn len(&self) -> usize {
        self.len as usize
    }

    /// Members and vacant places, in an order that says nothing.
    pub(super) const fn slots(&self) -> &[Slot<N>] {
        &self.slots
    }

    /// Memory behind the table, as estimated.
    pub(super) const fn bytes(&self) -> usize {
        if self.slots.is_empty() { 0 } else { size_of_val(&*self.slots) + ALLOCATION }
    }

    /// The member, if it is one.
    pub(super) fn find(&mut self, key: &AddrHash, addr: &[u8; N]) -> Option<&mut Slot<N>> {
        let at = self.position(key, addr)?;
        self.slots.get_mut(at)
    }

    /// Is it a member?
    pub(super) fn holds(&self, key: &AddrHash, addr: &[u8; N]) -> bool {
        self.position(key, addr).is_some()
    }

    /// The first slot in which a search for `addr` looks.
    pub(super) fn home(&self, key: &AddrHash, addr: &[u8; N]) -> Option<&Slot<N>> {
        self.slots.get(place(key.hash(addr), self.slots.len()))
    }

    /// Adds a member that is not in the table.
    pub(super) fn insert(&mut self, key: &AddrHash, member: Slot<N>) {
        if (self.len() + 1) * 8 > self.slots.len() * 7 {
            self.resize(key, (self.slots.len() * 5 / 4 + 1).max(MIN_SLOTS));
        }
        self.len += 1;
        self.put(key, member);
    }

    /// Takes a member out; true if it was one.
    pub(super) fn remove(&mut self, key: &AddrHash, addr: &[u8; N]) -> bool {
        let found = self.position(key, addr);
        if let Some(at) = found {
            self.remove_at(key, at);
            // Who draws slots must not search for the last members of a swarm that left.
            self.shrink(key, 4);
        }
        found.is_some()
    }

    /// Lets those go whose time is over, and gives memory back; `gone` is told each address.
    pub(super) fn expire(&mut self, key: &AddrHash, clock: Clock, mut gone: impl FnMut(&[u8; N])) {
        let mut at = 0;
        while let Some(slot) = self.slots.get(at) {
            if slot.is_vacant() || !clock.is_over(slot.stamp) {
                at += 1;
            } else {
                gone(&slot.addr);
                // Another may come into this place and is next.
                self.remove_at(key, at);
            }
        }
        self.shrink(key, 2);
    }

    /// Gives memory back if less than one slot in `sparse` holds a member.
    fn shrink(&mut self, key: &AddrHash, sparse: usize) {
        if self.len == 0 {
            *self = Self::default();
        } else if self.slots.len() > MIN_SLOTS && self.len() * sparse < self.slots.len() {
            self.resize(key, (self.len() * 4 / 3 + 1).max(MIN_SLOTS));
        }
    }

    fn position(&self, key: &AddrHash, addr: &[u8; N]) -> Option<usize> {
        let len = self.slots.len();
        let mut at = place(key.hash(addr), len);
        // An eighth of the slots is vacant, so this ends.
        loop {
            let slot = self.slots.get(at)?;
            if slot.addr == *addr {
                return Some(at);
            }
            if slot.is_vacant() {
                return None;
            }
            at = next(at, len);
        }
    }

    fn put(&mut self, key: &AddrHash, member: Slot<N>) {
        let len = self.slots.len();
        let mut at = place(key.hash(&member.addr), len);
        while let Some(slot) = self.slots.get_mut(at) {
            if slot.is_vacant() {
                *slot = member;
                return;
            }
            at = next(at, len);
        }
    }

    fn remove_at(&mut self, key: &AddrHash, mut hole: usize) {
        self.len -= 1;
        let len = self.slots.len();
        let distance = |from: usize, to: usize| if to >= from { to - from } else { to + len - from };
        let mut at = next(hole, len);
        while !self.slots[at].is_vacant() {
            // A member may move back into the hole unless its home lies behind the hole.
            let home = place(key.hash(&self.slots[at].addr), len);
            if distance(home, at) >= distance(hole, at) {
                self.slots[hole] = self.slots[at];
                hole = at;
            }
            at = next(at, len);
        }
        self.slots[hole] = Slot::VACANT;
    }

    fn resize(&mut self, key: &AddrHash, slots: usize) {
        let fresh = vec![Slot::VACANT; slots].into_boxed_slice();
        for member in std::mem::replace(&mut self.slots, fresh) {
            if !member.is_vacant() {
                self.put(key, member);
            }
        }
    }
}

const fn next(at: usize, len: usize) -> usize {
    if at + 1 == len { 0 } else { at + 1 }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::seed::Seed;
    use crate::time::Instant;

    fn addr(number: u8) -> [u8; 6] {
        [10, 0, 0, number, 0, 1]
    }

    #[test]
    fn a_member_takes_at_most_eleven_and_a_half_bytes() {
        let key = AddrHash::new(&mut Seed::from_u64(1).rng(), Instant::ZERO);
        let mut table = Table::<6>::default();
        for number in 1..100_000u32 {
            let [a, b, c, d] = number.to_be_bytes();
            table.insert(&key, Slot { addr: [a, b, c, d, 26, 225], stamp: 0 });
            assert!(number < 500 || table.bytes() * 2 <= number as usize * 23, "{number}: {}", table.bytes());
        }
    }

    proptest! {
        #[test]
        fn it_is_what_a_map_would_hold(
            steps in vec((0u8..60, 0u8..4, 0u16..3), 0..400), seed: u64
        ) {
            let key = AddrHash::new(&mut Seed::from_u64(seed).rng(), Instant::ZERO);
            let mut table = Table::<6>::default();
            let mut model: BTreeMap<[u8; 6], Stamp> = BTreeMap::new();
            let mut now: Stamp = u16::MAX - 20;
            for (number, action, passed) in steps {
                now = now.wrapping_add(u16::from(passed == 0));
                let addr = addr(number);
                match action {
                    0 | 1 => {
                        if let Some(slot) = table.find(&key, &addr) {
                            slot.stamp = now;
                        } else {
                            table.insert(&key, Slot { addr, stamp: now });
                        }
                        model.insert(addr, now);
                    }
                    2 => prop_assert_eq!(table.remove(&key, &addr), model.remove(&addr).is_some()),
                    _ => {
                        let clock = Clock { now, life: 9 };
                        let mut gone = Vec::new();
                        table.expire(&key, clock, |addr| gone.push(*addr));
                        gone.sort_unstable();
                        let due: Vec<[u8; 6]> =
                            model.iter().filter(|(_, at)| clock.is_over(**at)).map(|(a, _)| *a).collect();
                        prop_assert_eq!(gone, due);
                        model.retain(|_, at| !clock.is_over(*at));
                    }
                }
                prop_assert_eq!(table.len(), model.len());
                let held = table.slots().iter().filter(|slot| !slot.is_vacant());
                let held: BTreeMap<[u8; 6], Stamp> = held.map(|slot| (slot.addr, slot.stamp)).collect();
                prop_assert_eq!(&held, &model);
                for addr in model.keys() {
                    prop_assert!(table.find(&key, addr).is_some());
                }
            }
        }
    }
}
