//! What of a record is believed when a torrent starts.
//!
//! First the evidence: a piece is believed only if every file that it touches is as long and as old as the
//! record says. Whatever touches another file is hashed, claimed or not, for after a crash such a file holds
//! pieces that no record knows yet. Then a sample: of what is believed a few random pieces are hashed, and one
//! that is wrong discredits the whole record.

use crate::bitfield::Bitfield;
use crate::metainfo::Metainfo;
use crate::piece::PieceIndex;
use crate::resume::{Record, Stamp};
use crate::seed::Seed;

/// Believed pieces that are hashed all the same. If a fifth of them were wrong, this many would show it in 97
/// of 100 starts; a disk that forgot or a copy that broke off spoils more than that.
pub const SAMPLE: usize = 16;

/// What a start goes by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trust {
    /// Pieces that are there, unless the sample says otherwise.
    pub believed: Bitfield,
    /// Those of them to hash, in order; all must be right.
    pub sample: Vec<PieceIndex>,
    /// Pieces that must be hashed to know.
    pub doubtful: Vec<PieceIndex>,
}

impl Trust {
    /// Without a record, every piece has to be hashed.
    pub fn none(metainfo: &Metainfo) -> Self {
        let geometry = metainfo.geometry();
        let (believed, doubtful) = (Bitfield::empty(geometry.pieces()), geometry.all_pieces().collect());
        Self { believed, sample: Vec::new(), doubtful }
    }

    /// Weighs `record` against the files as they were `found`, and draws `sample` pieces.
    pub fn in_record(
        record: &Record,
        found: &[Option<Stamp>],
        metainfo: &Metainfo,
        sample: usize,
        seed: Seed,
    ) -> Self {
        let geometry = metainfo.geometry();
        let changed: Vec<_> = metainfo
            .files()
            .iter()
            .enumerate()
            .map(|(index, _)| {
                record.files.get(index).copied().flatten() != found.get(index).copied().flatten()
            })
            .collect();
        let is = |flags: &[bool], index| flags.get(index).copied().unwrap_or(true);
        let absent: Vec<_> = found.iter().map(Option::is_none).collect();
        let mut believed = Bitfield::empty(geometry.pieces());
        let (mut candidates, mut doubtful) = (Vec::new(), Vec::new());
        for piece in geometry.all_pieces() {
            let claimed = record.claimed.has(piece);
            let doubt = record.unchecked.has(piece)
                || metainfo
                    .spans(geometry.start_of(piece), geometry.len_of(piece).into())
                    .any(|span| is(&changed, span.file) || claimed && is(&absent, span.file));
            if doubt {
                doubtful.push(piece);
            } else if claimed {
                believed.set(piece);
                candidates.push(piece);
            }
        }
        let mut random = seed.rng();
        let mut drawn: Vec<_> = (0..sample.min(candidates.len()))
            .map(|_| candidates.swap_remove(random.index(candidates.len())))
            .collect();
        drawn.sort_unstable();
        Self { believed, sample: drawn, doubtful }
    }
}
