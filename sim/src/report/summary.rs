//! The verdict as one JSON object, for programs.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use super::{Check, Outcome, Percentiles, Utilisation, Verdict};
use crate::oracle::{JusticeFigures, Rule, TrackerFigures};
use crate::record::Packets;

/// The fields of `--json`, in their order.
#[derive(Serialize)]
struct Summary<'a> {
    scenario: &'a str,
    seed: u64,
    digest: &'a str,
    /// Eight hexadecimal digits for each simulated second: of all that happened up to its end.
    seconds: String,
    outcome: Outcome,
    sim_seconds: f64,
    wall_seconds: f64,
    peers: usize,
    completed: usize,
    completion_seconds: Option<Percentiles>,
    bound: Option<BoundSummary>,
    efficiency: f64,
    utilisation: Utilisation,
    jain: f64,
    overhead: f64,
    seed_copies: f64,
    population: usize,
    duplicate_bytes: u64,
    tracker: TrackerFigures,
    #[serde(skip_serializing_if = "Option::is_none")]
    justice: Option<JusticeFigures>,
    packets: Packets,
    /// Occasions at which each rule of the protocol was checked; those without one are there too.
    exercised: BTreeMap<&'static str, u64>,
    /// The same for each oracle.
    oracles: BTreeMap<&'static str, u64>,
    expectations: &'a [Check],
    /// What was asked for and never put to the test.
    vacuous: &'a [String],
    violations: Vec<String>,
}

#[derive(Serialize)]
struct BoundSummary {
    seconds: f64,
    term: &'static str,
}

/// Eight digits each, and nothing between them.
fn hexadecimal(numbers: &[u32]) -> String {
    let mut digits = String::with_capacity(8 * numbers.len());
    for number in numbers {
        let _ = write!(digits, "{number:08x}");
    }
    digits
}

impl Verdict {
    /// The run as one JSON object, with the wall time that it took.
    pub fn summary(&self, wall_seconds: f64) -> impl Serialize + '_ {
        Summary {
            scenario: &self.record.plan.name,
            seed: self.record.plan.seed,
            digest: &self.record.digest,
            seconds: hexadecimal(&self.record.seconds),
            outcome: self.outcome,
            sim_seconds: self.record.end.as_secs_f64(),
            wall_seconds,
            peers: self.peers,
            completed: self.completed,
            completion_seconds: self.completion,
            bound: self.bound.map(|bound| BoundSummary { seconds: bound.seconds, term: bound.term.name() }),
            efficiency: self.efficiency,
            utilisation: self.utilisation,
            jain: self.jain,
            overhead: self.overhead,
            seed_copies: self.seed_copies,
            population: self.population,
            duplicate_bytes: self.duplicate_bytes,
            tracker: self.tracker,
            justice: self.justice,
            packets: self.record.packets,
            exercised: self.exercised(),
            oracles: self.oracles.iter().map(|of| (of.oracle.name(), of.count)).collect(),
            expectations: &self.checks,
            vacuous: &self.vacuous,
            violations: self.complaints(),
        }
    }

    fn exercised(&self) -> BTreeMap<&'static str, u64> {
        let count = |rule: Rule| (rule.name(), self.conduct.exercised.get(&rule).copied().unwrap_or(0));
        Rule::ALL.into_iter().map(count).collect()
    }
}
