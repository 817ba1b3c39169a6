//! The tracker's host: the same tracker as in production, over a store that survives a crash of the host.

use std::future::Future;
use std::time::Duration;

use engine::Environment;
use engine::tracker::{self, MemoryStore, TrackerConfig};
use proto::seed::Seed;

use super::hosts;
use crate::scenario::expand::keyed;
use crate::scenario::{Plan, TRACKER, Target};
use crate::world::{SimClock, SimTransport};

/// What outlives the tracker's crashes.
pub(super) struct TrackerHost {
    config: TrackerConfig,
    store: MemoryStore,
    seed: Seed,
    lives: u64,
}

impl TrackerHost {
    /// The tracker of `plan`: production settings, save what the scenario says.
    pub(super) fn new(plan: &Plan) -> Self {
        let mut config = TrackerConfig::at(hosts::address(Target::Tracker));
        if let Some(interval) = plan.tracker.interval {
            config.registry.interval = interval;
        }
        if let Some(peers) = plan.tracker.peers {
            config.registry.max_peers_in_reply = peers as usize;
        }
        Self { config, store: MemoryStore::default(), seed: keyed(plan.seed, "engine", TRACKER), lives: 0 }
    }

    /// The announce interval that it asks for.
    pub(super) fn interval(&self) -> Duration {
        self.config.registry.interval
    }

    /// The root future of one more life.
    pub(super) fn live(
        &mut self,
        environment: Environment<SimTransport, SimClock>,
    ) -> impl Future<Output = ()> + Send + 'static {
        self.lives += 1;
        let (config, store, seed) = (self.config.clone(), self.store.clone(), self.seed.child(self.lives));
        async move {
            match tracker::start(environment, config, store, seed).await {
                // The handle must live as long as the tracker, or it would be told to stop.
                Ok((_handle, root)) => root.await,
                // Nobody would find a peer then, and the liveness oracle speaks up.
                Err(error) => eprintln!("the simulated tracker did not start: {error}"),
            }
        }
    }
}
