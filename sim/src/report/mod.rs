//! The verdict of a run, as a table for people and as JSON for programs.
//!
//! All of a [`Verdict`] follows from the record, so it is the same on every machine; wall time is added by
//! whoever prints it.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::bound;
use crate::oracle::{self, JusticeFigures, Rule, Severity, TrackerFigures, Violation};
use crate::record::{Packets, Record};
use crate::scenario::quantity::duration_text;
use crate::scenario::{Completed, Expect};

mod figures;
mod justice;
mod reference;
mod table;
mod text;

pub use figures::{Percentiles, Utilisation};
pub use text::Style;

/// What came of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// All expectations met, no oracle fired.
    Pass,
    /// An expectation was missed.
    Missed,
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
            Self::Missed => 1,
            Self::Safety => 3,
            Self::Liveness => 4,
        }
    }
}

/// One expectation and what was measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What was expected.
    pub name: &'static str,
    /// How much of it.
    pub expected: String,
    /// What was measured.
    pub measured: String,
    /// Is it met?
    pub met: bool,
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
        let duplicate_bytes = record.leechers().map(|(_, peer)| peer.duplicate).sum();
        let mut verdict = Self {
            outcome: Outcome::Pass,
            checks: Vec::new(),
            violations: oracle::judge(&record),
            extinct: oracle::extinct_pieces(&record),
            peers: record.leechers().count(),
            completed: completions.len(),
            completion,
            download,
            bound,
            efficiency,
            tracker: oracle::tracker_figures(&record),
            justice: oracle::justice_figures(&record),
            utilisation: Utilisation::of(&record),
            jain: figures::jain(&record),
            overhead: if useful > 0.0 { record.wire_bytes as f64 / useful - 1.0 } else { 0.0 },
            seed_copies: figures::seed_copies(&record),
            duplicate_bytes,
            duplicates: figures::share(duplicate_bytes as f64, useful),
            record,
        };
        verdict.checks = verdict.check(&verdict.record.plan.expect);
        verdict.outcome = verdict.decide();
        verdict
    }

    fn check(&self, expect: &Expect) -> Vec<Check> {
        let mut checks = vec![self.check_completed(expect.completed)];
        let last = self.completion.map(|completion| completion.last);
        let mut check = |name, expected: Option<String>, measured: String, met| {
            checks.extend(expected.map(|expected| Check { name, expected, measured, met }));
        };
        let least = |least: Option<f64>| least.map(|least| format!(">= {least}"));
        let most = |most: Option<f64>| most.map(|most| format!("<= {:.1} %", most * 100.0));
        let within = |measured: f64, most: Option<f64>| most.is_none_or(|most| measured <= most);
        let efficient = expect.efficiency.is_none_or(|least| self.efficiency >= least);
        check("efficiency", least(expect.efficiency), format!("{:.3}", self.efficiency), efficient);
        check(
            "time",
            expect.time.map(|most| format!("<= {}", duration_text(most))),
            last.map_or_else(|| "nobody completed".to_owned(), |last| format!("{last:.1} s")),
            last.is_some_and(|last| within(last, expect.time.map(|most| most.as_secs_f64()))),
        );
        let percent = |value: f64| format!("{:.1} %", value * 100.0);
        let duplicates = within(self.duplicates, expect.duplicates);
        check("duplicates", most(expect.duplicates), percent(self.duplicates), duplicates);
        check(
            "overhead",
            most(expect.overhead),
            percent(self.overhead),
            within(self.overhead, expect.overhead),
        );
        let copies = self.seed_copies;
        check(
            "seed copies",
            expect.seed_copies.map(|most| format!("<= {most}")),
            format!("{copies:.2}"),
            within(copies, expect.seed_copies),
        );
        checks.extend(self.check_tracker(expect));
        checks.extend(justice::checks(&expect.justice, self.justice));
        checks
    }

    /// An expectation that was not put to the test is not met.
    fn check_tracker(&self, expect: &Expect) -> impl Iterator<Item = Check> {
        let of = &self.tracker;
        let shares = [
            of.answered_share(),
            of.useful_share(),
            of.counts_share(),
            of.punctual_share(),
            of.counted_share(),
        ];
        let named = expect.tracker.shares().into_iter().zip(shares);
        named.filter_map(|((name, least), measured)| {
            let least = least?;
            Some(Check {
                name,
                expected: format!(">= {:.1} %", least * 100.0),
                measured: measured.map_or_else(|| "no occasion".to_owned(), text::percent),
                met: measured.is_some_and(|measured| measured >= least),
            })
        })
    }

    /// Those who left before they were complete are not counted either way.
    fn check_completed(&self, expected: Completed) -> Check {
        let stayed = self.peers - self.record.left_early();
        let (expected, met) = match expected {
            Completed::All => ("all who stay".to_owned(), self.completed == stayed),
            Completed::AtLeast(least) => {
                (format!(">= {:.1} %", least * 100.0), self.completed as f64 >= least * stayed as f64)
            }
        };
        Check { name: "completed", expected, measured: format!("{} of {stayed}", self.completed), met }
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

    /// The run as one JSON object, with the wall time that it took.
    pub fn summary(&self, wall_seconds: f64) -> impl Serialize + '_ {
        Summary {
            scenario: &self.record.plan.name,
            seed: self.record.plan.seed,
            digest: &self.record.digest,
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
            duplicate_bytes: self.duplicate_bytes,
            tracker: self.tracker,
            justice: self.justice,
            packets: self.record.packets,
            exercised: self.exercised(),
            violations: self.complaints(),
        }
    }

    fn exercised(&self) -> BTreeMap<&'static str, u64> {
        let conduct = oracle::conduct(&self.record);
        let count = |rule: Rule| (rule.name(), conduct.exercised.get(&rule).copied().unwrap_or(0));
        Rule::ALL.into_iter().map(count).collect()
    }

    /// All that is wrong, one line each.
    pub fn complaints(&self) -> Vec<String> {
        let missed = self.checks.iter().filter(|check| !check.met);
        let missed = missed.map(|check| {
            format!("expectation: {} {}, measured {}", check.name, check.expected, check.measured)
        });
        self.violations.iter().map(ToString::to_string).chain(missed).collect()
    }
}

/// The fields of `--json`, in their order.
#[derive(Serialize)]
struct Summary<'a> {
    scenario: &'a str,
    seed: u64,
    digest: &'a str,
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
    duplicate_bytes: u64,
    tracker: TrackerFigures,
    #[serde(skip_serializing_if = "Option::is_none")]
    justice: Option<JusticeFigures>,
    packets: Packets,
    /// Occasions at which each rule of the protocol was checked; those without one are there too.
    exercised: BTreeMap<&'static str, u64>,
    violations: Vec<String>,
}

#[derive(Serialize)]
struct BoundSummary {
    seconds: f64,
    term: &'static str,
}

#[cfg(test)]
mod tests;
