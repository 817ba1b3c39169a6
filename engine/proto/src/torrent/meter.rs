//! A rate over a sliding span, in whole numbers: two adjoining windows, the older one weighted by how much
//! of it is still inside the span.

use crate::time::{Duration, Instant};

/// Rates of connections younger than this are computed as if they were this old.
const MIN_AGE_MICROS: u64 = 250_000;

/// Measures bytes a second.
#[derive(Clone, Copy, Debug)]
pub(super) struct Meter {
    span: u64,
    born: Instant,
    window: Instant,
    current: u64,
    previous: u64,
}

impl Meter {
    /// Starts measuring over `span`.
    pub(super) fn new(span: Duration, now: Instant) -> Self {
        let span = (span.as_micros() as u64).max(1);
        Self { span, born: now, window: now, current: 0, previous: 0 }
    }

    /// Counts `bytes`.
    pub(super) fn add(&mut self, now: Instant, bytes: u64) {
        *self = self.rolled(now);
        self.current += bytes;
    }

    /// Bytes a second over the span that ends now.
    pub(super) fn rate(&self, now: Instant) -> u64 {
        let rolled = self.rolled(now);
        let into = micros(now.since(rolled.window));
        let bytes = rolled.current + scale(rolled.previous, self.span - into, self.span);
        let age = micros(now.since(self.born)).clamp(MIN_AGE_MICROS, self.span.max(MIN_AGE_MICROS));
        scale(bytes, 1_000_000, age)
    }

    /// Moves on to the window that `now` lies in.
    fn rolled(mut self, now: Instant) -> Self {
        let passed = micros(now.since(self.window)) / self.span;
        if passed > 0 {
            self.previous = if passed == 1 { self.current } else { 0 };
            self.current = 0;
            self.window += Duration::from_micros(passed * self.span);
        }
        self
    }
}

fn micros(span: Duration) -> u64 {
    span.as_micros() as u64
}

/// `amount × times / per`, without overflow.
fn scale(amount: u64, times: u64, per: u64) -> u64 {
    (u128::from(amount) * u128::from(times) / u128::from(per)) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_micros(millis * 1000)
    }

    #[test]
    fn a_steady_stream_is_measured_exactly() {
        let mut meter = Meter::new(Duration::from_secs(2), at(0));
        (0..100).for_each(|n| meter.add(at(n * 100), 1000));
        assert_eq!(meter.rate(at(10_000)), 10_000);
    }

    #[test]
    fn silence_fades_to_nothing() {
        let mut meter = Meter::new(Duration::from_secs(2), at(0));
        meter.add(at(1999), 2000);
        assert_eq!(meter.rate(at(3000)), 500);
        assert_eq!(meter.rate(at(9000)), 0);
    }

    #[test]
    fn a_young_meter_divides_by_its_age() {
        let mut meter = Meter::new(Duration::from_secs(20), at(0));
        meter.add(at(500), 1000);
        assert_eq!(meter.rate(at(1000)), 1000);
        assert_eq!(meter.rate(at(500)), 2000);
    }
}
