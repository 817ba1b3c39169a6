//! The peers and torrents that announce: a pure function of their numbers, so that nothing is kept in memory.

use std::net::Ipv4Addr;
use std::ops::Range;

use proto::id::InfoHash;

/// Peers that share a source address, each at a port of its own.
pub const PER_SOURCE: u32 = 64;

/// The first source, after the addresses that trackers and schedules use.
const FIRST_SOURCE: u32 = 0x7f01_0000;

/// `peers` in `torrents`.
#[derive(Clone, Copy, Debug)]
pub struct World {
    /// Torrents.
    pub torrents: u32,
    /// The number of the first torrent: worlds with others have nothing in common.
    pub first_torrent: u32,
    /// Peers, at least as many.
    pub peers: u32,
    /// 1 is even; higher crowds.
    pub skew: u8,
}

/// One peer's announce.
#[derive(Clone, Copy, Debug)]
pub struct Peer {
    /// Its swarm.
    pub info_hash: InfoHash,
    /// Where it listens.
    pub port: u16,
    /// Every tenth has just finished its download, every fourth is a seeder.
    pub is_completed: bool,
    /// Nothing left to download.
    pub is_seeder: bool,
}

impl World {
    /// The source addresses, with the numbers of their peers.
    pub fn sources(&self) -> impl Iterator<Item = (Ipv4Addr, Range<u32>)> + use<> {
        let peers = self.peers;
        (0..peers.div_ceil(PER_SOURCE)).map(move |source| {
            let first = source * PER_SOURCE;
            (Ipv4Addr::from_bits(FIRST_SOURCE + source), first..(first + PER_SOURCE).min(peers))
        })
    }

    /// Peer `number`.
    pub fn peer(&self, number: u32) -> Peer {
        // Each torrent gets one, and the rest fall where they may.
        let torrent = if number < self.torrents { number } else { self.drawn(number) };
        Peer {
            info_hash: self.info_hash(torrent),
            port: 10_000 + (number % PER_SOURCE) as u16,
            is_completed: number.is_multiple_of(10),
            is_seeder: number.is_multiple_of(10) || number % 4 == 1,
        }
    }

    /// The torrent that `number` draws.
    pub fn drawn(&self, number: u32) -> u32 {
        // In units of 2⁻³².
        let uniform = mix(u64::from(number)) >> 32;
        let skewed = (1..self.skew).fold(uniform, |product, _| (product * uniform) >> 32);
        ((u64::from(self.torrents) * skewed) >> 32) as u32
    }

    /// The info hash of torrent `number`: spread like a digest.
    pub fn info_hash(&self, number: u32) -> InfoHash {
        let number = self.first_torrent + number;
        let mut bytes = [0; 20];
        let words = [mix(u64::from(number)), mix(!u64::from(number)), u64::from(number)];
        for (slot, word) in bytes.chunks_mut(8).zip(words) {
            slot.copy_from_slice(&word.to_le_bytes()[..slot.len()]);
        }
        InfoHash(bytes)
    }
}

impl Peer {
    /// The same peer while it still downloaded, if it has completed.
    pub fn before_completed(&self) -> Option<Self> {
        self.is_completed.then_some(Self { is_completed: false, is_seeder: false, ..*self })
    }
}

/// The finaliser of splitmix64: every bit of the number moves every bit of the result.
const fn mix(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_torrent_has_a_peer_and_no_peer_a_twin() {
        let world = World { torrents: 500, first_torrent: 7, peers: 3000, skew: 2 };
        let all: Vec<_> = world
            .sources()
            .flat_map(|(source, numbers)| numbers.map(move |number| (source, number)))
            .map(|(source, number)| (source, world.peer(number)))
            .collect();
        let places: BTreeSet<_> = all.iter().map(|(source, peer)| (source, peer.port)).collect();
        let torrents: BTreeSet<_> = all.iter().map(|(_, peer)| peer.info_hash.0).collect();
        assert_eq!((all.len(), places.len(), torrents.len()), (3000, 3000, 500));
        let low = (500..3000).filter(|number| world.drawn(*number) < 125).count();
        assert!((1150..1350).contains(&low), "half of what is drawn falls on the first quarter, not {low}");
    }
}
