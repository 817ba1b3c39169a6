//! Typed snapshots of a torrent and its peers, for users, traces and oracles.

use std::net::SocketAddr;
use std::time::Duration;

use super::client::client_of;
use crate::id::PeerId;
use crate::piece::PieceIndex;
use crate::time::Instant;
use crate::torrent::machine::Torrent;
use crate::torrent::peers::Peer;
use crate::torrent::{Banned, Direction, PeerKey, Progress, Source, WebSeedStats};
use crate::wire::Message;

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
    /// Bytes of messages that are not payload, as they came and as they were sent.
    pub(super) overhead_down: u64,
    pub(super) overhead_up: u64,
}

/// A torrent at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// What the tracker is told.
    pub progress: Progress,
    /// Bytes of wanted pieces, here or not.
    pub wanted: u64,
    /// Bytes of wanted pieces that are not verified yet.
    pub wanted_left: u64,
    /// Bytes a second that peers and web seeds send us.
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
    /// Bytes of messages that peers sent us and that are not payload.
    pub overhead_down: u64,
    /// Bytes of messages that we sent to peers and that are not payload.
    pub overhead_up: u64,
    /// Pieces verified.
    pub pieces: u32,
    /// Pieces started and not verified.
    pub partial_pieces: usize,
    /// Pieces of them that are complete and being written or hashed.
    pub verifying_pieces: usize,
    /// Distributed copies among the connected peers, in hundredths: 250 is every piece twice, half of them thrice.
    pub availability: u64,
    /// Copies of the rarest piece among the connected peers.
    pub min_copies: u32,
    /// Who is refused, and why; oldest first.
    pub banned: Vec<Banned>,
    /// HTTP servers that have the content (BEP 19).
    pub web_seeds: Vec<WebSeedStats>,
    /// Connections being opened.
    pub dialling: usize,
    /// Addresses in the book.
    pub known: usize,
    /// Every connection.
    pub peers: Vec<PeerStats>,
}

/// A connection at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "BEP 3 defines these four, and they are independent")]
pub struct PeerStats {
    /// The connection.
    pub peer: PeerKey,
    /// The address at the other end.
    pub addr: SocketAddr,
    /// The other side's name.
    pub id: PeerId,
    /// The program behind it, by its own word (BEP 10) or its id (BEP 20); empty if it says nothing, and not safe
    /// to print.
    pub client: String,
    /// How we came to know of it; nothing if it dialled us.
    pub source: Option<Source>,
    /// Since when.
    pub connected: Instant,
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
    /// We serve it as the optimistic unchoke.
    pub optimistic: bool,
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

    /// The pieces that are started and not verified, in order: every block of one may be stored already.
    pub fn started_pieces(&self) -> impl Iterator<Item = PieceIndex> {
        self.partials.indices()
    }

    /// A snapshot; costs O(pieces + peers).
    pub fn stats(&self, now: Instant) -> Stats {
        let (peers, web_seeds) = (self.peer_stats(now), self.web_seeds.stats(now));
        let from_web: u64 = web_seeds.iter().map(|seed| seed.download_rate).sum();
        Stats {
            progress: self.progress(),
            wanted: self.wanted_len(),
            wanted_left: self.wanted_left(),
            download_rate: from_web + peers.iter().map(|peer| peer.download_rate).sum::<u64>(),
            upload_rate: peers.iter().map(|peer| peer.upload_rate).sum(),
            wasted: self.totals.wasted,
            duplicate: self.totals.duplicate,
            failed: self.totals.failed,
            hash_failures: self.totals.hash_failures,
            overhead_down: self.totals.overhead_down,
            overhead_up: self.totals.overhead_up,
            pieces: self.have.count(),
            partial_pieces: self.partials.len(),
            verifying_pieces: self.partials.complete(),
            availability: self.availability(),
            min_copies: self
                .geometry
                .all_pieces()
                .map(|piece| self.picker.availability(piece))
                .min()
                .unwrap_or(0),
            banned: self.candidates.banned(),
            known: self.candidates.known(),
            web_seeds,
            dialling: self.candidates.dialling(),
            peers,
        }
    }

    /// Distributed copies, in hundredths.
    fn availability(&self) -> u64 {
        let copies = || self.geometry.all_pieces().map(|piece| self.picker.availability(piece));
        let least = copies().min().unwrap_or(0);
        let more = copies().filter(|&count| count > least).count() as u64;
        u64::from(least) * 100 + more * 100 / u64::from(self.geometry.pieces().max(1))
    }

    fn peer_stats(&self, now: Instant) -> Vec<PeerStats> {
        let snapshot = |(&key, peer): (&PeerKey, &Peer)| PeerStats {
            peer: key,
            addr: peer.addr,
            id: peer.id,
            client: peer.client(),
            source: self.candidates.source_of(peer),
            connected: peer.connected,
            direction: peer.direction,
            am_choking: peer.us.choking,
            am_interested: peer.us.interested,
            peer_choking: peer.them.choking,
            peer_interested: peer.them.interested,
            optimistic: self.is_optimistic(key),
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

impl Stats {
    /// When everything wanted will be here, at the present rate; nothing while nothing comes, or once it is.
    pub fn eta(&self) -> Option<Duration> {
        let left = self.wanted_left;
        left.checked_div(self.download_rate).filter(|_| left > 0).map(Duration::from_secs)
    }
}

impl PeerStats {
    /// What stands between us, in the letters of the field (those of qBittorrent): `D` it serves us what we want,
    /// `d` it chokes us; `U` we serve it what it wants, `u` we choke it; `K` it serves us and we want nothing, `?` we
    /// serve it and it wants nothing; `O` optimistic unchoke; `S` snubbed; `I` it dialled us; `X` known from PEX;
    /// `L` from the local network.
    pub fn flags(&self) -> String {
        let letters = [
            (self.am_interested && !self.peer_choking, 'D'),
            (self.am_interested && self.peer_choking, 'd'),
            (self.peer_interested && !self.am_choking, 'U'),
            (self.peer_interested && self.am_choking, 'u'),
            (!self.am_interested && !self.peer_choking, 'K'),
            (!self.peer_interested && !self.am_choking, '?'),
            (self.optimistic && !self.am_choking, 'O'),
            (self.snubbed, 'S'),
            (self.direction == Direction::Incoming, 'I'),
            (self.source == Some(Source::Pex), 'X'),
            (self.source == Some(Source::Lsd), 'L'),
        ];
        letters.into_iter().filter_map(|(holds, letter)| holds.then_some(letter)).collect()
    }
}

impl Peer {
    fn client(&self) -> String {
        let said = self.extended.as_ref().and_then(|extended| extended.said.client.clone());
        said.or_else(|| client_of(self.id)).unwrap_or_default()
    }
}

/// Bytes of a message that are not payload.
pub(super) fn overhead(message: &Message) -> u64 {
    let payload = if let Message::Piece { data, .. } = message { data.len() } else { 0 };
    (message.wire_len() - payload) as u64
}
