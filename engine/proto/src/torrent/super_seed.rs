//! Super-seeding (BEP 16): a lone seeder that shows each peer one piece at a time, and the next one only when
//! somebody else has that piece too. What little it uploads is then passed on before anything comes twice.
//!
//! ```text
//! shown to A ──A has it──▶ somebody else has it, or nobody wants it for a while ──▶ another is shown to A
//! every piece is elsewhere, or one is lost here ──▶ an ordinary peer, which tells of all it has
//! ```

use std::collections::BTreeMap;

use super::limits::{HAVE_DELAY, SHOW_PATIENCE};
use crate::bitfield::Bitfield;
use crate::piece::PieceIndex;
use crate::time::Instant;
use crate::torrent::machine::Torrent;
use crate::torrent::peers::Peer;
use crate::torrent::{PeerKey, TorrentConfig};
use crate::wire::Message;

/// What has been shown to whom.
#[derive(Debug)]
pub(super) struct SuperSeed {
    /// What every peer is told that we have: nothing.
    nothing: Bitfield,
    /// The latest piece that each peer was shown, and when.
    latest: BTreeMap<PeerKey, (PieceIndex, Instant)>,
    /// How often each piece was shown.
    shown: Vec<u32>,
}

impl SuperSeed {
    /// Begins, if that is wanted and everything is here.
    pub(super) fn wanted(config: TorrentConfig, have: &Bitfield) -> Option<Self> {
        let pieces = have.pieces();
        (config.super_seeding && have.is_full()).then(|| Self {
            nothing: Bitfield::empty(pieces),
            latest: BTreeMap::new(),
            shown: vec![0; pieces as usize],
        })
    }

    /// A peer left; what it was shown may be shown to others.
    pub(super) fn forget(&mut self, key: PeerKey) {
        if let Some((piece, _)) = self.latest.remove(&key)
            && let Some(count) = self.shown.get_mut(piece.as_usize())
        {
            *count = count.saturating_sub(1);
        }
    }
}

impl Torrent {
    /// The pieces that we say we have when a connection opens.
    pub(super) fn shown(&self) -> &Bitfield {
        self.super_seed.as_ref().map_or(&self.have, |seed| &seed.nothing)
    }

    /// Shows a peer the piece that was shown to the fewest and that the fewest have.
    pub(super) fn reveal(&mut self, now: Instant, key: PeerKey) {
        let (Some(seed), Some(peer)) = (&mut self.super_seed, self.peers.get(&key)) else { return };
        let latest = seed.latest.get(&key).map(|&(piece, _)| piece);
        let lacking =
            self.geometry.all_pieces().filter(|&piece| !peer.has.has(piece) && latest != Some(piece));
        let times = |piece: PieceIndex| seed.shown.get(piece.as_usize()).copied().unwrap_or(0);
        let Some(next) = lacking.min_by_key(|&piece| (times(piece) + self.picker.availability(piece), piece))
        else {
            return;
        };
        seed.latest.insert(key, (next, now));
        if let Some(count) = seed.shown.get_mut(next.as_usize()) {
            *count += 1;
        }
        self.send(now, key, Message::Have { piece: next.get() });
    }

    /// A peer says what it came with: it may have been shown what it has.
    pub(super) fn shown_in_vain(&mut self, now: Instant, key: PeerKey) {
        let latest = self.super_seed.as_ref().and_then(|seed| seed.latest.get(&key));
        let has = |piece| self.peers.get(&key).is_some_and(|peer| peer.has.has(piece));
        if latest.is_some_and(|&(piece, _)| has(piece)) {
            self.reveal(now, key);
        }
        self.end_if_all_elsewhere(now);
    }

    /// `key` has `piece`: who was shown it has passed it on, and is shown another.
    pub(super) fn seen_elsewhere(&mut self, now: Instant, key: PeerKey, piece: PieceIndex) {
        let Some(seed) = &self.super_seed else { return };
        let alone = self.peers.len() == 1;
        let shown = seed.latest.iter().filter(|&(_, &(latest, _))| latest == piece);
        let passed_on: Vec<_> = shown.map(|(&peer, _)| peer).filter(|&peer| peer != key || alone).collect();
        for peer in passed_on {
            self.reveal(now, peer);
        }
        self.end_if_all_elsewhere(now);
    }

    /// Whoever wants nothing of what it was shown has it, whether it says so or not: many do not tell those of a piece
    /// who have it, and the only peer has nobody else to pass it on to.
    pub(super) fn wants_no_more(&mut self, now: Instant, key: PeerKey) {
        let was_shown = self.super_seed.as_ref().is_some_and(|seed| seed.latest.contains_key(&key));
        if was_shown && self.peers.len() == 1 {
            self.reveal(now, key);
        }
    }

    /// Nobody wants what a peer was shown, or it has that piece, by its word or for all we see: it is shown another
    /// after a while.
    pub(super) fn reveal_more(&mut self, now: Instant) {
        let Some(seed) = &self.super_seed else { return };
        let idle = |&(piece, at): &(PieceIndex, Instant), key: &PeerKey| {
            let has = |peer: &Peer| peer.has.has(piece) || !peer.them.interested;
            at + SHOW_PATIENCE <= now && self.peers.get(key).is_some_and(has)
        };
        let idle: Vec<_> =
            seed.latest.iter().filter(|&(key, latest)| idle(latest, key)).map(|(&key, _)| key).collect();
        for key in idle {
            self.reveal(now, key);
        }
    }

    fn end_if_all_elsewhere(&mut self, now: Instant) {
        let missing = |piece| self.picker.availability(piece) == 0;
        if self.super_seed.is_some() && !self.geometry.all_pieces().any(missing) {
            self.hide_no_more(now);
        }
    }

    /// From now on an ordinary peer: those who are connected saw nothing but what they were shown, and hear of all that
    /// is here.
    pub(super) fn hide_no_more(&mut self, now: Instant) {
        if self.super_seed.take().is_some() {
            let here = self.geometry.all_pieces().filter(|&piece| self.have.has(piece));
            self.announced.extend(here);
            self.haves_due.get_or_insert(now + HAVE_DELAY);
        }
    }
}
