//! Faults that wait for a state: who waits for what, and whether it has come.
//!
//! The engine knows nothing of it. What it has on order is heard at its connections, what it asks trackers at its sockets;
//! and its disk is held for the instant between a piece's hash and the first word of it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::agenda::Action;
use super::hosts;
use super::orders::Orders;
use super::stage::Stage;
use crate::scenario::{FaultPlan, Plan, Target, Trigger};
use crate::wiretap::{Asking, Listener, both};
use crate::world::World;

/// How often the swarm's state is looked at while a fault waits for it.
const LOOK: Duration = Duration::from_millis(50);

/// Faults that wait, and those that have come.
#[derive(Debug, Default)]
pub(super) struct Triggers {
    waiting: Vec<(Trigger, Action)>,
    /// Places in the plan's list of faults, and in that of the network's, with their times.
    fired: Vec<(Action, Duration)>,
    /// What peers have on order, if anybody wants to know.
    orders: Option<Arc<Mutex<Orders>>>,
    /// Announces under way, at the hosts of which somebody wants to know.
    asking: BTreeMap<Target, Asking>,
}

impl Triggers {
    /// All that `plan` has.
    pub(super) fn of(plan: &Plan) -> Self {
        let faults = plan.faults.iter().filter_map(|fault| Some((fault.when?, Action::Fault(*fault))));
        let net = plan.net_faults.iter().enumerate();
        let net = net.filter_map(|(number, fault)| Some((fault.when?, Action::Disturb(number))));
        Self { waiting: faults.chain(net).collect(), ..Self::default() }
    }

    /// Listens to whatever is needed to know; `first` hears everything before.
    pub(super) fn listen(&mut self, world: &World, first: Listener) -> Listener {
        let is_announcing = |trigger: &Trigger| matches!(trigger, Trigger::Announcing(_));
        let asking = self.waiting.iter().filter(|(trigger, _)| is_announcing(trigger));
        for target in asking.flat_map(|(trigger, _)| trigger.who()) {
            let Some(host) = world.host(hosts::index(target)) else { continue };
            self.asking.insert(target, world.listen_for_announces(host));
        }
        if !self.waiting.iter().any(|(trigger, _)| matches!(trigger, Trigger::Endgame(_))) {
            return first;
        }
        let orders = Arc::new(Mutex::new(Orders::default()));
        self.orders = Some(Arc::clone(&orders));
        both(first, orders)
    }

    /// Does anything wait?
    pub(super) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// How long to run until the next look: states of single peers pass quickly.
    pub(super) fn patience(&self, tick: Duration) -> Duration {
        let is_brief = self.waiting.iter().any(|(trigger, _)| trigger.who().next().is_some());
        if is_brief { tick } else { LOOK }
    }
}

impl Stage<'_> {
    /// What has come true, is due.
    pub(super) fn look(&mut self) {
        if !self.triggers.is_waiting() {
            return;
        }
        let now = self.now();
        let waiting = std::mem::take(&mut self.triggers.waiting);
        let (due, waiting): (Vec<_>, Vec<_>) =
            waiting.into_iter().partition(|(trigger, _)| self.has_come(*trigger));
        self.triggers.waiting = waiting;
        for (_, action) in due {
            self.triggers.fired.push((action, now));
            let action = match action {
                Action::Fault(fault) => Action::Fault(FaultPlan { at: now, ..fault }),
                Action::Disturb(_) | Action::Start(_) | Action::Mend(_) | Action::Calm(..) => action,
            };
            self.agenda.add(now, action);
        }
    }

    fn has_come(&self, trigger: Trigger) -> bool {
        match trigger {
            Trigger::Completed(count) => self.glimpse().completed >= count as usize,
            Trigger::Progress(share) => {
                let glimpse = self.glimpse();
                u128::from(glimpse.pieces) * 1_000_000 >= u128::from(glimpse.all_pieces) * u128::from(share)
            }
            Trigger::Copies(least) => self.copies().all(|count| count >= least),
            Trigger::Endgame(_) => self.any(trigger, |target| self.is_in_endgame(target)),
            Trigger::BeforeHave(_) => self.any(trigger, |target| self.is_before_have(target)),
            Trigger::Announcing(_) => {
                let asking = &self.triggers.asking;
                self.any(trigger, |target| asking.get(&target).is_some_and(Asking::is_asking))
            }
        }
    }

    /// Is one of whom `trigger` speaks there, and is it so?
    fn any(&self, trigger: Trigger, is_so: impl Fn(Target) -> bool) -> bool {
        let host = |target| self.world.host(hosts::index(target));
        let is_up = |target| host(target).is_some_and(|host| self.world.is_running(host));
        trigger.who().any(|target| is_up(target) && is_so(target))
    }

    /// Of each piece, how many leechers hold it that are there.
    fn copies(&self) -> impl Iterator<Item = u32> {
        let mut copies = vec![0; self.content.geometry().pieces() as usize];
        for (index, _) in self.plan.leechers() {
            let Some(peer) = self.peers.get(index) else { continue };
            let log = peer.log.lock();
            if log.gone.is_none() {
                let held = copies.iter_mut().zip(&log.pieces);
                held.for_each(|(count, held)| *count += u32::from(held.is_some()));
            }
        }
        copies.into_iter()
    }

    /// Is everything on order that it lacks, and something lacking?
    fn is_in_endgame(&self, target: Target) -> bool {
        let (Target::Peer(index), Some(orders)) = (target, &self.triggers.orders) else { return false };
        // A listener that panicked fails its run anyway.
        let orders = orders.lock().unwrap_or_else(PoisonError::into_inner);
        let host = hosts::index(target);
        self.peers.get(index).is_some_and(|peer| peer.storage.lacks_only(|at| orders.has(host, at)))
    }

    /// Does its disk know a piece to be right of which the engine does not know it?
    fn is_before_have(&self, target: Target) -> bool {
        let Target::Peer(index) = target else { return false };
        self.peers.get(index).is_some_and(|peer| {
            let caught = peer.storage.hold().caught();
            let is_new = |piece: usize| peer.log.lock().pieces.get(piece).is_some_and(Option::is_none);
            caught.is_some_and(|piece| is_new(piece.as_usize()))
        })
    }

    /// Lets go of disks that were held, and gets ready to hold those of peers that somebody still waits for.
    pub(super) fn hold_disks(&self) {
        let waits = |index| {
            let mut holding = self.triggers.waiting.iter().filter(|(trigger, _)| trigger.holds_disks());
            holding.any(|(trigger, _)| trigger.who().any(|target| target == Target::Peer(index)))
        };
        for (index, peer) in self.peers.iter().enumerate().filter(|(_, peer)| peer.is_held) {
            // What it finds on its disk when it starts, it tells as a whole.
            peer.storage.hold().arm(waits(index) && peer.log.lock().is_checked);
            peer.storage.hold().release();
        }
    }

    /// A host begins anew.
    pub(super) fn forget_state(&self, target: Target) {
        self.triggers.asking.get(&target).into_iter().for_each(Asking::forget);
        if let Target::Peer(index) = target
            && let Some(peer) = self.peers.get(index)
        {
            peer.storage.hold().arm(false);
        }
    }

    /// The plan with the times at which what waited came; and what never did, for a person.
    pub(super) fn settle_triggers(&self, plan: &mut Plan) -> Vec<String> {
        for (action, at) in &self.triggers.fired {
            match action {
                Action::Fault(fired) => {
                    plan.faults.iter_mut().filter(|fault| *fault == fired).for_each(|fault| fault.at = *at);
                }
                Action::Disturb(number) => {
                    plan.net_faults.get_mut(*number).into_iter().for_each(|fault| fault.at = *at);
                }
                Action::Start(_) | Action::Mend(_) | Action::Calm(..) => {}
            }
        }
        let never = self.triggers.waiting.iter();
        let text = |trigger: &Trigger| trigger.text(|target| self.name(target).to_owned());
        never.map(|(trigger, _)| format!("fault when = {}: that was never the case", text(trigger))).collect()
    }
}
