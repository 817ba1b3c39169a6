//! The tracker's scenarios hold, and each fails once what it claims is broken: expectations that cannot fail
//! prove nothing.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use sim::report::Verdict;
use sim::run::run;
use sim::scenario::Scenario;

/// Runs a scenario of the project after `edits` to its text; says which expectations it meets.
fn verdict(name: &str, edits: &[(&str, &str)]) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("../scenarios/{name}.toml"));
    let mut text = fs::read_to_string(&path).expect("reads");
    for (from, to) in edits {
        assert!(text.contains(from), "{name} has no `{from}`");
        text = text.replace(from, to);
    }
    let scenario =
        Scenario::parse(&path.to_string_lossy(), &text, &[]).unwrap_or_else(|error| panic!("{error}"));
    let verdict = Verdict::of(run(&scenario.expand(1), &mut |_| ()).expect("it runs"));
    let mut out = format!("{:?}\n", verdict.outcome);
    for check in &verdict.checks {
        let mark = if check.met { '✓' } else { '✗' };
        let _ = writeln!(out, "{mark} {} {}", check.name, check.expected);
    }
    // What no expectation names is told in full.
    for violation in &verdict.violations {
        let _ = writeln!(out, "{violation}");
    }
    out
}

#[test]
fn a_tracker_dies_and_returns_with_its_swarms() {
    insta::assert_snapshot!(verdict("tracker_dies_and_returns", &[]));
    let forgetful = [("crash = \"tracker\"", "lose_database = \"tracker\"")];
    insta::assert_snapshot!(verdict("tracker_dies_and_returns", &forgetful));
}

#[test]
fn a_tracker_that_loses_its_database_finds_the_swarm_again() {
    insta::assert_snapshot!(verdict("tracker_loses_database", &[]));
    let rare = [("interval = \"40 s\"", "interval = \"30 min\"")];
    insta::assert_snapshot!(verdict("tracker_loses_database", &rare));
}

#[test]
fn wrong_clocks_disturb_nobody() {
    insta::assert_snapshot!(verdict("clock_skew", &[]));
    // Further than the accept window of connection ids, and a clock that runs a third too fast.
    let wild = [("by = \"+2 min\"", "by = \"+2 h\""), ("drift = \"500 ppm\"", "drift = \"300000 ppm\"")];
    insta::assert_snapshot!(verdict("clock_skew", &wild));
}

#[test]
fn an_overloaded_tracker_slows_its_clients_down() {
    insta::assert_snapshot!(verdict("tracker_overload", &[]));
    let stubborn = [("interval = \"20 s\"", "interval = \"20 s\"\nshedding = false")];
    insta::assert_snapshot!(verdict("tracker_overload", &stubborn));
}
