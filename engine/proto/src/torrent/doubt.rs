//! Pieces that were here and may be gone: a file was moved, cut or replaced, or cannot be read. From that moment
//! nobody is told that we have them; each is hashed again and then either here or fetched anew.
//!
//! ```text
//! here ──doubt──▶ in doubt ──hash is right──▶ here, announced again
//!                     └──wrong or unreadable──▶ missing, to be started if it is wanted
//! ```

use std::collections::BTreeSet;

use super::limits::PARALLEL_DOUBTS;
use crate::id::PieceHash;
use crate::piece::PieceIndex;
use crate::time::Instant;
use crate::torrent::machine::Torrent;
use crate::torrent::{DisconnectReason, Event, Output};

/// The pieces in doubt.
#[derive(Debug, Default)]
pub(super) struct Doubts {
    waiting: BTreeSet<PieceIndex>,
    hashing: BTreeSet<PieceIndex>,
    /// The torrent was complete before: the tracker is not told again.
    pub(super) was_complete: bool,
}

impl Doubts {
    /// Is `piece` in doubt?
    pub(super) fn hold(&self, piece: PieceIndex) -> bool {
        self.waiting.contains(&piece) || self.hashing.contains(&piece)
    }
}

impl Torrent {
    /// These pieces may not be here any more.
    pub(super) fn doubt(&mut self, now: Instant, pieces: Vec<PieceIndex>) {
        let (was_complete, was_finished) = (self.have.is_full(), self.wanted.is_finished());
        let mut lost = pieces;
        lost.retain(|&piece| self.have.clear(piece));
        if lost.is_empty() {
            return;
        }
        self.doubts.was_complete |= was_complete;
        for &piece in &lost {
            self.totals.left += u64::from(self.geometry.len_of(piece));
            self.wanted.lost(piece);
            self.doubts.waiting.insert(piece);
            self.outputs.push_back(Output::Event(Event::PieceLost(piece)));
        }
        // There is nothing to show one by one any more.
        self.hide_no_more(now);
        self.take_promises_back(now);
        self.count_wanted();
        self.show_interest_to_all(now);
        if was_finished && !self.wanted.is_finished() {
            self.selection_settled(now);
        }
        self.hash_doubted();
    }

    //= BEP 6: "reject" is for requests that will not be satisfied. Without it the only honest way is to part:
    // on the next connection the peer sees a bitfield that is true.
    fn take_promises_back(&mut self, now: Instant) {
        let keys: Vec<_> = self.peers.keys().copied().collect();
        for key in keys {
            let Some(peer) = self.peers.get_mut(&key) else { continue };
            if peer.fast.is_none() {
                self.disconnect(now, key, DisconnectReason::LostPieces);
                continue;
            }
            for block in peer.uplink.drop_unless(|block| self.have.has(block.piece())) {
                self.reject(now, key, super::pipeline::raw(block));
            }
        }
    }

    fn hash_doubted(&mut self) {
        while self.doubts.hashing.len() < PARALLEL_DOUBTS
            && let Some(piece) = self.doubts.waiting.pop_first()
        {
            self.doubts.hashing.insert(piece);
            self.outputs.push_back(Output::Hash { piece });
        }
    }

    /// A piece was hashed: if it was in doubt, it is here or to be fetched. False if it was not.
    pub(super) fn doubt_settled(&mut self, now: Instant, piece: PieceIndex, hash: Option<PieceHash>) -> bool {
        if !self.doubts.hashing.remove(&piece) {
            return false;
        }
        if hash == Some(self.metainfo.hash_of(piece)) {
            self.regained(now, piece);
        } else {
            self.reopen(piece);
            self.refill = true;
        }
        self.hash_doubted();
        true
    }
}
