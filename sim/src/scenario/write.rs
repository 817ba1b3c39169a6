//! A plan as a scenario file that expands to the same plan.

use std::fmt::Write as _;

use super::{
    FaultPlan, NetFaultPlan, Plan, TRACKER, Target, expect, fault, group, link, moment, nat, net_fault,
    region, run, torrent, tracker,
};

impl Plan {
    /// The expanded scenario: running it is running this plan again.
    pub fn to_toml(&self) -> String {
        let mut out =
            format!("# {}\nversion = 1\nname = {:?}\nseed = {}\n", self.claim, self.name, self.seed);
        torrent::write(&mut out, self.torrent);
        out.push_str(&tracker::write(&self.tracker));
        self.links.iter().for_each(|(name, link)| link::write(&mut out, name, link));
        region::write(&mut out, &self.regions);
        self.nats.iter().for_each(|(name, nat)| nat::write(&mut out, name, nat));
        run::write(&mut out, self.run);
        out.push('\n');
        out.push_str(&expect::write(&self.expect));
        self.peers.iter().for_each(|peer| group::write(&mut out, peer));
        self.faults.iter().for_each(|fault| out.push_str(&self.fault_text(fault)));
        self.net_faults.iter().for_each(|fault| out.push_str(&self.net_fault_text(fault)));
        out
    }

    /// The member of `[[faults]]` that says this.
    pub fn fault_text(&self, fault: &FaultPlan) -> String {
        let moment = moment::text(fault.at, fault.when, |target| self.name_of(target));
        fault::write(&moment, fault.kind, &self.name_of(fault.target))
    }

    /// The same for a fault of the network.
    pub fn net_fault_text(&self, fault: &NetFaultPlan) -> String {
        net_fault::write(fault, |target| self.name_of(target))
    }

    fn name_of(&self, target: Target) -> String {
        let peer = match target {
            Target::Tracker => None,
            Target::Peer(index) => self.peers.get(index),
        };
        peer.map_or(TRACKER, |peer| &peer.name).to_owned()
    }
}

pub(super) fn line(out: &mut String, key: &str, value: &str) {
    let _ = writeln!(out, "{key} = \"{value}\"");
}

pub(super) fn number(out: &mut String, key: &str, value: u32) {
    let _ = writeln!(out, "{key} = {value}");
}
