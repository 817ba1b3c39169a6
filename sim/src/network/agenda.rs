//! What is to happen when: a calendar queue.
//!
//! A packet's events lie a few milliseconds to a few seconds ahead and there are tens of thousands of them,
//! so a heap over all of them spends its time on cache misses. Here a ring of one bucket a millisecond
//! holds the near future; only the bucket at hand is ordered.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use proto::time::Instant;

/// Buckets in the ring: 4 s, longer than a packet spends in any queue of a sane link.
const RING: u64 = 4_096;

/// Microseconds in a bucket.
const BUCKET: u64 = 1_000;

type Entry<E> = (Instant, u64, E);

/// Events in the order of their time, then of their making.
#[derive(Debug)]
pub struct Agenda<E> {
    bucket: u64,
    now: BinaryHeap<Reverse<Entry<E>>>,
    ring: Vec<Vec<Reverse<Entry<E>>>>,
    in_ring: usize,
    far: BTreeMap<u64, Vec<Reverse<Entry<E>>>>,
    made: u64,
}

impl<E: Ord> Agenda<E> {
    /// Nothing to do.
    pub fn new() -> Self {
        let ring = std::iter::repeat_with(Vec::new).take(RING as usize).collect();
        Self { bucket: 0, now: BinaryHeap::new(), ring, in_ring: 0, far: BTreeMap::new(), made: 0 }
    }

    /// Adds an event. One for the past happens next.
    pub fn push(&mut self, at: Instant, event: E) {
        self.made += 1;
        let entry = Reverse((at, self.made, event));
        let bucket = at.as_micros() / BUCKET;
        if bucket <= self.bucket {
            self.now.push(entry);
        } else if bucket < self.bucket + RING {
            self.in_ring += 1;
            self.slot(bucket).push(entry);
        } else {
            self.far.entry(bucket).or_default().push(entry);
        }
    }

    /// When the next event is.
    pub fn next(&self) -> Option<Instant> {
        if let Some(Reverse((at, _, _))) = self.now.peek() {
            return Some(*at);
        }
        let earliest = |entries: &Vec<Reverse<Entry<E>>>| entries.iter().map(|Reverse((at, _, _))| *at).min();
        if self.in_ring > 0 {
            let slots = (self.bucket + 1..self.bucket + RING).map(|bucket| (bucket % RING) as usize);
            return slots.filter_map(|slot| self.ring.get(slot)).find_map(earliest);
        }
        self.far.values().next().and_then(earliest)
    }

    /// Takes the next event that is due.
    pub fn pop_due(&mut self, now: Instant) -> Option<(Instant, E)> {
        while self.now.is_empty() {
            let next = self.next().filter(|&at| at <= now)?;
            self.turn_to(next.as_micros() / BUCKET);
        }
        match self.now.peek() {
            Some(Reverse((at, _, _))) if *at <= now => {
                self.now.pop().map(|Reverse((at, _, event))| (at, event))
            }
            Some(_) | None => None,
        }
    }

    /// Makes `bucket` the one at hand; all before it are empty.
    fn turn_to(&mut self, bucket: u64) {
        self.bucket = bucket;
        while let Some(entry) = self.far.first_entry()
            && *entry.key() < bucket + RING
        {
            let (key, mut entries) = entry.remove_entry();
            self.in_ring += entries.len();
            self.slot(key).append(&mut entries);
        }
        let entries = std::mem::take(self.slot(bucket));
        self.in_ring -= entries.len();
        // The heap is empty: its allocation goes back to the ring, and building it anew is linear.
        let spare = std::mem::replace(&mut self.now, BinaryHeap::from(entries));
        *self.slot(bucket) = spare.into_vec();
    }

    fn slot(&mut self, bucket: u64) -> &mut Vec<Reverse<Entry<E>>> {
        // The ring has `RING` slots from its making on.
        #[expect(clippy::indexing_slicing, reason = "see above")]
        &mut self.ring[(bucket % RING) as usize]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_agrees_with_a_sorted_list(
            steps in prop::collection::vec((0u64..20_000_000, 0u64..3_000_000), 1..200),
        ) {
            let mut agenda = Agenda::new();
            let mut list: Vec<(u64, usize)> = Vec::new();
            let mut now = 0;
            for (number, (ahead, pass)) in steps.into_iter().enumerate() {
                agenda.push(Instant::from_micros(now + ahead), number);
                list.push((now + ahead, number));
                list.sort_unstable();
                prop_assert_eq!(agenda.next().map(Instant::as_micros), list.first().map(|first| first.0));
                now += pass;
                while let Some((at, event)) = agenda.pop_due(Instant::from_micros(now)) {
                    prop_assert_eq!((at.as_micros(), event), list.remove(0));
                }
                prop_assert!(list.first().is_none_or(|first| first.0 > now));
            }
        }
    }
}
