//! Engines that fetch more or less than what they were told to.

use std::fs;
use std::path::PathBuf;

use sim::defect::{Tampered, choice};
use sim::oracle::Oracle;
use sim::report::{Outcome, Verdict};
use sim::run::run_tampered;
use sim::scenario::Scenario;

/// The scenario of the collection, smaller.
fn verdict(tampered: &Tampered) -> Verdict {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../scenarios/many_small_files.toml");
    let text = fs::read_to_string(path).expect("it is there");
    let sets = ["torrent.size=\"1 MiB\"", "peers.whole.count=2", "peers.half.count=2", "peers.few.count=1"];
    let scenario = Scenario::parse("many_small_files.toml", &text, &sets.map(str::to_owned));
    let scenario = scenario.unwrap_or_else(|error| panic!("{error}"));
    Verdict::of(run_tampered(&scenario.expand(1), tampered, &mut |_| ()).expect("it runs"))
}

fn caught(verdict: &Verdict, says: &str) -> bool {
    let named = |violation: &sim::oracle::Violation| {
        violation.oracle == Oracle::Integrity && violation.message.contains(says)
    };
    verdict.outcome == Outcome::Safety && verdict.violations.iter().any(named)
}

#[test]
fn an_engine_that_fetches_what_nobody_wants_is_caught() {
    assert_eq!(verdict(&Tampered::nobody()).outcome, Outcome::Pass);
    let greedy = verdict(&Tampered::only("few", choice::TakesEverything::default));
    assert!(caught(&greedy, "few wants 1 pieces and has fetched 16"), "{:?}", greedy.violations);
}

#[test]
fn an_engine_that_leaves_out_what_is_wanted_is_caught() {
    let sloppy = verdict(&Tampered::only("half", choice::LeavesOut::default));
    assert!(caught(&sloppy, "says that it is complete"), "{:?}", sloppy.violations);
}
