//! Virtual time as a host sees it.

use std::time::Duration;

use engine::clock::Clock;
use proto::time::Instant;

/// Wall time at the start of every simulation: 2026-01-01 00:00 UTC, in seconds since the Unix epoch.
const WALL_AT_START: u64 = 1_767_225_600;

/// A host's clock.
#[derive(Clone, Copy, Debug)]
pub struct SimClock {
    pub(super) start: tokio::time::Instant,
}

/// Virtual time now; must be called inside the world's runtime.
#[expect(clippy::disallowed_methods, reason = "this is the clock of the simulated world")]
pub(super) fn virtual_now() -> tokio::time::Instant {
    tokio::time::Instant::now()
}

impl Clock for SimClock {
    fn now(&self) -> Instant {
        Instant::from_micros(virtual_now().duration_since(self.start).as_micros() as u64)
    }

    fn wall(&self) -> Duration {
        Duration::from_secs(WALL_AT_START) + virtual_now().duration_since(self.start)
    }

    async fn sleep_until(&self, deadline: Instant) {
        tokio::time::sleep_until(self.start + deadline.since(Instant::ZERO)).await;
    }
}
