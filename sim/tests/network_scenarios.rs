//! The scenarios of rough networks hold, and each fails once what it claims is broken.

use std::fs;
use std::path::PathBuf;

use sim::report::{Outcome, Verdict};
use sim::run::run;
use sim::scenario::Scenario;

/// Runs a scenario of the project after `edits` to its text.
fn verdict(name: &str, edits: &[(&str, &str)]) -> Verdict {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("../scenarios/{name}.toml"));
    let mut text = fs::read_to_string(&path).expect("reads");
    for (from, to) in edits {
        assert!(text.contains(from), "{name} has no `{from}`");
        text = text.replace(from, to);
    }
    let scenario =
        Scenario::parse(&path.to_string_lossy(), &text, &[]).unwrap_or_else(|error| panic!("{error}"));
    Verdict::of(run(&scenario.expand(1), &mut |_| ()).expect("it runs"))
}

/// It passes as it is.
fn holds(name: &str) -> Verdict {
    let verdict = verdict(name, &[]);
    assert_eq!(verdict.outcome, Outcome::Pass, "{:?}", verdict.complaints());
    verdict
}

/// It complains like this after `edits`.
fn fails(name: &str, edits: &[(&str, &str)], start: &str) {
    let complaints = verdict(name, edits).complaints();
    assert!(complaints.iter().any(|complaint| complaint.starts_with(start)), "{complaints:?}");
}

#[test]
fn a_swarm_that_was_cut_in_two_grows_together_again() {
    holds("partition_heals");
    fails("partition_heals", &[("for = \"90 s\"", "for = \"180 s\"")], "expectation: time");
}

#[test]
fn who_is_not_heard_holds_nobody_up_for_long() {
    let dropped = holds("asymmetric_partition").record.packets.dropped;
    assert!(dropped > 1_000, "the cuts took {dropped} packets");
    fails(
        "asymmetric_partition",
        &[("for = \"20 s\"", "for = \"29 s\""), ("count = 4", "count = 12")],
        "expectation: time",
    );
}

#[test]
fn links_that_fade_carry_the_file() {
    holds("bursty_loss");
    fails("bursty_loss", &[("length = \"200 ms\"", "length = \"2 s\"")], "expectation: efficiency");
}

/// Where those who have a latency of their own say so.
const SPREAD: &str = "latency = { lognormal = { median = \"20 ms\", sigma = 0.6 } }";

#[test]
fn distance_costs_no_more_than_it_must() {
    holds("high_latency");
    fails(
        "high_latency",
        &[("latency = \"15 ms\"", "latency = \"2 s\""), (SPREAD, "")],
        "expectation: efficiency",
    );
}

#[test]
fn a_swarm_of_short_visits_serves_all_who_stay() {
    let verdict = holds("steady_churn");
    assert!(verdict.completed < verdict.peers, "some leave before");
    let starved =
        [("up = \"2 Mbit/s\"", "up = \"64 kbit/s\""), ("time_limit = \"20 min\"", "time_limit = \"6 min\"")];
    fails("steady_churn", &starved, "expectation: time");
}

#[test]
fn one_copy_is_enough() {
    let verdict = holds("seed_leaves_at_one_copy");
    let left = verdict.record.peers[0].gone.as_ref().expect("the seeder left").at;
    let done = verdict.record.completions();
    // The last piece to come may be somebody's last.
    assert!(done.iter().filter(|done| **done <= left).count() <= 1, "{done:?}, and it left at {left:?}");
    let early = [("when = { copies = 1 }", "when = { progress = \"5 %\" }")];
    fails("seed_leaves_at_one_copy", &early, "expectation: completed");
}
