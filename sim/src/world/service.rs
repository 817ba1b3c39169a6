//! How long a host's programs take over datagrams.
//!
//! Hosts of the simulator compute in no time, so a tracker could answer any flood. A host with a service
//! time works off one datagram after the other: half of the time goes into receiving it, half into sending
//! the reply. That is how measured trackers spend theirs: system calls are four fifths of the work.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::clock::virtual_now;

/// Timers ring up to this much late. Work that was waiting is timed from when it could have begun, or a
/// busy host would be slower than its service time says.
const TIMER_STEP: Duration = Duration::from_millis(1);

/// The time of one host's programs.
#[derive(Debug, Default)]
pub(super) struct Service {
    /// Nanoseconds for half a datagram; zero: none.
    half: AtomicU64,
    busy_until: Mutex<Option<Instant>>,
}

impl Service {
    /// So long for a datagram and its reply.
    pub(super) fn set(&self, time: Duration) {
        self.half.store(time.as_nanos() as u64 / 2, Ordering::Relaxed);
    }

    /// So many datagrams were received, or sent.
    pub(super) fn charge(&self, datagrams: u64) {
        let half = self.half.load(Ordering::Relaxed);
        if half == 0 {
            return;
        }
        let mut busy_until = self.busy_until.lock().unwrap_or_else(PoisonError::into_inner);
        let earliest = virtual_now() - TIMER_STEP;
        let from = busy_until.map_or(earliest, |busy| busy.max(earliest));
        *busy_until = Some(from + Duration::from_nanos(half * datagrams));
    }

    /// Ends when all that was charged is done.
    pub(super) async fn done(&self) {
        let busy_until = *self.busy_until.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(busy_until) = busy_until.filter(|&busy| busy > virtual_now()) {
            tokio::time::sleep_until(busy_until).await;
        }
    }

    /// The programs are gone.
    pub(super) fn clear(&self) {
        *self.busy_until.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}
