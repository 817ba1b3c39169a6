//! What goes wrong with the network for a while: cuts between hosts, stalls, black holes, worse links.
//!
//! A cut takes packets where they would arrive, so that the sender's link is as busy as ever, and spares none: TCP
//! tries again until it gives up, as an operating system does.

use std::collections::{BTreeMap, BTreeSet};

use proto::time::Instant;

use super::keyed::Chance;
use super::nat::Protocol;
use super::{Cargo, Drop, Freight, LinkProfile, Network, Roughness, Wire};

/// A cut, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CutId(u32);

/// Hosts that some others do not hear.
#[derive(Debug)]
struct Cut {
    from: BTreeSet<u32>,
    /// Everybody but `from` if absent.
    to: Option<BTreeSet<u32>>,
    one_way: bool,
}

impl Cut {
    fn separates(&self, [source, target]: [u32; 2]) -> bool {
        let goes = |source, target| {
            self.from.contains(&source)
                && self.to.as_ref().map_or(!self.from.contains(&target), |to| to.contains(&target))
        };
        goes(source, target) || (!self.one_way && goes(target, source))
    }
}

/// All that is wrong at present.
#[derive(Debug, Default)]
pub(super) struct Trouble {
    cuts: BTreeMap<CutId, Cut>,
    made: u32,
    stalls: BTreeMap<u32, Instant>,
    holes: BTreeSet<u32>,
}

/// What keeps a packet from arriving.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hindrance {
    /// It has to wait.
    Until(Instant),
    /// It is lost.
    Lost(Drop),
}

impl Trouble {
    fn is_none(&self) -> bool {
        self.cuts.is_empty() && self.stalls.is_empty() && self.holes.is_empty()
    }
}

impl Network {
    /// Nothing that `from` sends reaches `to` (everybody else, if that is not said), nor, unless this is `one_way`,
    /// the other way round.
    pub fn cut(&mut self, from: &[u32], to: Option<&[u32]>, one_way: bool) -> CutId {
        let id = CutId(self.trouble.made);
        self.trouble.made += 1;
        let to = to.map(|to| to.iter().copied().collect());
        self.trouble.cuts.insert(id, Cut { from: from.iter().copied().collect(), to, one_way });
        id
    }

    /// Mends a cut.
    pub fn heal(&mut self, cut: CutId) {
        self.trouble.cuts.remove(&cut);
    }

    /// Nothing goes on to a host or from its link until then; what came meanwhile comes all at once.
    pub fn stall(&mut self, host: u32, until: Instant) {
        self.uneven = true;
        self.trouble.stalls.insert(host, until);
    }

    /// A stall is over.
    pub fn end_stall(&mut self, host: u32) {
        self.trouble.stalls.remove(&host);
    }

    /// From now on connections of this host open and nothing passes on them, those that are open included; or all is
    /// well again. Datagrams are not concerned.
    pub fn set_black_hole(&mut self, host: u32, is_one: bool) {
        if is_one {
            self.trouble.holes.insert(host);
        } else {
            self.trouble.holes.remove(&host);
        }
    }

    /// Gives a host another access link. What waits at the old one leaves it as it would have.
    pub fn relink(&mut self, now: Instant, host: u32, profile: LinkProfile, roughness: Roughness) {
        // Latencies change, and TCP stays in order.
        self.uneven = true;
        if let Some(host) = self.hosts.get_mut(host as usize) {
            host.up.change(now, profile.up, profile.queue);
            host.down.change(now, profile.down, profile.queue);
            host.loss = Chance::new(profile.loss);
            host.profile = profile;
        }
        self.roughen(host, roughness);
    }

    /// When a packet that left a host's uplink at `left` goes on.
    pub(super) fn released(&self, host: u32, left: Instant) -> Instant {
        self.trouble.stalls.get(&host).map_or(left, |&until| until.max(left))
    }

    /// Does anything keep a packet from arriving now?
    pub(super) fn hindrance(&self, now: Instant, wire: &Wire) -> Option<Hindrance> {
        if self.trouble.is_none() {
            return None;
        }
        let hosts = wire.lot.hosts;
        if self.trouble.cuts.values().any(|cut| cut.separates(hosts)) {
            return Some(Hindrance::Lost(Drop::Cut));
        }
        // The first segment of each side is its SYN; acknowledgements alone carry nothing.
        let opens = match &wire.cargo {
            Cargo::Flow(Freight { segment, .. }) => segment.as_ref().is_none_or(|(slot, _)| *slot == 0),
            Cargo::Raw(_) => wire.lot.protocol == Protocol::Udp,
        };
        if !opens && hosts.iter().any(|host| self.trouble.holes.contains(host)) {
            return Some(Hindrance::Lost(Drop::BlackHole));
        }
        let stalled = self.trouble.stalls.get(&hosts[1]).filter(|&&until| until > now);
        stalled.map(|&until| Hindrance::Until(until))
    }
}
