//! Mutations: each breaks what a scenario claims, and the scenario must notice by the oracle or expectation that is meant to.
//!
//! A mutation tampers with the engines, or takes away from the scenario what its claim rests on. The table of who noticed
//! what is kept as a snapshot.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use libtest_mimic::{Failed, Trial};
use sim::defect::Tampered;
use sim::oracle::Oracle;
use sim::report::Verdict;
use sim::run::run_tampered;

use crate::broken::MUTATIONS;
use crate::{Entry, snapshots};

/// The name of the table's snapshot: no scenario's.
pub const SNAPSHOT: &str = "mutations";

/// A way to break a claim.
pub struct Mutation {
    /// The scenario, by its file's name.
    pub scenario: &'static str,
    /// What is wrong, as a reader of the table would say it.
    pub what: &'static str,
    /// What is laid over the scenario: the wrong, or what makes it smaller.
    pub sets: &'static [&'static str],
    /// Whose engine is broken.
    pub tampered: fn() -> Tampered,
    /// Who must notice; others may.
    pub by: &'static str,
}

/// Who noticed, by scenario and mutation.
#[derive(Clone, Default)]
pub struct Results(Arc<Mutex<BTreeMap<(&'static str, &'static str), String>>>);

impl Results {
    /// Prints the table of what was run; compares it with the snapshot if that was everything.
    pub fn print_and_compare(&self) {
        let results = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut table = String::new();
        let mut last = "";
        for ((scenario, what), by) in &*results {
            if *scenario != last {
                let _ = writeln!(table, "{scenario}");
            }
            last = scenario;
            let _ = writeln!(table, "  {what}: {by}");
        }
        print!("{table}");
        if results.len() == MUTATIONS.len() {
            snapshots().bind(|| insta::assert_snapshot!(SNAPSHOT, table));
        }
    }
}

/// A trial for each mutation, and where their results go.
pub struct Broken {
    pub trials: Vec<Trial>,
    pub results: Results,
}

/// Of the scenarios that are there.
pub fn trials(entries: &'static [Entry]) -> Broken {
    let results = Results::default();
    let trial = |mutation: &'static Mutation| {
        let results = results.clone();
        let name = format!("mutations::{}::{}", mutation.scenario, mutation.what.replace(' ', "_"));
        Trial::test(name, move || notice(mutation, entries, &results))
    };
    let trials = MUTATIONS.iter().map(trial).collect();
    Broken { trials, results }
}

fn notice(mutation: &'static Mutation, entries: &[Entry], results: &Results) -> Result<(), Failed> {
    let entry = entries.iter().find(|entry| entry.name == mutation.scenario);
    let entry = entry.ok_or_else(|| format!("there is no short scenario {}", mutation.scenario))?;
    let scenario = entry.parse(mutation.sets)?;
    let plan = scenario.expand(scenario.seed);
    let verdict = Verdict::of(run_tampered(&plan, &(mutation.tampered)(), &mut |_| ())?);
    let by = noticed(&verdict);
    if !by.contains(mutation.by) {
        let complaints = verdict.complaints().join("\n");
        return Err(format!("{} should have noticed, not {by:?}:\n{complaints}", mutation.by).into());
    }
    let by = by.into_iter().collect::<Vec<_>>().join(", ");
    results.0.lock().unwrap_or_else(PoisonError::into_inner).insert((mutation.scenario, mutation.what), by);
    Ok(())
}

/// Oracles (of the protocol, the rule) and expectations that complain.
fn noticed(verdict: &Verdict) -> BTreeSet<String> {
    let violations = verdict.violations.iter().map(|violation| {
        let rule = violation.message.split(':').next().unwrap_or_default();
        if violation.oracle == Oracle::Protocol {
            format!("protocol/{rule}")
        } else {
            violation.oracle.to_string()
        }
    });
    let missed = verdict.checks.iter().filter(|check| !check.met);
    violations.chain(missed.map(|check| format!("expect/{}", check.name))).collect()
}

/// Fails if a scenario has no mutation.
pub fn cover(names: &BTreeSet<String>) -> Result<(), Failed> {
    let broken: BTreeSet<_> = MUTATIONS.iter().map(|mutation| mutation.scenario).collect();
    let bare: Vec<_> = names.iter().filter(|name| !broken.contains(name.as_str())).collect();
    if bare.is_empty() { Ok(()) } else { Err(format!("scenarios without a mutation: {bare:?}").into()) }
}
