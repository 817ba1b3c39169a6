//! Losses that come in bursts: Gilbert's and Elliott's chain of a good and a bad state, in continuous time.
//!
//! The model's usual form takes a step with every packet, so that whoever sends more makes the others' bursts come
//! sooner. Radio does not do that: here the link fades by the clock, and each stay in a state is a keyed draw, so
//! that the bursts of a link are the same whoever uses it.

use std::time::Duration;

use proto::time::Instant;

use super::keyed::{Keyed, Stream};
use super::spread::Spread;

/// How a link fades.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bursts {
    /// Mean time from the end of one to the beginning of the next.
    pub gap: Duration,
    /// Mean time that one lasts.
    pub length: Duration,
    /// Probability that a packet is lost meanwhile.
    pub loss: f64,
}

/// One link's state; it is good at first.
#[derive(Clone, Debug)]
pub struct Fading {
    bursts: Bursts,
    link: u32,
    /// How often the state has changed: it is bad after an odd number of times.
    changes: u64,
    until: Instant,
}

impl Fading {
    /// The chain of `link`.
    pub fn new(bursts: Bursts, link: u32, keyed: Keyed) -> Self {
        let mut fading = Self { bursts, link, changes: 0, until: Instant::ZERO };
        fading.until = Instant::ZERO + fading.stay(keyed);
        fading
    }

    /// Is the link bad at `now`? Times must not go back.
    pub fn is_bad(&mut self, now: Instant, keyed: Keyed) -> bool {
        while self.until <= now {
            self.changes += 1;
            self.until += self.stay(keyed);
        }
        self.changes % 2 == 1
    }

    /// How long the state lasts: exponential, and at least a microsecond, so that time goes on.
    fn stay(&self, keyed: Keyed) -> Duration {
        let mean = if self.changes % 2 == 1 { self.bursts.length } else { self.bursts.gap };
        let draw = keyed.draw(Stream::Fading, self.link, self.changes);
        let stay = Spread::Weibull { scale: mean, shape: 1.0 }.unlimited(draw);
        stay.max(Duration::from_micros(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: Duration = Duration::from_millis(5);

    fn series(link: u32, samples: u32) -> Vec<bool> {
        let keyed = Keyed::new(3);
        let bursts = Bursts { gap: Duration::from_millis(950), length: Duration::from_millis(50), loss: 1.0 };
        let mut fading = Fading::new(bursts, link, keyed);
        (0..samples).map(|number| fading.is_bad(Instant::ZERO + STEP * number, keyed)).collect()
    }

    #[test]
    fn loss_rate_and_burst_length_are_those_of_the_chain() {
        let bad = series(1, 400_000);
        let lost = bad.iter().filter(|bad| **bad).count() as f64;
        let bursts = bad.windows(2).filter(|pair| !pair[0] && pair[1]).count() as f64;
        // The share of time in the bad state.
        let rate = lost / bad.len() as f64;
        assert!((rate / 0.05 - 1.0).abs() < 0.05, "{rate}");
        // From the bad state, a packet `STEP` later finds it bad with probability `stays`.
        let speed = 1.0 / 0.95 + 1.0 / 0.05;
        let stays = 0.05 + 0.95 * (-speed * STEP.as_secs_f64()).exp();
        let expected = 1.0 / (1.0 - stays);
        let length = lost / bursts;
        assert!((length / expected - 1.0).abs() < 0.05, "{length} packets, not {expected}");
    }

    #[test]
    fn a_link_fades_alike_whoever_asks_how_often() {
        let often = series(7, 10_000);
        let keyed = Keyed::new(3);
        let bursts = Bursts { gap: Duration::from_millis(950), length: Duration::from_millis(50), loss: 1.0 };
        let mut fading = Fading::new(bursts, 7, keyed);
        let seldom: Vec<_> =
            (0..100).map(|number| fading.is_bad(Instant::ZERO + STEP * (number * 100), keyed)).collect();
        assert_eq!(seldom, often.into_iter().step_by(100).collect::<Vec<_>>());
        assert_ne!(series(8, 10_000), series(7, 10_000), "links fade each for itself");
    }
}
