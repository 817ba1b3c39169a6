//! The whole suite: every short scenario of the collection holds, puts all that it asks for to the test, and has the
//! verdict that is kept in `snapshots`; and every one has a mutation that breaks its claim and is noticed.
//!
//! `cargo test --workspace --test suite -- claims` runs the scenarios as they are, `-- mutations` breaks them and prints who
//! noticed, `-- churn` does both for one of them. A harness of its own gives each scenario a line and a thread.

mod beyond;
mod broken;
mod defects;
mod mutations;

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use insta::Settings;
use libtest_mimic::{Arguments, Failed, Trial};
use sim::report::{Outcome, Style, Verdict};
use sim::run::run;
use sim::scenario::Scenario;

/// A scenario of the collection.
struct Entry {
    name: String,
    path: PathBuf,
    text: String,
}

impl Entry {
    /// With `sets` over it.
    fn parse(&self, sets: &[&str]) -> Result<Scenario, Failed> {
        let sets: Vec<_> = sets.iter().map(ToString::to_string).collect();
        Ok(Scenario::parse(&self.path.to_string_lossy(), &self.text, &sets)?)
    }
}

/// Those that CI runs, in the order of their names.
fn short_scenarios() -> Vec<Entry> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../scenarios");
    let mut paths: Vec<_> = fs::read_dir(folder)
        .expect("the folder is there")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    paths.sort();
    let entries =
        paths.into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "toml"));
    let entries = entries.map(|path| Entry {
        name: path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
        text: fs::read_to_string(&path).expect("it reads"),
        path,
    });
    // One that does not parse fails its trial.
    entries.filter(|entry| entry.parse(&[]).is_ok_and(|scenario| !scenario.run.cost.is_long())).collect()
}

/// It passes, and nothing that it asks for was idle.
fn holds(entry: &Entry) -> Result<(), Failed> {
    let scenario = entry.parse(&[])?;
    let verdict = Verdict::of(run(&scenario.expand(scenario.seed), &mut |_| ())?).strictly();
    let table = verdict.table(Style::Plain);
    if verdict.outcome != Outcome::Pass {
        return Err(format!("{table}\n{}", verdict.complaints().join("\n")).into());
    }
    beyond::check(&entry.name, &verdict);
    snapshots().bind(|| insta::assert_snapshot!(entry.name.as_str(), table));
    Ok(())
}

/// Kept by the names of the scenarios.
fn snapshots() -> Settings {
    let mut settings = Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings
}

/// A scenario that has gone leaves no verdict behind.
fn every_verdict_has_its_scenario(names: &BTreeSet<String>) -> Result<(), Failed> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/suite/snapshots");
    for entry in fs::read_dir(folder)? {
        let file = entry?.file_name().to_string_lossy().into_owned();
        let stale =
            file.strip_suffix(".snap").filter(|name| *name != mutations::SNAPSHOT && !names.contains(*name));
        if stale.is_some() {
            return Err(format!("snapshots/{file} is of no short scenario: delete it").into());
        }
    }
    Ok(())
}

/// Newcomers choose from the table in the folder's README.
fn every_scenario_is_in_the_readme() -> Result<(), Failed> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../scenarios");
    let readme = fs::read_to_string(folder.join("README.md"))?;
    for path in fs::read_dir(folder)?.flatten().map(|entry| entry.path()) {
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        let is_scenario = path.extension().is_some_and(|extension| extension == "toml");
        if is_scenario && !readme.contains(&format!("| `{name}` |")) {
            return Err(format!("scenarios/README.md has no line for {name}").into());
        }
    }
    Ok(())
}

fn main() -> ExitCode {
    let args = Arguments::from_args();
    let entries: &'static [Entry] = short_scenarios().leak();
    let names: BTreeSet<_> = entries.iter().map(|entry| entry.name.clone()).collect();
    let mut trials: Vec<_> = entries
        .iter()
        .map(|entry| Trial::test(format!("claims::{}", entry.name), move || holds(entry)))
        .collect();
    let broken = mutations::trials(entries);
    let mutations = broken.trials.len();
    trials.extend(broken.trials);
    let known = names.clone();
    trials
        .push(Trial::test("every_verdict_has_its_scenario", move || every_verdict_has_its_scenario(&known)));
    trials.push(Trial::test("every_scenario_is_in_the_readme", every_scenario_is_in_the_readme));
    trials.push(Trial::test("every_scenario_has_a_mutation", move || mutations::cover(&names)));
    let conclusion = libtest_mimic::run(&args, trials);
    if !conclusion.has_failed() {
        broken.results.print_and_compare(mutations);
    }
    conclusion.exit_code()
}
