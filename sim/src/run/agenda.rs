//! What the runner has to do, in the order of its times.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::network::CutId;
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
    /// Let this of the plan's faults of the network come.
    Disturb(usize),
    /// It is over, and so is the cut that it made.
    Calm(usize, Option<CutId>),
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
        for fault in plan.faults.iter().filter(|fault| fault.when.is_none()) {
            agenda.add(fault.at, Action::Fault(*fault));
        }
        for (number, fault) in plan.net_faults.iter().enumerate().filter(|(_, fault)| fault.when.is_none()) {
            agenda.add(fault.at, Action::Disturb(number));
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

    /// When the faults come that are still to come.
    pub(super) fn faults(&self) -> impl Iterator<Item = Duration> {
        self.actions.iter().filter_map(|((at, _), action)| match action {
            Action::Fault(_) | Action::Disturb(_) => Some(*at),
            Action::Start(_) | Action::Mend(_) | Action::Calm(..) => None,
        })
    }

    /// What lasts for a while and is not over yet, with its end: the ends of faults, in the order in which they began.
    pub(super) fn lasting(&self) -> Vec<(Duration, Action)> {
        let is_end = |action: &Action| matches!(action, Action::Mend(_) | Action::Calm(..));
        let mut ends: Vec<_> = self.actions.iter().filter(|(_, action)| is_end(action)).collect();
        ends.sort_by_key(|((_, added), _)| *added);
        ends.into_iter().map(|((at, _), action)| (*at, *action)).collect()
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

    #[test]
    fn what_lasts_is_told_in_the_order_of_beginning() {
        let mut agenda = Agenda::default();
        let seconds = Duration::from_secs;
        agenda.add(seconds(9), Action::Calm(1, None));
        agenda.add(seconds(2), Action::Start(Target::Tracker));
        agenda.add(seconds(5), Action::Calm(2, None));
        let calms = [(seconds(9), Action::Calm(1, None)), (seconds(5), Action::Calm(2, None))];
        assert_eq!(agenda.lasting(), calms);
        agenda.pop_due(seconds(2));
        agenda.pop_due(seconds(5));
        assert_eq!(agenda.lasting(), calms[..1]);
    }
}
