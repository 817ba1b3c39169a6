//! Whole-piece affinity: who may join whom at a started piece. It stands alone because it is a matter of speed, which
//! no picker is told of.
//!
//! Any peer continues its own piece, the one of its last request. When that has nothing left to ask for:
//!
//! * a *fast* peer, which brings a whole piece within [`WHOLE_PIECE`], takes a started piece at which nobody works,
//!   or else a new one for itself: few givers a piece, so that a bad one has few suspects;
//! * a *slow* peer takes a started piece at which no fast peer works, or else a new one: what a fast peer would
//!   have complete at once does not wait for the block of a slow one, and slow peers share their pieces.
//!
//! Where nothing is left to begin, everybody helps with everything: nobody idles for affinity's sake. So there are
//! never more pieces with something to ask for than peers, but for those that were given up.

use super::limits::WHOLE_PIECE;
use super::peers::Peer;
use crate::piece::PieceIndex;
use crate::time::Instant;
use crate::torrent::PeerKey;
use crate::torrent::machine::Torrent;

impl Torrent {
    /// The started pieces that are left to those who work on them, as far as it is for this peer.
    pub(super) fn left_to_others(&self, now: Instant, key: PeerKey) -> Vec<PieceIndex> {
        let Some(peer) = self.peers.get(&key) else { return Vec::new() };
        let spares_all = self.is_fast(now, peer);
        let others = self.peers.iter().filter(|&(&other, _)| other != key);
        let works = others.filter_map(|(_, other)| Some((other, other.works_on()?)));
        let spared = works.filter(|(other, _)| spares_all || self.is_fast(now, other));
        spared.map(|(_, piece)| piece).collect()
    }

    /// Does it bring a whole piece by itself in little time? A stranger is slow until it has shown that.
    fn is_fast(&self, now: Instant, peer: &Peer) -> bool {
        let whole = u128::from(peer.pipeline.rate(now)) * WHOLE_PIECE.as_micros() / 1_000_000;
        whole >= u128::from(self.geometry.piece_len())
    }
}

impl Peer {
    /// The piece of its last request; nothing if it owes us nothing, or is not expected to bring what it owes.
    pub(super) fn works_on(&self) -> Option<PieceIndex> {
        let last = self.pipeline.asked.back().filter(|asked| !asked.released);
        last.map(|asked| asked.block.piece())
    }
}
