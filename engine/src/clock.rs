//! Time as the environment gives it: the OS clock in production, a host's own view of virtual time in the
//! simulator (skew, drift, pauses).

use std::future::Future;
use std::time::Duration;

use proto::time::Instant;

/// A host's clock.
pub trait Clock: Clone + Send + Sync + 'static {
    /// Monotonic time since an origin of the environment's choice.
    fn now(&self) -> Instant;

    /// Wall time since the Unix epoch; it may be wrong and may jump.
    fn wall(&self) -> Duration;

    /// Ends once `now` has reached `deadline`.
    fn sleep_until(&self, deadline: Instant) -> impl Future<Output = ()> + Send;
}

/// The operating system's clock, read through tokio; its origin is the moment of its making.
#[derive(Clone, Copy, Debug)]
pub struct OsClock {
    origin: tokio::time::Instant,
}

impl OsClock {
    /// A clock that reads zero now.
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    pub fn new() -> Self {
        Self { origin: tokio::time::Instant::now() }
    }
}

impl Default for OsClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for OsClock {
    fn now(&self) -> Instant {
        Instant::ZERO + self.origin.elapsed()
    }

    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    fn wall(&self) -> Duration {
        // A system clock before 1970 reads as 1970.
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default()
    }

    async fn sleep_until(&self, deadline: Instant) {
        tokio::time::sleep_until(self.origin + deadline.since(Instant::ZERO)).await;
    }
}

/// Runs `work` for `limit` at the most; nothing if the time was up first.
pub async fn within<C: Clock, W: Future>(clock: &C, limit: Duration, work: W) -> Option<W::Output> {
    let deadline = clock.now() + limit;
    tokio::select! {
        biased;
        output = work => Some(output),
        () = clock.sleep_until(deadline) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn sleeping_reaches_the_deadline_and_limits_cut_work_off() {
        let clock = OsClock::new();
        let deadline = clock.now() + Duration::from_secs(3);
        clock.sleep_until(deadline).await;
        assert!(clock.now() >= deadline);
        let long = clock.sleep_until(deadline + Duration::from_secs(60));
        assert_eq!(within(&clock, Duration::from_secs(1), long).await, None);
        assert_eq!(within(&clock, Duration::from_secs(1), async { 7 }).await, Some(7));
    }
}
