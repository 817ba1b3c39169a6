//! A peer's disk: for each block nothing, what belongs there, or something else. What is right is not stored twice.

use std::collections::BTreeSet;

use bytes::{Bytes, BytesMut};
use proto::bitfield::Bitfield;
use proto::id::PieceHash;
use proto::piece::{Block, Geometry, PieceIndex};
use proto::wire::Message;

/// What the content is, shared by all disks.
#[derive(Clone, Debug)]
pub(super) struct Content {
    pub(super) bytes: Bytes,
    pub(super) geometry: Geometry,
    pub(super) hashes: Vec<PieceHash>,
}

impl Content {
    /// The bytes that belong into a block.
    pub(super) fn block(&self, block: Block) -> Bytes {
        let start = self.geometry.start_of_block(block) as usize;
        self.bytes.slice(start..start + block.len() as usize)
    }

    /// Bytes of content in a message; what is no block of this torrent has none.
    pub(super) fn payload(&self, message: &Message) -> u64 {
        let Message::Piece { piece, offset, data } = message else { return 0 };
        let block = self.geometry.locate(*piece, *offset, data.len() as u32);
        block.map_or(0, |block| u64::from(block.len()))
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Slot {
    Empty,
    Right,
    Wrong(Bytes),
}

/// One peer's.
#[derive(Clone, Debug)]
pub(super) struct Disk {
    /// Blocks of each piece.
    slots: Vec<Vec<Slot>>,
    /// What no flush has made safe.
    unsafe_blocks: BTreeSet<(PieceIndex, u32)>,
    /// What stood there when the flush under way began.
    flushing: BTreeSet<(PieceIndex, u32)>,
}

impl Disk {
    pub(super) fn new(geometry: Geometry) -> Self {
        let piece = |piece| vec![Slot::Empty; geometry.blocks_of(piece) as usize];
        let slots = geometry.all_pieces().map(piece).collect();
        Self { slots, unsafe_blocks: BTreeSet::new(), flushing: BTreeSet::new() }
    }

    /// A piece was there before.
    pub(super) fn fill(&mut self, piece: PieceIndex) {
        if let Some(slots) = self.slots.get_mut(piece.as_usize()) {
            slots.fill(Slot::Right);
        }
    }

    pub(super) fn write(&mut self, content: &Content, block: Block, data: Bytes) {
        let slot = if content.block(block) == data { Slot::Right } else { Slot::Wrong(data) };
        self.set(block.piece(), block.number(), slot);
        self.unsafe_blocks.insert((block.piece(), block.number()));
    }

    fn set(&mut self, piece: PieceIndex, number: u32, slot: Slot) {
        let slots = self.slots.get_mut(piece.as_usize());
        if let Some(place) = slots.and_then(|slots| slots.get_mut(number as usize)) {
            *place = slot;
        }
    }

    /// What is stored there, if anything is.
    pub(super) fn read(&self, content: &Content, block: Block) -> Option<Bytes> {
        match self.slots.get(block.piece().as_usize())?.get(block.number() as usize)? {
            Slot::Empty => None,
            Slot::Right => Some(content.block(block)),
            Slot::Wrong(data) => Some(data.clone()),
        }
    }

    /// Is a piece as it should be?
    pub(super) fn is_right(&self, piece: PieceIndex) -> bool {
        self.slots.get(piece.as_usize()).is_some_and(|slots| slots.iter().all(|slot| *slot == Slot::Right))
    }

    /// The hash of a piece; nothing if a part of it is not there.
    pub(super) fn hash(&self, content: &Content, piece: PieceIndex) -> Option<PieceHash> {
        if self.is_right(piece) {
            // What is right has the right hash; to compute it once for all is what makes these swarms cheap.
            return content.hashes.get(piece.as_usize()).copied();
        }
        let mut whole = BytesMut::new();
        for block in content.geometry.blocks(piece) {
            whole.extend_from_slice(&self.read(content, block)?);
        }
        Some(PieceHash::of(&whole))
    }

    /// A bit flips.
    pub(super) fn rot(&mut self, content: &Content, piece: PieceIndex) {
        let Some(block) = content.geometry.block(piece, 0) else { return };
        let Some(data) = self.read(content, block) else { return };
        let mut data = data.to_vec();
        data.iter_mut().take(1).for_each(|byte| *byte ^= 1);
        self.set(piece, 0, Slot::Wrong(data.into()));
    }

    /// The pieces that are right.
    pub(super) fn right(&self, geometry: Geometry) -> Bitfield {
        let mut right = Bitfield::empty(geometry.pieces());
        for piece in geometry.all_pieces().filter(|&piece| self.is_right(piece)) {
            right.set(piece);
        }
        right
    }

    /// A flush begins.
    pub(super) fn flush(&mut self) {
        self.flushing = std::mem::take(&mut self.unsafe_blocks);
    }

    /// It has ended well.
    pub(super) fn flushed(&mut self) {
        self.flushing.clear();
    }

    /// Power fails: what was not made safe is gone.
    pub(super) fn power_cut(&mut self) {
        let lost = std::mem::take(&mut self.unsafe_blocks);
        for (piece, number) in lost.into_iter().chain(std::mem::take(&mut self.flushing)) {
            self.set(piece, number, Slot::Empty);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content() -> Content {
        let geometry = Geometry::new(50_000, 20_000).expect("it fits");
        let bytes = Bytes::from(vec![7; 50_000]);
        let hashes = bytes.chunks(20_000).map(PieceHash::of).collect();
        Content { bytes, geometry, hashes }
    }

    #[test]
    fn a_piece_has_the_hash_of_what_was_written() {
        let content = content();
        let (mut disk, last) =
            (Disk::new(content.geometry), content.geometry.piece(2).expect("three pieces"));
        assert_eq!(disk.hash(&content, last), None);
        let block = content.geometry.block(last, 0).expect("a block");
        disk.write(&content, block, Bytes::from(vec![8; 10_000]));
        assert_eq!(disk.hash(&content, last), Some(PieceHash::of(&[8; 10_000])));
        disk.write(&content, block, content.block(block));
        assert_eq!(disk.hash(&content, last), Some(PieceHash::of(&[7; 10_000])));
        disk.rot(&content, last);
        assert!(!disk.is_right(last) && disk.hash(&content, last) != Some(PieceHash::of(&[7; 10_000])));
    }

    #[test]
    fn a_power_cut_takes_what_was_not_flushed() {
        let content = content();
        let mut disk = Disk::new(content.geometry);
        let blocks: Vec<_> =
            content.geometry.all_pieces().flat_map(|piece| content.geometry.blocks(piece)).collect();
        disk.write(&content, blocks[0], content.block(blocks[0]));
        disk.flush();
        disk.write(&content, blocks[1], content.block(blocks[1]));
        disk.flushed();
        disk.power_cut();
        assert_eq!(disk.read(&content, blocks[0]), Some(content.block(blocks[0])));
        assert_eq!(disk.read(&content, blocks[1]), None);
    }
}
