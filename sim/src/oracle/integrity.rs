//! Integrity: what a peer calls complete is byte-identical to the source, and it is what the peer wants: no piece
//! less, and no piece more.

use super::{Oracle, Violation};
use crate::record::Record;

pub(super) fn check(record: &Record) -> Vec<Violation> {
    let pieces = record.piece_count();
    let peers = record.plan.peers.iter().zip(&record.peers).filter(|(_, peer)| peer.completed.is_some());
    let broken = peers.filter_map(|(plan, peer)| {
        let wanted = plan.select.map_or(pieces, |files| record.plan.torrent.pieces_of(files));
        let name = &plan.name;
        let message = match peer.identical {
            got if got < wanted => {
                let wrong = wanted - got;
                format!("{name} says that it is complete, but {wrong} of its {wanted} pieces differ from the source")
            }
            got if got > wanted => format!("{name} wants {wanted} pieces and has fetched {got}"),
            _ => return None,
        };
        Some(Violation { oracle: Oracle::Integrity, message })
    });
    broken.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::tests::good;

    #[test]
    fn a_complete_peer_with_a_wrong_piece_is_caught() {
        let mut record = good();
        assert_eq!(check(&record), []);
        record.peers[1].identical = 1;
        let message = "leecher-1 says that it is complete, but 1 of its 2 pieces differ from the source";
        assert_eq!(check(&record), [Violation { oracle: Oracle::Integrity, message: message.to_owned() }]);
        record.plan.peers[1].select = Some((0, 0));
        record.plan.torrent.files = 2;
        assert_eq!(check(&record), [], "one of two files has one of two pieces");
        record.peers[1].identical = 2;
        assert_eq!(check(&record)[0].message, "leecher-1 wants 1 pieces and has fetched 2");
        record.peers[1].completed = None;
        assert_eq!(check(&record), [], "an incomplete peer promises nothing");
    }
}
