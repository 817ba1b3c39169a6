//! Vacuity: how often each oracle had something to judge. One that had nothing to say has proven nothing.
//!
//! Not every plan gives every oracle work: nothing can be said of resuming where nobody restarts. What *is* due
//! follows from the plan alone, so that a scenario which means to test something and does not is told so.

use super::{Oracle, justice};
use crate::record::Record;
use crate::scenario::{Behaviour, FaultKind, Target};

/// How often one oracle had something to judge in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Occasions {
    /// Which.
    pub oracle: Oracle,
    /// How often.
    pub count: u64,
    /// Does the plan give it work?
    pub is_due: bool,
}

impl Occasions {
    /// It should have had something to judge, and had not.
    pub const fn is_vacuous(self) -> bool {
        self.is_due && self.count == 0
    }
}

/// The occasions of every oracle; `announces` and `rules` were counted by those of the tracker and the protocol.
pub fn occasions(record: &Record, announces: u64, rules: u64) -> Vec<Occasions> {
    let plan = &record.plan;
    let restarts = |kind| {
        matches!(kind, FaultKind::Crash { back_after: Some(_) } | FaultKind::PowerCut { back_after: Some(_) })
    };
    let engines = || plan.peers.iter().enumerate().filter(|(_, peer)| peer.role.is_honest());
    let is_due = |oracle| match oracle {
        Oracle::Integrity | Oracle::Liveness => plan.leechers().next().is_some(),
        Oracle::Conservation | Oracle::Tracker => true,
        Oracle::Bounds => plan.leechers().any(|(_, peer)| peer.select.is_none()),
        Oracle::Resume => {
            plan.faults.iter().any(|fault| fault.target != Target::Tracker && restarts(fault.kind))
        }
        Oracle::Justice => {
            let spoils = |behaviour| matches!(behaviour, Behaviour::Poisoner { .. });
            plan.peers.iter().any(|peer| peer.role.behaviour().is_some_and(spoils))
        }
        Oracle::Protocol => engines().any(|(index, _)| plan.is_plain(index)),
    };
    let count = |oracle| match oracle {
        Oracle::Integrity => record.completions().len() as u64,
        Oracle::Conservation => record.packets.sent + record.provenance.blocks,
        Oracle::Bounds => record.whole_completions().len() as u64,
        Oracle::Resume => {
            let lives = engines().filter_map(|(index, _)| record.peers.get(index));
            lives.map(|peer| peer.lives.len().saturating_sub(1) as u64).sum()
        }
        Oracle::Liveness => (record.leechers().count() - record.left_early()) as u64,
        Oracle::Justice => justice::occasions(record),
        Oracle::Tracker => announces,
        Oracle::Protocol => rules,
    };
    let of = |oracle| Occasions { oracle, count: count(oracle), is_due: is_due(oracle) };
    Oracle::ALL.into_iter().map(of).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::record::tests::good;
    use crate::record::{Ban, Presence};
    use crate::scenario::{FaultPlan, Role};

    fn of(record: &Record, oracle: Oracle) -> (u64, bool, bool) {
        let all = occasions(record, 0, 0);
        let one = all.into_iter().find(|one| one.oracle == oracle).expect("all are there");
        (one.count, one.is_due, one.is_vacuous())
    }

    #[test]
    fn what_no_plan_asks_for_is_not_vacuous() {
        let record = good();
        assert_eq!(of(&record, Oracle::Integrity), (2, true, false));
        assert_eq!(of(&record, Oracle::Bounds), (2, true, false));
        assert_eq!(of(&record, Oracle::Resume), (0, false, false));
        assert_eq!(of(&record, Oracle::Justice), (0, false, false));
        assert_eq!(
            of(&record, Oracle::Protocol),
            (0, true, true),
            "engines are there, and nobody heard them"
        );
    }

    #[test]
    fn a_restart_that_is_planned_must_happen() {
        let mut record = good();
        let kind = FaultKind::Crash { back_after: Some(Duration::from_secs(1)) };
        let (at, target) = (Duration::from_secs(99), Target::Peer(1));
        record.plan.faults.push(FaultPlan { at, when: None, kind, target });
        assert_eq!(of(&record, Oracle::Resume), (0, true, true));
        record.peers[1].lives.push(Presence { from: Duration::from_secs(3), until: None });
        assert_eq!(of(&record, Oracle::Resume), (1, true, false));
    }

    #[test]
    fn a_poisoner_that_spoils_nothing_is_no_test_of_justice() {
        let mut record = good();
        record.plan.peers[2].role = Role::Hostile(Behaviour::Poisoner { share: 1_000_000 });
        assert_eq!(of(&record, Oracle::Justice), (0, true, true));
        let ban = Ban { at: Duration::from_secs(1), who: [10, 0, 0, 1].into(), reason: String::new() };
        record.peers[1].bans.push(ban);
        assert_eq!(of(&record, Oracle::Justice), (1, true, false));
    }
}
