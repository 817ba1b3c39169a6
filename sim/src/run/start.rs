//! How hosts begin: whoever a plan names gets its program, for the first time or again.

use std::sync::Arc;
use std::time::Duration;

use engine::Environment;
use tokio::sync::mpsc;

use super::announcer::{self, Chore};
use super::peer::{self, Life};
use super::stage::{Stage, config};
use super::{hosts, vandal};
use crate::defect::{SharedDefect, TamperedTransport};
use crate::hostile::Ground;
use crate::scenario::expand::keyed;
use crate::scenario::{Behaviour, Plan, Role, Target};
use crate::world::{HostId, SimClock, SimTransport};

/// Does it start with a limit on what it sends? No scenario says so; a defect may.
pub(super) fn limits_itself(plan: &Plan, index: usize, defect: Option<&SharedDefect>) -> bool {
    let mut config = config(plan, Target::Peer(index));
    if let Some(defect) = defect {
        defect.lock().configures(&mut config);
    }
    config.limits.up.is_any()
}

impl Stage<'_> {
    pub(super) fn start(&mut self, target: Target) {
        let Some(host) = self.world.host(hosts::index(target)) else { return };
        self.forget_state(target);
        let (now, environment) = (self.now(), self.world.environment(host));
        let index = match target {
            Target::Tracker => return self.start_tracker(host, now, environment),
            Target::Peer(index) => index,
        };
        let Some((peer, plan)) = self.peers.get_mut(index).zip(self.plan.peers.get(index)) else { return };
        let (sender, orders) = mpsc::unbounded_channel();
        peer.orders = Some(sender);
        peer.log.lock().reborn(now);
        let key = plan.twin_of.as_ref().unwrap_or(&plan.name);
        let seed = keyed(self.plan.seed, "engine", key).child(peer.lives);
        peer.lives += 1;
        let (clock, log) = (self.world.clock(), peer.log.clone());
        let leave_at = peer::leave_at(plan.departure, plan.arrival, now);
        if let Some(behaviour) = plan.role.behaviour() {
            let Some((tracker, addr)) = hosts::talking(self.plan, target) else { return };
            let ground = Ground {
                behaviour,
                environment,
                tracker,
                addr,
                metainfo: Arc::clone(&self.metainfo),
                content: Arc::clone(&self.content),
                seed,
                rumours: hosts::rumours(self.plan),
                deeds: peer.deeds.clone(),
            };
            return self.world.start(host, vandal::live(ground, leave_at, log, orders, clock));
        }
        if plan.role == Role::Announcer {
            let Some((tracker, addr)) = hosts::talking(self.plan, target) else { return };
            let left = self.plan.torrent.size;
            let chore = Chore { environment, tracker, addr, left, seed, leave_at, log, orders, clock };
            return self.world.start(host, announcer::live(chore));
        }
        let life = Life {
            environment,
            metainfo: Arc::clone(&self.metainfo),
            storage: peer.storage.clone(),
            disk: peer.storage.clone(),
            config: config(self.plan, target),
            seed,
            start: plan.start,
            departure: plan.departure,
            is_seeder: plan.role == Role::Seeder,
            arrival: plan.arrival,
            log,
            orders,
            clock,
        };
        match peer.defect.clone() {
            None => self.world.start(host, peer::live(life)),
            Some(defect) => self.world.start(host, peer::live(life.tampered(defect))),
        }
    }

    fn start_tracker(
        &mut self,
        host: HostId,
        now: Duration,
        environment: Environment<SimTransport, SimClock>,
    ) {
        let Some(defect) = self.tracker.defect.clone() else {
            return self.world.start(host, self.tracker.live(now, environment));
        };
        let transport = TamperedTransport::new(environment.transport, defect, self.world.clock());
        let environment = Environment { transport, clock: environment.clock };
        self.world.start(host, self.tracker.live(now, environment));
    }

    /// A hostile peer that has announced and wants to be gone is gone without a word.
    pub(super) fn bury(&mut self) {
        for (index, plan) in self.plan.peers.iter().enumerate() {
            let Some(host) = self.world.host(hosts::index(Target::Peer(index))) else { continue };
            let vanishes = matches!(plan.role, Role::Hostile(Behaviour::Dead { .. }));
            let is_over = self.peers.get(index).is_some_and(|peer| peer.lives > 0);
            if vanishes && is_over && !self.world.is_running(host) {
                self.world.crash(host);
            }
        }
    }
}
