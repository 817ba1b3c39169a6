//! What goes wrong with the network, carried out.

use std::mem;
use std::time::Duration;

use proto::time::Instant;

use super::agenda::Action;
use super::hosts;
use super::stage::Stage;
use crate::network::CutId;
use crate::scenario::{NetFaultKind, NetFaultPlan, Target};
use crate::world::HostId;

impl<'a> Stage<'a> {
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
