//! What goes wrong with the network, carried out; and faults that wait for a state of the swarm.

use std::mem;
use std::time::Duration;

use proto::time::Instant;

use super::agenda::Action;
use super::hosts;
use super::stage::Stage;
use crate::network::CutId;
use crate::scenario::{FaultPlan, NetFaultKind, NetFaultPlan, Plan, Target, Trigger};
use crate::world::HostId;

/// How often the swarm's state is looked at while a fault waits for it.
pub(super) const LOOK: Duration = Duration::from_millis(50);

/// Faults that wait, and those that have come.
#[derive(Debug, Default)]
pub(super) struct Triggers {
    waiting: Vec<(Trigger, Action)>,
    /// Places in the plan's list of faults, and in that of the network's, with their times.
    fired: Vec<(Action, Duration)>,
}

impl<'a> Stage<'a> {
    /// Collects what waits for a state.
    pub(super) fn await_states(&mut self) {
        let plan = self.plan;
        let faults = plan.faults.iter().filter_map(|fault| Some((fault.when?, Action::Fault(*fault))));
        let net = plan.net_faults.iter().enumerate();
        let net = net.filter_map(|(number, fault)| Some((fault.when?, Action::Disturb(number))));
        self.triggers.waiting = faults.chain(net).collect();
    }

    /// Does anything wait?
    pub(super) fn is_waiting(&self) -> bool {
        !self.triggers.waiting.is_empty()
    }

    /// What has come true, is due.
    pub(super) fn look(&mut self) {
        if !self.is_waiting() {
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
            Trigger::Copies(least) => {
                let mut copies = vec![0; self.content.geometry().pieces() as usize];
                for (index, _) in self.plan.leechers() {
                    let Some(peer) = self.peers.get(index) else { continue };
                    let log = peer.log.lock();
                    if log.gone.is_some() {
                        continue;
                    }
                    copies
                        .iter_mut()
                        .zip(&log.pieces)
                        .for_each(|(count, held)| *count += u32::from(held.is_some()));
                }
                copies.into_iter().all(|count| count >= least)
            }
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
        never.map(|(trigger, _)| format!("fault when = {trigger}: that was never the case")).collect()
    }

    /// Something goes wrong with the network.
    pub(super) fn disturb(&mut self, number: usize, now: Duration) {
        let plan = self.plan;
        let Some(fault) = plan.net_faults.get(number) else { return };
        let names: Vec<_> = fault.targets.iter().map(|&target| self.name(target)).collect();
        let note = format!("{} {} of {}", names.first().unwrap_or(&""), fault.kind.key(), names.join(", "));
        self.world.note(&note);
        let cut = if let NetFaultKind::Partition { from, one_way } = &fault.kind {
            let from = from.as_ref().map(|from| self.hosts_of(from));
            Some(self.world.cut(&self.hosts_of(&fault.targets), from.as_deref(), *one_way))
        } else {
            None
        };
        self.agenda.add(now + fault.lasts, Action::Calm(number, cut));
        self.set_conditions(fault);
    }

    /// It is over.
    pub(super) fn calm(&mut self, number: usize, cut: Option<CutId>) {
        if let Some(fault) = self.plan.net_faults.get(number) {
            self.set_conditions(fault);
        }
        if let Some(cut) = cut {
            self.world.heal(cut);
        }
    }

    /// Makes the hosts that `fault` befalls suffer what lasts of its kind: another may have come before it and last
    /// longer.
    fn set_conditions(&mut self, fault: &NetFaultPlan) {
        for (host, &target) in self.hosts_of(&fault.targets).into_iter().zip(&fault.targets) {
            let lasting = self.lasting(&fault.kind, target);
            match &fault.kind {
                NetFaultKind::Partition { .. } => {}
                NetFaultKind::Stall => match lasting.iter().map(|(until, _)| *until).max() {
                    Some(until) => self.world.stall(host, Instant::ZERO + until),
                    None => self.world.end_stall(host),
                },
                NetFaultKind::BlackHole => self.world.set_black_hole(host, !lasting.is_empty()),
                NetFaultKind::DnsFails => self.world.set_resolving(host, lasting.is_empty()),
                NetFaultKind::Degrade(_) => self.relink(host, target, lasting.last().map(|(_, kind)| *kind)),
            }
        }
    }

    /// What of this kind befalls `target` now, with its end, in the order of beginning.
    fn lasting(
        &self,
        kind: &NetFaultKind<Target>,
        target: Target,
    ) -> Vec<(Duration, &'a NetFaultKind<Target>)> {
        let plan = self.plan;
        let lasting = self.agenda.lasting().into_iter().filter_map(|(until, action)| {
            let Action::Calm(number, _) = action else { return None };
            Some((until, plan.net_faults.get(number)?))
        });
        let is_such = |fault: &NetFaultPlan| {
            mem::discriminant(&fault.kind) == mem::discriminant(kind) && fault.targets.contains(&target)
        };
        lasting.filter(|(_, fault)| is_such(fault)).map(|(until, fault)| (until, &fault.kind)).collect()
    }

    /// The link that a host has with this fault, or its own.
    fn relink(&mut self, host: HostId, target: Target, degraded: Option<&NetFaultKind<Target>>) {
        let link = match degraded {
            Some(NetFaultKind::Degrade(link)) => self.plan.link(link),
            Some(_) | None => hosts::link_of(self.plan, target),
        };
        self.world.relink(host, hosts::profile_of(self.plan, target, link), link.roughness);
    }

    fn hosts_of(&self, targets: &[Target]) -> Vec<HostId> {
        targets.iter().filter_map(|&target| self.world.host(hosts::index(target))).collect()
    }
}
