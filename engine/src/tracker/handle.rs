//! What is shared by the tracker's tasks, and the handle that shows it to the outside.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use proto::registry::Registry;
use tokio::sync::Notify;

use super::TrackerStats;

/// A running tracker, seen from outside. Plain types only; clones are cheap.
#[derive(Clone, Debug)]
pub struct TrackerHandle {
    pub(super) shared: Arc<Shared>,
    pub(super) local_addrs: Vec<SocketAddr>,
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
}

impl Shared {
    pub(super) fn new(registry: Registry) -> Self {
        let state = State { registry, store_failures: 0, socket_failures: 0, unsent: 0 };
        Self { state: Mutex::new(state), stop: Notify::new() }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        // The registry is whole after every call, also after one that panicked in another task.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn stats(&self) -> TrackerStats {
        let Self { registry, store_failures, socket_failures, unsent } = self;
        TrackerStats {
            registry: registry.stats(),
            store_failures: *store_failures,
            socket_failures: *socket_failures,
            unsent: *unsent,
        }
    }
}
