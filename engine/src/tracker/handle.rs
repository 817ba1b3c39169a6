//! What is shared by the tracker's tasks, and the handle that shows it to the outside.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use proto::registry::Registry;
use proto::time::Instant;
use tokio::sync::Notify;

use super::access::AccessConfig;
use super::limiter::LogLimit;
use super::store::Control;
use super::{TrackerConfig, TrackerStats};

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

    /// Goes on with the rules, caps and lists of `config`. Its addresses count only at a start.
    pub fn reload(&self, config: TrackerConfig) {
        let id_life = config.registry.id_life();
        self.shared.lock().registry.set_config(config.registry);
        self.shared.change_rules(|rules| (rules.access, rules.id_life) = (config.access, id_life));
    }

    /// Ends the tracker in order: the root future flushes, closes the store and returns.
    pub fn stop(&self) {
        self.shared.stop.notify_one();
    }
}

/// What every task of the tracker shares. No lock is ever held across an await.
#[derive(Debug)]
pub(super) struct Shared {
    state: Mutex<State>,
    rules: Mutex<Rules>,
    log: Mutex<LogLimit>,
    /// Told once, when the tracker is to end in order.
    pub(super) stop: Notify,
}

/// What the lock guards.
#[derive(Debug)]
pub(super) struct State {
    pub(super) registry: Registry,
    /// Counters of the driver; the registry's part is filled in by [`State::stats`].
    pub(super) counters: TrackerStats,
    /// Since when the store has failed without a success.
    pub(super) store_failing_since: Option<Instant>,
}

/// What the registry's access rules are made of.
#[derive(Debug, Default)]
pub(super) struct Rules {
    pub(super) access: AccessConfig,
    pub(super) control: Control,
    /// How long a connection id is good.
    pub(super) id_life: Duration,
}

impl Shared {
    /// A tracker with `registry`, open to all until its rules are set.
    pub(super) fn new(registry: Registry) -> Self {
        let state = State { registry, counters: TrackerStats::default(), store_failing_since: None };
        let (rules, log) = (Mutex::default(), Mutex::default());
        Self { state: Mutex::new(state), rules, log, stop: Notify::new() }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        // The registry is whole after every call, also after one that panicked in another task.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn rules(&self) -> MutexGuard<'_, Rules> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn id_life(&self) -> Duration {
        self.rules().id_life
    }

    /// Changes what access depends on. The lists are put together before the registry's lock is taken.
    pub(super) fn change_rules(&self, change: impl FnOnce(&mut Rules)) {
        let mut rules = self.rules();
        change(&mut rules);
        let access = rules.access.with(&rules.control);
        self.lock().registry.set_access(access);
    }

    /// May a line of this kind be logged? What may not is told in one line later.
    pub(super) fn may_log(&self, now: Instant, kind: &'static str) -> bool {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).admits(now, kind)
    }

    /// Tells what [`Shared::may_log`] did not admit.
    pub(super) fn log_summaries(&self, now: Instant) {
        let summaries = self.log.lock().unwrap_or_else(PoisonError::into_inner).summaries(now);
        for (kind, lines) in summaries {
            tracing::warn!(lines, "{kind}: lines like the last ones, not written");
        }
    }
}

impl State {
    pub(super) fn stats(&self) -> TrackerStats {
        TrackerStats { registry: self.registry.stats(), ..self.counters }
    }
}
