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
