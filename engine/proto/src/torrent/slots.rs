//! How many regular upload slots to open.
//!
//! Few slots complete pieces sooner, and only what is complete can be passed on. But a taker whose own uplink is
//! full acknowledges late, and then a fast uplink needs many takers to be used. So their number follows from
//! the rate to which the user limits uploads, or else the best that this uplink has shown.

use std::num::NonZeroU64;

use super::limits::{BEST_RATE_FADES, MIN_SLOTS, SLOT_RATE, START_SLOTS};
use crate::rate::Rate;
use crate::time::Instant;

/// The number of regular upload slots, and what it is judged by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slots {
    count: usize,
    /// Bytes a second in the best round so far; it fades.
    best: u64,
    /// What the user lets this torrent send.
    limit: Rate,
    round_began: Instant,
    uploaded_before: u64,
}

impl Slots {
    /// The number to begin with.
    pub(super) fn new(now: Instant, max: usize) -> Self {
        Self { count: START_SLOTS.min(max), best: 0, limit: None, round_began: now, uploaded_before: 0 }
    }

    /// Slots to open.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// The user limits uploads, or does not any more. That is known before the first byte and true at once,
    /// where the best rate of the past would take minutes to fade.
    pub(super) fn set_limit(&mut self, limit: Rate, max: usize) {
        self.limit = limit;
        self.count_anew(max);
    }

    /// A round ends, after which `uploaded` bytes were sent in all; to say so twice at one moment changes nothing.
    pub(super) fn adapt(&mut self, now: Instant, uploaded: u64, max: usize) {
        if now == self.round_began {
            return;
        }
        let micros = now.since(self.round_began).as_micros().max(1);
        let rate = (u128::from(uploaded - self.uploaded_before) * 1_000_000 / micros) as u64;
        (self.round_began, self.uploaded_before) = (now, uploaded);
        self.best = rate.max(self.best - self.best / BEST_RATE_FADES);
        self.count_anew(max);
    }

    fn count_anew(&mut self, max: usize) {
        let known = self.limit.map_or(self.best, NonZeroU64::get);
        self.count = match known {
            0 => START_SLOTS.min(max),
            rate => ((rate / SLOT_RATE) as usize).clamp(MIN_SLOTS.min(max), max),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::torrent::limits::CHOKE_ROUND;

    /// Slots after rounds in which so many bytes a second were sent.
    fn after(rates: &[u64]) -> usize {
        let (mut now, mut uploaded) = (Instant::ZERO, 0);
        let mut slots = Slots::new(now, 50);
        for rate in rates {
            now += CHOKE_ROUND;
            uploaded += rate * CHOKE_ROUND.as_secs();
            slots.adapt(now, uploaded, 50);
        }
        slots.count()
    }

    #[test]
    fn a_slow_uplink_opens_few_and_a_fast_one_many() {
        assert_eq!(after(&[]), START_SLOTS);
        assert_eq!(after(&[0]), START_SLOTS);
        assert_eq!(after(&[125_000]), MIN_SLOTS);
        assert_eq!(after(&[1_250_000]), 25);
        assert_eq!(after(&[125_000_000]), 50);
    }

    #[test]
    fn a_fast_round_is_remembered_for_minutes() {
        assert_eq!(after(&[1_000_000, 100_000, 100_000]), 19);
        assert_eq!(after(&[[1_000_000].as_slice(), &[100_000; 200]].concat()), MIN_SLOTS);
    }

    #[test]
    fn a_limit_counts_at_once_and_what_was_seen_once_it_is_gone() {
        let mut slots = Slots::new(Instant::ZERO, 50);
        let mut count = |limit| {
            slots.set_limit(NonZeroU64::new(limit), 50);
            slots.count()
        };
        assert_eq!([1_000_000, 10_000, 1 << 40, 0].map(&mut count), [20, MIN_SLOTS, 50, START_SLOTS]);
        slots.adapt(Instant::ZERO + CHOKE_ROUND, 10_000_000, 50);
        slots.set_limit(NonZeroU64::new(300_000), 50);
        assert_eq!(slots.count(), 6);
        slots.adapt(Instant::ZERO + CHOKE_ROUND * 2, 20_000_000, 50);
        assert_eq!(slots.count(), 6);
        slots.set_limit(None, 50);
        assert_eq!(slots.count(), 20);
    }
}
