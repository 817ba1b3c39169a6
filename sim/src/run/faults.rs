//! What goes wrong, carried out.

use std::time::Duration;

use super::agenda::Action;
use super::hosts;
use super::peer::Order;
use super::stage::Stage;
use crate::record::Departed;
use crate::scenario::quantity::duration_text;
use crate::scenario::{FaultKind, FaultPlan, TRACKER, Target};
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
                self.crash(host, fault.target, back_after, now);
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
        }
    }

    /// What lasted for a while is over.
    pub(super) fn mend(&mut self, fault: FaultPlan) {
        if matches!(fault.kind, FaultKind::StoreFails(_)) {
            self.tracker.set_disk_full(false);
        } else if let Some(host) = self.world.host(hosts::index(fault.target)) {
            self.world.resume(host);
        }
    }

    fn crash(&mut self, host: HostId, target: Target, back_after: Option<Duration>, now: Duration) {
        self.world.crash(host);
        let peer = match target {
            Target::Tracker => None,
            Target::Peer(index) => self.peers.get_mut(index),
        };
        if let Some(peer) = &peer {
            peer.log.lock().ended(now);
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

    fn name(&self, target: Target) -> &str {
        match target {
            Target::Tracker => TRACKER,
            Target::Peer(index) => self.plan.peers.get(index).map_or("nobody", |peer| &peer.name),
        }
    }
}
