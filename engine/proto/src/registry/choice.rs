//! Whom to name: so many members uniformly at random, every subset of that size equally likely.
//!
//! One draw from the registry's stream seeds a cheap generator for one reply. When many are left out, slots
//! are drawn until enough different members were met; when few are, all are listed and shuffled as far as
//! needed. A run of neighbours from a mixed list would be cheaper, but who stands side by side would always be
//! named together, and a swarm connected along such runs falls into cliques.

use super::hash::{fold, place};
use super::table::{Clock, Slot};
use crate::seed::Random;

/// Peers of one choice at the most, whatever is configured: more do not fit a reply over UDP.
pub(super) const MAX_CHOICE: usize = 200;

/// Draws for each member wanted, before a choice ends with fewer: at least half of the slots hold somebody,
/// so only a table that has gone stale comes to this.
const MAX_DRAWS: usize = 16;

/// The generator of one reply (wyrand).
#[derive(Clone, Copy, Debug)]
pub(super) struct Draws(u64);

impl Draws {
    pub(super) fn new(random: &mut Random) -> Self {
        Self(random.next_u64())
    }

    /// A number below `len`; the bias is below `len` / 2³².
    pub(super) const fn below(&mut self, len: usize) -> usize {
        self.0 = self.0.wrapping_add(0xa076_1d64_78bd_642f);
        place((fold(self.0, self.0 ^ 0xe703_7ed1_a0b4_28db) >> 32) as u32, len)
    }
}

/// Who is not to be named, and how many are wanted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wish<'a, const N: usize> {
    pub(super) asker: &'a [u8; N],
    pub(super) count: usize,
    pub(super) clock: Clock,
}

impl<const N: usize> Wish<'_, N> {
    pub(super) fn fits(&self, slot: &Slot<N>) -> bool {
        !slot.is_vacant() && slot.addr != *self.asker && !self.clock.is_over(slot.stamp)
    }
}

/// Appends the compact addresses of up to `wish.count` of the `members` who stand in these two tables.
///
/// At most twice as many are listed as are wanted, which bounds the work, and what `out` grows by meanwhile.
pub(super) fn choose<const N: usize>(
    tables: [&[Slot<N>]; 2],
    members: usize,
    wish: &Wish<'_, N>,
    draws: &mut Draws,
    out: &mut Vec<u8>,
) {
    let count = wish.count.min(MAX_CHOICE);
    if members > count * 2 {
        return draw(tables, count, wish, draws, out);
    }
    let start = out.len();
    for slot in tables.into_iter().flatten().filter(|slot| wish.fits(slot)) {
        out.extend_from_slice(&slot.addr);
    }
    keep_some::<N>(out, start, count, draws);
}

/// Keeps `count` of the addresses that stand from `start` on: a shuffle that stops early.
pub(super) fn keep_some<const N: usize>(out: &mut Vec<u8>, start: usize, count: usize, draws: &mut Draws) {
    let listed = out.get_mut(start..).map(|listed| listed.as_chunks_mut::<N>().0).unwrap_or_default();
    if listed.len() > count {
        for kept in 0..count {
            listed.swap(kept, kept + draws.below(listed.len() - kept));
        }
        out.truncate(start + count * N);
    }
}

/// Draws slots until `count` different members were met.
fn draw<const N: usize>(
    [first, second]: [&[Slot<N>]; 2],
    count: usize,
    wish: &Wish<'_, N>,
    draws: &mut Draws,
    out: &mut Vec<u8>,
) {
    // A filter of 512 bits spares nearly every look through what was met.
    let mut seen = [0u64; 8];
    let mut met = [0u32; MAX_CHOICE];
    let mut len = 0;
    for _ in 0..count * MAX_DRAWS {
        if len >= count {
            return;
        }
        let drawn = draws.below(first.len() + second.len());
        let slot = first.get(drawn).or_else(|| second.get(drawn - first.len()));
        let Some(slot) = slot.filter(|slot| wish.fits(slot)) else { continue };
        let (word, bit) = (drawn / 64 % 8, 1 << (drawn % 64));
        if seen[word] & bit != 0 && met[..len].contains(&(drawn as u32)) {
            continue;
        }
        seen[word] |= bit;
        met[len] = drawn as u32;
        len += 1;
        out.extend_from_slice(&slot.addr);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::seed::Seed;

    const CLOCK: Clock = Clock { now: 10, life: 5 };

    /// Slots of which each third is vacant, with `members` numbered from 1.
    fn slots(members: u8) -> Vec<Slot<6>> {
        let mut slots = Vec::new();
        for number in 1..=members {
            slots.push(Slot { addr: [10, 0, 0, number, 0, 1], stamp: 10 });
            if number % 2 == 0 {
                slots.push(Slot::VACANT);
            }
        }
        slots
    }

    fn chosen(slots: &[Slot<6>], asker: u8, count: usize, draws: &mut Draws) -> Vec<u8> {
        let members = slots.iter().filter(|slot| !slot.is_vacant()).count();
        let asker = [10, 0, 0, asker, 0, 1];
        let wish = Wish { asker: &asker, count, clock: CLOCK };
        let mut out = Vec::new();
        let (first, second) = slots.split_at(slots.len() / 3);
        choose([first, second], members, &wish, draws, &mut out);
        let mut chosen: Vec<u8> = out.as_chunks::<6>().0.iter().map(|addr| addr[3]).collect();
        chosen.sort_unstable();
        chosen
    }

    /// Chi square over the counts of equally likely outcomes.
    fn chi_square(counts: impl IntoIterator<Item = u32>, due: f64) -> f64 {
        counts.into_iter().map(|count| (f64::from(count) - due).powi(2) / due).sum()
    }

    #[test]
    fn every_member_is_equally_likely_and_never_the_asker() {
        // 10 of 50 are drawn, 30 of 50 are listed.
        for count in [10, 30] {
            let (slots, mut draws) = (slots(51), Draws(count as u64));
            let mut times = [0u32; 52];
            for _ in 0..5000 {
                let chosen = chosen(&slots, 17, count, &mut draws);
                assert_eq!(chosen.len(), count);
                for number in chosen {
                    times[usize::from(number)] += 1;
                }
            }
            assert_eq!(times[17], 0, "never the asker");
            let others = (1..52).filter(|number| *number != 17).map(|number| times[number]);
            // 49 degrees of freedom: 85 has p = 0.001.
            let square = chi_square(others, 100.0 * count as f64);
            assert!(square < 85.0, "{count} of 50: chi square {square}");
        }
    }

    #[test]
    fn every_subset_is_equally_likely() {
        // 2 of 6 are drawn, 4 of 6 are listed: 15 subsets either way.
        for count in [2, 4] {
            let (slots, mut draws) = (slots(6), Draws(7));
            let mut times: BTreeMap<Vec<u8>, u32> = BTreeMap::new();
            for _ in 0..15_000 {
                *times.entry(chosen(&slots, 99, count, &mut draws)).or_default() += 1;
            }
            assert_eq!(times.len(), 15);
            // 14 degrees of freedom: 36 has p = 0.001.
            let square = chi_square(times.into_values(), 1000.0);
            assert!(square < 36.0, "{count} of 6: chi square {square}");
        }
    }

    #[test]
    fn who_is_stale_is_not_named_and_does_not_hold_up() {
        let mut slots = slots(200);
        slots.iter_mut().filter(|slot| slot.addr[3] > 3).for_each(|slot| slot.stamp = 4);
        let mut draws = Draws::new(&mut Seed::from_u64(1).rng());
        for _ in 0..100 {
            let chosen = chosen(&slots, 2, 50, &mut draws);
            assert!(chosen.iter().all(|number| [1, 3].contains(number)), "{chosen:?}");
        }
        assert_eq!(chosen(&slots, 2, 0, &mut draws), []);
    }
}
