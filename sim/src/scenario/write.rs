//! A plan as a scenario file that expands to the same plan.

use std::fmt::Write as _;

use super::quantity::{duration_text, rate_text, size_text};
use super::{Departure, Link, PeerPlan, Plan, Role, TRACKER, Target, clock, expect, fault, tracker};

impl Plan {
    /// The expanded scenario: running it is running this plan again.
    pub fn to_toml(&self) -> String {
        let mut out = format!(
            "# {}\nversion = 1\nname = {:?}\nseed = {}\n\n[torrent]\nsize = \"{}\"\npiece_length = \"{}\"\n",
            self.claim,
            self.name,
            self.seed,
            size_text(self.torrent.size),
            size_text(u64::from(self.torrent.piece_length)),
        );
        out.push_str(&tracker::write(&self.tracker));
        self.links.iter().for_each(|(name, link)| write_link(&mut out, name, link));
        self.write_run(&mut out);
        out.push('\n');
        out.push_str(&expect::write(&self.expect));
        self.peers.iter().for_each(|peer| write_peer(&mut out, peer));
        for fault in &self.faults {
            let target = match fault.target {
                Target::Tracker => TRACKER,
                Target::Peer(index) => self.peers.get(index).map_or(TRACKER, |peer| &peer.name),
            };
            out.push_str(&fault::write(fault.at, fault.kind, target));
        }
        out
    }

    fn write_run(&self, out: &mut String) {
        out.push_str("\n[run]\n");
        line(out, "time_limit", &duration_text(self.run.time_limit));
        line(out, "at_least", &duration_text(self.run.at_least));
        line(out, "tick", &duration_text(self.run.tick));
        number(out, "mtu", self.run.mtu);
        self.run.max_connections.inspect(|&connections| number(out, "max_connections", connections));
    }
}

fn write_link(out: &mut String, name: &str, link: &Link) {
    let _ = writeln!(out, "\n[links.{name}]");
    line(out, "up", &rate_text(link.up));
    line(out, "down", &rate_text(link.down));
    line(out, "latency", &duration_text(link.latency));
    line(out, "queue", &size_text(link.queue));
    let _ = writeln!(out, "loss = {:?}", link.loss);
}

fn write_peer(out: &mut String, peer: &PeerPlan) {
    out.push_str("\n[[peers]]\n");
    line(out, "name", &peer.name);
    line(
        out,
        "role",
        match peer.role {
            Role::Seeder => "seeder",
            Role::Leecher => "leecher",
            Role::Announcer => "announcer",
        },
    );
    line(out, "link", &peer.link);
    line(out, "family", &peer.family.to_string());
    clock::write(peer.clock).inspect(|clock| out.push_str(clock));
    let _ = writeln!(out, "arrival = {{ at = \"{}\" }}", duration_text(peer.arrival));
    match peer.departure {
        Departure::Never => {}
        Departure::AfterCompletion(time) => {
            let _ = writeln!(out, "departure = {{ after_completion = \"{}\" }}", duration_text(time));
        }
        Departure::AfterArrival(time) | Departure::Exponential(time) => {
            let _ = writeln!(out, "departure = {{ after = \"{}\" }}", duration_text(time));
        }
    }
}

fn line(out: &mut String, key: &str, value: &str) {
    let _ = writeln!(out, "{key} = \"{value}\"");
}

fn number(out: &mut String, key: &str, value: u32) {
    let _ = writeln!(out, "{key} = {value}");
}
