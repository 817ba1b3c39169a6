//! The members of one swarm in one address family: who is in, who goes stale, whom to name.
//!
//! A member is its compact address and the time of its last announce: 8 bytes for IPv4. Leechers stand
//! before seeders in one vector, so that a seeder is shown leechers without a search.

use super::index::{HashKey, Index};
use crate::seed::Random;

/// Up to this many members are searched one by one: a cache line or two.
const MAX_UNINDEXED: usize = 16;

/// Places made for the first member: 24 bytes of IPv4, the least that common allocators hand out.
const FIRST_MEMBERS: usize = 3;

/// The time of an announce, in units of the registry's quantum, on a circle of 2¹⁶.
pub(super) type Stamp = u16;

#[derive(Clone, Copy, Debug)]
struct Member<const N: usize> {
    addr: [u8; N],
    stamp: Stamp,
}

/// Members with compact addresses of `N` bytes.
#[derive(Debug, Default)]
pub(super) struct Members<const N: usize> {
    list: Vec<Member<N>>,
    leechers: u32,
    index: Option<Box<Index>>,
}

/// What a member is or was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Leecher,
    Seeder,
}

impl<const N: usize> Members<N> {
    pub(super) const fn leechers(&self) -> usize {
        self.leechers as usize
    }

    pub(super) const fn seeders(&self) -> usize {
        self.list.len() - self.leechers()
    }

    pub(super) const fn len(&self) -> usize {
        self.list.len()
    }

    /// What `addr` is here, if it is a member.
    pub(super) fn role(&self, key: &HashKey, addr: &[u8; N]) -> Option<Role> {
        self.position(key, addr).map(|position| self.role_at(position))
    }

    /// Notes an announce of `addr`, a member or not.
    pub(super) fn put(&mut self, key: &HashKey, addr: [u8; N], role: Role, stamp: Stamp) {
        let Some(position) = self.position(key, &addr) else {
            self.push(key, Member { addr, stamp });
            if role == Role::Leecher {
                self.swap(key, self.list.len() - 1, self.leechers());
                self.leechers += 1;
            }
            return;
        };
        self.list[position].stamp = stamp;
        match (self.role_at(position), role) {
            (Role::Leecher, Role::Seeder) => {
                self.leechers -= 1;
                self.swap(key, position, self.leechers());
            }
            (Role::Seeder, Role::Leecher) => {
                self.swap(key, position, self.leechers());
                self.leechers += 1;
            }
            (Role::Leecher, Role::Leecher) | (Role::Seeder, Role::Seeder) => {}
        }
    }

    /// Lets `addr` go; true if it was a member.
    pub(super) fn remove(&mut self, key: &HashKey, addr: &[u8; N]) -> bool {
        let position = self.position(key, addr);
        if let Some(position) = position {
            self.remove_at(key, position);
        }
        position.is_some()
    }

    /// Lets everybody go whose last announce is more than `life` before `now`; how many went.
    pub(super) fn expire(&mut self, key: &HashKey, now: Stamp, life: Stamp) -> usize {
        let before = self.len();
        // From the back: what a removal moves to the front has been looked at.
        for position in (0..before).rev() {
            if now.wrapping_sub(self.list[position].stamp) > life {
                self.remove_at(key, position);
            }
        }
        if self.list.is_empty() {
            // A flood that is over gives its memory back.
            *self = Self { list: Vec::new(), leechers: 0, index: None };
        }
        before - self.len()
    }

    /// Names up to `count` members for `asker`, which is never among them, uniformly at random.
    ///
    //= BEP 3 leaves the choice to the tracker. A seeder is shown leechers only: two seeders have nothing
    //= to say to each other.
    pub(super) fn choose(
        &self,
        key: &HashKey,
        random: &mut Random,
        asker: &[u8; N],
        count: usize,
        mut each: impl FnMut(&[u8; N]),
    ) {
        let asker = self.position(key, asker);
        let seeding = asker.is_some_and(|position| self.role_at(position) == Role::Seeder);
        let end = if seeding { self.leechers() } else { self.list.len() };
        let skip = asker.filter(|&position| position < end);
        let candidates = end - usize::from(skip.is_some());
        sample(random, candidates, count, |n| {
            let position = n + usize::from(skip.is_some_and(|skip| n >= skip));
            each(&self.list[position].addr);
        });
    }

    /// Everybody, with role and last announce.
    pub(super) fn each(&self, mut each: impl FnMut([u8; N], Role, Stamp)) {
        for (position, member) in self.list.iter().enumerate() {
            each(member.addr, self.role_at(position), member.stamp);
        }
    }

    fn role_at(&self, position: usize) -> Role {
        if position < self.leechers() { Role::Leecher } else { Role::Seeder }
    }

    fn position(&self, key: &HashKey, addr: &[u8; N]) -> Option<usize> {
        match &self.index {
            Some(index) => index.find(key.hash(addr), |position| self.list[position].addr == *addr),
            None => self.list.iter().position(|member| member.addr == *addr),
        }
    }

    fn push(&mut self, key: &HashKey, member: Member<N>) {
        if self.list.is_empty() {
            // Most torrents have few members, and a vector's own first step is four.
            self.list.reserve_exact(FIRST_MEMBERS);
        }
        self.list.push(member);
        let list = &self.list;
        let hash_of = |position: usize| key.hash(&list[position].addr);
        if let Some(index) = &mut self.index {
            index.insert(key.hash(&member.addr), list.len() - 1, hash_of);
        } else if list.len() > MAX_UNINDEXED {
            let mut index = Box::<Index>::default();
            for position in 0..list.len() {
                index.insert(hash_of(position), position, hash_of);
            }
            self.index = Some(index);
        }
    }

    fn remove_at(&mut self, key: &HashKey, mut position: usize) {
        if position < self.leechers() {
            self.leechers -= 1;
            self.swap(key, position, self.leechers());
            position = self.leechers();
        }
        let last = self.list.len() - 1;
        self.swap(key, position, last);
        let list = &self.list;
        if let Some(index) = &mut self.index {
            let hash_of = |position: usize| key.hash(&list[position].addr);
            index.remove(hash_of(last), last, hash_of);
        }
        self.list.pop();
    }

    fn swap(&mut self, key: &HashKey, a: usize, b: usize) {
        if a == b {
            return;
        }
        if let Some(index) = &mut self.index {
            let (hash_a, hash_b) = (key.hash(&self.list[a].addr), key.hash(&self.list[b].addr));
            // Past the end for a moment, or the two could not be told apart when their hashes collide.
            index.moved(hash_a, a, self.list.len());
            index.moved(hash_b, b, a);
            index.moved(hash_a, self.list.len(), b);
        }
        self.list.swap(a, b);
    }
}

/// Picks `count` different numbers below `len`, all subsets equally likely (Floyd's algorithm).
fn sample(random: &mut Random, len: usize, count: usize, mut each: impl FnMut(usize)) {
    if count >= len {
        return (0..len).for_each(each);
    }
    // A filter of 512 bits spares nearly every look through what was picked.
    let mut seen = [0u64; 8];
    let mut picked: Vec<usize> = Vec::with_capacity(count);
    for bound in len - count..len {
        let drawn = random.index(bound + 1);
        let is_seen = seen[drawn / 64 % 8] & (1 << (drawn % 64)) != 0;
        let number = if is_seen && picked.contains(&drawn) { bound } else { drawn };
        seen[number / 64 % 8] |= 1 << (number % 64);
        picked.push(number);
        each(number);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::seed::Seed;

    fn key() -> HashKey {
        HashKey::new(&[3; 16])
    }

    fn addr(number: u8) -> [u8; 6] {
        [10, 0, 0, number, 0, 1]
    }

    fn chosen(members: &Members<6>, asker: u8, count: usize, seed: u64) -> Vec<u8> {
        let mut chosen = Vec::new();
        let random = &mut Seed::from_u64(seed).rng();
        members.choose(&key(), random, &addr(asker), count, |addr| chosen.push(addr[3]));
        chosen.sort_unstable();
        chosen
    }

    #[test]
    fn a_leecher_sees_all_others_and_a_seeder_sees_leechers() {
        let mut members = Members::<6>::default();
        for number in 0..40 {
            let role = if number % 2 == 0 { Role::Leecher } else { Role::Seeder };
            members.put(&key(), addr(number), role, 0);
        }
        let others = |keep: fn(&u8) -> bool| (0..40).filter(keep).collect::<Vec<u8>>();
        assert_eq!(chosen(&members, 4, 100, 1), others(|n| *n != 4));
        assert_eq!(chosen(&members, 5, 100, 1), others(|n| n % 2 == 0));
        assert_eq!(chosen(&members, 99, 100, 1), others(|_| true), "a stranger");
        assert_eq!(chosen(&members, 4, 7, 1).len(), 7);
    }

    #[test]
    fn the_choice_is_uniform() {
        let mut members = Members::<6>::default();
        (0..51).for_each(|number| members.put(&key(), addr(number), Role::Leecher, 0));
        let mut times = [0u32; 51];
        for seed in 0..5000 {
            for number in chosen(&members, 17, 10, seed) {
                times[usize::from(number)] += 1;
            }
        }
        assert_eq!(times[17], 0, "never the asker");
        // Each of 50 is due 1000 times. Chi square with 49 degrees of freedom: 85 has p = 0.001.
        let square = |(_, &n): (usize, &u32)| (f64::from(n) - 1000.0).powi(2) / 1000.0;
        let chi_square: f64 = times.iter().enumerate().filter(|(n, _)| *n != 17).map(square).sum();
        assert!(chi_square < 85.0, "chi square {chi_square}");
    }

    proptest! {
        #[test]
        fn they_are_what_a_map_would_hold(steps in vec((0u8..60, 0u8..4, 0u16..3), 0..400)) {
            let key = key();
            let mut members = Members::<6>::default();
            let mut model: BTreeMap<u8, (Role, Stamp)> = BTreeMap::new();
            let mut now: Stamp = u16::MAX - 20;
            for (number, action, passed) in steps {
                now = now.wrapping_add(u16::from(passed == 0));
                match action {
                    0 | 1 => {
                        let role = if action == 0 { Role::Leecher } else { Role::Seeder };
                        members.put(&key, addr(number), role, now);
                        model.insert(number, (role, now));
                    }
                    2 => {
                        let was = model.remove(&number).is_some();
                        prop_assert_eq!(members.remove(&key, &addr(number)), was);
                    }
                    _ => {
                        let before = model.len();
                        model.retain(|_, (_, stamp)| now.wrapping_sub(*stamp) <= 9);
                        prop_assert_eq!(members.expire(&key, now, 9), before - model.len());
                    }
                }
                prop_assert_eq!(members.len(), model.len());
                let leechers = model.values().filter(|(role, _)| *role == Role::Leecher).count();
                prop_assert_eq!(members.leechers(), leechers);
                for number in 0..60 {
                    let role = model.get(&number).map(|(role, _)| *role);
                    prop_assert_eq!(members.role(&key, &addr(number)), role);
                }
            }
        }
    }
}
