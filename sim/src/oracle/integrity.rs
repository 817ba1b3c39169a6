//! Integrity: what a peer calls complete is byte-identical to the source.

use super::{Oracle, Violation};
use crate::record::Record;

pub(super) fn check(record: &Record) -> Vec<Violation> {
    let pieces = record.piece_count();
    let peers = record.plan.peers.iter().zip(&record.peers);
    let wrong = peers.filter(|(_, peer)| peer.completed.is_some() && peer.identical != pieces);
    wrong
        .map(|(plan, peer)| Violation {
            oracle: Oracle::Integrity,
            message: format!(
                "{} says that it is complete, but {} of its {pieces} pieces differ from the source",
                plan.name,
                pieces.saturating_sub(peer.identical)
            ),
        })
        .collect()
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
        record.peers[1].completed = None;
        assert_eq!(check(&record), [], "an incomplete peer promises nothing");
    }
}
