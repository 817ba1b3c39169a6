//! How many regular upload slots to open.
//!
//! Few slots complete pieces sooner, and only what is complete can be passed on. But a taker whose own uplink is
//! full acknowledges late, and then a fast uplink needs many takers to be used. So their number follows from
//! the best rate that this uplink has shown.

use super::limits::{BEST_RATE_FADES, MIN_SLOTS, SLOT_RATE, START_SLOTS};
use crate::time::Instant;

/// The number of regular upload slots, and what it is judged by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slots {
    count: usize,
    /// Bytes a second in the best round so far; it fades.
    best: u64,
    round_began: Instant,
    uploaded_before: u64,
}

impl Slots {
    /// The number to begin with.
    pub(super) fn new(now: Instant) -> Self {
        Self { count: START_SLOTS, best: 0, round_began: now, uploaded_before: 0 }
    }

    /// Slots to open.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// A round ends, after which `uploaded` bytes were sent in all.
    pub(super) fn adapt(&mut self, now: Instant, uploaded: u64, max: usize) {
        let micros = now.since(self.round_began).as_micros().max(1);
        let rate = (u128::from(uploaded - self.uploaded_before) * 1_000_000 / micros) as u64;
        (self.round_began, self.uploaded_before) = (now, uploaded);
        self.best = rate.max(self.best - self.best / BEST_RATE_FADES);
        if self.best > 0 {
            self.count = ((self.best / SLOT_RATE) as usize).clamp(MIN_SLOTS.min(max), max);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::torrent::limits::CHOKE_ROUND;

    /// Slots after rounds in which so many bytes a second were sent.
    fn after(rates: &[u64]) -> usize {
        let (mut now, mut uploaded) = (Instant::ZERO, 0);
        let mut slots = Slots::new(now);
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
}
