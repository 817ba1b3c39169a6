//! Typed snapshots of a torrent and its peers, for users, traces and oracles.

use std::net::SocketAddr;

use crate::id::PeerId;
use crate::time::Instant;
use crate::torrent::machine::Torrent;
use crate::torrent::{Banned, Direction, PeerKey, Progress};

/// Running sums, in bytes of payload unless it says otherwise.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Totals {
    pub(super) uploaded: u64,
    pub(super) downloaded: u64,
    pub(super) left: u64,
    pub(super) wasted: u64,
    pub(super) duplicate: u64,
    pub(super) failed: u64,
    pub(super) hash_failures: u64,
}

/// A torrent at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stats {
    /// What the tracker is told.
    pub progress: Progress,
    /// Bytes of wanted pieces that are not verified yet.
    pub wanted_left: u64,
    /// Bytes a second that peers send us.
    pub download_rate: u64,
    /// Bytes a second that we send to peers.
    pub upload_rate: u64,
    /// Bytes that came without being on order: after a cancel or a choke, or never asked for.
    pub wasted: u64,
    /// Bytes that two peers delivered.
    pub duplicate: u64,
    /// Bytes in pieces that failed their hash check.
    pub failed: u64,
    /// Pieces that failed their hash check.
    pub hash_failures: u64,
    /// Pieces verified.
    pub pieces: u32,
    /// Pieces started and not verified.
    pub partial_pieces: usize,
    /// Copies of the rarest piece among the connected peers.
    pub min_copies: u32,
    /// Who is refused, and why; oldest first.
    pub banned: Vec<Banned>,
    /// Connections being opened.
    pub dialling: usize,
    /// Every connection.
    pub peers: Vec<PeerStats>,
}

/// A connection at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "BEP 3 defines these four, and they are independent")]
pub struct PeerStats {
    /// The connection.
    pub peer: PeerKey,
    /// The address at the other end.
    pub addr: SocketAddr,
    /// The other side's name.
    pub id: PeerId,
    /// Who dialled.
    pub direction: Direction,
    /// We do not serve it.
    pub am_choking: bool,
    /// We want something it has.
    pub am_interested: bool,
    /// It does not serve us.
    pub peer_choking: bool,
    /// It wants something we have.
    pub peer_interested: bool,
    /// It owes us blocks and sends none.
    pub snubbed: bool,
    /// Pieces it has.
    pub pieces: u32,
    /// Requests of ours under way.
    pub requests: usize,
    /// Its requests not yet served.
    pub queued: usize,
    /// Bytes handed to its connection and not yet sent.
    pub unsent: u64,
    /// Bytes a second that it sends us.
    pub download_rate: u64,
    /// Bytes a second that we send it.
    pub upload_rate: u64,
    /// Payload bytes it sent us.
    pub downloaded: u64,
    /// Payload bytes we sent it.
    pub uploaded: u64,
}

impl Torrent {
    /// Counters for the tracker and the user.
    pub fn progress(&self) -> Progress {
        let Totals { uploaded, downloaded, left, .. } = self.totals;
        Progress { uploaded, downloaded, left }
    }

    /// A snapshot; costs O(pieces + peers).
    pub fn stats(&self, now: Instant) -> Stats {
        let peers = self.peer_stats(now);
        Stats {
            progress: self.progress(),
            wanted_left: self.wanted_left(),
            download_rate: peers.iter().map(|peer| peer.download_rate).sum(),
            upload_rate: peers.iter().map(|peer| peer.upload_rate).sum(),
            wasted: self.totals.wasted,
            duplicate: self.totals.duplicate,
            failed: self.totals.failed,
            hash_failures: self.totals.hash_failures,
            pieces: self.have.count(),
            partial_pieces: self.partials.len(),
            min_copies: self
                .geometry
                .all_pieces()
                .map(|piece| self.picker.availability(piece))
                .min()
                .unwrap_or(0),
            banned: self.candidates.banned(),
            dialling: self.candidates.dialling(),
            peers,
        }
    }

    fn peer_stats(&self, now: Instant) -> Vec<PeerStats> {
        let snapshot = |(&key, peer): (&PeerKey, &super::peers::Peer)| PeerStats {
            peer: key,
            addr: peer.addr,
            id: peer.id,
            direction: peer.direction,
            am_choking: peer.us.choking,
            am_interested: peer.us.interested,
            peer_choking: peer.them.choking,
            peer_interested: peer.them.interested,
            snubbed: peer.pipeline.snubbed,
            pieces: peer.has.count(),
            requests: peer.pipeline.len(),
            queued: peer.uplink.len(),
            unsent: peer.uplink.unsent,
            download_rate: peer.pipeline.ranking.rate(now),
            upload_rate: peer.uplink.meter.rate(now),
            downloaded: peer.pipeline.received,
            uploaded: peer.uplink.sent,
        };
        self.peers.iter().map(snapshot).collect()
    }
}
