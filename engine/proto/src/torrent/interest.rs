//! Exact interest: we are interested in a peer if and only if it has a piece that we want and lack (BEP 3).
//!
//! Two counts a peer, `wanted` and `startable`, are kept true by every change of their pieces and ours, so that
//! no message needs to compare bitfields.

use crate::bitfield::Bitfield;
use crate::piece::PieceIndex;
use crate::time::Instant;
use crate::torrent::machine::Torrent;
use crate::torrent::{DisconnectReason, PeerKey};
use crate::wire::Message;

impl Torrent {
    /// A peer says which pieces it has.
    pub(super) fn learn_bitfield(&mut self, now: Instant, key: PeerKey, has: Bitfield) {
        let (mut wanted, mut startable) = (0, 0);
        for piece in self.geometry.all_pieces().filter(|&piece| has.has(piece) && self.wants(piece)) {
            wanted += 1;
            startable += u32::from(self.picker.holds(piece));
        }
        let Some(peer) = self.peers.get_mut(&key) else { return };
        (peer.wanted, peer.startable) = (wanted, startable);
        peer.counted_complete = has.is_full();
        self.picker.add_peer(&has, has.is_full());
        peer.has = has;
        self.grant_fast(now, key);
        self.shown_in_vain(now, key);
        self.part_if_both_complete(now, key);
        self.show_interest(now, key);
    }

    /// A peer says that it now has `piece`.
    pub(super) fn learn_have(&mut self, now: Instant, key: PeerKey, piece: PieceIndex) {
        let wants = self.wants(piece);
        let Some(peer) = self.peers.get_mut(&key) else { return };
        if !peer.has.set(piece) {
            return;
        }
        if wants {
            peer.wanted += 1;
            peer.startable += u32::from(self.picker.holds(piece));
        }
        self.picker.add_copy(piece);
        self.seen_elsewhere(now, key, piece);
        self.part_if_both_complete(now, key);
        self.show_interest(now, key);
        self.fill(now, key);
    }

    /// `piece` was started or put back; `startable` counts follow.
    pub(super) fn startable_changed(&mut self, piece: PieceIndex) {
        let startable = self.picker.holds(piece);
        for peer in self.peers.values_mut().filter(|peer| peer.has.has(piece)) {
            peer.startable = if startable { peer.startable + 1 } else { peer.startable.saturating_sub(1) };
        }
    }

    /// We now have `piece`: some peers have nothing for us any more.
    pub(super) fn gained(&mut self, now: Instant, piece: PieceIndex) {
        if !self.wanted.wants(piece) {
            return;
        }
        let mut bored = Vec::new();
        for (&key, peer) in self.peers.iter_mut().filter(|(_, peer)| peer.has.has(piece)) {
            peer.wanted = peer.wanted.saturating_sub(1);
            if peer.wanted == 0 {
                bored.push(key);
            }
        }
        for key in bored {
            self.show_interest(now, key);
            self.part_if_both_complete(now, key);
        }
    }

    /// Says `interested` or `not interested` if that changed.
    pub(super) fn show_interest(&mut self, now: Instant, key: PeerKey) {
        let Some(peer) = self.peers.get_mut(&key) else { return };
        let interested = peer.wanted > 0;
        if peer.us.interested != interested {
            peer.us.interested = interested;
            self.send(now, key, if interested { Message::Interested } else { Message::NotInterested });
        }
    }

    /// Two complete peers have nothing to say to each other. Only what a peer has counts, not its word that
    /// it only uploads (BEP 21): it may choose more files later, or say so while it still checks its own.
    pub(super) fn part_if_both_complete(&mut self, now: Instant, key: PeerKey) {
        let complete = self.peers.get(&key).is_some_and(|peer| peer.has.is_full());
        if complete && self.have.is_full() {
            self.part(now, key);
        }
    }

    /// Closes a connection that is of no use to either side, for good.
    pub(super) fn part(&mut self, now: Instant, key: PeerKey) {
        let Some(addrs) = self.peers.get(&key).map(|peer| peer.listens_at.clone()) else { return };
        self.disconnect(now, key, DisconnectReason::BothComplete);
        self.rest_from(addrs);
    }
}
