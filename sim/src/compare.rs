//! A against B: the same scenario run twice for each seed, with one thing changed, and what the change does.
//!
//! Both runs of a seed share every draw that the change does not touch (arrivals, links, losses: common random
//! numbers), so only the difference inside a pair counts. How sure one can be of its mean is said by a bootstrap: pairs
//! are drawn anew, with repetition, thousands of times (Efron 1979; percentile interval), from a fixed seed.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::Range;
use std::path::Path;

use proto::seed::{Random, Seed};
use proto::torrent::policy::Policies;
use serde::Serialize;
use serde_json::Value;
use thiserror::Error;

use crate::report::Verdict;
use crate::run::{RunError, run};
use crate::scenario::{Scenario, ScenarioError};

/// Why two variants could not be compared.
#[derive(Debug, Error)]
pub enum CompareError {
    /// No scenario and seed is on both sides.
    #[error("no run of {a} has the scenario and the seed of a run of {b}")]
    NoPair {
        /// What A is.
        a: String,
        /// What B is.
        b: String,
    },
    /// The scenario's file cannot be read.
    #[error("cannot read {file}: {reason}")]
    Unreadable {
        /// The file.
        file: String,
        /// What the system said.
        reason: std::io::Error,
    },
    /// The scenario is wrong, with or without the change.
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
    /// A run did not come about.
    #[error(transparent)]
    Run(#[from] RunError),
    /// A run's figures are no JSON, which no run's are.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}

/// How often the pairs are drawn anew: the ends of the interval are then stable to a few hundredths of its width.
const RESAMPLES: usize = 10_000;

/// Fewer pairs than this say little, and the table says so.
const ENOUGH: usize = 5;

/// One figure of a run.
#[derive(Clone, Copy, Debug)]
struct Measure {
    name: &'static str,
    /// Where it stands in a run's JSON.
    pointer: &'static str,
    /// What one unit of the JSON is in the table's unit.
    scale: f64,
    unit: &'static str,
    digits: usize,
    /// Is more of it better?
    more_is_better: bool,
}

const MEASURES: [Measure; 8] = [
    Measure::new("completed", "/completed", 1.0, "", 0, true),
    Measure::new("median completion", "/completion_seconds/p50", 1.0, " s", 1, false),
    Measure::new("90 % complete", "/completion_seconds/p90", 1.0, " s", 1, false),
    Measure::new("last completion", "/completion_seconds/last", 1.0, " s", 1, false),
    Measure::new("efficiency", "/efficiency", 1.0, "", 3, true),
    Measure::new("fairness (Jain)", "/jain", 1.0, "", 3, true),
    Measure::new("overhead", "/overhead", 100.0, " %", 2, false),
    Measure::new("came twice", "/duplicate_bytes", 1.0 / (1 << 20) as f64, " MiB", 2, false),
];

impl Measure {
    const fn new(
        name: &'static str,
        pointer: &'static str,
        scale: f64,
        unit: &'static str,
        digits: usize,
        more_is_better: bool,
    ) -> Self {
        Self { name, pointer, scale, unit, digits, more_is_better }
    }

    fn text(&self, value: f64) -> String {
        format!("{value:.*}{}", self.digits, self.unit)
    }
}

/// What a change does to one figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// For the better.
    Better,
    /// For the worse.
    Worse,
    /// Nothing that these pairs could show.
    Unclear,
}

/// One figure of both variants.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// What it is.
    pub name: &'static str,
    /// Pairs in which both have it.
    pub pairs: usize,
    /// Mean of A.
    pub a: f64,
    /// Mean of B.
    pub b: f64,
    /// Mean of B minus A, pair by pair.
    pub delta: f64,
    /// Where 95 % of the resampled means of B minus A lie; nothing for less than two pairs.
    pub interval: Option<(f64, f64)>,
    /// What that means.
    pub effect: Effect,
}

/// A against B.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// What A is.
    pub a: String,
    /// What B is.
    pub b: String,
    /// Runs of each with a counterpart.
    pub pairs: usize,
    /// Runs without one.
    pub unpaired: usize,
    /// Every figure that both have.
    pub rows: Vec<Row>,
}

impl Comparison {
    /// Pairs runs (the objects of `sim --json`) of one scenario and seed.
    ///
    /// # Errors
    /// If no two runs make a pair.
    pub fn of(a: (&str, &[Value]), b: (&str, &[Value])) -> Result<Self, CompareError> {
        let (left, right) = (by_seed(a.1), by_seed(b.1));
        let pairs: Vec<_> = left.iter().filter_map(|(key, a)| Some((*a, *right.get(key)?))).collect();
        if pairs.is_empty() {
            return Err(CompareError::NoPair { a: a.0.to_owned(), b: b.0.to_owned() });
        }
        let rows = MEASURES.iter().enumerate().filter_map(|(number, measure)| row(number, *measure, &pairs));
        Ok(Self {
            a: a.0.to_owned(),
            b: b.0.to_owned(),
            pairs: pairs.len(),
            unpaired: left.len() + right.len() - 2 * pairs.len(),
            rows: rows.collect(),
        })
    }

    /// Runs the scenario of `file` for every one of `seeds`, as it is and with `sets` over it; `policies` may be named.
    ///
    /// # Errors
    /// If the scenario is refused or cannot be run.
    pub fn run(
        file: &Path,
        sets: (&[String], &[String]),
        seeds: Range<u64>,
        policies: &Policies,
    ) -> Result<Self, CompareError> {
        let name = file.to_string_lossy();
        let unreadable = |reason| CompareError::Unreadable { file: name.to_string(), reason };
        let text = std::fs::read_to_string(file).map_err(unreadable)?;
        let variant = |sets: &[String]| -> Result<Vec<Value>, CompareError> {
            let scenario = Scenario::parse_with(&name, &text, sets, policies)?;
            let one = |seed| {
                let verdict = Verdict::of(run(&scenario.expand(seed), &mut |_| ())?);
                Ok(serde_json::to_value(verdict.summary(0.0))?)
            };
            seeds.clone().map(one).collect()
        };
        let (a, b) = (variant(sets.0)?, variant(&[sets.0, sets.1].concat())?);
        Self::of(("as it is", &a), (&sets.1.join(", "), &b))
    }

    /// For people who see it for the first time.
    pub fn table(&self) -> String {
        let mut out = format!("A  {}\nB  {}\n\n", self.a, self.b);
        let line = |out: &mut String, cells: [&str; 6]| {
            let [name, a, b, delta, interval, effect] = cells;
            let text = format!("{name:<18}{a:>10}{b:>11}{delta:>12}   {interval:<24}{effect}");
            let _ = writeln!(out, "{}", text.trim_end());
        };
        line(&mut out, ["mean of the runs", "A", "B", "B - A", "95 % interval of B - A", ""]);
        for (row, measure) in self.rows.iter().filter_map(|row| Some((row, measure_of(row.name)?))) {
            let signed = |value: f64| format!("{value:+.*}{}", measure.digits, measure.unit);
            let interval = row.interval.map_or_else(
                || "needs more seeds".to_owned(),
                |(low, high)| {
                    format!("{low:+.*} to {high:+.*}{}", measure.digits, measure.digits, measure.unit)
                },
            );
            let effect = match row.effect {
                Effect::Better => "B is better",
                Effect::Worse => "B is worse",
                Effect::Unclear => "no difference shown",
            };
            let (a, b) = (measure.text(row.a), measure.text(row.b));
            line(&mut out, [row.name, &a, &b, &signed(row.delta), &interval, effect]);
        }
        let _ = write!(
            out,
            "\n{} pairs; the two runs of a pair share their seed, and so everything random that the change leaves\n\
             alone. Were the comparison made anew with other seeds, the mean difference would lie within the\n\
             interval about 19 times in 20; an interval that holds zero shows no difference.\n",
            self.pairs
        );
        if self.pairs < ENOUGH {
            let _ = writeln!(out, "So few pairs say little: take {ENOUGH} seeds or more (--seeds 1..9).");
        }
        if self.unpaired > 0 {
            let _ = writeln!(out, "{} runs have no counterpart and were left out.", self.unpaired);
        }
        out
    }
}

fn measure_of(name: &str) -> Option<Measure> {
    MEASURES.into_iter().find(|measure| measure.name == name)
}

/// Runs by scenario and seed; whatever is no run is passed over.
fn by_seed(runs: &[Value]) -> BTreeMap<(String, u64), &Value> {
    let key = |run: &Value| Some((run.get("scenario")?.as_str()?.to_owned(), run.get("seed")?.as_u64()?));
    runs.iter().filter_map(|run| Some((key(run)?, run))).collect()
}

fn row(number: usize, measure: Measure, pairs: &[(&Value, &Value)]) -> Option<Row> {
    let value = |run: &Value| Some(run.pointer(measure.pointer)?.as_f64()? * measure.scale);
    let values: Vec<_> = pairs.iter().filter_map(|(a, b)| Some((value(a)?, value(b)?))).collect();
    let mean = |of: fn(&(f64, f64)) -> f64| values.iter().map(of).sum::<f64>() / values.len() as f64;
    let deltas: Vec<f64> = values.iter().map(|(a, b)| b - a).collect();
    if deltas.is_empty() {
        return None;
    }
    let interval = bootstrap(&deltas, &mut Seed::from_u64(number as u64).rng());
    let effect = match interval {
        Some((low, _)) if low > 0.0 => {
            if measure.more_is_better {
                Effect::Better
            } else {
                Effect::Worse
            }
        }
        Some((_, high)) if high < 0.0 => {
            if measure.more_is_better {
                Effect::Worse
            } else {
                Effect::Better
            }
        }
        Some(_) | None => Effect::Unclear,
    };
    let (a, b) = (mean(|pair| pair.0), mean(|pair| pair.1));
    Some(Row {
        name: measure.name,
        pairs: values.len(),
        a,
        b,
        delta: mean(|pair| pair.1 - pair.0),
        interval,
        effect,
    })
}

/// The middle 95 % of the means of samples that are drawn from `deltas` with repetition.
fn bootstrap(deltas: &[f64], random: &mut Random) -> Option<(f64, f64)> {
    if deltas.len() < 2 {
        return None;
    }
    let mut draw = || deltas.get(random.index(deltas.len())).copied().unwrap_or_default();
    let mut mean = || (0..deltas.len()).map(|_| draw()).sum::<f64>() / deltas.len() as f64;
    let mut means: Vec<f64> = (0..RESAMPLES).map(|_| mean()).collect();
    means.sort_by(f64::total_cmp);
    let at = |per_mille: usize| means.get(RESAMPLES * per_mille / 1000).copied();
    at(25).zip(at(975))
}

#[cfg(test)]
#[path = "compare/tests.rs"]
mod tests;
