//! One direction of an access link: a rate, a byte-limited drop-tail queue, and nothing else.
//!
//! The queue is kept as the time until which the line is busy: a packet leaves when everything before it
//! has left, so the backlog needs no list. Times inside are nanoseconds, because a short packet on a fast
//! line takes less than the microsecond that events are stamped with.

use std::time::Duration;

use proto::time::Instant;

/// A host's connection to the network.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LinkProfile {
    /// Towards the network, in bytes a second of IP packets; zero for no limit.
    pub up: u64,
    /// From the network, in bytes a second of IP packets; zero for no limit.
    pub down: u64,
    /// One way over this link alone.
    pub latency: Duration,
    /// Bytes that may wait in each direction.
    pub queue: u64,
    /// Probability that a packet is lost, in each direction.
    pub loss: f64,
}

impl LinkProfile {
    /// No rate limit, no delay, no loss: for hosts whose link is not the point.
    pub const UNLIMITED: Self = Self { up: 0, down: 0, latency: Duration::ZERO, queue: u64::MAX, loss: 0.0 };

    /// Bytes that it carries towards the network in a time.
    pub const fn carries(&self, time: Duration) -> u64 {
        if self.up == 0 { u64::MAX } else { self.up.saturating_mul(time.as_micros() as u64) / 1_000_000 }
    }
}

/// Bytes through one direction of a link; `offered = carried + dropped` at all times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkCounts {
    /// Bytes that arrived at the queue.
    pub offered: u64,
    /// Bytes that left on the line, or wait to.
    pub carried: u64,
    /// Bytes that found the queue full.
    pub dropped: u64,
}

/// One direction of an access link.
#[derive(Clone, Debug)]
pub struct Line {
    rate: u64,
    limit: u64,
    busy_until: u64,
    /// What was queued before the line last changed leaves until then, and takes no room any more.
    changed: u64,
    counts: LinkCounts,
}

/// Nanoseconds in a microsecond.
const NANOS: u64 = 1_000;

impl Line {
    /// A line of `rate` bytes a second (zero: no limit) with a queue of `limit` bytes.
    pub const fn new(rate: u64, limit: u64) -> Self {
        Self {
            rate,
            limit,
            busy_until: 0,
            changed: 0,
            counts: LinkCounts { offered: 0, carried: 0, dropped: 0 },
        }
    }

    /// Queues a packet; returns when its last byte has left, or nothing if the queue is full.
    ///
    /// `always` lets a packet in although the queue is full: the model never drops control packets here.
    pub fn enqueue(&mut self, now: Instant, bytes: u32, always: bool) -> Option<Instant> {
        self.counts.offered += u64::from(bytes);
        if !always && self.backlog(now) + u64::from(bytes) > self.limit {
            self.counts.dropped += u64::from(bytes);
            return None;
        }
        self.counts.carried += u64::from(bytes);
        let start = self.busy_until.max(now.as_micros() * NANOS);
        self.busy_until = start + self.nanos_for(u64::from(bytes));
        Some(Instant::from_micros(self.busy_until.div_ceil(NANOS)))
    }

    /// Bytes that wait or are being sent.
    pub fn backlog(&self, now: Instant) -> u64 {
        let ahead = self.busy_until.saturating_sub(self.changed.max(now.as_micros() * NANOS));
        (u128::from(ahead) * u128::from(self.rate) / 1_000_000_000) as u64
    }

    /// Makes it another line, behind what is already on it.
    pub fn change(&mut self, now: Instant, rate: u64, limit: u64) {
        self.changed = self.busy_until.max(now.as_micros() * NANOS);
        (self.rate, self.limit) = (rate, limit);
    }

    /// Bytes so far.
    pub const fn counts(&self) -> LinkCounts {
        self.counts
    }

    fn nanos_for(&self, bytes: u64) -> u64 {
        if self.rate == 0 { 0 } else { (bytes * 1_000_000_000).div_ceil(self.rate) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: u64 = 1_000_000;

    #[test]
    fn a_packet_takes_its_time_on_the_line() {
        let mut line = Line::new(125_000, 200_000);
        let now = Instant::ZERO;
        assert_eq!(line.enqueue(now, 1_500, false), Some(Instant::from_micros(12_000)));
        assert_eq!(line.enqueue(now, 1_500, false), Some(Instant::from_micros(24_000)));
        assert_eq!(line.backlog(now), 3_000);
    }

    #[test]
    fn a_full_queue_drops_the_tail_but_not_control() {
        let mut line = Line::new(1_000, 1_500);
        assert!(line.enqueue(Instant::ZERO, 1_500, false).is_some());
        assert_eq!(line.enqueue(Instant::ZERO, 40, false), None);
        assert!(line.enqueue(Instant::ZERO, 40, true).is_some());
        assert_eq!(line.counts(), LinkCounts { offered: 1_580, carried: 1_540, dropped: 40 });
    }

    #[test]
    fn a_line_that_changes_keeps_its_order_and_has_its_whole_queue() {
        let mut line = Line::new(1_000, 2_000);
        assert_eq!(line.enqueue(Instant::ZERO, 2_000, false), Some(Instant::from_micros(2 * SECOND)));
        line.change(Instant::ZERO, 1_000_000, 1_500);
        let next = line.enqueue(Instant::ZERO, 1_500, false);
        assert_eq!(next, Some(Instant::from_micros(2 * SECOND + 1_500)), "behind what was there");
        assert_eq!(line.enqueue(Instant::ZERO, 1, false), None);
        assert_eq!(line.backlog(Instant::from_micros(2 * SECOND)), 1_500);
    }

    #[test]
    fn no_limit_means_no_delay() {
        let mut line = Line::new(0, u64::MAX);
        assert_eq!(line.enqueue(Instant::from_micros(5), 1_000_000, false), Some(Instant::from_micros(5)));
    }

    proptest! {
        #[test]
        fn bytes_are_conserved_and_the_rate_is_kept(
            rate in 1_000u64..10_000_000,
            limit in 1_500u64..500_000,
            packets in prop::collection::vec((0u64..50_000, 40u32..1_500), 1..200),
        ) {
            let mut line = Line::new(rate, limit);
            let (mut now, mut last) = (0, 0);
            for (gap, bytes) in packets {
                now += gap;
                if let Some(leaves) = line.enqueue(Instant::from_micros(now), bytes, false) {
                    prop_assert!(leaves.as_micros() >= last, "first in, first out");
                    last = leaves.as_micros();
                }
                prop_assert!(line.backlog(Instant::from_micros(now)) <= limit);
            }
            let LinkCounts { offered, carried, dropped } = line.counts();
            prop_assert_eq!(offered, carried + dropped);
            // Never faster than the line: all that was carried fits into the time until the last byte left.
            prop_assert!(u128::from(carried) * u128::from(SECOND) <= u128::from(last + 1) * u128::from(rate));
        }
    }
}
