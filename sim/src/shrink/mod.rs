//! Shrinking: from a plan that fails to a small one that fails in the same way, by leaving out what is not needed.
//!
//! Faults and peers are thinned by delta debugging (Zeller & Hildebrandt 2002, ddmin), everything else is tried in its
//! plainest form: less content, one link for all, no loss, no NAT, right clocks, arrivals at once, nobody leaves. What
//! is tried is always a plan that its own file expands to, so the outcome stands alone.

use std::time::Duration;

use crate::report::Verdict;
use crate::scenario::{
    Clock, Departure, Families, FaultPlan, NetFaultPlan, Plan, Policy, Scenario, Start, Target,
};

mod ddmin;

use ddmin::ddmin;

/// Content is halved at most down to so many pieces: with one there is nothing to choose.
const MIN_PIECES: u64 = 1;

/// How a run fails: two with the same name fail in the same way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure(String);

impl Failure {
    /// The worst of a verdict: a safety oracle and its rule before liveness, and that before expectations.
    pub fn of(verdict: &Verdict) -> Option<Self> {
        let violations = || verdict.violations.iter();
        let safety =
            violations().find(|violation| violation.oracle.severity() == crate::oracle::Severity::Safety);
        if let Some(violation) = safety.or(violations().next()) {
            // A rule of the protocol stands before the first colon.
            let rule = violation.message.split_once(": ").map(|(rule, _)| rule);
            let rule =
                rule.filter(|rule| !rule.contains(' ')).map_or_else(String::new, |rule| format!(" ({rule})"));
            return Some(Self(format!("oracle {}{rule}", violation.oracle)));
        }
        let missed = verdict.checks.iter().find(|check| !check.met);
        missed.map(|check| Self(format!("expectation {}", check.name)))
    }

    /// For people.
    pub fn name(&self) -> &str {
        &self.0
    }
}

/// A plan that fails, while it is made small.
struct Shrinking<'a> {
    plan: Plan,
    /// Runs a plan and says how it fails, if it does.
    run: &'a mut dyn FnMut(&Plan) -> Option<Failure>,
    failure: Failure,
    /// Runs that may still be made.
    left: usize,
    /// Is told of every step that helped.
    told: &'a mut dyn FnMut(&str, &Plan),
}

/// What came of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Shrunk {
    /// The small plan.
    pub plan: Plan,
    /// How it fails.
    pub failure: Failure,
    /// Each fault that is left, and whether the failure needs it: without it, and nothing else changed, the run does
    /// not fail in this way.
    pub faults: Vec<(FaultPlan, bool)>,
    /// Was there enough time to try everything?
    pub is_minimal: bool,
}

/// Shrinks `plan` with at most `runs` runs; nothing if it does not fail.
pub fn shrink(
    plan: &Plan,
    runs: usize,
    run: &mut dyn FnMut(&Plan) -> Option<Failure>,
    told: &mut dyn FnMut(&str, &Plan),
) -> Option<Shrunk> {
    let failure = run(plan)?;
    let claim = format!("Shrunk from {} with seed {}: {} fails.", plan.name, plan.seed, failure.name());
    let plan = Plan { claim, name: format!("{}-shrunk", plan.name), ..plan.clone() };
    let mut shrinking = Shrinking { plan, run, failure, left: runs, told };
    while shrinking.round() {}
    let is_minimal = shrinking.left > 0;
    // What is said of the faults is not to be guessed.
    shrinking.left = shrinking.plan.faults.len();
    let faults = (0..shrinking.plan.faults.len()).map(|index| {
        let mut without = shrinking.plan.clone();
        let fault = without.faults.remove(index);
        (fault, !shrinking.fails(&without))
    });
    let faults = faults.collect();
    let Shrinking { plan, failure, .. } = shrinking;
    Some(Shrunk { plan, failure, faults, is_minimal })
}

impl Shrinking<'_> {
    /// Tries everything once; was anything of use?
    fn round(&mut self) -> bool {
        let before = self.plan.clone();
        self.thin_faults();
        self.thin_peers();
        self.halve_content();
        for (what, change) in PLAINER {
            self.attempt(what, *change);
        }
        self.simplify_each();
        self.left > 0 && self.plan != before
    }

    /// Does it fail in the same way? A plan that no file can say does not count.
    fn fails(&mut self, plan: &Plan) -> bool {
        if self.left == 0 {
            return false;
        }
        let Some(plan) = standing_alone(plan) else { return false };
        self.left -= 1;
        (self.run)(&plan).is_some_and(|failure| failure == self.failure)
    }

    /// Keeps the changed plan if it still fails.
    fn attempt(&mut self, what: &str, change: impl Fn(&mut Plan)) -> bool {
        let mut plan = self.plan.clone();
        change(&mut plan);
        let helps = plan != self.plan && self.fails(&plan);
        if helps {
            self.plan = standing_alone(&plan).unwrap_or(plan);
            (self.told)(what, &self.plan);
        }
        helps
    }

    fn thin_faults(&mut self) {
        let whole = self.plan.clone();
        let all: Vec<_> = (0..whole.faults.len()).collect();
        let with = |kept: &[usize]| {
            let faults = kept.iter().filter_map(|&index| whole.faults.get(index).copied()).collect();
            Plan { faults, ..whole.clone() }
        };
        let kept = ddmin(all, |kept| self.fails(&with(kept)));
        self.attempt("fewer faults", |plan| *plan = with(&kept));
        let whole = self.plan.clone();
        let with = |kept: &[NetFaultPlan]| Plan { net_faults: kept.to_vec(), ..whole.clone() };
        let kept = ddmin(whole.net_faults.clone(), |kept| self.fails(&with(kept)));
        self.attempt("fewer faults of the network", |plan| *plan = with(&kept));
    }

    fn thin_peers(&mut self) {
        let whole = self.plan.clone();
        let kept = ddmin((0..whole.peers.len()).collect(), |kept| self.fails(&only(&whole, kept)));
        self.attempt("fewer peers", |plan| *plan = only(&whole, &kept));
    }

    fn halve_content(&mut self) {
        let halve = |plan: &mut Plan| {
            let piece = u64::from(plan.torrent.piece_length);
            let pieces = (plan.torrent.size.div_ceil(piece) / 2).max(MIN_PIECES);
            plan.torrent.size = plan.torrent.size.min(pieces * piece);
        };
        while self.attempt("less content", halve) {}
    }

    /// What differs from peer to peer and from link to link.
    fn simplify_each(&mut self) {
        for index in 0..self.plan.peers.len() {
            self.attempt("a peer is there from the start", |plan| plan.peers[index].arrival = Duration::ZERO);
            self.attempt("a peer stays", |plan| plan.peers[index].departure = Departure::Never);
        }
        let names: Vec<_> = self.plan.links.keys().cloned().collect();
        for name in &names {
            let link = |plan: &mut Plan, change: &dyn Fn(&mut crate::scenario::Link)| {
                plan.links.get_mut(name).into_iter().for_each(change);
            };
            self.attempt("a link without loss", |plan| link(plan, &|link| link.loss = 0.0));
            self.attempt("a link without delay", |plan| link(plan, &|link| link.latency = Duration::ZERO));
        }
        for index in 0..self.plan.faults.len() {
            let whole = |at: Duration| Duration::from_secs(at.as_secs());
            self.attempt("a fault at a whole second", |plan| {
                plan.faults[index].at = whole(plan.faults[index].at);
            });
        }
    }
}

type Change = fn(&mut Plan);

/// Each makes the whole plan plainer in one way.
const PLAINER: &[(&str, Change)] = &[
    ("everybody is there from the start", |plan| {
        plan.peers.iter_mut().for_each(|peer| peer.arrival = Duration::ZERO);
    }),
    ("nobody leaves", |plan| plan.peers.iter_mut().for_each(|peer| peer.departure = Departure::Never)),
    ("one link for all", |plan| {
        if let Some(link) = plan.peers.first().map(|peer| peer.link.clone()) {
            plan.peers.iter_mut().for_each(|peer| peer.link.clone_from(&link));
        }
    }),
    ("no NAT", |plan| {
        plan.peers.iter_mut().for_each(|peer| peer.nat = None);
        plan.nats.clear();
    }),
    ("IPv4 alone", |plan| plan.peers.iter_mut().for_each(|peer| peer.family = Families::V4)),
    ("right clocks", |plan| {
        plan.peers.iter_mut().for_each(|peer| peer.clock = Clock::default());
        plan.tracker.clock = Clock::default();
    }),
    ("the engine's own policies", |plan| {
        plan.peers.iter_mut().for_each(|peer| peer.policy = Policy::default());
    }),
    ("torrent files in place of magnets", |plan| {
        plan.peers.iter_mut().for_each(|peer| peer.start = Start::File);
    }),
    ("no super seeding", |plan| plan.peers.iter_mut().for_each(|peer| peer.super_seed = false)),
    ("one file", |plan| {
        plan.torrent.files = 1;
        plan.peers.iter_mut().for_each(|peer| peer.select = None);
    }),
    ("a tracker without limits", |plan| {
        (plan.tracker.service_time, plan.tracker.socket_buffer) = (None, None);
    }),
    ("no longer than it takes", |plan| plan.run.at_least = Duration::ZERO),
    ("half the time", |plan| plan.run.time_limit = (plan.run.time_limit / 2).max(Duration::from_secs(1))),
];

/// The plan with these peers alone, and with what befalls them.
fn only(plan: &Plan, kept: &[usize]) -> Plan {
    let place = |index: usize| kept.iter().position(|&other| other == index).map(Target::Peer);
    let moved = |target| match target {
        Target::Tracker => Some(Target::Tracker),
        Target::Peer(index) => place(index),
    };
    let faults =
        plan.faults.iter().filter_map(|fault| Some(FaultPlan { target: moved(fault.target)?, ..*fault }));
    let all = |targets: &[Target]| targets.iter().filter_map(|&target| moved(target)).collect::<Vec<_>>();
    let net_faults = plan.net_faults.iter().map(|fault| NetFaultPlan {
        kind: fault.kind.map(all),
        targets: all(&fault.targets),
        ..fault.clone()
    });
    let net_faults = net_faults.filter(|fault| !fault.targets.is_empty()).collect();
    let peers = kept.iter().filter_map(|&index| plan.peers.get(index).cloned()).collect();
    Plan { peers, faults: faults.collect(), net_faults, ..plan.clone() }
}

/// The plan as its own file says it, if that is a scenario.
fn standing_alone(plan: &Plan) -> Option<Plan> {
    let scenario = Scenario::parse("shrunk.toml", &plan.to_toml(), &[]).ok()?;
    Some(scenario.expand(scenario.seed))
}

#[cfg(test)]
mod tests;
