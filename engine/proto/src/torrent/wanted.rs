//! What is wanted of the torrent: a priority for each piece, changed whenever the user likes; and what it is to
//! have everything that is wanted, though not everything there is (a partial seed, BEP 21).
//!
//! ```text
//!   wanted, lacking:  not started ──▶ started ──▶ here
//!       │  ▲               │ ▲           │ ▲
//!       ▼  │ chosen        ▼ │           ▼ │ its requests are cancelled, its blocks are kept
//!   skipped:           not started     parked
//! ```

use std::net::SocketAddr;

use super::limits::{FIRST_INTEREST, MAX_CANDIDATES};
use super::peers::Peer;
use crate::bitfield::Bitfield;
use crate::metainfo::Priority;
use crate::piece::{Geometry, PieceIndex};
use crate::time::Instant;
use crate::torrent::machine::Torrent;
use crate::torrent::{DisconnectReason, Event, Output};
use crate::wire::Message;
use crate::wire::extension::{ExtensionHandshake, HANDSHAKE_ID};

/// Levels of priority.
const LEVELS: usize = 4;

/// Every level that asks for something, the most urgent first.
const URGENT_FIRST: [Priority; LEVELS - 1] = [Priority::High, Priority::Normal, Priority::Low];

/// A priority for each piece, and what follows from it.
#[derive(Debug)]
pub(super) struct Wanted {
    priorities: Vec<Priority>,
    /// The pieces of each level, if there is more than one level of wanted pieces.
    levels: Option<[Bitfield; LEVELS]>,
    /// Wanted pieces that are not here.
    lacking: u32,
}

impl Wanted {
    /// Everything, alike.
    pub(super) fn everything(have: &Bitfield) -> Self {
        let priorities = vec![Priority::Normal; have.pieces() as usize];
        Self { priorities, levels: None, lacking: have.pieces() - have.count() }
    }

    /// `priorities`, one for each piece; a piece that they do not reach is normal.
    fn chosen(geometry: &Geometry, have: &Bitfield, mut priorities: Vec<Priority>) -> Self {
        priorities.resize(geometry.pieces() as usize, Priority::Normal);
        let mut levels = std::array::from_fn(|_| Bitfield::empty(geometry.pieces()));
        let mut lacking = 0;
        for (piece, &priority) in geometry.all_pieces().zip(&priorities) {
            lacking += u32::from(priority != Priority::Skip && !have.has(piece));
            if let Some(level) = levels.get_mut(priority as usize) {
                level.set(piece);
            }
        }
        let in_use = levels.iter().skip(1).filter(|level| !level.is_empty()).count();
        Self { priorities, levels: (in_use > 1).then_some(levels), lacking }
    }

    /// Is `piece` wanted, wherever it is?
    pub(super) fn wants(&self, piece: PieceIndex) -> bool {
        self.priorities.get(piece.as_usize()).is_some_and(|&priority| priority != Priority::Skip)
    }

    /// Everything that is wanted is here.
    pub(super) fn is_finished(&self) -> bool {
        self.lacking == 0
    }

    /// A piece came in.
    fn gained(&mut self, piece: PieceIndex) {
        self.lacking -= u32::from(self.wants(piece));
    }

    /// A piece that was here is not any more.
    pub(super) fn lost(&mut self, piece: PieceIndex) {
        self.lacking += u32::from(self.wants(piece));
    }

    /// What of `has` to ask for first, then what next; nothing if all that is wanted is equally urgent.
    pub(super) fn by_urgency(&self, has: &Bitfield) -> Option<Vec<Bitfield>> {
        let levels = self.levels.as_ref()?;
        let of = |level: Priority| levels.get(level as usize).map(|level| level.intersection(has));
        Some(URGENT_FIRST.into_iter().filter_map(of).filter(|level| !level.is_empty()).collect())
    }
}

impl Torrent {
    /// We lack `piece` and want it.
    pub(super) fn wants(&self, piece: PieceIndex) -> bool {
        self.wanted.wants(piece) && !self.have.has(piece)
    }

    /// Bytes of wanted pieces, here or not.
    pub(super) fn wanted_len(&self) -> u64 {
        let wanted = self.geometry.all_pieces().filter(|&piece| self.wanted.wants(piece));
        wanted.map(|piece| u64::from(self.geometry.len_of(piece))).sum()
    }

    /// Bytes of wanted pieces that are not here.
    pub(super) fn wanted_left(&self) -> u64 {
        if self.wanted.is_finished() {
            return 0;
        }
        let wanted = self.geometry.all_pieces().filter(|&piece| self.wants(piece));
        wanted.map(|piece| u64::from(self.geometry.len_of(piece))).sum()
    }

    /// Everything that is wanted is here, though not everything there is.
    //= BEP 21: "A partial seed is a peer that is incomplete without downloading anything more."
    pub fn is_partial_seed(&self) -> bool {
        self.wanted.is_finished() && !self.have.is_full()
    }

    /// `piece` is neither here nor started any more: if it is wanted, it may be started again.
    pub(super) fn reopen(&mut self, piece: PieceIndex) {
        if self.wanted.wants(piece) {
            self.picker.put_back(piece);
            self.startable_changed(piece);
        }
    }

    /// The user chooses anew what is wanted, with a priority for each piece.
    pub(super) fn choose(&mut self, now: Instant, priorities: Vec<Priority>) {
        let before = self.wanted.is_finished();
        self.wanted = Wanted::chosen(&self.geometry, &self.have, priorities);
        self.picking = (self.config.picker.make)();
        for piece in self.geometry.all_pieces().filter(|&piece| !self.have.has(piece)) {
            let started = self.partials.holds(piece);
            match self.wanted.wants(piece) {
                true if self.doubts.hold(piece) => {}
                true if !started => self.picker.put_back(piece),
                false if !started => self.picker.take(piece),
                wanted => self.partials.park(piece, !wanted),
            }
        }
        self.withdraw_unwanted(now);
        self.count_wanted();
        self.show_interest_to_all(now);
        self.refill = true;
        if before != self.wanted.is_finished() || self.is_partial_seed() {
            self.selection_settled(now);
        }
    }

    /// Takes back every request for what is not wanted any more. A block that comes nevertheless is waste.
    fn withdraw_unwanted(&mut self, now: Instant) {
        let mut withdrawn = Vec::new();
        for (&key, peer) in &mut self.peers {
            let unwanted = peer.pipeline.withdraw(|block| !self.wanted.wants(block.piece()));
            withdrawn.extend(unwanted.into_iter().map(|asked| (key, asked)));
        }
        self.withdraw_web_seeds();
        for (key, asked) in withdrawn {
            self.send(now, key, Message::Cancel(super::pipeline::raw(asked.block)));
            self.free_again(asked);
        }
        for piece in self.geometry.all_pieces().filter(|&piece| !self.wanted.wants(piece)) {
            self.partials.drop_untouched(piece);
        }
    }

    /// Counts anew what each peer has for us.
    pub(super) fn count_wanted(&mut self) {
        let mut peers = std::mem::take(&mut self.peers);
        for peer in peers.values_mut() {
            self.count_wanted_of(peer);
        }
        self.peers = peers;
    }

    /// Says to whom it is new whether we are interested.
    pub(super) fn show_interest_to_all(&mut self, now: Instant) {
        let keys: Vec<_> = self.peers.keys().copied().collect();
        for key in keys {
            self.show_interest(now, key);
        }
    }

    /// Counts what `peer` has for us.
    pub(super) fn count_wanted_of(&self, peer: &mut Peer) {
        let wanted = || self.geometry.all_pieces().filter(|&piece| peer.has.has(piece) && self.wants(piece));
        let startable = wanted().filter(|&piece| self.picker.holds(piece)).count() as u32;
        (peer.wanted, peer.startable) = (wanted().count() as u32, startable);
    }

    /// A piece came in: is that all we want?
    pub(super) fn note_gain(&mut self, now: Instant, piece: PieceIndex) {
        let before = self.wanted.is_finished();
        self.wanted.gained(piece);
        if !before && self.is_partial_seed() {
            self.selection_settled(now);
        }
    }

    /// We became a partial seed, or are none any more.
    pub(super) fn selection_settled(&mut self, now: Instant) {
        if self.is_partial_seed() {
            self.outputs.push_back(Output::Event(Event::SelectionCompleted));
        }
        //= BEP 21: `upload_only` is set "to indicate that it's not interested in downloading anything".
        let upload_only = self.wanted.is_finished();
        if !upload_only {
            self.wake_resting();
        }
        let update = ExtensionHandshake { upload_only: Some(upload_only), ..Default::default() };
        let payload = update.encode();
        let greeted = self.peers.iter().filter(|(_, peer)| peer.extended.is_some());
        let keys: Vec<_> = greeted.map(|(&key, _)| key).collect();
        for key in keys {
            self.send(now, key, Message::Extended { id: HANDSHAKE_ID, payload: payload.clone() });
        }
    }

    /// Addresses of peers to whom we have nothing to say at present, nor they to us.
    pub(super) fn rest_from(&mut self, addrs: Vec<SocketAddr>) {
        for addr in addrs {
            self.candidates.never(addr);
            if self.resting.len() >= MAX_CANDIDATES {
                self.resting.pop_front();
            }
            self.resting.push_back(addr);
        }
    }

    /// We lack something again: those may have it.
    fn wake_resting(&mut self) {
        for addr in std::mem::take(&mut self.resting) {
            self.candidates.reconsider(addr);
        }
    }

    /// A partial seed closes connections to others that only upload: nothing flows unless somebody chooses more.
    pub(super) fn rest_from_partial_seeds(&mut self, now: Instant) {
        if !self.is_partial_seed() {
            return;
        }
        let sated = |peer: &Peer| {
            peer.upload_only() && !peer.them.interested && peer.interest_changed + FIRST_INTEREST <= now
        };
        let sated: Vec<_> = self.peers.iter().filter(|(_, peer)| sated(peer)).map(|(&key, _)| key).collect();
        for key in sated {
            let addrs = self.peers.get(&key).map(|peer| peer.listens_at.clone()).unwrap_or_default();
            self.disconnect(now, key, DisconnectReason::BothUploadOnly);
            self.rest_from(addrs);
        }
    }
}
