//! Justice: no honest peer is refused by an honest one, unless bits had rotted on its disk, and whoever spoils pieces is
//! refused by those who can prove it.
//!
//! Whether they can is computed. A hostile peer keeps an account of the wrong blocks that it sends; a victim's
//! engine says which pieces fail and which verify. Once a piece that failed has verified, comparing the two versions
//! convicts. Now and then a wrong block is not the one that made the piece fail (it came second), so it takes a few
//! such pieces until not to refuse is a violation.

use std::net::IpAddr;
use std::time::Duration;

use serde::Serialize;

use super::{Oracle, Violation};
use crate::record::{PeerRecord, Record};
use crate::scenario::{DiskFault, FaultKind, PeerPlan, Target};

/// Pieces that failed and then verified, until there is no excuse any more.
const PROOFS: usize = 3;

/// A verdict may take so long: the proof has to be looked at.
const GRACE: Duration = Duration::from_secs(1);

/// What hostile peers did, and what came of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Figures {
    /// Hostile peers.
    pub hostile: usize,
    /// Pairs of a poisoner and an honest peer with a piece that failed after it had sent a wrong block of it.
    pub sufferers: usize,
    /// Those of them in which the poisoner was refused.
    pub refused: usize,
    /// Seconds from that failure to the refusal, or to the end without one: the longest.
    pub slowest: Option<f64>,
    /// Share of the content that half of the free riders have in the end, at most.
    pub loot: Option<f64>,
    /// Time of the last completion, in times of that without the hostile peers.
    pub slowdown: Option<f64>,
}

/// One poisoner and one of its victims.
struct Case<'a> {
    guilty: &'a str,
    victim: &'a str,
    /// The first piece failed by it.
    suffered: Duration,
    /// Pieces that failed by it verified at these times, in order.
    proofs: Vec<Duration>,
    refused: Option<Duration>,
    /// The victim was there until then.
    until: Duration,
}

impl<'a> Case<'a> {
    fn of(
        record: &Record,
        (poisoner, deeds): (&'a PeerPlan, &PeerRecord),
        (plan, victim): (&'a PeerPlan, &PeerRecord),
    ) -> Option<Self> {
        let mut failures: Vec<_> = victim
            .failed
            .iter()
            .filter(|(at, piece)| {
                let spoilt = |block: &&crate::hostile::Poisoned| {
                    block.piece == *piece && block.at <= *at && is_at(victim, block.victim)
                };
                deeds.poisoned.iter().any(|block| spoilt(&block))
            })
            .collect();
        failures.sort_unstable();
        let (suffered, _) = failures.first()?;
        let mut pieces: Vec<_> = failures.iter().map(|(_, piece)| *piece).collect();
        pieces.sort_unstable();
        pieces.dedup();
        let verified = |piece: u32| victim.pieces.get(piece as usize).copied().flatten();
        let mut proofs: Vec<_> = pieces.into_iter().filter_map(verified).collect();
        proofs.sort_unstable();
        Some(Self {
            guilty: &poisoner.name,
            victim: &plan.name,
            suffered: *suffered,
            proofs,
            refused: victim.bans.iter().find(|ban| is_at(deeds, ban.who)).map(|ban| ban.at),
            until: victim.gone.as_ref().map_or(record.end, |gone| gone.at),
        })
    }

    /// From the first failure to the refusal, or to the end.
    fn took(&self) -> Duration {
        self.refused.unwrap_or(self.until).saturating_sub(self.suffered)
    }

    fn complaint(&self) -> Option<String> {
        let due = *self.proofs.get(PROOFS - 1)? + GRACE;
        let Self { guilty, victim, .. } = self;
        match self.refused {
            Some(at) if at <= due => None,
            None if self.until <= due => None,
            _ => Some(format!(
                "{victim} had not refused {guilty} by {:.1} s, when {PROOFS} pieces that it had spoilt were \
                 right",
                due.as_secs_f64()
            )),
        }
    }
}

fn is_at(peer: &PeerRecord, ip: IpAddr) -> bool {
    peer.addrs.iter().any(|addr| addr.ip() == ip)
}

fn honest(record: &Record) -> impl Iterator<Item = (&PeerPlan, &PeerRecord)> {
    record.plan.peers.iter().zip(&record.peers).filter(|(plan, _)| plan.role.is_honest())
}

fn cases(record: &Record) -> impl Iterator<Item = Case<'_>> {
    let poisoners = record.hostile().filter(|(_, _, peer)| !peer.poisoned.is_empty());
    poisoners.flat_map(move |(_, plan, peer)| {
        honest(record).filter_map(move |victim| Case::of(record, (plan, peer), victim))
    })
}

/// What came of the hostile peers; nothing if there are none.
pub fn figures(record: &Record) -> Option<Figures> {
    let hostile = record.hostile().count();
    if hostile == 0 {
        return None;
    }
    let mut figures = Figures { hostile, ..Figures::default() };
    for case in cases(record) {
        figures.sufferers += 1;
        figures.refused += usize::from(case.refused.is_some());
        let took = case.took().as_secs_f64();
        figures.slowest = Some(figures.slowest.map_or(took, |slowest| took.max(slowest)));
    }
    let takers = record.hostile().filter(|(behaviour, _, _)| behaviour.takes());
    let mut loot: Vec<_> = takers.map(|(_, _, peer)| peer.loot).collect();
    loot.sort_unstable();
    let median = loot.len().checked_sub(1).and_then(|last| loot.get(last / 2));
    figures.loot = median.map(|&bytes| bytes as f64 / record.plan.torrent.size as f64);
    let last = record.completions().last().copied();
    figures.slowdown =
        last.zip(record.undisturbed).map(|(last, alone)| last.as_secs_f64() / alone.as_secs_f64());
    Some(figures)
}

/// Had bits rotted on this peer's disk by then? It may have served them, as honest as it is.
fn rotted(record: &Record, index: usize, at: Duration) -> bool {
    record.plan.faults.iter().any(|fault| {
        matches!(fault.kind, FaultKind::Disk(DiskFault::Rot { .. }))
            && fault.target == Target::Peer(index)
            && fault.at <= at
    })
}

/// Refusals that were judged, and cases with proof enough for one.
pub(super) fn occasions(record: &Record) -> u64 {
    let refusals: usize = honest(record).map(|(_, peer)| peer.bans.len()).sum();
    let proven = cases(record).filter(|case| case.refused.is_none() && case.proofs.len() >= PROOFS);
    (refusals + proven.count()) as u64
}

pub(super) fn check(record: &Record) -> Vec<Violation> {
    let convicted = honest(record).flat_map(|(judge, peer)| {
        peer.bans.iter().filter_map(move |ban| {
            let index = record.peers.iter().position(|other| is_at(other, ban.who))?;
            let innocent = record.plan.peers.get(index).filter(|plan| plan.role.is_honest())?;
            let shares = record.hostile().any(|(_, _, other)| is_at(other, ban.who));
            if rotted(record, index, ban.at) {
                return None;
            }
            let (judge, innocent, at) = (&judge.name, &innocent.name, ban.at.as_secs_f64());
            (!shares).then(|| {
                format!("{judge} refused {innocent} at {at:.1} s, which is honest: it {}", ban.reason)
            })
        })
    });
    let acquitted = cases(record).filter_map(|case| case.complaint());
    convicted.chain(acquitted).map(|message| Violation { oracle: Oracle::Justice, message }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hostile::Poisoned;
    use crate::record::Ban;
    use crate::record::tests::good;
    use crate::scenario::{Behaviour, FaultPlan, Role};

    /// leecher-2 is a poisoner at 10.0.0.3, from which both pieces of leecher-1 were spoilt at first.
    fn poisoned() -> Record {
        let mut record = good();
        for (index, peer) in record.peers.iter_mut().enumerate() {
            peer.addrs = vec![([10, 0, 0, index as u8 + 1], 6881).into()];
        }
        record.plan.torrent.piece_length = 1 << 18;
        record.plan.peers[2].role = Role::Hostile(Behaviour::Poisoner { share: 1_000_000 });
        let second = Duration::from_secs;
        for piece in 0..4 {
            let victim = IpAddr::from([10, 0, 0, 2]);
            record.peers[2].poisoned.push(Poisoned { at: second(1), victim, piece });
            record.peers[1].failed.push((second(2), piece));
        }
        record.peers[1].pieces = (5..9).map(|at| Some(second(at))).collect();
        record
    }

    fn refuses(record: &mut Record, at: u64, who: u8) {
        let (at, who) = (Duration::from_secs(at), IpAddr::from([10, 0, 0, who]));
        record.peers[1].bans.push(Ban { at, who, reason: "gave block 7 other than it is".to_owned() });
    }

    #[test]
    fn whoever_can_prove_it_must_refuse_the_guilty() {
        let mut record = poisoned();
        let complaint = "justice: leecher-1 had not refused leecher-2 by 8.0 s, when 3 pieces that it had \
                         spoilt were right";
        assert_eq!(check(&record).iter().map(ToString::to_string).collect::<Vec<_>>(), [complaint]);
        refuses(&mut record, 7, 3);
        assert_eq!(check(&record), []);
        let figures = figures(&record).expect("somebody is hostile");
        assert_eq!((figures.sufferers, figures.refused, figures.slowest), (1, 1, Some(5.0)));
    }

    #[test]
    fn without_proof_nobody_has_to_refuse_anybody() {
        let mut record = poisoned();
        record.peers[1].pieces[3] = None;
        record.peers[1].pieces[2] = None;
        assert_eq!(check(&record), []);
        record.peers[1].failed.clear();
        assert_eq!(figures(&record).map(|figures| figures.sufferers), Some(0), "it did not even notice");
    }

    #[test]
    fn to_refuse_the_honest_is_a_violation() {
        let mut record = poisoned();
        refuses(&mut record, 5, 3);
        refuses(&mut record, 6, 1);
        let complaint = "justice: leecher-1 refused seeder at 6.0 s, which is honest: it gave block 7 other \
                         than it is";
        assert_eq!(check(&record).iter().map(ToString::to_string).collect::<Vec<_>>(), [complaint]);
        // Rot excuses whoever refuses it from then on.
        let kind = FaultKind::Disk(DiskFault::Rot { pieces: 1 });
        let (at, target) = (Duration::from_secs(6), Target::Peer(0));
        record.plan.faults.push(FaultPlan { at: at + GRACE, when: None, kind, target });
        assert_eq!(check(&record).len(), 1);
        record.plan.faults[0].at = at;
        assert_eq!(check(&record), []);
    }

    #[test]
    fn free_riders_and_slowdown_are_measured() {
        let mut record = good();
        assert_eq!(figures(&record), None, "nobody is hostile");
        record.plan.peers[2].role = Role::Hostile(Behaviour::FreeRider);
        record.peers[2].loot = 1 << 19;
        record.undisturbed = Some(Duration::from_secs(8));
        let figures = figures(&record).expect("somebody is hostile");
        assert_eq!((figures.loot, figures.slowdown, figures.slowest), (Some(0.25), Some(1.25), None));
    }
}
