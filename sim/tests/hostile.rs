//! The scenarios with hostile peers: each claim holds, and is seen to fail where the engine is broken.

use std::fs;
use std::path::PathBuf;

use sim::defect::catalogue::{KnowsOne, NoEndgame, ReadsWrong, SkipsHashes};
use sim::defect::company::{DialsOneByOne, EvictsNamesakes, KnowsNobody, ServesTheChoked};
use sim::defect::{Defect, Tampered};
use sim::oracle::Rule;
use sim::report::{Outcome, Style, Verdict};
use sim::run::{run, run_tampered};
use sim::scenario::{Plan, Scenario};

/// The plan of a scenario of the collection, with `sets` over it.
fn plan(name: &str, sets: &[&str]) -> Plan {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("../scenarios/{name}.toml"));
    let text = fs::read_to_string(&path).expect("it is there");
    let sets: Vec<_> = sets.iter().map(ToString::to_string).collect();
    let scenario = Scenario::parse(&path.to_string_lossy(), &text, &sets);
    let scenario = scenario.unwrap_or_else(|error| panic!("{error}"));
    scenario.expand(scenario.seed)
}

fn verdict(name: &str, sets: &[&str]) -> Verdict {
    Verdict::of(run(&plan(name, sets), &mut |_| ()).expect("it runs"))
}

fn passes(name: &str) -> Verdict {
    let verdict = verdict(name, &[]);
    assert_eq!(verdict.outcome, Outcome::Pass, "{}", verdict.table(Style::Plain));
    verdict
}

/// What is wrong with a run, one line each.
fn complaints(verdict: &Verdict) -> String {
    assert_ne!(verdict.outcome, Outcome::Pass, "{}", verdict.table(Style::Plain));
    verdict.complaints().join("\n")
}

/// What is wrong where all leechers have a defect.
fn broken<D: Defect + Default + 'static>(name: &str, sets: &[&str]) -> String {
    let tampered = Tampered::only("leecher", D::default);
    let verdict = Verdict::of(run_tampered(&plan(name, sets), &tampered, &mut |_| ()).expect("it runs"));
    complaints(&verdict)
}

/// A swarm of a size for mutations.
const SMALL: [&str; 2] = ["torrent.size=\"2 MiB\"", "peers.leecher.count=6"];

#[test]
fn the_crowd_that_hostile_peers_are_set_upon_does_well_alone() {
    passes("small_crowd");
    let give_nothing = ["peers.leecher.upload_slots=0", "peers.leecher.optimistic_slots=0"];
    let complaints = complaints(&verdict("small_crowd", &give_nothing));
    assert!(complaints.contains("efficiency"), "{complaints}");
}

#[test]
fn poisoners_are_refused_and_nobody_else_is() {
    let verdict = passes("poisoners");
    let justice = verdict.justice.expect("four are hostile");
    assert_eq!(justice.refused, justice.sufferers);
    assert!(justice.sufferers >= 24, "{justice:?}");
}

#[test]
fn an_engine_that_skips_hashes_takes_wrong_bytes_for_right_ones() {
    let skips = Tampered::only("leecher-1", || SkipsHashes);
    let verdict = Verdict::of(run_tampered(&plan("poisoners", &SMALL), &skips, &mut |_| ()).expect("runs"));
    let complaints = complaints(&verdict);
    assert!(complaints.contains("integrity: leecher-1 says that it is complete"), "{complaints}");
}

#[test]
fn an_honest_peer_that_is_refused_is_named() {
    // Its disk spoils what it serves: whoever refuses it is right, and the oracle cannot know.
    let spoils = Tampered::only("leecher-1", ReadsWrong::default);
    let verdict = Verdict::of(run_tampered(&plan("poisoners", &SMALL), &spoils, &mut |_| ()).expect("runs"));
    let complaints = complaints(&verdict);
    assert!(complaints.contains("refused leecher-1"), "{complaints}");
    assert!(complaints.contains("which is honest"), "{complaints}");
}

#[test]
fn free_riders_are_done_after_those_who_give() {
    let justice = passes("free_riders").justice.expect("six are hostile");
    assert!(justice.loot.is_some_and(|loot| loot < 1.0), "{justice:?}");
}

#[test]
fn without_tit_for_tat_free_riders_gain() {
    let verdict = verdict("free_riders", &["torrent.choker=\"random\""]);
    let complaints = complaints(&verdict);
    assert!(complaints.contains("expectation: slowdown"), "{complaints}");
}

#[test]
fn liars_cost_little_time() {
    passes("lying_peers");
}

#[test]
fn who_waits_for_what_a_liar_promised_waits_for_ever() {
    let complaints = broken::<NoEndgame>("lying_peers", &["run.time_limit=3 min"]);
    assert!(complaints.contains("liveness"), "{complaints}");
}

#[test]
fn rude_peers_cost_little_time() {
    passes("rude_peers");
}

#[test]
fn who_serves_a_flood_that_it_chokes_is_found_out() {
    let complaints = broken::<ServesTheChoked>("rude_peers", &SMALL);
    assert!(complaints.contains("protocol: answered"), "{complaints}");
}

#[test]
fn slow_peers_do_not_hold_up_the_end() {
    passes("slow_peer_does_not_stall");
}

#[test]
fn who_waits_for_the_slowest_is_held_up() {
    let complaints = broken::<NoEndgame>("slow_peer_does_not_stall", &[]);
    assert!(complaints.contains("expectation: slowdown"), "{complaints}");
}

#[test]
fn dead_peers_keep_nobody_from_the_living() {
    passes("dead_peers");
}

#[test]
fn who_dials_one_by_one_is_kept_from_the_living() {
    let complaints = broken::<DialsOneByOne>("dead_peers", &[]);
    assert!(complaints.contains("expectation: slowdown"), "{complaints}");
}

#[test]
fn a_peer_id_that_many_share_keeps_nobody_from_completing() {
    passes("duplicate_peer_id");
}

#[test]
fn engines_that_take_all_for_one_peer_fail_at_it() {
    let complaints = broken::<KnowsOne>("duplicate_peer_id", &[]);
    assert!(complaints.contains("expectation: slowdown"), "{complaints}");
}

#[test]
fn engines_that_cut_a_peer_off_for_whoever_has_its_name_fail_at_it() {
    let complaints = broken::<EvictsNamesakes>("duplicate_peer_id", &[]);
    assert!(complaints.contains("expectation: slowdown"), "{complaints}");
}

#[test]
fn whoever_meets_itself_leaves_it_at_that() {
    let verdict = passes("self_connect");
    let met = verdict.record.conduct.exercised.get(&Rule::Itself).copied().unwrap_or_default();
    // Both ends count. An address that turned out to be its own is not dialled again.
    assert!((4..=32).contains(&met), "eight peers with two addresses met themselves {met} times");
}

#[test]
fn engines_that_do_not_know_themselves_are_found_out() {
    let complaints = broken::<KnowsNobody>("self_connect", &[]);
    assert!(complaints.contains("protocol: itself"), "{complaints}");
}
