//! Mutations: each breaks what a scenario claims, and the scenario must notice by the oracle or expectation that is meant to.
//!
//! A mutation tampers with the engines, or takes away from the scenario what its claim rests on. The table of who noticed
//! what is kept as a snapshot. In every scenario, nobody completes where nobody gets anything; and there is no expectation
//! that no mutation makes fail.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use libtest_mimic::{Failed, Trial};
use sim::defect::Tampered;
use sim::oracle::Oracle;
use sim::report::Verdict;
use sim::run::run_tampered;
use sim::scenario::Scenario;

use crate::broken::MUTATIONS;
use crate::defects::Starves;
use crate::{Entry, snapshots};

/// The name of the table's snapshot: no scenario's.
pub const SNAPSHOT: &str = "mutations";

/// The mutation of every scenario.
const STARVED: &str = "nobody gets anything";

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

/// What came of one mutation.
struct Noticed {
    /// Oracles and expectations that complained.
    by: BTreeSet<String>,
    /// Those for whose sake it was broken.
    meant: BTreeSet<String>,
    /// All expectations that there were.
    expected: BTreeSet<String>,
}

/// Who noticed, by scenario and mutation.
#[derive(Clone, Default)]
pub struct Results(Arc<Mutex<BTreeMap<(&'static str, &'static str), Noticed>>>);

impl Results {
    /// Runs it; fails unless `wanted` notices.
    fn of(
        &self,
        mutation: (&'static str, &'static str),
        scenario: &Scenario,
        tampered: &Tampered,
        wanted: &str,
    ) -> Result<(), Failed> {
        let plan = scenario.expand(scenario.seed);
        let verdict = Verdict::of(run_tampered(&plan, tampered, &mut |_| ())?);
        let by = noticed(&verdict);
        if !by.contains(wanted) {
            let complaints = verdict.complaints().join("\n");
            return Err(format!("{wanted} should have noticed, not {by:?}:\n{complaints}").into());
        }
        let expected = verdict.checks.iter().map(|check| format!("expect/{}", check.name)).collect();
        // Where nobody gets anything, nothing else comes out either: that shows but one expectation.
        let is_all = mutation.1 == STARVED;
        let meant = by.iter().filter(|name| !is_all || *name == wanted).cloned().collect();
        let mut results = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        results.insert(mutation, Noticed { by, meant, expected });
        Ok(())
    }

    /// Prints the table of what was run; compares it with the snapshot if that was everything.
    pub fn print_and_compare(&self, all: usize) {
        let results = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut table = String::new();
        let mut last = "";
        for ((scenario, what), Noticed { by, .. }) in &*results {
            if *scenario != last {
                let _ = writeln!(table, "{scenario}");
            }
            last = scenario;
            let by: Vec<_> = by.iter().map(String::as_str).collect();
            let _ = writeln!(table, "  {what}: {}", by.join(", "));
        }
        print!("{table}");
        if results.len() == all {
            let never = never_missed(&results);
            assert!(never.is_empty(), "no mutation makes these fail: {never:#?}");
            snapshots().bind(|| insta::assert_snapshot!(SNAPSHOT, table));
        }
    }
}

/// Expectations that held whatever was broken, by scenario.
fn never_missed(
    results: &BTreeMap<(&'static str, &'static str), Noticed>,
) -> BTreeSet<(&'static str, String)> {
    let of = |pick: fn(&Noticed) -> &BTreeSet<String>| {
        let each = results.iter().flat_map(move |((scenario, _), noticed)| {
            pick(noticed).iter().map(move |name| (*scenario, name.clone()))
        });
        each.collect::<BTreeSet<_>>()
    };
    &of(|noticed| &noticed.expected) - &of(|noticed| &noticed.meant)
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
    let starving = |entry: &'static Entry| {
        let results = results.clone();
        Trial::test(format!("mutations::{}::nobody_gets_anything", entry.name), move || {
            starve(entry, &results)
        })
    };
    let trials = MUTATIONS.iter().map(trial).chain(entries.iter().map(starving)).collect();
    Broken { trials, results }
}

fn notice(mutation: &'static Mutation, entries: &[Entry], results: &Results) -> Result<(), Failed> {
    let entry = entries.iter().find(|entry| entry.name == mutation.scenario);
    let entry = entry.ok_or_else(|| format!("there is no short scenario {}", mutation.scenario))?;
    let scenario = entry.parse(mutation.sets)?;
    let tampered = (mutation.tampered)();
    results.of((mutation.scenario, mutation.what), &scenario, &tampered, mutation.by)
}

/// Who gets nothing does not complete.
fn starve(entry: &'static Entry, results: &Results) -> Result<(), Failed> {
    let mut scenario = entry.parse(&[])?;
    if scenario.expect.justice.slowdown.is_some() {
        // Hostile peers are busy until the end; without them their victims are complete by then.
        scenario.run.time_limit = scenario.run.time_limit.min(Duration::from_secs(60));
    }
    let everybody = scenario.groups.iter();
    let tampered = everybody.fold(Tampered::nobody(), |all, group| all.and(&group.name, || Starves));
    results.of((&entry.name, STARVED), &scenario, &tampered, "expect/completed")
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
