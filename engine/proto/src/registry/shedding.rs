//! What is left out when requests come faster than they are answered, the cheapest for clients first.
//!
//! The driver takes what its socket holds, up to [`BATCH`](super::BATCH) datagrams: a full batch did not empty it. The
//! share of requests that came in full batches, over a moving second, says how pressed the tracker is.
//!
//! ```text
//!           pressed for shed_after[0]      [1]                 [2]                      [3]
//! 0 all ──▶ 1 unverified scrapes    ──▶ 2 longer interval ──▶ 3 newcomers are    ──▶ 4 every other request
//!           get no error reply                                 answered, not entered   without event is dropped
//!       ◀── relieved for a second, each level
//! ```
//!
//! A longer interval works within an interval, and the two levels after it hurt clients while they save little:
//! four fifths of an answer are system calls. So by default they wait until the longer interval had its time.
//! Whatever cannot be received meanwhile the socket drops, without our work.

use std::collections::VecDeque;
use std::time::Duration;

use crate::seed::Random;
use crate::time::Instant;

/// The moving second, in buckets.
const BUCKETS: u64 = 8;

/// Length of a bucket.
const BUCKET: Duration = Duration::from_millis(125);

/// Pressed from this share of requests in full batches on, in percent.
const PRESSED: u64 = 75;

/// Relieved below this share. Between the two the level stays, so that it does not swing.
const RELIEVED: u64 = 50;

/// How long relief must last for one level down.
const RELIEF: Duration = Duration::from_secs(1);

/// Requests of one bucket.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    number: u64,
    all: u64,
    full: u64,
}

/// The level, and what it follows from.
#[derive(Debug, Default)]
pub(super) struct Shedding {
    /// The last second's, oldest first; never more than [`BUCKETS`].
    buckets: VecDeque<Bucket>,
    level: u8,
    pressed_since: Option<Instant>,
    relieved_since: Option<Instant>,
}

impl Shedding {
    pub(super) const fn level(&self) -> u8 {
        self.level
    }

    /// Level 1: unverified scrapes get no error reply.
    pub(super) const fn is_curt(&self) -> bool {
        self.level >= 1
    }

    /// Level 2: half as much again, which stays below a member's life, also with jitter.
    pub(super) fn interval(&self, interval: Duration) -> Duration {
        if self.level >= 2 { interval + interval / 2 } else { interval }
    }

    /// Level 3: newcomers are not entered.
    pub(super) const fn is_closed(&self) -> bool {
        self.level >= 3
    }

    /// Level 4: this request is dropped.
    pub(super) fn drops(&self, random: &mut Random) -> bool {
        self.level >= 4 && random.below(2) == 0
    }

    /// Notes a batch of `len` requests.
    pub(super) fn note(&mut self, now: Instant, len: usize, is_full: bool, after: &[Duration; 4]) {
        if len == 0 {
            return;
        }
        let number = now.as_micros() / BUCKET.as_micros() as u64;
        self.buckets.retain(|bucket| bucket.number + BUCKETS > number && bucket.number <= number);
        if self.buckets.back().is_none_or(|bucket| bucket.number != number) {
            self.buckets.push_back(Bucket { number, all: 0, full: 0 });
        }
        if let Some(bucket) = self.buckets.back_mut() {
            bucket.all += len as u64;
            bucket.full += if is_full { len as u64 } else { 0 };
        }
        self.judge(now, after);
    }

    fn judge(&mut self, now: Instant, after: &[Duration; 4]) {
        let sum = |part: fn(&Bucket) -> u64| self.buckets.iter().map(part).sum::<u64>();
        let (all, full) = (sum(|bucket| bucket.all), sum(|bucket| bucket.full));
        if full * 100 >= all * PRESSED {
            self.relieved_since = None;
            let since = *self.pressed_since.get_or_insert(now);
            let due = after.iter().take_while(|after| now.since(since) >= **after).count();
            self.level = self.level.max(due as u8);
        } else if full * 100 < all * RELIEVED {
            self.pressed_since = None;
            let since = *self.relieved_since.get_or_insert(now);
            let seconds = now.since(since).as_secs();
            self.level = self.level.saturating_sub(u8::try_from(seconds).unwrap_or(u8::MAX));
            self.relieved_since = Some(since + RELIEF * u32::try_from(seconds).unwrap_or(u32::MAX));
        } else {
            self.relieved_since = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::Seed;

    const AFTER: [Duration; 4] =
        [Duration::from_secs(1), Duration::from_secs(5), Duration::from_secs(60), Duration::from_secs(90)];

    struct Load {
        shedding: Shedding,
        now: Instant,
    }

    impl Load {
        /// A second of ten batches, of which so many are full; the level after it.
        fn second(&mut self, full: u32) -> u8 {
            for batch in 0..10 {
                self.now += Duration::from_millis(100);
                let is_full = batch < full;
                self.shedding.note(self.now, if is_full { 64 } else { 32 }, is_full, &AFTER);
            }
            self.shedding.level()
        }
    }

    fn load() -> Load {
        Load { shedding: Shedding::default(), now: Instant::from_micros(9_000_000) }
    }

    #[test]
    fn levels_come_in_order_and_go_one_by_one() {
        let mut load = load();
        assert_eq!(load.second(3), 0);
        let levels: Vec<u8> = (0..100).map(|_| load.second(10)).collect();
        let begin = |level: u8| levels.iter().position(|&at| at == level).expect("reached");
        assert!(levels.is_sorted());
        assert_eq!([1, 2, 3, 4].map(begin), [1, 5, 60, 90]);
        let after: Vec<u8> = (0..8).map(|_| load.second(0)).collect();
        assert_eq!(after, [4, 3, 2, 1, 0, 0, 0, 0]);
    }

    #[test]
    fn between_the_marks_the_level_stays() {
        let mut load = load();
        assert_eq!((0..7).map(|_| load.second(10)).last(), Some(2));
        // 5 of 10 batches are 66 percent of the requests.
        assert!((0..50).all(|_| load.second(5) == 2), "neither up nor down");
    }

    #[test]
    fn a_burst_sheds_nothing_and_silence_is_relief() {
        let mut load = load();
        for _ in 0..100 {
            load.shedding.note(load.now, 64, true, &AFTER);
        }
        assert_eq!(load.second(0), 0);
        assert_eq!((0..100).map(|_| load.second(10)).last(), Some(4));
        load.now += Duration::from_secs(60);
        load.second(0);
        assert_eq!(load.second(0), 3, "silence itself is not seen; the first calm second is");
    }

    #[test]
    fn each_level_does_what_it_says() {
        let mut random = Seed::from_u64(1).rng();
        let interval = Duration::from_secs(1800);
        let mut does = |level| {
            let shedding = Shedding { level, ..Shedding::default() };
            let dropped = (0..100).filter(|_| shedding.drops(&mut random)).count();
            (shedding.is_curt(), shedding.interval(interval).as_secs(), shedding.is_closed(), dropped > 25)
        };
        assert_eq!(does(0), (false, 1800, false, false));
        assert_eq!(does(1), (true, 1800, false, false));
        assert_eq!(does(2), (true, 2700, false, false));
        assert_eq!(does(3), (true, 2700, true, false));
        assert_eq!(does(4), (true, 2700, true, true));
        assert!(Shedding { level: 4, ..Shedding::default() }.interval(interval) * 11 / 10 < interval * 2);
    }
}
