//! Whom to name: so many members uniformly at random, every subset of that size equally likely.
//!
//! One draw from the registry's stream seeds a cheap generator for one reply. When many are left out, slots
//! are drawn until enough different members were met; when few are, all are listed and shuffled as far as
//! needed. A run of neighbours from a mixed list would be cheaper, but who stands side by side would always be
//! named together, and a swarm connected along such runs falls into cliques.

use std::hint::black_box;

use super::hash::{fold, place};
use super::table::{Clock, Slot};
use crate::seed::Random;

/// Peers of one choice at the most, whatever is configured: more do not fit a reply over UDP.
pub(super) const MAX_CHOICE: usize = 200;

/// Draws for each member wanted, before a choice ends with fewer. At least a quarter of the slots hold somebody,
/// so only a swarm that has gone stale comes to this.
const MAX_DRAWS: usize = 16;

/// Draws beside these: by chance a few in a row may find nobody.
const SPARE_DRAWS: usize = 100;

/// Slots that are listed whatever is wanted: less work than to draw from them.
const SMALL: usize = 32;

/// Slots that are drawn before any is judged.
const AT_ONCE: usize = 64;

/// Bits of the filter in front of the list of slots that were met.
const FILTER: usize = 512;

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
    #[expect(clippy::needless_bitwise_bool, reason = "a branch on cold memory costs more than the rest")]
    pub(super) fn fits(&self, slot: &Slot<N>) -> bool {
        !slot.is_vacant() & (slot.addr != *self.asker) & !self.clock.is_over(slot.stamp)
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
    let slots = tables[0].len() + tables[1].len();
    if members > count * 2 && slots > SMALL {
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
///
/// Slots are drawn and touched some at a time before any is judged, and judged without a branch: in a large
/// swarm each is a cache miss, and a wrong guess about one would hold up the next.
fn draw<const N: usize>(
    tables: [&[Slot<N>]; 2],
    count: usize,
    wish: &Wish<'_, N>,
    draws: &mut Draws,
    out: &mut Vec<u8>,
) {
    let (start, slots) = (out.len(), tables[0].len() + tables[1].len());
    out.resize(start + count * N, 0);
    let cells = out.get_mut(start..).map(|cells| cells.as_chunks_mut::<N>().0).unwrap_or_default();
    let mut met = Met::default();
    let mut left = count * MAX_DRAWS + SPARE_DRAWS;
    let mut drawn = [0u32; AT_ONCE];
    while met.len < count && left > 0 {
        // A quarter more than are missing: so many are vacant.
        let round = ((count - met.len) * 5 / 4 + 1).min(AT_ONCE).min(left);
        left -= round;
        let drawn = &mut drawn[..round];
        let mut touched = 0;
        for place in &mut *drawn {
            *place = draws.below(slots) as u32;
            touched ^= slot_at(tables, *place).stamp;
        }
        black_box(touched);
        for place in &*drawn {
            if met.len >= count {
                break;
            }
            let slot = slot_at(tables, *place);
            if let Some(cell) = cells.get_mut(met.len) {
                *cell = slot.addr;
            }
            met.note(*place, wish.fits(slot), slots);
        }
    }
    out.truncate(start + met.len * N);
}

fn slot_at<const N: usize>([first, second]: [&[Slot<N>]; 2], place: u32) -> &Slot<N> {
    let place = place as usize;
    let (table, at) = if place < first.len() { (first, place) } else { (second, place - first.len()) };
    table.get(at).unwrap_or(const { &Slot::VACANT })
}

/// The slots that were met, in the order in which they were.
struct Met {
    slots: [u32; MAX_CHOICE],
    len: usize,
    /// A filter: a look through the list is seldom needed, and never in a small table.
    seen: [u64; FILTER / 64],
}

impl Default for Met {
    fn default() -> Self {
        Self { slots: [0; MAX_CHOICE], len: 0, seen: [0; FILTER / 64] }
    }
}

impl Met {
    /// Adds a slot that fits, unless it was met before.
    fn note(&mut self, slot: u32, fits: bool, slots: usize) {
        let (word, bit) = (slot as usize / 64 % (FILTER / 64), 1 << (slot % 64));
        let is_seen = self.seen[word] & bit != 0;
        let is_met = is_seen && (slots <= FILTER || self.slots[..self.len].contains(&slot));
        let is_new = u64::from(fits) & u64::from(!is_met);
        self.seen[word] |= is_new << (slot % 64);
        self.slots[self.len] = slot;
        self.len += is_new as usize;
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
        // 2 and 4 of 6 are listed.
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
    fn every_pair_is_equally_likely_when_slots_are_drawn() {
        let (slots, mut draws) = (slots(30), Draws(9));
        let mut times: BTreeMap<Vec<u8>, u32> = BTreeMap::new();
        for _ in 0..43_500 {
            *times.entry(chosen(&slots, 99, 2, &mut draws)).or_default() += 1;
        }
        assert_eq!(times.len(), 435);
        // 434 degrees of freedom: 530 has p = 0.001.
        let square = chi_square(times.into_values(), 100.0);
        assert!(square < 530.0, "chi square {square}");
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
