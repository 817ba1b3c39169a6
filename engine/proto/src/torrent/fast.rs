//! The fast extension (BEP 6): one summary first, exactly one answer to each request, pieces for the choked.
//!
//! ```text
//! our request ──▶ on order ──piece──▶ arrived          their request ──▶ queued ──▶ piece
//!                    │  └──reject──▶ free again                            └─(cancel, choke, no slot)──▶ reject
//!                    └─(cancel)──▶ excused ──piece or reject──▶ settled
//! ```

use super::limits::{MAX_SUGGESTIONS, REJECT_PAUSE};
use super::pipeline::raw;
use crate::bitfield::Bitfield;
use crate::piece::{Block, PieceIndex};
use crate::time::Instant;
use crate::torrent::machine::Torrent;
use crate::torrent::{DisconnectReason, PeerKey};
use crate::wire::{self, Feature, Message, RawBlock};

/// What the fast extension adds to a connection on which both sides speak it.
#[derive(Debug, Default)]
pub(super) struct Fast {
    /// Pieces that it gives us while it chokes us.
    offers: Vec<PieceIndex>,
    /// Pieces that we give it while we choke it.
    grants: Vec<PieceIndex>,
    /// Pieces that it would like us to take, the latest last.
    suggestions: Vec<PieceIndex>,
}

impl Fast {
    /// Do both sides speak it?
    pub(super) fn agreed(theirs: [u8; 8]) -> Option<Self> {
        Feature::FAST.is_in(theirs).then(Self::default)
    }

    /// It may give us something while it chokes us.
    pub(super) fn has_offers(&self) -> bool {
        !self.offers.is_empty()
    }

    /// It may have `piece` while we choke it.
    pub(super) fn grants(&self, piece: PieceIndex) -> bool {
        self.grants.contains(&piece)
    }
}

impl Torrent {
    //= BEP 6: exactly one of have all, have none and bitfield comes first. BEP 3: an empty bitfield may be left out.
    pub(super) fn say_what_we_have(&mut self, now: Instant, key: PeerKey) {
        let fast = self.peers.get(&key).is_some_and(|peer| peer.fast.is_some());
        let summary = match (fast, self.shown().is_full(), self.shown().is_empty()) {
            (true, true, _) => Message::HaveAll,
            (true, _, true) => Message::HaveNone,
            (false, _, true) => return,
            (..) => Message::Bitfield(self.shown().to_wire()),
        };
        self.send(now, key, summary);
    }

    /// A peer sums up what it has by `has`; `first` if that is in place.
    pub(super) fn summed_up(
        &mut self,
        now: Instant,
        key: PeerKey,
        has: Bitfield,
        first: bool,
    ) -> Result<(), DisconnectReason> {
        self.fast_of(key)?;
        if !first {
            return Err(DisconnectReason::LateSummary);
        }
        self.learn_bitfield(now, key, has);
        Ok(())
    }

    /// A peer would like us to take a piece.
    pub(super) fn suggests(&mut self, key: PeerKey, index: u32) -> Result<(), DisconnectReason> {
        let piece = self.geometry.piece(index);
        let fast = self.fast_of(key)?;
        remember(&mut fast.suggestions, piece.ok_or(DisconnectReason::BadFastPiece)?);
        Ok(())
    }

    /// A peer lets us have a piece while it chokes us.
    pub(super) fn allows(&mut self, now: Instant, key: PeerKey, index: u32) -> Result<(), DisconnectReason> {
        let piece = self.geometry.piece(index);
        let fast = self.fast_of(key)?;
        remember(&mut fast.offers, piece.ok_or(DisconnectReason::BadFastPiece)?);
        self.fill(now, key);
        Ok(())
    }

    fn fast_of(&mut self, key: PeerKey) -> Result<&mut Fast, DisconnectReason> {
        let fast = self.peers.get_mut(&key).and_then(|peer| peer.fast.as_mut());
        fast.ok_or(DisconnectReason::FastNotAgreed)
    }

    /// Lets a newcomer fetch a few pieces while it is choked, so that it has something to give; unless others
    /// wait for a slot, whom that would only keep waiting.
    pub(super) fn grant_fast(&mut self, now: Instant, key: PeerKey) {
        let count = self.config.allowed_fast;
        if self.peers.values().any(|peer| peer.us.choking && peer.them.interested) {
            return;
        }
        let Some(peer) = self.peers.get_mut(&key) else { return };
        let (Some(fast), std::net::IpAddr::V4(ip)) = (&mut peer.fast, peer.addr.ip().to_canonical()) else {
            return;
        };
        //= BEP 6: a peer with more than k pieces needs no help.
        if peer.has.count() >= count || self.super_seed.is_some() {
            return;
        }
        let set = wire::allowed_fast(ip, self.metainfo.info_hash(), self.geometry.pieces(), count);
        let set = set.into_iter().filter_map(|index| self.geometry.piece(index));
        let set: Vec<_> = set.filter(|&piece| self.have.has(piece)).collect();
        fast.grants.clone_from(&set);
        for piece in set {
            self.send(now, key, Message::AllowedFast { piece: piece.get() });
        }
    }

    /// Refuses a request, if the other side expects to hear so.
    pub(super) fn reject(&mut self, now: Instant, key: PeerKey, block: RawBlock) {
        if self.peers.get(&key).is_some_and(|peer| peer.fast.is_some()) {
            self.send(now, key, Message::Reject(block));
        }
    }

    //= BEP 6: "A choke implies no reject": the choke goes first, then a reject for each request that it drops.
    pub(super) fn drop_queued(&mut self, now: Instant, key: PeerKey) {
        let Some(peer) = self.peers.get_mut(&key) else { return };
        let fast = peer.fast.as_ref();
        let granted = |block: &Block| fast.is_some_and(|fast| fast.grants(block.piece()));
        for block in peer.uplink.drop_unless(granted) {
            self.reject(now, key, raw(block));
        }
    }

    /// The peer will not send a block: somebody else may be asked.
    pub(super) fn rejected(
        &mut self,
        now: Instant,
        key: PeerKey,
        raw: RawBlock,
    ) -> Result<(), DisconnectReason> {
        self.fast_of(key)?;
        let block = self.geometry.locate(raw.piece, raw.offset, raw.len);
        let block = block.map_err(|_| DisconnectReason::BadRequest)?;
        let Some(peer) = self.peers.get_mut(&key) else { return Ok(()) };
        // An excused request is older than one that is on order now.
        if peer.pipeline.settle_excused(block) {
            return Ok(());
        }
        let Some(asked) = peer.pipeline.take(block) else { return peer.pipeline.stray_reject() };
        if let (true, Some(fast)) = (peer.them.choking, &mut peer.fast) {
            fast.offers.retain(|&piece| piece != block.piece());
        } else {
            // It serves us, and yet refuses: asking again at once could go on for ever.
            peer.pipeline.resumes_at = Some(now + REJECT_PAUSE);
            self.wake_for_peers(now + REJECT_PAUSE);
        }
        self.free_again(asked);
        self.refill = true;
        Ok(())
    }

    /// What a choking peer lets us have.
    pub(super) fn offered_block(&mut self, key: PeerKey) -> Option<Block> {
        let peer = self.peers.get(&key)?;
        let offers = peer.fast.as_ref().map(|fast| fast.offers.as_slice()).unwrap_or_default();
        let offers = || offers.iter().copied().filter(|&piece| peer.has.has(piece));
        let begun = offers().find_map(|piece| self.partials.free_block_of(piece, key, &peer.has));
        if begun.is_some() {
            return begun;
        }
        let fresh = offers().find(|&piece| self.picker.holds(piece))?;
        self.start(fresh)
    }

    /// The latest of its suggestions within `has` that can be started: it costs the peer least.
    pub(super) fn suggested(&self, key: PeerKey, has: &Bitfield) -> Option<PieceIndex> {
        let peer = self.peers.get(&key)?;
        let latest = peer.fast.as_ref()?.suggestions.iter().rev();
        latest.copied().find(|&piece| has.has(piece) && self.picker.holds(piece))
    }
}

/// Adds `piece`, each once; beyond the limit the oldest goes.
fn remember(pieces: &mut Vec<PieceIndex>, piece: PieceIndex) {
    pieces.retain(|&known| known != piece);
    if pieces.len() >= MAX_SUGGESTIONS {
        pieces.remove(0);
    }
    pieces.push(piece);
}
