//! All piece and block arithmetic, once (BEP 3).
//!
//! A [`PieceIndex`] and a [`Block`] come only from a torrent's [`Geometry`], so holding one proves that it
//! is in range.

use thiserror::Error;

/// The unit of transfer: every request of ours is this long, save the last of a piece. 16 KiB.
pub const BLOCK_LEN: u32 = 16 * 1024;

/// Pieces of one torrent at the most: a 512 KiB bitfield.
pub const MAX_PIECES: u32 = 1 << 22;

/// The longest piece we handle, in bytes: 256 MiB.
pub const MAX_PIECE_LEN: u32 = 256 << 20;

/// The number of a piece that exists in its torrent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PieceIndex(u32);

impl PieceIndex {
    /// As it stands on the wire.
    pub const fn get(self) -> u32 {
        self.0
    }

    /// As an index into a table with one row a piece.
    pub const fn as_usize(self) -> usize {
        self.0 as usize
    }
}

/// A run of bytes inside one piece, at most [`BLOCK_LEN`] long and in range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Block {
    piece: PieceIndex,
    offset: u32,
    len: u32,
}

impl Block {
    /// The piece it lies in.
    pub const fn piece(self) -> PieceIndex {
        self.piece
    }

    /// Bytes from the start of the piece.
    pub const fn offset(self) -> u32 {
        self.offset
    }

    /// Length in bytes, 1 to [`BLOCK_LEN`].
    pub const fn len(self) -> u32 {
        self.len
    }

    /// Never: a block has at least one byte. Here for the convention that `len` has an `is_empty`.
    pub const fn is_empty(self) -> bool {
        self.len == 0
    }

    /// Its number inside the piece, if it lies on the 16 KiB grid.
    pub const fn number(self) -> u32 {
        self.offset / BLOCK_LEN
    }
}

/// A block that the wire named and the torrent does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum OutOfRange {
    /// The piece index is past the last piece.
    #[error("piece {piece} of {count}")]
    Piece {
        /// The index asked for.
        piece: u32,
        /// Pieces in the torrent.
        count: u32,
    },
    /// Offset and length leave the piece.
    #[error("bytes {offset}+{len} of piece {piece}, which has {piece_len} bytes")]
    Bytes {
        /// The piece index.
        piece: u32,
        /// First byte asked for.
        offset: u32,
        /// Bytes asked for.
        len: u32,
        /// Bytes the piece has.
        piece_len: u32,
    },
    /// Zero bytes, or more than [`BLOCK_LEN`].
    #[error("a block of {len} bytes (1 to {BLOCK_LEN} are allowed)")]
    Length {
        /// Bytes asked for.
        len: u32,
    },
}

/// Lengths that make no torrent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum GeometryError {
    /// No content.
    #[error("the torrent has no content")]
    Empty,
    /// The piece length is zero or above [`MAX_PIECE_LEN`].
    #[error("piece length {0} is not within 1 to {MAX_PIECE_LEN}")]
    PieceLength(u64),
    /// More than [`MAX_PIECES`] pieces.
    #[error("{0} pieces are more than the limit of {MAX_PIECES}")]
    TooManyPieces(u64),
}

/// The shape of a torrent's content: its length and how it is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    len: u64,
    piece_len: u32,
    pieces: u32,
}

impl Geometry {
    /// Content of `len` bytes in pieces of `piece_len` bytes, the last one shorter if need be.
    pub fn new(len: u64, piece_len: u64) -> Result<Self, GeometryError> {
        if len == 0 {
            return Err(GeometryError::Empty);
        }
        let short = u32::try_from(piece_len).ok().filter(|n| (1..=MAX_PIECE_LEN).contains(n));
        let piece_len = short.ok_or(GeometryError::PieceLength(piece_len))?;
        let pieces = len.div_ceil(u64::from(piece_len));
        if pieces > u64::from(MAX_PIECES) {
            return Err(GeometryError::TooManyPieces(pieces));
        }
        Ok(Self { len, piece_len, pieces: pieces as u32 })
    }

    /// Bytes of content. Never zero, so there is no `is_empty`.
    #[allow(clippy::len_without_is_empty)]
    pub const fn len(&self) -> u64 {
        self.len
    }

    /// Bytes of every piece but perhaps the last.
    pub const fn piece_len(&self) -> u32 {
        self.piece_len
    }

    /// Number of pieces, at least one.
    pub const fn pieces(&self) -> u32 {
        self.pieces
    }

    /// The piece numbered `index`, if there is one.
    pub fn piece(&self, index: u32) -> Option<PieceIndex> {
        (index < self.pieces).then_some(PieceIndex(index))
    }

    /// All pieces in order.
    pub fn all_pieces(&self) -> impl DoubleEndedIterator<Item = PieceIndex> + use<> {
        (0..self.pieces).map(PieceIndex)
    }

    /// Bytes of `piece`.
    pub fn len_of(&self, piece: PieceIndex) -> u32 {
        let start = self.start_of(piece);
        (self.len - start).min(u64::from(self.piece_len)) as u32
    }

    /// First byte of `piece` in the content.
    pub fn start_of(&self, piece: PieceIndex) -> u64 {
        u64::from(piece.0) * u64::from(self.piece_len)
    }

    /// Number of 16 KiB blocks of `piece`.
    pub fn blocks_of(&self, piece: PieceIndex) -> u32 {
        self.len_of(piece).div_ceil(BLOCK_LEN)
    }

    /// Block `number` of `piece` on the 16 KiB grid, if there is one.
    pub fn block(&self, piece: PieceIndex, number: u32) -> Option<Block> {
        let offset = number.checked_mul(BLOCK_LEN)?;
        let len = self.len_of(piece).checked_sub(offset).filter(|&rest| rest > 0)?.min(BLOCK_LEN);
        Some(Block { piece, offset, len })
    }

    /// The blocks of `piece` in order.
    pub fn blocks(self, piece: PieceIndex) -> impl Iterator<Item = Block> {
        (0..self.blocks_of(piece)).filter_map(move |number| self.block(piece, number))
    }

    /// Checks a block that came over the wire; it need not lie on the grid.
    pub fn locate(&self, index: u32, offset: u32, len: u32) -> Result<Block, OutOfRange> {
        let piece = self.piece(index).ok_or(OutOfRange::Piece { piece: index, count: self.pieces })?;
        if !(1..=BLOCK_LEN).contains(&len) {
            return Err(OutOfRange::Length { len });
        }
        let piece_len = self.len_of(piece);
        if offset.checked_add(len).is_none_or(|end| end > piece_len) {
            return Err(OutOfRange::Bytes { piece: index, offset, len, piece_len });
        }
        Ok(Block { piece, offset, len })
    }

    /// First byte of `block` in the content.
    pub fn start_of_block(&self, block: Block) -> u64 {
        self.start_of(block.piece) + u64::from(block.offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_piece_and_block_are_short() {
        let geometry = Geometry::new(100_000, 65_536).expect("valid");
        let last = geometry.piece(1).expect("two pieces");
        assert_eq!((geometry.pieces(), geometry.len_of(last), geometry.blocks_of(last)), (2, 34_464, 3));
        let lens: Vec<u32> = geometry.blocks(last).map(Block::len).collect();
        assert_eq!(lens, [16_384, 16_384, 1_696]);
        assert_eq!(geometry.block(last, 3), None);
    }

    #[test]
    fn hostile_ranges_are_named() {
        let geometry = Geometry::new(100_000, 65_536).expect("valid");
        assert_eq!(geometry.locate(2, 0, 1), Err(OutOfRange::Piece { piece: 2, count: 2 }));
        assert_eq!(geometry.locate(0, 0, 16_385), Err(OutOfRange::Length { len: 16_385 }));
        assert_eq!(geometry.locate(0, 0, 0), Err(OutOfRange::Length { len: 0 }));
        assert!(matches!(geometry.locate(1, u32::MAX, 16_384), Err(OutOfRange::Bytes { .. })));
        assert!(geometry.locate(1, 34_463, 1).is_ok());
    }

    #[test]
    fn impossible_geometries_are_refused() {
        assert_eq!(Geometry::new(0, 1), Err(GeometryError::Empty));
        assert_eq!(Geometry::new(1, 0), Err(GeometryError::PieceLength(0)));
        assert!(matches!(Geometry::new(u64::MAX, 1), Err(GeometryError::TooManyPieces(_))));
    }
}
