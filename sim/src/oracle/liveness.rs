//! Liveness: whoever can complete, does so within the scenario's time limit.
//!
//! *Can* is computed: as long as somebody who is present, or will come back, holds a piece, it is there to
//! be had. A piece that is not is extinct, and whoever lacks it is excused; so is whoever could only reach it
//! through a peer of both families, or one that can be dialled, when there is none.

use std::fmt;
use std::time::Duration;

use super::{Oracle, Violation};
use crate::record::{PeerRecord, Record};
use crate::scenario::{Families, FaultKind, FaultPlan, PeerPlan, Role, Target};

/// How long whoever is told to leave may take for it.
const LEAVING: Duration = Duration::from_secs(10);

/// A piece that nobody will ever hold again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Extinct {
    piece: usize,
    /// When its last holder went, who that was, and how; and the fault's number, in the order of the expanded
    /// scenario, if it was one.
    last: Option<(Duration, String, String)>,
    fault: Option<usize>,
}

impl fmt::Display for Extinct {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.last {
            None => write!(f, "piece {} was never there", self.piece),
            Some((at, who, how)) => {
                let (piece, at) = (self.piece, at.as_secs_f64());
                write!(f, "piece {piece} extinct at {at:.1} s, last holder {who} {how}")?;
                self.fault.map_or(Ok(()), |number| write!(f, " (fault {number})"))
            }
        }
    }
}

/// When `peer` came to hold `piece`, if it ever did.
fn held_from(peer: &PeerRecord, piece: usize) -> Option<Duration> {
    peer.pieces.get(piece).copied().flatten()
}

/// The number of the fault that made the peer at `index` go for good at this time, counted from 1.
fn fault_of(record: &Record, index: usize, at: Duration) -> Option<usize> {
    let takes_away = |fault: &FaultPlan| {
        let for_good = matches!(
            fault.kind,
            FaultKind::Leave
                | FaultKind::Crash { back_after: None }
                | FaultKind::PowerCut { back_after: None }
        );
        for_good && fault.target == Target::Peer(index) && (fault.at..=fault.at + LEAVING).contains(&at)
    };
    record.plan.faults.iter().position(takes_away).map(|place| place + 1)
}

/// The pieces that nobody holds any more.
pub(super) fn extinct(record: &Record) -> Vec<Extinct> {
    let peers = || record.plan.peers.iter().zip(&record.peers).enumerate();
    let all = (0..record.piece_count() as usize).filter_map(|piece| {
        let holders = || peers().filter(move |(_, (_, peer))| held_from(peer, piece).is_some());
        if holders().any(|(_, (_, peer))| peer.gone.is_none()) {
            return None;
        }
        let goings = holders().filter_map(|(index, (plan, peer))| Some((index, plan, peer.gone.as_ref()?)));
        let last = goings.max_by_key(|(_, _, gone)| gone.at);
        let fault = last.and_then(|(index, _, gone)| fault_of(record, index, gone.at));
        let last = last.map(|(_, plan, gone)| (gone.at, plan.name.clone(), gone.how.clone()));
        Some(Extinct { piece, last, fault })
    });
    all.collect()
}

/// What decides whom a peer can connect with: the families that it speaks, and whether it can be dialled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Kind {
    families: Families,
    /// No NAT box stands before it, or its port is forwarded.
    open: bool,
}

impl Kind {
    fn all() -> impl Iterator<Item = Self> {
        Families::ALL.into_iter().flat_map(|families| [true, false].map(|open| Self { families, open }))
    }

    fn of(record: &Record, plan: &PeerPlan) -> Self {
        Self { families: plan.family, open: record.plan.is_open(plan) }
    }

    /// One of two peers must be there to be dialled.
    fn meets(self, other: Self) -> bool {
        self.families.meets(other.families) && (self.open || other.open)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} peers{}", self.families, if self.open { "" } else { " behind NAT" })
    }
}

/// The kinds that one of `kind` can get a piece from: whom it meets, whom they meet, and so on, as long as somebody
/// of each kind is there.
fn within_reach(record: &Record, kind: Kind) -> Vec<Kind> {
    let there: Vec<_> =
        Kind::all().filter(|kind| present(record).any(|(plan, _)| Kind::of(record, plan) == *kind)).collect();
    let mut reached: Vec<Kind> = there.iter().copied().filter(|other| kind.meets(*other)).collect();
    while let Some(next) =
        there.iter().find(|next| !reached.contains(next) && reached.iter().any(|by| by.meets(**next)))
    {
        reached.push(*next);
    }
    reached
}

/// Peers that have not gone for good.
fn present(record: &Record) -> impl Iterator<Item = (&PeerPlan, &PeerRecord)> {
    record.plan.peers.iter().zip(&record.peers).filter(|(_, peer)| peer.gone.is_none())
}

/// For each piece, whether it is out of reach of peers of this kind.
fn out_of_reach(record: &Record, kind: Kind) -> Vec<bool> {
    let reached = within_reach(record, kind);
    let holders = present(record).filter(|(plan, _)| reached.contains(&Kind::of(record, plan)));
    let holders: Vec<_> = holders.map(|(_, peer)| peer).collect();
    let held = |piece| holders.iter().any(|peer| held_from(peer, piece).is_some());
    (0..record.piece_count() as usize).map(|piece| !held(piece)).collect()
}

/// The same for each kind of peer.
struct Reach(Vec<(Kind, Vec<bool>)>);

impl Reach {
    fn of(record: &Record) -> Self {
        let asked =
            Kind::all().filter(|kind| record.leechers().any(|(plan, _)| Kind::of(record, plan) == *kind));
        Self(asked.map(|kind| (kind, out_of_reach(record, kind))).collect())
    }

    /// Does this peer lack a piece that it cannot get?
    fn is_excused(&self, kind: Kind, peer: &PeerRecord) -> bool {
        let own = self.0.iter().find(|(other, _)| *other == kind);
        let lacks = |(piece, gone): (usize, &bool)| *gone && held_from(peer, piece).is_none();
        own.is_some_and(|(_, pieces)| pieces.iter().enumerate().any(lacks))
    }
}

/// Those who are on an island, for a person.
pub(super) fn islands(record: &Record) -> Vec<String> {
    let extinct = extinct(record).len();
    let mut lines = Vec::new();
    for (kind, pieces) in Reach::of(record).0 {
        let out = pieces.iter().filter(|out| **out).count();
        let anybody =
            present(record).any(|(plan, _)| Kind::of(record, plan) == kind && plan.role == Role::Leecher);
        if anybody && out > extinct {
            lines.push(format!("{out} pieces are out of reach of {kind}: nobody joins them to the others"));
        }
    }
    lines
}

/// Does everybody who is still at it lack a piece that is out of reach?
pub(super) fn nobody_can_complete(record: &Record) -> bool {
    let reach = Reach::of(record);
    let mut open = record.leechers().filter(|(_, peer)| peer.completed.is_none() && peer.gone.is_none());
    open.all(|(plan, peer)| reach.is_excused(Kind::of(record, plan), peer))
}

pub(super) fn check(record: &Record) -> Vec<Violation> {
    let reach = Reach::of(record);
    let pieces = record.piece_count();
    let mut violations = Vec::new();
    for (plan, peer) in record.leechers() {
        if peer.completed.is_some() || peer.gone.is_some() {
            continue;
        }
        let excused = reach.is_excused(Kind::of(record, plan), peer);
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
        assert_eq!(extinct, ["piece 1 extinct at 12.0 s, last holder leecher-1 left"]);
        let leave = |at, peer| FaultPlan {
            at: Duration::from_secs(at),
            when: None,
            kind: FaultKind::Leave,
            target: Target::Peer(peer),
        };
        record.plan.faults = vec![leave(12, 0), leave(1, 1), leave(12, 1)];
        let extinct = super::extinct(&record)[0].to_string();
        assert_eq!(extinct, "piece 1 extinct at 12.0 s, last holder leecher-1 left (fault 3)");
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
        let message = "2 pieces are out of reach of ipv6 peers: nobody joins them to the others";
        assert_eq!(islands(&record), [message]);
        record.plan.peers[2].family = Families::Dual;
        assert_eq!((check(&record).len(), islands(&record).len()), (1, 0));
    }

    #[test]
    fn two_behind_nat_never_meet_without_somebody_who_can_be_dialled() {
        use crate::network::NatKind;
        use crate::scenario::{Nat, NatPlace};

        let mut record = good();
        let timeout = Duration::from_secs(120);
        let nat = Nat { kind: NatKind::FullCone, timeout, hairpin: false, forward: false, peers: 1 };
        record.plan.nats.insert("home".to_owned(), nat);
        for (number, peer) in record.plan.peers.iter_mut().enumerate() {
            peer.nat = Some(NatPlace { name: "home".to_owned(), number: number as u32, seat: 0 });
        }
        record.peers[1].completed = None;
        record.peers[1].pieces = vec![None; 2];
        assert!(nobody_can_complete(&record));
        let message = "2 pieces are out of reach of ipv4 peers behind NAT: nobody joins them to the others";
        assert_eq!(islands(&record), [message]);
        record.plan.peers[2].nat = None;
        assert_eq!((check(&record).len(), islands(&record).len()), (1, 0), "the third carries between them");
    }

    #[test]
    fn a_failed_engine_has_no_excuse() {
        let mut record = stuck();
        record.peers[2].failure = Some("disk full".to_owned());
        assert_eq!(check(&record)[0].to_string(), "liveness: leecher-2 failed: disk full");
    }
}
