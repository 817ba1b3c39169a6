//! A plan as a scenario file that expands to the same plan.

use std::fmt::Write as _;

use super::{Plan, TRACKER, Target, expect, fault, group, link, nat, run, torrent, tracker};

impl Plan {
    /// The expanded scenario: running it is running this plan again.
    pub fn to_toml(&self) -> String {
        let mut out =
            format!("# {}\nversion = 1\nname = {:?}\nseed = {}\n", self.claim, self.name, self.seed);
        torrent::write(&mut out, self.torrent);
        out.push_str(&tracker::write(&self.tracker));
        self.links.iter().for_each(|(name, link)| link::write(&mut out, name, link));
        self.nats.iter().for_each(|(name, nat)| nat::write(&mut out, name, nat));
        run::write(&mut out, self.run);
        out.push('\n');
        out.push_str(&expect::write(&self.expect));
        self.peers.iter().for_each(|peer| group::write(&mut out, peer));
        for fault in &self.faults {
            let target = match fault.target {
                Target::Tracker => TRACKER,
                Target::Peer(index) => self.peers.get(index).map_or(TRACKER, |peer| &peer.name),
            };
            out.push_str(&fault::write(fault.at, fault.kind, target));
        }
        out
    }
}

pub(super) fn line(out: &mut String, key: &str, value: &str) {
    let _ = writeln!(out, "{key} = \"{value}\"");
}

pub(super) fn number(out: &mut String, key: &str, value: u32) {
    let _ = writeln!(out, "{key} = {value}");
}
