//! Liveness: whoever can complete, does so within the scenario's time limit.
//!
//! *Can* is computed: as long as somebody who is present, or will come back, holds a piece, it is there to
//! be had. A piece that is not is extinct, and whoever lacks it is excused.

use std::fmt;
use std::time::Duration;

use super::{Oracle, Violation};
use crate::record::{PeerRecord, Record};

/// A piece that nobody will ever hold again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Extinct {
    piece: usize,
    /// When its last holder went, who that was, and how.
    last: Option<(Duration, String, String)>,
}

impl fmt::Display for Extinct {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.last {
            None => write!(f, "piece {} was never there", self.piece),
            Some((at, who, how)) => {
                let (piece, at) = (self.piece, at.as_secs_f64());
                write!(f, "piece {piece} extinct at {at:.1} s: its last holder {who} {how}")
            }
        }
    }
}

/// When `peer` came to hold `piece`, if it ever did.
fn held_from(peer: &PeerRecord, piece: usize) -> Option<Duration> {
    peer.pieces.get(piece).copied().flatten()
}

/// The pieces that nobody holds any more.
pub(super) fn extinct(record: &Record) -> Vec<Extinct> {
    let peers = || record.plan.peers.iter().zip(&record.peers);
    let all = (0..record.piece_count() as usize).filter_map(|piece| {
        let holders = || peers().filter(move |(_, peer)| held_from(peer, piece).is_some());
        if holders().any(|(_, peer)| peer.gone.is_none()) {
            return None;
        }
        let goings = holders().filter_map(|(plan, peer)| peer.gone.as_ref().map(|gone| (plan, gone)));
        let last = goings.max_by_key(|(_, gone)| gone.at);
        Some(Extinct { piece, last: last.map(|(plan, gone)| (gone.at, plan.name.clone(), gone.how.clone())) })
    });
    all.collect()
}

/// Does everybody who is still at it lack a piece that is extinct?
pub(super) fn nobody_can_complete(record: &Record) -> bool {
    let extinct = extinct(record);
    let lacks = |peer: &PeerRecord| extinct.iter().any(|extinct| held_from(peer, extinct.piece).is_none());
    let mut open = record.leechers().filter(|(_, peer)| peer.completed.is_none() && peer.gone.is_none());
    open.all(|(_, peer)| lacks(peer))
}

pub(super) fn check(record: &Record) -> Vec<Violation> {
    let extinct = extinct(record);
    let pieces = record.piece_count();
    let mut violations = Vec::new();
    for (plan, peer) in record.leechers() {
        if peer.completed.is_some() || peer.gone.is_some() {
            continue;
        }
        let excused = extinct.iter().any(|extinct| held_from(peer, extinct.piece).is_none());
        let held = peer.pieces.iter().flatten().count();
        let message = match &peer.failure {
            Some(failure) => format!("{} failed: {failure}", plan.name),
            None if excused => continue,
            None => {
                let end = record.end.as_secs_f64();
                format!(
                    "{} could have completed, and holds {held} of {pieces} pieces after {end:.1} s",
                    plan.name
                )
            }
        };
        violations.push(Violation { oracle: Oracle::Liveness, message });
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Departed;
    use crate::record::tests::good;

    fn stuck() -> Record {
        let mut record = good();
        record.peers[2].completed = None;
        record.peers[2].pieces[1] = None;
        record
    }

    #[test]
    fn who_could_have_completed_and_did_not_is_named() {
        assert_eq!(check(&good()), []);
        let violations = check(&stuck());
        assert_eq!(violations.len(), 1);
        let message = "leecher-2 could have completed, and holds 1 of 2 pieces after 13.0 s";
        assert_eq!(violations[0].message, message);
    }

    #[test]
    fn an_extinct_piece_excuses_and_its_last_holder_is_named() {
        let mut record = stuck();
        let gone = |at| Some(Departed { at: Duration::from_secs(at), how: "left".to_owned() });
        record.peers[0].gone = gone(11);
        assert_eq!(extinct(&record), [], "leecher-1 still has it");
        record.peers[1].gone = gone(12);
        let extinct: Vec<_> = extinct(&record).iter().map(ToString::to_string).collect();
        assert!(nobody_can_complete(&record) && !nobody_can_complete(&stuck()));
        assert_eq!(extinct, ["piece 1 extinct at 12.0 s: its last holder leecher-1 left"]);
        assert_eq!(check(&record), []);
    }

    #[test]
    fn a_failed_engine_has_no_excuse() {
        let mut record = stuck();
        record.peers[2].failure = Some("disk full".to_owned());
        assert_eq!(check(&record)[0].to_string(), "liveness: leecher-2 failed: disk full");
    }
}
