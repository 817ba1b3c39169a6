//! A set of pieces, in the wire's own layout: piece 0 is the high bit of byte 0 (BEP 3).

use bytes::Bytes;
use thiserror::Error;

use crate::piece::PieceIndex;

/// A bitfield whose bytes do not fit the torrent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BitfieldError {
    /// The byte count is wrong.
    #[error("a bitfield of {got} bytes, where {want} are due")]
    Length {
        /// Bytes received.
        got: usize,
        /// Bytes due.
        want: usize,
    },
    /// A bit past the last piece is set.
    #[error("a bitfield with spare bits set")]
    SpareBits,
}

/// Which pieces somebody has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bitfield {
    bytes: Vec<u8>,
    pieces: u32,
    count: u32,
}

impl Bitfield {
    /// No piece of `pieces`.
    pub fn empty(pieces: u32) -> Self {
        Self { bytes: vec![0; pieces.div_ceil(8) as usize], pieces, count: 0 }
    }

    /// All of `pieces`.
    pub fn full(pieces: u32) -> Self {
        let mut bytes = vec![0xff; pieces.div_ceil(8) as usize];
        if let (Some(last), spare @ 1..) = (bytes.last_mut(), pieces.next_multiple_of(8) - pieces) {
            *last <<= spare;
        }
        Self { bytes, pieces, count: pieces }
    }

    /// Checks a bitfield message: exact length, spare bits zero.
    pub fn from_wire(bytes: &[u8], pieces: u32) -> Result<Self, BitfieldError> {
        let want = pieces.div_ceil(8) as usize;
        if bytes.len() != want {
            return Err(BitfieldError::Length { got: bytes.len(), want });
        }
        let spare = pieces.next_multiple_of(8) - pieces;
        if bytes.last().is_some_and(|last| last.trailing_zeros() < spare) {
            return Err(BitfieldError::SpareBits);
        }
        let count = bytes.iter().map(|byte| byte.count_ones()).sum();
        Ok(Self { bytes: bytes.to_vec(), pieces, count })
    }

    /// The bytes of a bitfield message.
    pub fn to_wire(&self) -> Bytes {
        Bytes::copy_from_slice(&self.bytes)
    }

    /// Pieces of the torrent, set or not.
    pub const fn pieces(&self) -> u32 {
        self.pieces
    }

    /// Pieces that are set.
    pub const fn count(&self) -> u32 {
        self.count
    }

    /// No piece is set.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Every piece is set.
    pub const fn is_full(&self) -> bool {
        self.count == self.pieces
    }

    /// Is `piece` set?
    pub fn has(&self, piece: PieceIndex) -> bool {
        let index = piece.as_usize();
        self.bytes.get(index / 8).is_some_and(|byte| byte & (0x80 >> (index % 8)) != 0)
    }

    /// Sets `piece`; true if it was not set before.
    pub fn set(&mut self, piece: PieceIndex) -> bool {
        let index = piece.as_usize();
        let bit = 0x80 >> (index % 8);
        match self.bytes.get_mut(index / 8) {
            Some(byte) if *byte & bit == 0 && piece.get() < self.pieces => {
                *byte |= bit;
                self.count += 1;
                true
            }
            Some(_) | None => false,
        }
    }

    /// Clears `piece`; true if it was set before.
    pub fn clear(&mut self, piece: PieceIndex) -> bool {
        let index = piece.as_usize();
        let bit = 0x80 >> (index % 8);
        match self.bytes.get_mut(index / 8) {
            Some(byte) if *byte & bit != 0 => {
                *byte &= !bit;
                self.count -= 1;
                true
            }
            Some(_) | None => false,
        }
    }

    /// The pieces that both have.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        let bytes: Vec<u8> =
            self.bytes.iter().zip(&other.bytes).map(|(mine, theirs)| mine & theirs).collect();
        let count = bytes.iter().map(|byte| byte.count_ones()).sum();
        Self { bytes, pieces: self.pieces, count }
    }

    /// Does `self` hold a piece that `other` lacks?
    pub fn has_any_missing_from(&self, other: &Self) -> bool {
        self.bytes.iter().zip(&other.bytes).any(|(mine, theirs)| mine & !theirs != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::piece::Geometry;

    fn piece(index: u32) -> PieceIndex {
        Geometry::new(12, 1).expect("valid").piece(index).expect("in range")
    }

    #[test]
    fn piece_zero_is_the_high_bit() {
        let mut field = Bitfield::empty(12);
        assert!(field.set(piece(0)) && field.set(piece(11)) && !field.set(piece(0)));
        assert_eq!(&field.to_wire()[..], [0x80, 0x10]);
        assert_eq!(field.count(), 2);
        assert!(field.clear(piece(11)) && !field.has(piece(11)));
    }

    #[test]
    fn full_has_no_spare_bits() {
        let full = Bitfield::full(12);
        assert_eq!(&full.to_wire()[..], [0xff, 0xf0]);
        assert!(full.is_full());
        assert_eq!(Bitfield::full(16).to_wire().len(), 2);
    }

    #[test]
    fn hostile_bitfields_are_named() {
        assert_eq!(Bitfield::from_wire(&[0], 12), Err(BitfieldError::Length { got: 1, want: 2 }));
        assert_eq!(Bitfield::from_wire(&[0, 0x08], 12), Err(BitfieldError::SpareBits));
        assert_eq!(Bitfield::from_wire(&[0xff, 0xf0], 12), Ok(Bitfield::full(12)));
    }

    #[test]
    fn interest_is_exact() {
        let mut mine = Bitfield::empty(12);
        let mut theirs = Bitfield::empty(12);
        theirs.set(piece(5));
        assert!(theirs.has_any_missing_from(&mine));
        mine.set(piece(5));
        assert_eq!(mine.intersection(&theirs), theirs);
        assert!(!theirs.has_any_missing_from(&mine));
    }
}
