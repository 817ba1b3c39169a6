//! Where peers may come from (BEP 27): one question that every source of addresses must ask.

use std::net::SocketAddr;

use crate::announce::AnnounceConfig;
use crate::time::Instant;
use crate::torrent::limits::MAX_CANDIDATES;
use crate::torrent::machine::Torrent;
use crate::torrent::{DisconnectReason, PeerKey};

/// How we came to know of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// A tracker named it.
    Tracker,
    /// A user named it, on a command line or in a magnet link.
    User,
    /// A peer named it (BEP 11).
    Pex,
    /// It dialled us and said where it listens.
    Incoming,
    /// An earlier run was connected to it.
    Resume,
    /// It announced itself to the local network (BEP 14).
    Lsd,
}

impl Torrent {
    /// How it is announced, by a peer that listens at `listen`: an address of each family.
    pub fn announces(&self, listen: &[SocketAddr]) -> AnnounceConfig {
        let tiers = self.metainfo.trackers().to_vec();
        AnnounceConfig {
            reach: self.config.reach,
            private: self.metainfo.private(),
            ..AnnounceConfig::new(self.metainfo.info_hash(), self.id, listen, tiers)
        }
    }

    /// Takes addresses into the book.
    pub(super) fn candidates_named(&mut self, source: Source, addrs: Vec<SocketAddr>) {
        if self.admits(source) {
            for addr in addrs {
                // Nobody vouches for a local network: it fills the book, and takes no place from others.
                if source != Source::Lsd || self.candidates.known() < MAX_CANDIDATES {
                    self.candidates.offer(addr, source);
                }
            }
        }
    }

    /// Of a private torrent, the peers of one tracker must not hear of those of another.
    //= BEP 27: "When switching between trackers, the peer MUST disconnect from all current peers and connect
    //= only to those provided from the new tracker."
    pub(super) fn tracker_switched(&mut self, now: Instant) {
        if !self.metainfo.private() {
            return;
        }
        let keys: Vec<PeerKey> = self.peers.keys().copied().collect();
        for key in keys {
            self.disconnect(now, key, DisconnectReason::TrackerSwitched);
        }
        self.resting.clear();
        self.candidates.abandon_all();
    }

    /// Where connected peers can be dialled, for resume data.
    pub fn connected_peers(&self) -> Vec<SocketAddr> {
        self.candidates.connected_addrs().take(crate::resume::MAX_PEERS).collect()
    }

    /// We listen there: no reason to dial ourselves.
    pub(super) fn listens_at(&mut self, addrs: Vec<SocketAddr>) {
        for &addr in &addrs {
            self.candidates.never(addr);
        }
        self.ours = addrs;
    }

    /// The port at which a peer of this family can dial us.
    pub(super) fn listen_port(&self, v4: bool) -> Option<u16> {
        let of_family = self.ours.iter().find(|addr| addr.is_ipv4() == v4);
        of_family.or(self.ours.first()).map(SocketAddr::port)
    }

    //= BEP 27: "clients MUST only initiate connections to peers returned from the private tracker".
    /// May peers from this source be dialled? If not, the source is not asked either, nor told anything.
    pub fn admits(&self, source: Source) -> bool {
        match source {
            Source::Tracker => true,
            Source::User | Source::Incoming | Source::Resume => !self.metainfo.private(),
            Source::Pex => !self.metainfo.private() && self.config.pex,
            Source::Lsd => !self.metainfo.private() && self.config.lsd,
        }
    }
}
