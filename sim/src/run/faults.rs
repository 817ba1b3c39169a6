//! What goes wrong, carried out.

use std::mem;
use std::time::Duration;

use proto::seed::Seed;

use super::agenda::Action;
use super::hosts;
use super::peer::Order;
use super::stage::Stage;
use crate::record::Departed;
use crate::scenario::expand::keyed;
use crate::scenario::quantity::duration_text;
use crate::scenario::{DiskFault, FaultKind, FaultPlan, TRACKER, Target};
use crate::world::HostId;

impl Stage<'_> {
    pub(super) fn fault(&mut self, fault: FaultPlan, now: Duration) {
        let Some(host) = self.world.host(hosts::index(fault.target)) else { return };
        if !self.world.is_running(host) {
            let who = self.name(fault.target);
            self.vacuous.push(format!("fault at {}: {who} was not there", duration_text(fault.at)));
            return;
        }
        self.world.note(&format!("{:?} {:?}", fault.kind, fault.target));
        match fault.kind {
            FaultKind::Leave => self.order(fault.target, Order::Leave),
            FaultKind::Crash { back_after }
            | FaultKind::PowerCut { back_after }
            | FaultKind::LoseDatabase { back_after } => {
                self.crash(host, fault, back_after, now);
                if fault.target == Target::Tracker {
                    self.tracker.died(now, fault.kind);
                }
            }
            FaultKind::Pause(time) => {
                self.world.pause(host);
                self.agenda.add(now + time, Action::Mend(fault));
            }
            FaultKind::ClockJump(micros) => self.world.jump_clock(host, micros),
            FaultKind::StoreFails(time) => {
                self.tracker.set_disk_full(true);
                self.agenda.add(now + time, Action::Mend(fault));
            }
            FaultKind::Disk(kind) => {
                self.break_disk(fault, kind);
                kind.lasts().inspect(|&time| self.agenda.add(now + time, Action::Mend(fault)));
            }
        }
    }

    fn break_disk(&mut self, fault: FaultPlan, kind: DiskFault) {
        let (seed, clock) = (self.draws(fault), self.world.clock());
        let Target::Peer(index) = fault.target else { return };
        let Some(peer) = self.peers.get_mut(index) else { return };
        match kind {
            DiskFault::Error(_) => peer.storage.set_failing(true),
            DiskFault::Full(_) => peer.storage.set_full(true),
            DiskFault::Slow { latency, .. } => peer.storage.set_latency(Some((clock, latency))),
            DiskFault::Rot { pieces } => {
                let rotten = peer.storage.rot(pieces, seed);
                peer.log.lock().rotted(&rotten);
            }
        }
    }

    /// The stream of a fault's random draws: of its time and victim alone.
    fn draws(&self, fault: FaultPlan) -> Seed {
        keyed(self.plan.seed, "disk", self.name(fault.target)).child(fault.at.as_micros() as u64)
    }

    /// What lasted for a while is over, unless another of its kind lasts longer.
    pub(super) fn mend(&mut self, fault: FaultPlan) {
        let others = self.agenda.lasting().into_iter().filter_map(|(_, action)| match action {
            Action::Mend(other) => Some(other),
            Action::Start(_) | Action::Fault(_) | Action::Disturb(_) | Action::Calm(..) => None,
        });
        let mut others = others.filter(|other| other.target == fault.target && is_alike(*other, fault));
        match others.next_back().map(|other| other.kind) {
            Some(FaultKind::Disk(kind)) => self.break_disk(fault, kind),
            Some(_) => {}
            None => self.end(fault),
        }
    }

    fn end(&mut self, fault: FaultPlan) {
        if matches!(fault.kind, FaultKind::StoreFails(_)) {
            self.tracker.set_disk_full(false);
        } else if let (FaultKind::Disk(kind), Target::Peer(index)) = (fault.kind, fault.target) {
            let Some(peer) = self.peers.get(index) else { return };
            match kind {
                DiskFault::Error(_) => peer.storage.set_failing(false),
                DiskFault::Full(_) => peer.storage.set_full(false),
                DiskFault::Slow { .. } => peer.storage.set_latency(None),
                DiskFault::Rot { .. } => {}
            }
        } else if let Some(host) = self.world.host(hosts::index(fault.target)) {
            self.world.resume(host);
        }
    }

    fn crash(&mut self, host: HostId, fault: FaultPlan, back_after: Option<Duration>, now: Duration) {
        let (target, seed) = (fault.target, self.draws(fault));
        // What it has sent and received dies with it, unless it is asked at the last moment.
        self.order(target, Order::Count);
        self.world.settle();
        self.world.crash(host);
        let peer = match target {
            Target::Tracker => None,
            Target::Peer(index) => self.peers.get_mut(index),
        };
        if let Some(peer) = &peer {
            let mut log = peer.log.lock();
            log.ended(now);
            if matches!(fault.kind, FaultKind::PowerCut { .. }) {
                log.lost(&peer.storage.cut_power(seed));
            }
        }
        match back_after {
            Some(time) => self.agenda.add(now + time, Action::Start(target)),
            None => {
                if let Some(peer) = peer {
                    let how = "crashed".to_owned();
                    peer.log.lock().gone.get_or_insert(Departed { at: now, how });
                }
            }
        }
    }

    pub(super) fn name(&self, target: Target) -> &str {
        match target {
            Target::Tracker => TRACKER,
            Target::Peer(index) => self.plan.peers.get(index).map_or("nobody", |peer| &peer.name),
        }
    }
}

/// Do the two do the same to a host?
fn is_alike(one: FaultPlan, other: FaultPlan) -> bool {
    match (one.kind, other.kind) {
        (FaultKind::Disk(one), FaultKind::Disk(other)) => {
            mem::discriminant(&one) == mem::discriminant(&other)
        }
        (one, other) => mem::discriminant(&one) == mem::discriminant(&other),
    }
}
