//! From a core swarm that fails to a small one that fails in the same way: fewer faults, fewer peers, plainer ones, less
//! content. A run takes milliseconds, so everything is simply tried.

use super::plan::{PeerPlan, Plan};
use crate::shrink::{Failure, ddmin};

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shrunk {
    /// The small plan.
    pub plan: Plan,
    /// How it fails.
    pub failure: Failure,
    /// Runs that it took.
    pub runs: usize,
}

/// What is tried of each peer: to be as usual in one respect.
const PLAINER: [fn(&mut PeerPlan, PeerPlan); 11] = [
    |peer, usual| peer.habit = usual.habit,
    |peer, usual| peer.skips = usual.skips,
    |peer, usual| peer.has = usual.has,
    |peer, usual| peer.arrives = usual.arrives,
    |peer, usual| (peer.up, peer.down) = (usual.up, usual.down),
    |peer, usual| (peer.open, peer.v6) = (usual.open, usual.v6),
    |peer, usual| (peer.fast, peer.extended, peer.pex) = (usual.fast, usual.extended, usual.pex),
    |peer, usual| peer.super_seeds = usual.super_seeds,
    |peer, usual| (peer.disk, peer.late) = (usual.disk, usual.late),
    |peer, usual| {
        (peer.picker, peer.choker, peer.seed_choker) = (usual.picker, usual.choker, usual.seed_choker);
    },
    |peer, usual| {
        peer.max_peers = usual.max_peers;
        (peer.upload_slots, peer.optimistic_slots) = (usual.upload_slots, usual.optimistic_slots);
    },
];

/// The same for the whole.
const PLAINER_SWARM: [fn(&mut Plan); 6] = [
    |plan| plan.loss = 0,
    |plan| plan.at_least = 0,
    |plan| plan.private = false,
    |plan| plan.latency = [10, 10],
    |plan| (plan.peers_in_reply, plan.interval) = (50, 120_000),
    |plan| plan.size = plan.size.next_multiple_of(u64::from(plan.piece_length)),
];

struct Shrinking<'a> {
    plan: Plan,
    failure: Failure,
    run: &'a mut dyn FnMut(&Plan) -> Option<Failure>,
    runs: usize,
    left: usize,
}

/// Makes `plan` smaller with at most `most` runs; nothing if it does not fail.
pub fn shrink(plan: &Plan, most: usize, run: &mut dyn FnMut(&Plan) -> Option<Failure>) -> Option<Shrunk> {
    let failure = run(plan)?;
    let mut shrinking = Shrinking { plan: plan.clone(), failure, run, runs: 1, left: most };
    while shrinking.round() {}
    let Shrinking { plan, failure, runs, .. } = shrinking;
    Some(Shrunk { plan, failure, runs })
}

impl Shrinking<'_> {
    /// Tries everything once; was anything of use?
    fn round(&mut self) -> bool {
        let before = self.plan.clone();
        let whole = self.plan.clone();
        let faults =
            ddmin(whole.faults.clone(), |kept| self.fails(&Plan { faults: kept.to_vec(), ..whole.clone() }));
        self.keep(|plan| plan.faults.clone_from(&faults));
        let whole = self.plan.clone();
        let peers = ddmin(whole.peers.clone(), |kept| self.fails(&only(&whole, kept)));
        self.keep(|plan| *plan = only(plan, &peers));
        while self.keep(|plan| plan.size = plan.size / 2 + 1) {}
        for change in PLAINER_SWARM {
            self.keep(change);
        }
        for change in PLAINER {
            // Of all at once, or of each by itself.
            let change = |peer: &mut PeerPlan| change(peer, PeerPlan::default());
            if !self.keep(|plan| plan.peers.iter_mut().for_each(change)) {
                for place in 0..self.plan.peers.len() {
                    self.keep(|plan| plan.peers.iter_mut().skip(place).take(1).for_each(change));
                }
            }
        }
        self.left > 0 && self.plan != before
    }

    fn fails(&mut self, plan: &Plan) -> bool {
        if self.left == 0 || plan.peers.is_empty() {
            return false;
        }
        (self.left, self.runs) = (self.left - 1, self.runs + 1);
        (self.run)(plan).is_some_and(|failure| failure == self.failure)
    }

    /// Keeps the change if the plan still fails.
    fn keep(&mut self, change: impl Fn(&mut Plan)) -> bool {
        let mut plan = self.plan.clone();
        change(&mut plan);
        let helps = plan != self.plan && self.fails(&plan);
        if helps {
            self.plan = plan;
        }
        helps
    }
}

/// The plan with these peers, and with what befalls them.
fn only(plan: &Plan, peers: &[PeerPlan]) -> Plan {
    let is_there = |number| peers.iter().any(|peer| peer.number == number);
    let faults = plan.faults.iter().filter(|fault| fault.kind.is_of_tracker() || is_there(fault.peer));
    Plan { faults: faults.cloned().collect(), peers: peers.to_vec(), ..plan.clone() }
}
