//! The pickers that are shipped.

use super::{Named, NamedPicker, PickPieces, PieceView};
use crate::piece::PieceIndex;
use crate::seed::Random;

/// The default: rarest first, after a few random pieces.
pub const RAREST_FIRST: NamedPicker = Named {
    name: "rarest-first",
    about: "what is started, then what the fewest peers have; the first pieces at random",
    make: || Box::new(RarestFirst),
};

/// In order, for whoever watches while it comes.
pub const SEQUENTIAL: NamedPicker = Named {
    name: "sequential",
    about: "in order within a small window, rarest first beyond it: for streaming",
    make: || Box::new(Sequential::default()),
};

/// A baseline for experiments.
pub const RANDOM_PIECES: NamedPicker = Named {
    name: "random",
    about: "what is started, then any piece: a baseline for experiments",
    make: || Box::new(RandomPieces),
};

//= Cohen 2003, 2.4.3, "random first piece": what is rare comes from few, and a newcomer soon needs something to give.
/// So many of the first pieces are drawn at random.
const RANDOM_FIRST: u32 = 4;

#[derive(Debug)]
struct RarestFirst;

impl PickPieces for RarestFirst {
    fn pick(&mut self, pieces: &PieceView<'_>, random: &mut Random) -> Option<PieceIndex> {
        let rarest = pieces.rarest(random);
        // What nobody else has may leave with this peer: it comes even before what is started.
        if rarest.is_some_and(|piece| pieces.copies(piece) == 1) {
            return rarest;
        }
        pieces.nearest_done().or(pieces.suggested()).or_else(|| match rarest {
            Some(_) if pieces.held() < RANDOM_FIRST => pieces.any(random),
            rarest => rarest,
        })
    }
}

/// How many pieces ahead of the first missing one are fetched in order: enough for a few peers side by side.
const WINDOW: u32 = 8;

#[derive(Debug, Default)]
struct Sequential {
    /// Every piece before this one is here or skipped.
    first: u32,
}

impl PickPieces for Sequential {
    fn pick(&mut self, pieces: &PieceView<'_>, random: &mut Random) -> Option<PieceIndex> {
        let geometry = pieces.geometry();
        let is_over = |piece| pieces.is_here(piece) || !pieces.is_wanted(piece);
        while geometry.piece(self.first).is_some_and(is_over) {
            self.first += 1;
        }
        let window =
            (self.first..self.first.saturating_add(WINDOW)).filter_map(|index| geometry.piece(index));
        let mut wanted = window.filter(|&piece| pieces.may_help(piece) || pieces.may_start(piece));
        wanted.next().or_else(|| RarestFirst.pick(pieces, random))
    }
}

#[derive(Debug)]
struct RandomPieces;

impl PickPieces for RandomPieces {
    fn pick(&mut self, pieces: &PieceView<'_>, random: &mut Random) -> Option<PieceIndex> {
        pieces.nearest_done().or_else(|| pieces.any(random))
    }
}
