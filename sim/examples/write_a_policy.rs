//! A picker of one's own against the default, over several seeds: the code of `engine/docs/write-a-policy.md`.
//!
//! `cargo run -p sim --example write_a_policy`

use std::error::Error;
use std::path::Path;

use proto::piece::PieceIndex;
use proto::seed::Random;
use proto::torrent::policy::{Named, NamedPicker, PickPieces, PieceView, Policies};
use sim::compare::Comparison;

/// The two ends first: many video players want the index at the end of the file before anything else.
#[derive(Debug)]
struct BothEnds;

impl PickPieces for BothEnds {
    fn pick(&mut self, pieces: &PieceView<'_>, _: &mut Random) -> Option<PieceIndex> {
        let geometry = pieces.geometry();
        let mut ends = [0, geometry.pieces() - 1].into_iter().filter_map(|index| geometry.piece(index));
        ends.find(|&piece| pieces.may_help(piece) || pieces.may_start(piece))
    }
}

pub(crate) const BOTH_ENDS: NamedPicker =
    Named { name: "both-ends", about: "the first and the last piece first", make: || Box::new(BothEnds) };

fn main() -> Result<(), Box<dyn Error>> {
    let policies = Policies::shipped().with_picker(BOTH_ENDS);
    let smaller = ["peers.leecher.count=10", "torrent.size=4 MiB"].map(str::to_owned);
    let change = ["torrent.picker=both-ends"].map(str::to_owned);
    let scenario = Path::new("scenarios/flash_crowd.toml");
    print!("{}", Comparison::run(scenario, (&smaller, &change), 1..6, &policies)?.table());
    Ok(())
}
