//! Read-ahead: whoever uploads reads whole spans and serves many requests from one.
//!
//! Spans lie within pieces, and only verified pieces are read, so a span never goes stale.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use proto::piece::{Block, Geometry, PieceIndex};
use tokio::sync::OnceCell;

/// The length of a span, in bytes: sixteen requests of a peer that downloads in order.
pub(super) const SPAN_LEN: u32 = 256 * 1024;

/// Spans held at a time: 16 MiB, one for each of the peers that a full house of upload slots may have.
const SPANS: usize = 64;

/// Where a span lies: its piece and its number within it.
type Place = (PieceIndex, u32);

/// A span, perhaps still being read; many readers wait for one read.
pub(super) type Span = Arc<OnceCell<Bytes>>;

/// The spans read most recently.
#[derive(Debug, Default)]
pub(super) struct ReadAhead {
    spans: BTreeMap<Place, (u64, Span)>,
    uses: u64,
}

/// A block's place in its span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Within {
    /// First byte of the span in its piece.
    pub start: u32,
    /// Bytes of the span.
    pub len: u32,
    /// The block's first byte in the span.
    pub offset: u32,
}

/// The span that holds all of `block`, if one does.
pub(super) fn span_of(geometry: &Geometry, block: Block) -> Option<Within> {
    let start = block.offset() / SPAN_LEN * SPAN_LEN;
    let len = (geometry.len_of(block.piece()) - start).min(SPAN_LEN);
    let offset = block.offset() - start;
    (offset + block.len() <= len).then_some(Within { start, len, offset })
}

impl ReadAhead {
    /// The span at `start` of `piece`; the oldest one makes room.
    pub(super) fn span(&mut self, piece: PieceIndex, start: u32) -> Span {
        self.uses += 1;
        let place = (piece, start);
        if let Some((used, span)) = self.spans.get_mut(&place) {
            *used = self.uses;
            return Arc::clone(span);
        }
        if self.spans.len() >= SPANS
            && let Some((&oldest, _)) = self.spans.iter().min_by_key(|(_, (used, _))| *used)
        {
            self.spans.remove(&oldest);
        }
        let (_, span) = self.spans.entry(place).or_insert((self.uses, Span::default()));
        Arc::clone(span)
    }

    /// Forgets a piece that is being written.
    pub(super) fn forget(&mut self, piece: PieceIndex) {
        self.spans.retain(|(known, _), _| *known != piece);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_end_with_their_piece() {
        let geometry = Geometry::new(700_000, 300_000).expect("valid");
        let block = |piece, offset, len| geometry.locate(piece, offset, len).expect("in range");
        let within = |start, len, offset| Some(Within { start, len, offset });
        assert_eq!(span_of(&geometry, block(0, 16_384, 16_384)), within(0, SPAN_LEN, 16_384));
        assert_eq!(span_of(&geometry, block(0, SPAN_LEN, 100)), within(SPAN_LEN, 300_000 - SPAN_LEN, 0));
        assert_eq!(span_of(&geometry, block(2, 0, 16_384)), within(0, 100_000, 0));
        assert_eq!(span_of(&geometry, block(0, SPAN_LEN - 1, 2)), None);
    }

    #[test]
    fn the_oldest_span_makes_room() {
        let geometry = Geometry::new(1 << 30, 1 << 20).expect("valid");
        let piece = |index| geometry.piece(index).expect("in range");
        let mut read_ahead = ReadAhead::default();
        let first = read_ahead.span(piece(0), 0);
        first.set(Bytes::from_static(b"read")).expect("unset");
        for index in 1..SPANS as u32 {
            read_ahead.span(piece(index), 0);
        }
        assert!(read_ahead.span(piece(0), 0).get().is_some());
        read_ahead.span(piece(200), 0);
        assert!(read_ahead.span(piece(0), 0).get().is_some());
        assert_eq!(read_ahead.spans.len(), SPANS);
        read_ahead.forget(piece(0));
        assert!(read_ahead.span(piece(0), 0).get().is_none());
    }
}
