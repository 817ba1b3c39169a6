//! A plan: one concrete run, with each peer and each fault at its time. The same plan, the same bytes.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{
    Clock, Departure, DiskFault, Expect, Families, FaultKind, Link, Nat, NatPlace, NetFaultPlan, Policy,
    Regions, Role, Run, Start, Torrent, Tracker, Trigger,
};
use crate::network::Roughness;

/// A scenario, drawn for one seed.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The scenario's name.
    pub name: String,
    /// What the scenario claims.
    pub claim: String,
    /// The seed that everything was drawn from and that the world and the engines get.
    pub seed: u64,
    /// What is shared.
    pub torrent: Torrent,
    /// The tracker.
    pub tracker: Tracker,
    /// The links in use, by name.
    pub links: BTreeMap<String, Link>,
    /// Parts of the world.
    pub regions: Regions,
    /// The kinds of NAT boxes in use, by name.
    pub nats: BTreeMap<String, Nat>,
    /// Every peer, in the order of the file.
    pub peers: Vec<PeerPlan>,
    /// Every fault, in the order of their times.
    pub faults: Vec<FaultPlan>,
    /// Every fault of the network, in the order of their times.
    pub net_faults: Vec<NetFaultPlan>,
    /// How it is run.
    pub run: Run,
    /// What must come out.
    pub expect: Expect,
}

/// One peer.
#[derive(Clone, Debug, PartialEq)]
pub struct PeerPlan {
    /// Its name, which also keys its random draws.
    pub name: String,
    /// What it starts with.
    pub role: Role,
    /// Its link's name.
    pub link: String,
    /// One way over its link; the link's if absent.
    pub latency: Option<Duration>,
    /// Where it is.
    pub region: Option<String>,
    /// The NAT box that it stands behind.
    pub nat: Option<NatPlace>,
    /// Its host's clocks.
    pub clock: Clock,
    /// The families that it speaks.
    pub family: Families,
    /// How it plays.
    pub policy: Policy,
    /// The peer whose engine its own is the twin of.
    pub twin_of: Option<String>,
    /// The files that it wants, from the first number to the last; nothing for all.
    pub select: Option<(u32, u32)>,
    /// When it comes.
    pub arrival: Duration,
    /// When it goes; never [`Departure::Exponential`] or [`Departure::Drawn`].
    pub departure: Departure,
    /// What it knows of the torrent.
    pub start: Start,
    /// Does it show each peer one piece at a time?
    pub super_seed: bool,
}

/// One fault of one host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FaultPlan {
    /// When; once it has come if that depends on something.
    pub at: Duration,
    /// On what.
    pub when: Option<Trigger>,
    /// What.
    pub kind: FaultKind,
    /// To whom.
    pub target: Target,
}

/// Who a fault befalls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// The tracker.
    Tracker,
    /// The peer at this index of [`Plan::peers`].
    Peer(usize),
}

impl FaultPlan {
    /// The same where hosts have other places, if it can still come and befall somebody.
    pub(crate) fn moved(self, place: impl Fn(Target) -> Option<Target>) -> Option<Self> {
        let when = match self.when {
            Some(when) => Some(when.moved(&place)?),
            None => None,
        };
        Some(Self { when, target: place(self.target)?, ..self })
    }
}

impl Plan {
    /// Those whose disks faults wait for.
    pub(crate) fn held_disks(&self) -> impl Iterator<Item = Target> {
        let when = self.faults.iter().map(|fault| fault.when);
        let when = when.chain(self.net_faults.iter().map(|fault| fault.when)).flatten();
        when.filter(Trigger::holds_disks).flat_map(|trigger| trigger.who())
    }

    /// The access link of `peer`.
    pub fn link_of(&self, peer: &PeerPlan) -> Link {
        self.link(&peer.link)
    }

    /// The link called `name`.
    pub fn link(&self, name: &str) -> Link {
        // Every name of a plan has been looked up when its scenario was read.
        self.links.get(name).copied().unwrap_or(Link {
            up: 1,
            down: 1,
            latency: Duration::ZERO,
            queue: 1,
            loss: 0.0,
            roughness: Roughness::default(),
        })
    }

    /// What the NAT box of this peer is like, if it has one.
    pub fn nat_of(&self, peer: &PeerPlan) -> Option<Nat> {
        self.nats.get(&peer.nat.as_ref()?.name).copied()
    }

    /// Can this peer be dialled from anywhere?
    pub fn is_open(&self, peer: &PeerPlan) -> bool {
        self.nat_of(peer).is_none_or(|nat| nat.forward)
    }

    /// Can anybody say what the peer at `index` should hold and want? Not if its disk forgets, nor (yet) if it wants
    /// but some of the files.
    pub fn is_plain(&self, index: usize) -> bool {
        !self.forgets(index) && self.peers.get(index).is_some_and(|peer| peer.select.is_none())
    }

    /// May the disk of the peer at `index` lose what it held, so that nobody but that peer knows what it holds?
    pub fn forgets(&self, index: usize) -> bool {
        let loses =
            |kind| matches!(kind, FaultKind::PowerCut { .. } | FaultKind::Disk(DiskFault::Rot { .. }));
        self.faults.iter().any(|fault| fault.target == Target::Peer(index) && loses(fault.kind))
    }

    /// The peers that start with nothing.
    pub fn leechers(&self) -> impl Iterator<Item = (usize, &PeerPlan)> {
        self.peers.iter().enumerate().filter(|(_, peer)| peer.role == Role::Leecher)
    }

    /// The same without the hostile peers, and without what befalls them.
    #[must_use]
    pub fn without_hostile(&self) -> Self {
        let stays = |peer: &PeerPlan| peer.role.behaviour().is_none();
        let mut places = Vec::new();
        for peer in &self.peers {
            let next = places.iter().flatten().count();
            places.push(stays(peer).then_some(next));
        }
        let moved = |target| match target {
            Target::Tracker => Some(Target::Tracker),
            Target::Peer(index) => places.get(index).copied().flatten().map(Target::Peer),
        };
        let faults = self.faults.iter().filter_map(|fault| fault.moved(moved));
        let net_faults = self.net_faults.iter().filter_map(|fault| fault.moved(moved));
        let peers = self.peers.iter().filter(|peer| stays(peer)).cloned().collect();
        Self { peers, faults: faults.collect(), net_faults: net_faults.collect(), ..self.clone() }
    }
}
