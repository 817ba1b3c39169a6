//! What the runner has to do, in the order of its times.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::scenario::{FaultPlan, Plan, Target};

/// One thing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Start a host, for the first time or again.
    Start(Target),
    /// Let something go wrong.
    Fault(FaultPlan),
    /// A pause, or a failure of the disk, is over.
    Mend(FaultPlan),
}

/// Actions by time; those of one time in the order in which they were added.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    actions: BTreeMap<(Duration, u64), Action>,
    added: u64,
}

impl Agenda {
    /// The tracker first, then arrivals, then faults.
    pub(super) fn of(plan: &Plan) -> Self {
        let mut agenda = Self::default();
        agenda.add(Duration::ZERO, Action::Start(Target::Tracker));
        for (index, peer) in plan.peers.iter().enumerate() {
            agenda.add(peer.arrival, Action::Start(Target::Peer(index)));
        }
        for fault in &plan.faults {
            agenda.add(fault.at, Action::Fault(*fault));
        }
        agenda
    }

    pub(super) fn add(&mut self, at: Duration, action: Action) {
        self.actions.insert((at, self.added), action);
        self.added += 1;
    }

    /// When the next action is due.
    pub(super) fn next_at(&self) -> Option<Duration> {
        self.actions.keys().next().map(|(at, _)| *at)
    }

    /// The next action that is due by `now`.
    pub(super) fn pop_due(&mut self, now: Duration) -> Option<Action> {
        let next = self.actions.first_entry().filter(|entry| entry.key().0 <= now)?;
        Some(next.remove())
    }

    /// The faults that are still to come.
    pub(super) fn faults(&self) -> impl Iterator<Item = &FaultPlan> {
        self.actions.values().filter_map(|action| match action {
            Action::Fault(fault) => Some(fault),
            Action::Start(_) | Action::Mend(_) => None,
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.actions.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_come_in_order_of_time_then_of_adding() {
        let mut agenda = Agenda::default();
        let start = |peer| Action::Start(Target::Peer(peer));
        let second = Duration::from_secs(1);
        agenda.add(second, start(1));
        agenda.add(Duration::ZERO, start(0));
        agenda.add(second, start(2));
        assert_eq!(agenda.pop_due(Duration::ZERO), Some(start(0)));
        assert_eq!(agenda.pop_due(Duration::ZERO), None);
        assert_eq!(agenda.next_at(), Some(second));
        assert_eq!([agenda.pop_due(second), agenda.pop_due(second)], [Some(start(1)), Some(start(2))]);
        assert!(agenda.is_empty());
    }
}
