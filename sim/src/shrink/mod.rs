//! Shrinking: from a plan that fails to a small one that fails in the same way, by leaving out what is not needed.
//!
//! Faults, their victims and peers are thinned by delta debugging (Zeller & Hildebrandt 2002, ddmin), everything else
//! is tried in its plainest form (`plainer`). What is tried is always a plan that its own file expands to, so the
//! outcome stands alone.

use std::time::Duration;

use crate::oracle::Violation;
use crate::report::Verdict;
use crate::scenario::{FaultPlan, NetFaultPlan, Plan, Scenario, Target};

mod ddmin;
mod plainer;

pub(crate) use ddmin::ddmin;

/// How a run fails: two with the same name fail in the same way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure(String);

impl Failure {
    /// The worst of a verdict: a safety oracle and its rule before liveness, and that before expectations.
    pub fn of(verdict: &Verdict) -> Option<Self> {
        let missed = || verdict.checks.iter().find(|check| !check.met);
        Self::of_violations(&verdict.violations)
            .or_else(|| missed().map(|check| Self(format!("expectation {}", check.name))))
    }

    /// The worst of these, as above.
    pub fn of_violations(all: &[Violation]) -> Option<Self> {
        let violations = || all.iter();
        let safety =
            violations().find(|violation| violation.oracle.severity() == crate::oracle::Severity::Safety);
        let violation = safety.or(violations().next())?;
        // A rule of the protocol stands before the first colon.
        let rule = violation.message.split_once(": ").map(|(rule, _)| rule);
        let rule =
            rule.filter(|rule| !rule.contains(' ')).map_or_else(String::new, |rule| format!(" ({rule})"));
        Some(Self(format!("oracle {}{rule}", violation.oracle)))
    }

    /// For people.
    pub fn name(&self) -> &str {
        &self.0
    }
}

/// A plan that fails, while it is made small.
struct Shrinking<'a> {
    plan: Plan,
    /// The same as it was run, with the times at which faults came that waited for something.
    seen: Plan,
    run: Judge<'a>,
    failure: Failure,
    /// Runs that may still be made, and all.
    left: usize,
    runs: usize,
    told: &'a mut dyn FnMut(Step<'_>),
}

/// Runs a plan and says how it fails, if it does, and the plan as it was run: with the times of its faults.
pub type Judge<'a> = &'a mut dyn FnMut(&Plan) -> Option<(Failure, Plan)>;

/// How far shrinking is.
#[derive(Clone, Copy, Debug)]
pub struct Step<'a> {
    /// What was of use, if this step was.
    pub done: Option<&'a str>,
    /// The plan as it is now.
    pub plan: &'a Plan,
    /// Runs so far, and the most there will be.
    pub runs: [usize; 2],
}

/// A fault of a host, or of the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Of a host.
    Host(FaultPlan),
    /// Of the network.
    Network(NetFaultPlan),
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
    pub faults: Vec<(Trouble, bool)>,
    /// Was there enough time to try everything?
    pub is_minimal: bool,
}

impl Trouble {
    /// What its member of `[[faults]]` says, in one line.
    pub fn text(&self, plan: &Plan) -> String {
        let text = match self {
            Self::Host(fault) => plan.fault_text(fault),
            Self::Network(fault) => plan.net_fault_text(fault),
        };
        let lines: Vec<_> = text.lines().filter(|line| line.contains('=')).collect();
        lines.join(", ")
    }
}

/// Shrinks `plan` with at most `runs` runs, and as many more as faults are left; nothing if it does not fail. `told`
/// hears of every run.
pub fn shrink(plan: &Plan, runs: usize, run: Judge<'_>, told: &mut dyn FnMut(Step<'_>)) -> Option<Shrunk> {
    let (failure, seen) = run(plan)?;
    let claim = format!("Shrunk from {} with seed {}: {} fails.", plan.name, plan.seed, failure.name());
    let plan = Plan { claim, name: format!("{}-shrunk", plan.name), ..plan.clone() };
    let mut shrinking = Shrinking { plan, seen, run, failure, left: runs, runs, told };
    while shrinking.round() {}
    let is_minimal = shrinking.left > 0;
    let faults = shrinking.necessity();
    let Shrinking { plan, failure, .. } = shrinking;
    Some(Shrunk { plan, failure, faults, is_minimal })
}

impl Shrinking<'_> {
    /// Tries everything once; was anything of use?
    fn round(&mut self) -> bool {
        let before = self.plan.clone();
        while self.attempt("less time", plainer::halve_time) {}
        self.thin_faults();
        self.thin_peers();
        for (what, change) in plainer::WHOLE {
            self.attempt(what, *change);
        }
        self.simplify_each();
        // Last: with little content much hangs on a moment, and what did not matter does.
        while self.attempt("less content", plainer::halve_content) {}
        self.left > 0 && self.plan != before
    }

    /// Does it fail in the same way? A plan that no file can say does not count.
    fn fails(&mut self, plan: &Plan) -> Option<Plan> {
        if self.left == 0 {
            return None;
        }
        let plan = standing_alone(plan)?;
        self.left -= 1;
        let failed = (self.run)(&plan).filter(|(failure, _)| *failure == self.failure);
        let runs = [self.runs - self.left, self.runs];
        (self.told)(Step { done: None, plan: &self.plan, runs });
        failed.map(|(_, seen)| seen)
    }

    /// Keeps the changed plan if it still fails.
    fn attempt(&mut self, what: &str, change: impl Fn(&mut Plan)) -> bool {
        let mut plan = self.plan.clone();
        change(&mut plan);
        if plan == self.plan {
            return false;
        }
        let Some(seen) = self.fails(&plan) else { return false };
        (self.plan, self.seen) = (standing_alone(&plan).unwrap_or(plan), seen);
        let runs = [self.runs - self.left, self.runs];
        (self.told)(Step { done: Some(what), plan: &self.plan, runs });
        true
    }

    fn thin_faults(&mut self) {
        let whole = self.plan.clone();
        let hosts = whole.faults.len();
        let with = |kept: &[usize]| {
            let faults = kept.iter().filter_map(|&index| whole.faults.get(index).copied());
            let network = kept.iter().filter_map(|&index| whole.net_faults.get(index.checked_sub(hosts)?));
            Plan { faults: faults.collect(), net_faults: network.cloned().collect(), ..whole.clone() }
        };
        let all = (0..hosts + whole.net_faults.len()).collect();
        let kept = ddmin(all, |kept| self.fails(&with(kept)).is_some());
        self.attempt("fewer faults", |plan| *plan = with(&kept));
        for index in 0..self.plan.net_faults.len() {
            let targets = self.plan.net_faults[index].targets.clone();
            if targets.len() < 2 {
                continue;
            }
            let befalling = |plan: &mut Plan, kept: &[Target]| plan.net_faults[index].targets = kept.to_vec();
            let whole = self.plan.clone();
            let kept = ddmin(targets, |kept| {
                let mut plan = whole.clone();
                befalling(&mut plan, kept);
                !kept.is_empty() && self.fails(&plan).is_some()
            });
            self.attempt("a fault of fewer hosts", |plan| befalling(plan, &kept));
        }
    }

    fn thin_peers(&mut self) {
        let whole = self.plan.clone();
        let all = (0..whole.peers.len()).collect();
        let kept = ddmin(all, |kept| self.fails(&only(&whole, kept)).is_some());
        self.attempt("fewer peers", |plan| *plan = only(&whole, &kept));
    }

    /// What differs from peer to peer, from link to link and from fault to fault.
    fn simplify_each(&mut self) {
        for index in 0..self.plan.peers.len() {
            for (what, change) in plainer::PEER {
                self.attempt(what, |plan| change(&mut plan.peers[index]));
            }
        }
        let names: Vec<_> = self.plan.links.keys().cloned().collect();
        for name in &names {
            for (what, change) in plainer::LINK {
                self.attempt(what, |plan| plan.links.get_mut(name).into_iter().for_each(change));
            }
        }
        for index in 0..self.plan.faults.len() {
            let at = self.seen.faults.get(index).map_or(Duration::ZERO, |fault| fault.at);
            self.attempt("a fault at a time of its own", |plan| {
                let fault = &mut plan.faults[index];
                plainer::at_a_time(&mut fault.when, &mut fault.at, at);
            });
            self.attempt("a fault at a whole second", |plan| plainer::round_down(&mut plan.faults[index].at));
        }
        for index in 0..self.plan.net_faults.len() {
            let at = self.seen.net_faults.get(index).map_or(Duration::ZERO, |fault| fault.at);
            self.attempt("a fault at a time of its own", |plan| {
                let fault = &mut plan.net_faults[index];
                plainer::at_a_time(&mut fault.when, &mut fault.at, at);
            });
            for (what, change) in plainer::NET_FAULT {
                self.attempt(what, |plan| change(&mut plan.net_faults[index]));
            }
        }
    }

    /// Which of the faults that are left the failure needs. What is said of them is not to be guessed, so this is
    /// tried whatever runs are left.
    fn necessity(&mut self) -> Vec<(Trouble, bool)> {
        let (hosts, network) = (self.plan.faults.len(), self.plan.net_faults.len());
        self.left = hosts + network;
        self.runs = self.left;
        let mut said = Vec::new();
        for index in 0..hosts {
            let mut without = self.plan.clone();
            let fault = without.faults.remove(index);
            said.push((Trouble::Host(fault), self.fails(&without).is_none()));
        }
        for index in 0..network {
            let mut without = self.plan.clone();
            let fault = without.net_faults.remove(index);
            said.push((Trouble::Network(fault), self.fails(&without).is_none()));
        }
        said
    }
}

/// The plan with these peers alone, and with what befalls them.
fn only(plan: &Plan, kept: &[usize]) -> Plan {
    let place = |index: usize| kept.iter().position(|&other| other == index).map(Target::Peer);
    let moved = |target| match target {
        Target::Tracker => Some(Target::Tracker),
        Target::Peer(index) => place(index),
    };
    let faults = plan.faults.iter().filter_map(|fault| fault.moved(moved));
    let net_faults = plan.net_faults.iter().filter_map(|fault| fault.moved(moved));
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
