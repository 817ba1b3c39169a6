//! Blocks that have arrived and wait for the rest of their piece.
//!
//! A piece is hashed from here and written in one go once it is complete and sound, so that nothing is read
//! back and nothing wrong reaches the disk. A crash loses only what a restart would have dropped anyway, for
//! resuming goes by whole pieces. When the blocks outgrow [`LIMIT`], the fullest piece goes to the disk as
//! it is.

use std::collections::BTreeMap;

use bytes::Bytes;
use proto::piece::{Block, PieceIndex};

/// Bytes of incomplete pieces that are held in memory at the most.
pub(super) const LIMIT: u64 = 64 << 20;

/// Blocks of one piece by their first byte in it, and of these the bytes.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    blocks: BTreeMap<u32, Bytes>,
    len: u64,
}

impl Blocks {
    /// Offset within the piece and content of each block, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &Bytes)> {
        self.blocks.iter().map(|(&offset, data)| (offset, data))
    }

    /// Do the blocks cover all `len` bytes of the piece, one after the other?
    pub(super) fn cover(&self, len: u32) -> bool {
        let end = self
            .blocks
            .iter()
            .try_fold(0, |end, (&offset, data)| (offset == end).then_some(end + data.len() as u32));
        end == Some(len)
    }

    fn insert(&mut self, offset: u32, data: Bytes) -> u64 {
        let (new, old) = (data.len() as u64, self.blocks.insert(offset, data));
        self.len += new;
        let old = old.map_or(0, |old| old.len() as u64);
        self.len -= old;
        old
    }
}

/// The blocks of all incomplete pieces.
#[derive(Debug, Default)]
pub(super) struct Unwritten {
    pieces: BTreeMap<PieceIndex, Blocks>,
    len: u64,
}

impl Unwritten {
    /// Adds a block. If that is too much, returns the fullest piece, which must be written now.
    pub(super) fn insert(&mut self, block: Block, data: Bytes) -> Option<PieceIndex> {
        self.len += data.len() as u64;
        self.len -= self.pieces.entry(block.piece()).or_default().insert(block.offset(), data);
        if self.len <= LIMIT {
            return None;
        }
        self.pieces.iter().max_by_key(|(_, blocks)| blocks.len).map(|(&piece, _)| piece)
    }

    /// Removes a piece's blocks.
    pub(super) fn take(&mut self, piece: PieceIndex) -> Option<Blocks> {
        let blocks = self.pieces.remove(&piece)?;
        self.len -= blocks.len;
        Some(blocks)
    }

    /// Puts back what could not be written; blocks that have arrived since are newer and stay.
    pub(super) fn put_back(&mut self, piece: PieceIndex, blocks: Blocks) {
        let place = self.pieces.entry(piece).or_default();
        for (offset, data) in blocks.blocks {
            if !place.blocks.contains_key(&offset) {
                self.len += data.len() as u64;
                place.insert(offset, data);
            }
        }
    }

    /// The content of `block` if it waits here.
    pub(super) fn find(&self, block: Block) -> Option<Bytes> {
        let data = self.pieces.get(&block.piece())?.blocks.get(&block.offset())?;
        data.get(..block.len() as usize)?;
        Some(data.slice(..block.len() as usize))
    }
}

#[cfg(test)]
mod tests {
    use proto::piece::Geometry;

    use super::*;

    #[test]
    fn a_piece_is_covered_once_its_last_block_is_in() {
        let geometry = Geometry::new(40_000, 40_000).expect("valid");
        let piece = geometry.piece(0).expect("one piece");
        let mut unwritten = Unwritten::default();
        for block in geometry.blocks(piece).collect::<Vec<_>>().into_iter().rev() {
            assert!(!unwritten.pieces.get(&piece).is_some_and(|blocks| blocks.cover(40_000)));
            assert!(unwritten.insert(block, vec![1; block.len() as usize].into()).is_none());
            assert!(unwritten.insert(block, vec![2; block.len() as usize].into()).is_none());
        }
        assert_eq!(unwritten.len, 40_000);
        let blocks = unwritten.take(piece).expect("it is there");
        assert!(blocks.cover(40_000) && blocks.iter().all(|(_, data)| data.iter().all(|&byte| byte == 2)));
        assert_eq!(unwritten.len, 0);
    }

    #[test]
    fn too_much_pushes_the_fullest_piece_out() {
        let geometry = Geometry::new(3 << 28, 1 << 28).expect("valid");
        let [first, second] = [0, 1].map(|index| geometry.piece(index).expect("in range"));
        let data = Bytes::from(vec![0; 16 * 1024]);
        let mut unwritten = Unwritten::default();
        let block = geometry.block(second, 0).expect("in range");
        assert!(unwritten.insert(block, data.clone()).is_none());
        let out = geometry.blocks(first).find_map(|block| unwritten.insert(block, data.clone()));
        let piece = out.expect("it must be too much at some time");
        let blocks = unwritten.take(piece).expect("it is there");
        assert_eq!((piece, unwritten.len), (first, 16 * 1024));
        unwritten.put_back(piece, blocks);
        assert_eq!(unwritten.len, LIMIT + 16 * 1024);
    }
}
