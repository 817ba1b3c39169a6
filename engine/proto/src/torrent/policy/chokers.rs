//! The chokers that are shipped. Each can rank for a leecher and for a seeder, to whom nobody gives anything.

use std::cmp::Reverse;

use super::{Named, NamedChoker, PeerFacts, RankPeers};
use crate::seed::Random;
use crate::time::Duration;

/// A leecher's default (BEP 3).
pub const TIT_FOR_TAT: NamedChoker =
    Named { name: "tit-for-tat", about: "who gives most: for leechers", make: || Box::new(TitForTat) };

/// A seeder's default.
pub const NEEDIEST: NamedChoker = Named {
    name: "neediest",
    about: "who is furthest behind, so that all finish at about one time: for seeders",
    make: || Box::new(Neediest),
};

/// A seeder's round robin.
pub const FAIR: NamedChoker =
    Named { name: "fair", about: "everybody in turn, half a minute each", make: || Box::new(Fair) };

/// A seeder's throughput.
pub const FASTEST: NamedChoker =
    Named { name: "fastest", about: "who takes most", make: || Box::new(Fastest) };

/// A baseline for experiments.
pub const RANDOM_PEERS: NamedChoker = Named {
    name: "random",
    about: "anybody, drawn anew each round: a baseline for experiments",
    make: || Box::new(RandomPeers),
};

#[derive(Debug)]
struct TitForTat;

impl RankPeers for TitForTat {
    fn rank(&mut self, peers: &mut [PeerFacts], _: &mut Random) {
        // Of those who give nothing, who has nothing to give comes first.
        peers.sort_by_key(|peer| Reverse((peer.gives, peer.has_nothing)));
    }
}

#[derive(Debug)]
struct Neediest;

impl RankPeers for Neediest {
    fn rank(&mut self, peers: &mut [PeerFacts], _: &mut Random) {
        peers.sort_by_key(|peer| (peer.progress, !peer.has_nothing));
    }
}

/// A turn of the round robin: three rounds, in which a TCP connection gets up to speed.
const TURN: Duration = Duration::from_secs(30);

#[derive(Debug)]
struct Fair;

impl RankPeers for Fair {
    fn rank(&mut self, peers: &mut [PeerFacts], _: &mut Random) {
        // Whose turn is not over first, then who waits longest, then whose turn is over.
        peers.sort_by_key(|peer| match (peer.served, peer.waits) {
            (Some(served), _) if served < TURN => (0, Reverse(served)),
            (None, Some(waits)) => (1, Reverse(waits)),
            (served, _) => (2, Reverse(served.unwrap_or_default())),
        });
    }
}

#[derive(Debug)]
struct Fastest;

impl RankPeers for Fastest {
    fn rank(&mut self, peers: &mut [PeerFacts], _: &mut Random) {
        peers.sort_by_key(|peer| Reverse(peer.takes));
    }
}

#[derive(Debug)]
struct RandomPeers;

impl RankPeers for RandomPeers {
    fn rank(&mut self, peers: &mut [PeerFacts], random: &mut Random) {
        random.shuffle(peers);
    }
}
