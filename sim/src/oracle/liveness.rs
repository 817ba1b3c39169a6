//! Liveness: whoever can complete, does so within the scenario's time limit.
//!
//! *Can* is computed: as long as somebody who is present, or will come back, holds a piece, it is there to
//! be had. A piece that is not is extinct, and whoever lacks it is excused; so is whoever can only reach it
//! through a peer of both families when there is none.

use std::fmt;
use std::time::Duration;

use super::{Oracle, Violation};
use crate::record::{PeerRecord, Record};
use crate::scenario::{Families, PeerPlan};

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

/// For each piece, whether it is out of reach of those who speak `families`: nobody who is there holds it, or
/// only those of the other family do and nobody is there who speaks both.
fn out_of_reach(record: &Record, families: Families) -> Vec<bool> {
    let there = || record.plan.peers.iter().zip(&record.peers).filter(|(_, peer)| peer.gone.is_none());
    let is_joined = there().any(|(plan, _)| plan.family == Families::Dual);
    let holders = there().filter(|(plan, _)| is_joined || plan.family.meets(families));
    let holders: Vec<_> = holders.map(|(_, peer)| peer).collect();
    let held = |piece| holders.iter().any(|peer| held_from(peer, piece).is_some());
    (0..record.piece_count() as usize).map(|piece| !held(piece)).collect()
}

/// The same for each kind of peer.
struct Reach([(Families, Vec<bool>); 3]);

impl Reach {
    fn of(record: &Record) -> Self {
        Self(Families::ALL.map(|families| (families, out_of_reach(record, families))))
    }

    /// Does this peer lack a piece that it cannot get?
    fn is_excused(&self, plan: &PeerPlan, peer: &PeerRecord) -> bool {
        let own = self.0.iter().find(|(families, _)| *families == plan.family);
        let lacks = |(piece, gone): (usize, &bool)| *gone && held_from(peer, piece).is_none();
        own.is_some_and(|(_, pieces)| pieces.iter().enumerate().any(lacks))
    }
}

/// Those who are on an island, for a person.
pub(super) fn islands(record: &Record) -> Vec<String> {
    let extinct = extinct(record).len();
    let mut lines = Vec::new();
    for (families, pieces) in Reach::of(record).0 {
        let out = pieces.iter().filter(|out| **out).count();
        let anybody = record.leechers().any(|(plan, peer)| plan.family == families && peer.gone.is_none());
        if anybody && out > extinct {
            lines.push(format!(
                "{out} pieces are out of reach of {families} peers: nobody joins the families"
            ));
        }
    }
    lines
}

/// Does everybody who is still at it lack a piece that is out of reach?
pub(super) fn nobody_can_complete(record: &Record) -> bool {
    let reach = Reach::of(record);
    let mut open = record.leechers().filter(|(_, peer)| peer.completed.is_none() && peer.gone.is_none());
    open.all(|(plan, peer)| reach.is_excused(plan, peer))
}

pub(super) fn check(record: &Record) -> Vec<Violation> {
    let reach = Reach::of(record);
    let pieces = record.piece_count();
    let mut violations = Vec::new();
    for (plan, peer) in record.leechers() {
        if peer.completed.is_some() || peer.gone.is_some() {
            continue;
        }
        let excused = reach.is_excused(plan, peer);
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
    fn who_is_cut_off_from_the_other_family_is_excused_until_somebody_joins_them() {
        let mut record = good();
        record.plan.peers[1].family = Families::V6;
        record.peers[1].completed = None;
        record.peers[1].pieces = vec![None; 2];
        assert_eq!(check(&record), []);
        assert!(nobody_can_complete(&record));
        let message = "2 pieces are out of reach of ipv6 peers: nobody joins the families";
        assert_eq!(islands(&record), [message]);
        record.plan.peers[2].family = Families::Dual;
        assert_eq!((check(&record).len(), islands(&record).len()), (1, 0));
    }

    #[test]
    fn a_failed_engine_has_no_excuse() {
        let mut record = stuck();
        record.peers[2].failure = Some("disk full".to_owned());
        assert_eq!(check(&record)[0].to_string(), "liveness: leecher-2 failed: disk full");
    }
}
