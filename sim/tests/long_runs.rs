//! A day of simulated time holds what it claims, and fails once that is broken.
//!
//! Apart from the other scenarios: what only shows after hours is sought here, and idle hours cost next to nothing.

use std::fs;
use std::path::PathBuf;

use sim::defect::{Tampered, catalogue};
use sim::report::{Outcome, Verdict};
use sim::run::run_tampered;
use sim::scenario::Scenario;

/// Runs the day after `edit` of its text.
fn day(edit: impl FnOnce(String) -> String, tampered: &Tampered) -> Verdict {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../scenarios/day_long_soak.toml");
    let text = edit(fs::read_to_string(&path).expect("reads"));
    let parsed = Scenario::parse(&path.to_string_lossy(), &text, &[]);
    let scenario = parsed.unwrap_or_else(|error| panic!("{error}"));
    Verdict::of(run_tampered(&scenario.expand(1), tampered, &mut |_| ()).expect("it runs"))
}

/// Does some complaint begin so?
fn complains(verdict: &Verdict, start: &str) -> bool {
    verdict.complaints().iter().any(|complaint| complaint.starts_with(start))
}

#[test]
fn a_day_leaves_nobody_stuck_and_nothing_behind() {
    let verdict = day(|text| text, &Tampered::nobody());
    assert_eq!(verdict.outcome, Outcome::Pass, "{:?}", verdict.complaints());
    assert!(verdict.vacuous.is_empty(), "{:?}", verdict.vacuous);
    assert!(verdict.record.end.as_secs() >= 24 * 60 * 60);
}

#[test]
fn guests_who_leave_without_a_word_are_counted_for_too_long() {
    let silent = Tampered::only("guest", || catalogue::NeverStops).and("taker", || catalogue::NeverStops);
    let verdict = day(|text| text, &silent);
    assert!(complains(&verdict, "expectation: counts"), "{:?}", verdict.complaints());
}
