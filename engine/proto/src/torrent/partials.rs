//! The started pieces: which blocks of them are here, on order, or free to be requested.
//!
//! Any peer may help with any started piece, so that few are open at once and each is soon complete and shared;
//! who had better not join whom says `affinity`. Only a piece that failed its hash check is fetched from one peer
//! alone, its owner, so that the next failure has one author (see `suspects`).
//!
//! ```text
//! a block:  free ──ask──▶ on order ──arrived──▶ writing ──written──▶ written
//!             ▲              │                     │
//!             └──release─────┘◀───── (refused) ────┘ the data is kept and written again later
//! ```

use std::collections::{BTreeMap, BTreeSet};

use crate::bitfield::Bitfield;
use crate::piece::{Block, Geometry, PieceIndex};
use crate::torrent::PeerKey;
use crate::torrent::suspects::Gift;

/// One block of a started piece.
#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    state: State,
    /// Peers that we expect it from.
    active: u8,
    /// Peers that were asked for it and may still send it; the snubbing ones are not expected to.
    asked: u8,
    /// What arrived, and from whom.
    gift: Option<Gift>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Missing,
    Writing,
    Written,
}

/// A started piece.
#[derive(Debug)]
struct Partial {
    slots: Vec<Slot>,
    /// No free block stands before this one.
    first_free: usize,
    free: u32,
    missing: u32,
    unwritten: u32,
    /// Fetched from its owner alone, and from nobody while it has none.
    alone: bool,
    owner: Option<PeerKey>,
    /// Not wanted at present: what is here stays, nothing is asked for.
    parked: bool,
}

/// What an arrived block was worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    /// It was missing; `others` were asked for it too.
    Needed { others: bool },
    /// It is here already.
    Duplicate,
}

/// All started pieces.
#[derive(Debug)]
pub(super) struct Partials {
    geometry: Geometry,
    pieces: BTreeMap<PieceIndex, Partial>,
    /// The pieces with a free block, oldest first.
    open: Vec<PieceIndex>,
    /// Pieces that failed their check and are started anew.
    suspect: BTreeSet<PieceIndex>,
}

impl Partials {
    /// None yet.
    pub(super) fn new(geometry: Geometry) -> Self {
        Self { geometry, pieces: BTreeMap::new(), open: Vec::new(), suspect: BTreeSet::new() }
    }

    /// Started pieces.
    pub(super) fn len(&self) -> usize {
        self.pieces.len()
    }

    /// Started pieces of which every block is here.
    pub(super) fn complete(&self) -> usize {
        self.pieces.values().filter(|partial| partial.missing == 0).count()
    }

    /// The started pieces, in order.
    pub(super) fn indices(&self) -> impl Iterator<Item = PieceIndex> {
        self.pieces.keys().copied()
    }

    /// Is `piece` started?
    pub(super) fn holds(&self, piece: PieceIndex) -> bool {
        self.pieces.contains_key(&piece)
    }

    /// Requests under way.
    #[cfg(debug_assertions)]
    pub(super) fn on_order(&self) -> usize {
        self.pieces.values().flat_map(|partial| &partial.slots).map(|slot| usize::from(slot.asked)).sum()
    }

    /// Every block of every started piece that is wanted is here or on order, but for those that only one peer may
    /// fetch, and there is such a piece.
    pub(super) fn all_on_order(&self) -> bool {
        self.open.iter().all(|piece| self.suspect.contains(piece))
            && self.pieces.values().any(|partial| !partial.parked)
    }

    /// Nothing more is asked for of `piece` as long as it is parked.
    pub(super) fn park(&mut self, piece: PieceIndex, parked: bool) {
        let Some(partial) = self.pieces.get_mut(&piece) else { return };
        if partial.parked == parked {
            return;
        }
        partial.parked = parked;
        if parked {
            self.open.retain(|&open| open != piece);
        } else if partial.free > 0 {
            self.open.push(piece);
        }
    }

    /// Starts `piece`.
    pub(super) fn start(&mut self, piece: PieceIndex) {
        let count = self.geometry.blocks_of(piece);
        let slots = vec![Slot::default(); count as usize];
        let alone = self.suspect.contains(&piece);
        let partial = Partial {
            slots,
            first_free: 0,
            free: count,
            missing: count,
            unwritten: count,
            alone,
            owner: None,
            parked: false,
        };
        self.pieces.insert(piece, partial);
        self.open.push(piece);
    }

    /// The piece nearest completion of which `peer` has a free block, but for those that are `spared`.
    pub(super) fn nearest_done(
        &self,
        peer: PeerKey,
        has: &Bitfield,
        spared: &[PieceIndex],
    ) -> Option<PieceIndex> {
        let others = self.open.iter().filter(|piece| !spared.contains(piece));
        let usable = others.filter_map(|&piece| Some((self.usable(piece, peer, has)?.missing, piece)));
        usable.min_by_key(|&(missing, _)| missing).map(|(_, piece)| piece)
    }

    /// A free block of `piece`, if `peer` has it.
    pub(super) fn free_block_of(&self, piece: PieceIndex, peer: PeerKey, has: &Bitfield) -> Option<Block> {
        let partial = self.usable(piece, peer, has)?;
        let after = partial.slots.iter().skip(partial.first_free);
        let number = after.take_while(|slot| !slot.is_free()).count() + partial.first_free;
        self.geometry.block(piece, number as u32)
    }

    fn usable(&self, piece: PieceIndex, peer: PeerKey, has: &Bitfield) -> Option<&Partial> {
        let partial = self.pieces.get(&piece)?;
        let refused = partial.alone && partial.owner != Some(peer);
        (has.has(piece) && partial.free > 0 && !refused && !partial.parked).then_some(partial)
    }

    /// Somebody was asked for `block`.
    pub(super) fn ask(&mut self, block: Block) {
        self.change(block, |slot| {
            slot.active = slot.active.saturating_add(1);
            slot.asked = slot.asked.saturating_add(1);
        });
    }

    /// One requester is not expected to deliver `block` any more, though it may.
    pub(super) fn release(&mut self, block: Block) {
        self.change(block, |slot| slot.active = slot.active.saturating_sub(1));
    }

    /// The same requester is expected to deliver `block` after all.
    pub(super) fn expect(&mut self, block: Block) {
        self.change(block, |slot| slot.active = slot.active.saturating_add(1));
    }

    /// One requester will not deliver `block`; `released` if that was said before.
    pub(super) fn forget(&mut self, block: Block, released: bool) {
        self.change(block, |slot| {
            slot.asked = slot.asked.saturating_sub(1);
            slot.active = slot.active.saturating_sub(u8::from(!released));
        });
    }

    /// `peer` loses its sole right to suspect pieces.
    pub(super) fn disown(&mut self, peer: PeerKey) {
        for piece in &self.suspect {
            if let Some(partial) = self.pieces.get_mut(piece).filter(|partial| partial.owner == Some(peer)) {
                partial.owner = None;
            }
        }
    }

    /// The suspect pieces that lack blocks nobody was asked for, each with its owner.
    pub(super) fn suspects(&self) -> Vec<(PieceIndex, Option<PeerKey>)> {
        let open = |&piece: &PieceIndex| {
            let partial = self.pieces.get(&piece).filter(|partial| partial.free > 0 && !partial.parked)?;
            Some((piece, partial.owner))
        };
        self.suspect.iter().filter_map(open).collect()
    }

    /// Only `owner` may be asked for the rest of a suspect piece.
    pub(super) fn assign(&mut self, piece: PieceIndex, owner: PeerKey) {
        if let Some(partial) = self.pieces.get_mut(&piece) {
            partial.owner = Some(owner);
        }
    }

    /// Requesters that `block` is expected from; nothing if it is here.
    pub(super) fn requesters(&self, block: Block) -> Option<u8> {
        let partial = self.pieces.get(&block.piece()).filter(|partial| !partial.alone)?;
        let slot = partial.slots.get(block.number() as usize)?;
        (slot.state == State::Missing).then_some(slot.active)
    }

    /// `block` arrived, and its giver's request is thereby closed.
    pub(super) fn arrived(&mut self, block: Block, gift: Gift) -> Arrival {
        let mut arrival = Arrival::Duplicate;
        self.change(block, |slot| {
            if slot.state == State::Missing {
                slot.state = State::Writing;
                slot.gift = Some(gift);
                arrival = Arrival::Needed { others: slot.asked > 0 };
            }
        });
        if let (Arrival::Needed { .. }, Some(partial)) = (arrival, self.pieces.get_mut(&block.piece())) {
            partial.missing -= 1;
        }
        arrival
    }

    /// What has arrived of `piece`: each block's number, and what is remembered of it.
    pub(super) fn given(&self, piece: PieceIndex) -> Vec<(u32, Gift)> {
        let slots = self.pieces.get(&piece).map(|partial| partial.slots.as_slice()).unwrap_or_default();
        (0..).zip(slots).filter_map(|(number, slot)| Some((number, slot.gift?))).collect()
    }

    /// `block` reached the storage; true if its piece is thereby complete there.
    pub(super) fn written(&mut self, block: Block) -> bool {
        let Some(partial) = self.pieces.get_mut(&block.piece()) else { return false };
        match partial.slots.get_mut(block.number() as usize) {
            Some(slot) if slot.state == State::Writing => slot.state = State::Written,
            Some(_) | None => return false,
        }
        partial.unwritten -= 1;
        partial.unwritten == 0
    }

    /// Every block of `piece` reached the storage, and nobody has judged it yet.
    pub(super) fn is_written(&self, piece: PieceIndex) -> bool {
        self.pieces.get(&piece).is_some_and(|partial| partial.unwritten == 0)
    }

    /// Drops `piece` if nothing of it is here or on order; true if so. A suspect one waits for its owner.
    pub(super) fn drop_untouched(&mut self, piece: PieceIndex) -> bool {
        let untouched = self.pieces.get(&piece).is_some_and(|partial| {
            !partial.alone
                && partial.missing as usize == partial.slots.len()
                && partial.slots.iter().all(|slot| slot.asked == 0)
        });
        if untouched {
            self.pieces.remove(&piece);
            self.open.retain(|&open| open != piece);
        }
        untouched
    }

    /// Takes a sound piece out.
    pub(super) fn finish(&mut self, piece: PieceIndex) {
        self.pieces.remove(&piece);
        self.suspect.remove(&piece);
    }

    /// Starts a failed piece anew.
    pub(super) fn restart(&mut self, piece: PieceIndex) {
        self.pieces.remove(&piece);
        self.suspect.insert(piece);
        self.start(piece);
    }

    /// Changes one slot and keeps the count of free blocks and the list of open pieces true.
    fn change(&mut self, block: Block, change: impl FnOnce(&mut Slot)) {
        let (piece, number) = (block.piece(), block.number() as usize);
        let Some(partial) = self.pieces.get_mut(&piece) else { return };
        let Some(slot) = partial.slots.get_mut(number) else { return };
        let before = slot.is_free();
        change(slot);
        match (before, slot.is_free()) {
            (true, false) => {
                partial.free -= 1;
                if number == partial.first_free {
                    partial.first_free += 1;
                }
                if partial.free == 0 {
                    self.open.retain(|&open| open != piece);
                }
            }
            (false, true) => {
                partial.first_free = partial.first_free.min(number);
                partial.free += 1;
                if partial.free == 1 && !partial.parked {
                    self.open.push(piece);
                }
            }
            (true, true) | (false, false) => {}
        }
    }
}

impl Slot {
    fn is_free(self) -> bool {
        self.state == State::Missing && self.active == 0
    }
}
