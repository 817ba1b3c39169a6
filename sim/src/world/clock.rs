//! Virtual time as a host sees it: its own clocks may be wrong, may drift and jump, and while the host is
//! paused no sleep ends.

use std::sync::Arc;
use std::time::Duration;

use engine::clock::Clock;
use proto::time::Instant;

use super::host::Host;

/// Wall time at the start of every simulation: 2026-01-01 00:00 UTC, in seconds since the Unix epoch.
const WALL_AT_START: u64 = 1_767_225_600;

/// Parts of a million.
const MILLION: u128 = 1_000_000;

/// How a host's clocks differ from true time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClockError {
    /// Microseconds by which wall time is ahead at the start; negative: behind.
    pub skew: i64,
    /// Microseconds that both clocks gain in each true second, above −10⁶.
    pub drift: i32,
}

impl ClockError {
    /// What a clock reads that was zero at the start, in microseconds.
    fn local(self, elapsed: Duration) -> u64 {
        let micros = elapsed.as_micros();
        // Most clocks are right, and the time is asked for all the time: no division of 128 bits for those.
        let local = if self.drift == 0 { micros } else { micros * self.pace() / MILLION };
        u64::try_from(local).unwrap_or(u64::MAX)
    }

    /// The first true time at which [`Self::local`] reads `local`.
    fn elapsed(self, local: Instant) -> Duration {
        let micros = (u128::from(local.as_micros()) * MILLION).div_ceil(self.pace());
        Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
    }

    /// Microseconds of this clock in a true second.
    fn pace(self) -> u128 {
        MILLION.saturating_add_signed(self.drift.into()).max(1)
    }
}

/// A host's clock, or the world's own, which is right.
#[derive(Clone, Debug)]
pub struct SimClock {
    pub(super) start: tokio::time::Instant,
    pub(super) host: Option<Arc<Host>>,
}

/// Virtual time now; must be called inside the world's runtime.
#[expect(clippy::disallowed_methods, reason = "this is the clock of the simulated world")]
pub(super) fn virtual_now() -> tokio::time::Instant {
    tokio::time::Instant::now()
}

/// True time since `start`, which is when the world began; outside of it, the beginning.
pub(crate) fn virtual_time(start: tokio::time::Instant) -> Instant {
    Instant::from_micros(virtual_now().saturating_duration_since(start).as_micros() as u64)
}

impl SimClock {
    fn error(&self) -> ClockError {
        self.host.as_ref().map(|host| host.clock_error()).unwrap_or_default()
    }

    fn local(&self) -> u64 {
        self.error().local(virtual_now().duration_since(self.start))
    }
}

impl Clock for SimClock {
    fn now(&self) -> Instant {
        Instant::from_micros(self.local())
    }

    fn wall(&self) -> Duration {
        let wall = Duration::from_secs(WALL_AT_START) + Duration::from_micros(self.local());
        let ahead = self.error().skew;
        let skew = Duration::from_micros(ahead.unsigned_abs());
        if ahead < 0 { wall.saturating_sub(skew) } else { wall + skew }
    }

    async fn sleep_until(&self, deadline: Instant) {
        tokio::time::sleep_until(self.start + self.error().elapsed(deadline)).await;
        if let Some(host) = &self.host {
            host.gate.opened().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_drifting_clock_gains_its_parts_of_a_million() {
        let hour = Duration::from_secs(3_600);
        let reads = |drift| ClockError { skew: 7, drift }.local(hour);
        assert_eq!([reads(0), reads(200), reads(-200)], [3_600_000_000, 3_600_720_000, 3_599_280_000]);
    }

    proptest! {
        #[test]
        fn a_sleep_ends_when_the_clock_reads_its_deadline(
            drift in -500_000_i32..500_000, micros in 0_u64..1 << 50,
        ) {
            let (error, deadline) = (ClockError { skew: 0, drift }, Instant::from_micros(micros));
            let end = error.elapsed(deadline);
            prop_assert!(error.local(end) >= micros);
            let before = end.saturating_sub(Duration::from_micros(1));
            prop_assert!(end.is_zero() || error.local(before) < micros);
        }
    }
}
