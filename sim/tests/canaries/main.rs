//! Canaries: the bench is run with engines that are broken on purpose, and must notice each.

use sim::defect::{Tampered, catalogue};
use sim::record::Record;
use sim::report::{Outcome, Verdict};
use sim::run::run_tampered;
use sim::scenario::Scenario;

/// A seeder and some leechers on homely links; `more` goes to the end of the file.
fn swarm(tampered: &Tampered, leechers: u32, more: &str) -> Record {
    let text = format!(
        "# A small swarm.\nversion = 1\n[torrent]\nsize = \"1200 KiB\"\npiece_length = \"64 KiB\"\n\
         [tracker]\ninterval = \"20 s\"\n\
         [links.home]\nup = \"4 Mbit/s\"\ndown = \"16 Mbit/s\"\nlatency = \"10 ms\"\nqueue = \"200 kB\"\n\
         [[peers]]\nrole = \"seeder\"\nlink = \"home\"\n\
         [[peers]]\nrole = \"leecher\"\nlink = \"home\"\ncount = {leechers}\n[run]\ntime_limit = \"3 min\"\n{more}"
    );
    let scenario = Scenario::parse("small.toml", &text, &[]).unwrap_or_else(|error| panic!("{error}"));
    run_tampered(&scenario.expand(1), tampered, &mut |_| ()).expect("it runs")
}

#[test]
fn an_environment_without_a_defect_changes_nothing() {
    struct Nothing;
    impl sim::defect::Defect for Nothing {}
    let honest = swarm(&Tampered::nobody(), 3, "");
    let wrapped = swarm(&Tampered::only("leecher", || Nothing).and("tracker", || Nothing), 3, "");
    assert_eq!(Verdict::of(honest.clone()).outcome, Outcome::Pass);
    assert_eq!(honest, wrapped);
}

#[test]
fn who_skips_hashes_is_caught_by_what_it_calls_complete() {
    let wrong = || Tampered::only("seeder", catalogue::ReadsWrong::default);
    let checked = swarm(&wrong(), 2, "");
    assert!(checked.peers.iter().skip(1).all(|peer| peer.completed.is_none() || peer.identical == 19));
    let skipped = swarm(&wrong().and("leecher", catalogue::SkipsHashes::default), 2, "");
    let verdict = Verdict::of(skipped);
    assert_eq!(verdict.outcome, Outcome::Safety);
    assert!(verdict.violations.iter().any(|violation| violation.oracle == sim::oracle::Oracle::Integrity));
}
