//! The verdict of a run, as a table for people and as JSON for programs.
//!
//! All of a [`Verdict`] follows from the record, so it is the same on every machine; wall time is added by
//! whoever prints it.

use serde::Serialize;

use crate::bound;
use crate::oracle::{self, Conduct, JusticeFigures, Occasions, Severity, TrackerFigures, Violation};
use crate::record::Record;

mod check;
mod figures;
mod justice;
mod page;
mod reference;
mod summary;
mod table;
mod text;

pub use check::Check;
pub use figures::{Percentiles, Utilisation};
pub use page::Chronicle;
pub use text::Style;

/// What came of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// All expectations met, no oracle fired.
    Pass,
    /// An expectation was missed.
    Missed,
    /// Nothing was wrong, but something was never put to the test, and that was to count.
    Vacuous,
    /// A peer that could have completed did not.
    Liveness,
    /// A safety oracle fired.
    Safety,
}

impl Outcome {
    /// The exit status that stands for it.
    pub const fn exit_status(self) -> u8 {
        match self {
            Self::Pass => 0,
            Self::Missed | Self::Vacuous => 1,
            Self::Safety => 3,
            Self::Liveness => 4,
        }
    }
}

/// What came of a run, and its figures.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// What was seen.
    pub record: Record,
    /// In one word.
    pub outcome: Outcome,
    /// Every expectation.
    pub checks: Vec<Check>,
    /// What must never be and was.
    pub violations: Vec<Violation>,
    /// How often each oracle had something to judge.
    pub oracles: Vec<Occasions>,
    /// What was asked for and never put to the test.
    pub vacuous: Vec<String>,
    /// Why some leechers cannot complete.
    pub extinct: Vec<String>,
    /// Leechers in the plan.
    pub peers: usize,
    /// Leechers that completed.
    pub completed: usize,
    /// Their completion times, from the start of the run.
    pub completion: Option<Percentiles>,
    /// The same, each from the peer's own arrival.
    pub download: Option<Percentiles>,
    /// The least possible time of the last completion.
    pub bound: Option<bound::Bound>,
    /// How near to it the run came.
    pub efficiency: f64,
    /// How often each rule of the protocol had an occasion.
    pub conduct: Conduct,
    /// What the tracker's oracle counted.
    pub tracker: TrackerFigures,
    /// What came of hostile peers, if there are any.
    pub justice: Option<JusticeFigures>,
    /// Of the links.
    pub utilisation: Utilisation,
    /// Fairness of the share ratios.
    pub jain: f64,
    /// Wire bytes beyond the useful ones, as a share of them.
    pub overhead: f64,
    /// Payload that the seeders sent, in copies of the content.
    pub seed_copies: f64,
    /// The most leechers that were there at once and not complete.
    pub population: usize,
    /// Payload that came more than once.
    pub duplicate_bytes: u64,
    /// The same, as a share of the useful bytes.
    pub duplicates: f64,
}

impl Verdict {
    /// Judges a run.
    pub fn of(record: Record) -> Self {
        let useful = figures::useful_bytes(&record) as f64;
        let completions = record.completions();
        let taken =
            record.leechers().filter_map(|(plan, peer)| Some(peer.completed?.saturating_sub(plan.arrival)));
        let download = Percentiles::of(taken.collect());
        let bound = record.swarm().bound();
        let completion = Percentiles::of(completions.clone());
        let efficiency = bound
            .zip(completion)
            .map_or(0.0, |(bound, completion)| bound::efficiency(bound.seconds, completion.last));
        let (tracker, conduct) = (oracle::tracker_figures(&record), oracle::conduct(&record));
        let rules = conduct.exercised.values().sum();
        let duplicate_bytes = record.leechers().map(|(_, peer)| peer.duplicate).sum();
        let mut verdict = Self {
            outcome: Outcome::Pass,
            checks: Vec::new(),
            violations: oracle::judge(&record),
            oracles: oracle::occasions(&record, tracker.announces, rules),
            vacuous: Vec::new(),
            extinct: oracle::extinct_pieces(&record),
            peers: record.leechers().count(),
            completed: completions.len(),
            completion,
            download,
            bound,
            efficiency,
            conduct,
            tracker,
            justice: oracle::justice_figures(&record),
            utilisation: Utilisation::of(&record),
            jain: figures::jain(&record),
            overhead: if useful > 0.0 { record.wire_bytes as f64 / useful - 1.0 } else { 0.0 },
            seed_copies: figures::seed_copies(&record),
            population: figures::population(&record),
            duplicate_bytes,
            duplicates: figures::share(duplicate_bytes as f64, useful),
            record,
        };
        verdict.checks = verdict.check(&verdict.record.plan.expect);
        verdict.vacuous = verdict.vacuities();
        verdict.outcome = verdict.decide();
        verdict
    }

    /// The same, where what was never put to the test counts as missed.
    #[must_use]
    pub fn strictly(mut self) -> Self {
        if self.outcome == Outcome::Pass && !self.vacuous.is_empty() {
            self.outcome = Outcome::Vacuous;
        }
        self
    }

    fn vacuities(&self) -> Vec<String> {
        let oracles = self.oracles.iter().filter(|occasions| occasions.is_vacuous());
        let oracles = oracles.map(|occasions| format!("oracle {}: nothing to judge", occasions.oracle));
        let checks = self.checks.iter().filter(|check| check.occasions == 0);
        let checks = checks.map(|check| format!("expectation {}: never put to the test", check.name));
        self.record.vacuous.iter().cloned().chain(oracles).chain(checks).collect()
    }

    fn decide(&self) -> Outcome {
        let fired =
            |severity| self.violations.iter().any(|violation| violation.oracle.severity() == severity);
        if fired(Severity::Safety) {
            Outcome::Safety
        } else if fired(Severity::Liveness) {
            Outcome::Liveness
        } else if self.checks.iter().any(|check| !check.met) {
            Outcome::Missed
        } else {
            Outcome::Pass
        }
    }

    /// All that is wrong, one line each.
    pub fn complaints(&self) -> Vec<String> {
        let missed = self.checks.iter().filter(|check| !check.met);
        let missed = missed.map(|check| {
            format!("expectation: {} {}, measured {}", check.name, check.expected, check.measured)
        });
        let vacuous = self.vacuous.iter().filter(|_| self.outcome == Outcome::Vacuous);
        let vacuous = vacuous.map(|what| format!("vacuous: {what}"));
        self.violations.iter().map(ToString::to_string).chain(missed).chain(vacuous).collect()
    }
}

#[cfg(test)]
mod tests;
