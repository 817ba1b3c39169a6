//! What is shared by the tracker's tasks, and the handle that shows it to the outside.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use proto::registry::Registry;
use proto::time::Instant;
use tokio::sync::Notify;

use super::{HttpStats, TrackerStats};

/// A running tracker, seen from outside. Plain types only; clones are cheap.
#[derive(Clone, Debug)]
pub struct TrackerHandle {
    pub(super) shared: Arc<Shared>,
    pub(super) local_addrs: Vec<SocketAddr>,
    pub(super) http_addrs: Vec<SocketAddr>,
    pub(super) admin_addr: Option<SocketAddr>,
}

impl TrackerHandle {
    /// The counters of this moment.
    pub fn stats(&self) -> TrackerStats {
        self.shared.lock().stats()
    }

    /// Where it listens, in the order of the configuration.
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.local_addrs
    }

    /// Where it listens for HTTP, in the order of the configuration.
    pub fn http_addrs(&self) -> &[SocketAddr] {
        &self.http_addrs
    }

    /// Where the admin port is, if there is one.
    pub const fn admin_addr(&self) -> Option<SocketAddr> {
        self.admin_addr
    }

    /// Ends the tracker in order: the root future flushes, closes the store and returns.
    pub fn stop(&self) {
        self.shared.stop.notify_one();
    }
}

/// What every task of the tracker shares. The lock is never held across an await.
#[derive(Debug)]
pub(super) struct Shared {
    state: Mutex<State>,
    /// Told once, when the tracker is to end in order.
    pub(super) stop: Notify,
}

/// What the lock guards.
#[derive(Debug)]
pub(super) struct State {
    pub(super) registry: Registry,
    pub(super) store_failures: u64,
    pub(super) socket_failures: u64,
    pub(super) unsent: u64,
    pub(super) http: HttpStats,
    /// Since when the store has failed without a success.
    pub(super) store_failing_since: Option<Instant>,
}

impl Shared {
    pub(super) fn new(registry: Registry) -> Self {
        let (http, store_failing_since) = (HttpStats::default(), None);
        let state =
            State { registry, store_failures: 0, socket_failures: 0, unsent: 0, http, store_failing_since };
        Self { state: Mutex::new(state), stop: Notify::new() }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        // The registry is whole after every call, also after one that panicked in another task.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    pub(super) fn stats(&self) -> TrackerStats {
        let Self { registry, store_failures, socket_failures, unsent, http, .. } = self;
        TrackerStats {
            registry: registry.stats(),
            store_failures: *store_failures,
            socket_failures: *socket_failures,
            unsent: *unsent,
            http: *http,
        }
    }
}
