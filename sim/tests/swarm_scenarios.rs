//! The scenarios of how a swarm comes together hold, and each fails once what it claims is broken.

use std::fs;
use std::path::PathBuf;

use sim::defect::{Tampered, catalogue};
use sim::report::{Outcome, Verdict};
use sim::run::run_tampered;
use sim::scenario::Scenario;

/// Runs a scenario of the project after `edits` to its text.
fn verdict(name: &str, edits: &[(&str, &str)], tampered: &Tampered) -> Verdict {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("../scenarios/{name}.toml"));
    let mut text = fs::read_to_string(&path).expect("reads");
    for (from, to) in edits {
        assert!(text.contains(from), "{name} has no `{from}`");
        text = text.replace(from, to);
    }
    let scenario =
        Scenario::parse(&path.to_string_lossy(), &text, &[]).unwrap_or_else(|error| panic!("{error}"));
    Verdict::of(run_tampered(&scenario.expand(1), tampered, &mut |_| ()).expect("it runs"))
}

/// It passes as it is.
fn holds(name: &str) -> Verdict {
    let verdict = verdict(name, &[], &Tampered::nobody());
    assert_eq!(verdict.outcome, Outcome::Pass, "{:?}", verdict.complaints());
    verdict
}

/// Does some complaint begin so?
fn complains(verdict: &Verdict, start: &str) -> bool {
    verdict.complaints().iter().any(|complaint| complaint.starts_with(start))
}

#[test]
fn a_super_seeder_uploads_hardly_more_than_a_copy() {
    let copies = holds("super_seeding").seed_copies;
    assert!(copies >= 1.0, "nobody else has anything to give: {copies}");
    let ordinary = verdict("super_seeding", &[("super_seed = true\n", "")], &Tampered::nobody());
    assert!(complains(&ordinary, "expectation: seed copies"), "{:?}", ordinary.complaints());
}

#[test]
fn a_private_torrent_stays_private() {
    let exercised = holds("private_torrent").record.conduct.exercised;
    assert!(exercised.get(&sim::oracle::Rule::Private).is_some_and(|&count| count > 0));
    let tells = Tampered::only("leecher-3", catalogue::TellsStrangers::default);
    let tells = verdict("private_torrent", &[], &tells);
    assert!(complains(&tells, "protocol: private"), "{:?}", tells.complaints());
}

#[test]
fn a_magnet_link_is_enough() {
    holds("magnet_from_peers");
    let keeps = Tampered::only("seeder", catalogue::KeepsMetadata::default);
    let keeps = verdict("magnet_from_peers", &[], &keeps);
    assert_eq!(keeps.completed, 0);
    assert!(complains(&keeps, "liveness"), "{:?}", keeps.complaints());
}

#[test]
fn peers_find_each_other_without_a_tracker() {
    holds("pex_without_tracker");
    let deaf = Tampered::only("leecher", catalogue::IgnoresGossip::default)
        .and("seeder", catalogue::IgnoresGossip::default);
    let deaf = verdict("pex_without_tracker", &[], &deaf);
    assert!(complains(&deaf, "expectation: time"), "{:?}", deaf.complaints());
}
