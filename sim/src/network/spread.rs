//! How a delay is spread: distributions from which one keyed draw makes a time.
//!
//! One draw of 64 bits makes one time, by the inverse of the distribution function where that has a closed form and
//! by Box and Muller's method for the normal ones. Logarithms and the like are libm's, because a platform's own
//! differ in the last bit and a digest would show it.

use std::time::Duration;

/// No time that is drawn is longer: heavy tails have no end, and a queue that holds a packet for longer is a fault.
pub const LONGEST: Duration = Duration::from_secs(4);

/// A distribution of times.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Spread {
    /// Always the same.
    Fixed(Duration),
    /// Anything from the first to the second, alike.
    Uniform(Duration, Duration),
    /// Normal, cut at zero.
    Normal {
        /// The mean, but for what is cut.
        mean: Duration,
        /// The standard deviation.
        deviation: Duration,
    },
    /// The logarithm is normal: most are near the median, few are far above it.
    Lognormal {
        /// Half are less.
        median: Duration,
        /// The standard deviation of the logarithm.
        sigma: f64,
    },
    /// A heavy tail: `(least / t)^shape` are longer than `t`.
    Pareto {
        /// None is shorter.
        least: Duration,
        /// The less, the heavier the tail.
        shape: f64,
    },
    /// How long visits last: for a shape below one, many are short and few very long.
    Weibull {
        /// All but 1/e are over after so long.
        scale: Duration,
        /// One makes it exponential.
        shape: f64,
    },
}

impl Spread {
    /// The time that belongs to a uniform draw, at most `LONGEST`.
    pub fn at(self, draw: u64) -> Duration {
        self.unlimited(draw).min(LONGEST)
    }

    /// The same without that limit.
    pub fn unlimited(self, draw: u64) -> Duration {
        let seconds = match self {
            Self::Fixed(time) => return time,
            Self::Uniform(from, to) => {
                let span = to.saturating_sub(from).as_nanos();
                return from + Duration::from_nanos(((span * u128::from(draw)) >> 64) as u64);
            }
            Self::Normal { mean, deviation } => mean.as_secs_f64() + deviation.as_secs_f64() * normal(draw),
            Self::Lognormal { median, sigma } => median.as_secs_f64() * libm::exp(sigma * normal(draw)),
            Self::Pareto { least, shape } => least.as_secs_f64() * libm::pow(unit(draw), -1.0 / shape),
            Self::Weibull { scale, shape } => {
                scale.as_secs_f64() * libm::pow(-libm::log(unit(draw)), 1.0 / shape)
            }
        };
        // Beyond what a duration holds (a shape near zero) a time is for ever.
        Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX)
    }
}

/// The middle of one of 2^53 steps between 0 and 1, so that neither end is met.
fn unit(draw: u64) -> f64 {
    ((draw >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
}

/// A standard normal number from the two halves of a draw; at most 6.8 from zero.
fn normal(draw: u64) -> f64 {
    let half = |bits: u64| ((bits & 0xffff_ffff) as f64 + 0.5) / (1_u64 << 32) as f64;
    let radius = libm::sqrt(-2.0 * libm::log(half(draw >> 32)));
    radius * libm::cos(std::f64::consts::TAU * half(draw))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proto::seed::Seed;

    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    fn mean_ms(spread: Spread) -> f64 {
        let mut random = Seed::from_u64(1).rng();
        let sum: f64 = (0..100_000).map(|_| spread.at(random.next_u64()).as_secs_f64()).sum();
        sum / 100.0
    }

    #[test]
    fn the_means_are_those_of_the_distributions() {
        let cases = [
            (Spread::Fixed(MS(7)), 7.0),
            (Spread::Uniform(MS(10), MS(30)), 20.0),
            (Spread::Normal { mean: MS(50), deviation: MS(10) }, 50.0),
            // The median times exp(sigma^2 / 2).
            (Spread::Lognormal { median: MS(20), sigma: 0.5 }, 20.0 * 1.133_148),
            // shape / (shape - 1) times the least.
            (Spread::Pareto { least: MS(10), shape: 3.0 }, 15.0),
            // The scale times gamma(1 + 1 / shape): gamma(2) and gamma(3).
            (Spread::Weibull { scale: MS(40), shape: 1.0 }, 40.0),
            (Spread::Weibull { scale: MS(40), shape: 0.5 }, 80.0),
        ];
        for (spread, expected) in cases {
            let mean = mean_ms(spread);
            assert!((mean / expected - 1.0).abs() < 0.02, "{spread:?}: {mean} ms, not {expected}");
        }
    }

    #[test]
    fn a_median_halves_and_a_tail_is_as_heavy_as_it_should_be() {
        let share = |spread: Spread, limit: Duration| {
            let mut random = Seed::from_u64(2).rng();
            (0..100_000).filter(|_| spread.at(random.next_u64()) > limit).count() as f64 / 1e5
        };
        let median = share(Spread::Lognormal { median: MS(20), sigma: 0.9 }, MS(20));
        assert!((median - 0.5).abs() < 0.01, "{median}");
        let tail = share(Spread::Pareto { least: MS(5), shape: 1.5 }, MS(50));
        assert!((tail - 0.1_f64.powf(1.5)).abs() < 0.003, "{tail}");
        let deviates = share(Spread::Normal { mean: MS(50), deviation: MS(10) }, MS(60));
        assert!((deviates - 0.1587).abs() < 0.005, "{deviates}");
    }

    proptest! {
        #[test]
        fn no_draw_is_out_of_bounds(draw: u64, a in 0_u64..5_000, b in 0_u64..5_000, shape in 0.01_f64..5.0) {
            let (from, to) = (MS(a.min(b)), MS(a.max(b)));
            let uniform = Spread::Uniform(from, to).unlimited(draw);
            prop_assert!(from <= uniform && uniform <= to);
            let others = [
                Spread::Normal { mean: from, deviation: to },
                Spread::Lognormal { median: from, sigma: shape },
                Spread::Weibull { scale: from, shape },
            ];
            prop_assert!(others.iter().all(|spread| spread.at(draw) <= LONGEST));
            let pareto = Spread::Pareto { least: from, shape }.at(draw);
            prop_assert!(pareto <= LONGEST && pareto >= from.min(LONGEST));
        }
    }
}
