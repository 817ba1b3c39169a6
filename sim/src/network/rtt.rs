//! Round-trip time estimation (RFC 6298).

use std::time::Duration;

/// Smoothed round-trip time of one flow.
#[derive(Clone, Debug)]
pub struct RoundTrip {
    smoothed: Option<Duration>,
    variation: Duration,
}

impl RoundTrip {
    /// Before the first sample (RFC 6298, 2.1).
    const INITIAL_TIMEOUT: Duration = Duration::from_secs(1);
    /// What operating systems use in place of the RFC's second.
    const MIN_TIMEOUT: Duration = Duration::from_millis(200);
    /// The longest back-off (RFC 6298, 2.5).
    pub const MAX_TIMEOUT: Duration = Duration::from_secs(60);

    /// No sample yet.
    pub const fn new() -> Self {
        Self { smoothed: None, variation: Duration::ZERO }
    }

    /// Takes a measured round trip.
    pub fn sample(&mut self, sample: Duration) {
        match self.smoothed {
            None => {
                self.smoothed = Some(sample);
                self.variation = sample / 2;
            }
            Some(smoothed) => {
                self.variation = (self.variation * 3 + smoothed.abs_diff(sample)) / 4;
                self.smoothed = Some((smoothed * 7 + sample) / 8);
            }
        }
    }

    /// Has there been a sample?
    pub const fn is_known(&self) -> bool {
        self.smoothed.is_some()
    }

    /// The retransmission timeout.
    pub fn timeout(&self) -> Duration {
        self.smoothed.map_or(Self::INITIAL_TIMEOUT, |smoothed| {
            (smoothed + self.variation * 4).clamp(Self::MIN_TIMEOUT, Self::MAX_TIMEOUT)
        })
    }

    /// When to probe the tail: two round trips and the receiver's delay (RFC 8985, 7.2).
    pub fn probe_timeout(&self, delayed_ack: Duration) -> Duration {
        self.smoothed.map_or(Self::INITIAL_TIMEOUT, |smoothed| {
            (smoothed * 2 + delayed_ack).min(self.timeout() + delayed_ack)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_timeout_follows_the_samples() {
        let mut round_trip = RoundTrip::new();
        assert_eq!(round_trip.timeout(), Duration::from_secs(1));
        round_trip.sample(Duration::from_millis(100));
        assert_eq!(round_trip.timeout(), Duration::from_millis(300));
        (0..100).for_each(|_| round_trip.sample(Duration::from_millis(500)));
        assert!((500..700).contains(&round_trip.timeout().as_millis()));
    }
}
