//! Peers behind NAT boxes: who is named when those who cannot be dialled do not dial, and who is not blamed.

use std::fs;
use std::path::PathBuf;

use engine::EngineConfig;
use sim::defect::{Defect, Tampered};
use sim::report::{Outcome, Verdict};
use sim::run::run_tampered;
use sim::scenario::Scenario;

fn verdict(tampered: &Tampered, sets: &[&str]) -> Verdict {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../scenarios/nat_majority.toml");
    let text = fs::read_to_string(&path).expect("reads");
    let sets: Vec<_> = sets.iter().map(|&set| set.to_owned()).collect();
    let scenario = Scenario::parse("nat_majority", &text, &sets).expect("valid");
    Verdict::of(run_tampered(&scenario.expand(1), tampered, &mut |_| ()).expect("it runs"))
}

/// Waits to be dialled.
struct Waits;

impl Defect for Waits {
    fn configures(&mut self, config: &mut EngineConfig) {
        config.torrent.dial_below = 0;
    }
}

#[test]
fn who_cannot_be_dialled_and_does_not_dial_is_stuck() {
    let verdict = verdict(&Tampered::only("mobile", || Waits), &["run.time_limit=2 min"]);
    assert_eq!(verdict.outcome, Outcome::Liveness);
    let stuck: Vec<_> = verdict.violations.iter().map(ToString::to_string).collect();
    assert_eq!(stuck.len(), 6, "{stuck:?}");
    assert!(stuck.iter().all(|line| line.contains("mobile-") && line.contains("holds 0 of 64 pieces")));
}

#[test]
fn an_island_behind_nat_is_told_and_nobody_is_blamed() {
    let sets = ["peers.open.nat=\"cone\"", "peers.seeder.nat=\"filter\"", "run.time_limit=2 min"];
    let verdict = verdict(&Tampered::nobody(), &sets);
    assert_eq!(verdict.violations, [], "nobody can complete, so nobody is at fault");
    assert_eq!(verdict.outcome, Outcome::Missed);
}
