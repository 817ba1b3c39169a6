//! The tracker's host: the same tracker as in production, over a store that survives a crash of the host.

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use engine::Environment;
use engine::clock::Clock;
use engine::tracker::{self, TrackerConfig};
use engine::transport::Transport;
use proto::seed::Seed;

use super::hosts;
use crate::defect::SharedDefect;
use crate::record::{Presence, TrackerRecord};
use crate::scenario::expand::keyed;
use crate::scenario::{FaultKind, Plan, TRACKER, Target};
use crate::store::SimStore;
use crate::world::SimClock;

/// A tracker that cannot start is started again after this time, as by a service manager.
const START_AGAIN: Duration = Duration::from_secs(1);

/// What outlives the tracker's crashes.
pub(super) struct TrackerHost {
    config: TrackerConfig,
    store: SimStore,
    seed: Seed,
    lives: Vec<Presence>,
    ends: Vec<FaultKind>,
    /// What is wrong with it, in a test of the bench.
    pub(super) defect: Option<SharedDefect>,
}

impl TrackerHost {
    /// The tracker of `plan`: production settings, save what the scenario says.
    pub(super) fn new(plan: &Plan, defect: Option<SharedDefect>) -> Self {
        let mut config = TrackerConfig::at(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)));
        config.bind = hosts::addresses(plan, Target::Tracker);
        if let Some(interval) = plan.tracker.interval {
            config.registry.interval = interval;
        }
        if !plan.tracker.shedding {
            config.registry.shed_after = [Duration::MAX; 4];
        }
        if let Some(peers) = plan.tracker.peers {
            config.registry.max_peers_in_reply = peers as usize;
        }
        let seed = keyed(plan.seed, "engine", TRACKER);
        Self { config, store: SimStore::default(), seed, lives: Vec::new(), ends: Vec::new(), defect }
    }

    /// The announce interval that it asks for.
    pub(super) fn interval(&self) -> Duration {
        self.config.registry.interval
    }

    /// Its host has died of `kind`.
    pub(super) fn died(&mut self, now: Duration, kind: FaultKind) {
        if let Some(life) = self.lives.last_mut() {
            life.until = Some(now);
            self.ends.push(kind);
        }
        match kind {
            FaultKind::PowerCut { .. } => self.store.cut_power(),
            FaultKind::LoseDatabase { .. } => self.store.lose(),
            FaultKind::Crash { .. }
            | FaultKind::Leave
            | FaultKind::Pause(_)
            | FaultKind::ClockJump(_)
            | FaultKind::StoreFails(_)
            | FaultKind::Disk(_) => {}
        }
    }

    /// Its disk is full from now on, or has room again.
    pub(super) fn set_disk_full(&self, is_full: bool) {
        self.store.set_full(is_full);
    }

    /// What is known of it apart from its datagrams.
    pub(super) fn record(&self) -> TrackerRecord {
        let (lives, ends) = (self.lives.clone(), self.ends.clone());
        TrackerRecord { interval: self.interval(), lives, ends, ..TrackerRecord::default() }
    }

    /// The root future of one more life.
    pub(super) fn live<T: Transport + Clone>(
        &mut self,
        now: Duration,
        environment: Environment<T, SimClock>,
    ) -> impl Future<Output = ()> + Send + use<T> {
        self.lives.push(Presence { from: now, until: None });
        let seed = self.seed.child(self.lives.len() as u64);
        let (config, store) = (self.config.clone(), self.store.clone());
        async move {
            loop {
                let (environment, clock) = (environment.clone(), environment.clock.clone());
                match tracker::start(environment, config.clone(), store.clone(), seed).await {
                    // The handle must live as long as the tracker, or it would be told to stop.
                    Ok((_handle, root)) => return root.await,
                    // Until it does, nobody finds a peer, and the liveness oracle speaks up.
                    Err(error) => eprintln!("the simulated tracker did not start: {error}"),
                }
                clock.sleep_until(clock.now() + START_AGAIN).await;
            }
        }
    }
}
