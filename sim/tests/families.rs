//! Swarms of both address families: what happens where nobody joins them.

use std::fs;
use std::path::PathBuf;

use sim::report::{Outcome, Style, Verdict};
use sim::run::run;
use sim::scenario::Scenario;

/// The scenario of the collection, with `sets` over it.
fn verdict(sets: &[&str]) -> Verdict {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../scenarios/ipv6_dual_stack.toml");
    let text = fs::read_to_string(path).expect("it is there");
    let sets: Vec<_> = sets.iter().map(ToString::to_string).collect();
    let scenario = Scenario::parse("ipv6_dual_stack.toml", &text, &sets);
    let scenario = scenario.unwrap_or_else(|error| panic!("{error}"));
    Verdict::of(run(&scenario.expand(1), &mut |_| ()).expect("it runs"))
}

#[test]
fn without_them_ipv6_is_an_island() {
    let verdict = verdict(&["peers.both.family=\"ipv4\"", "run.time_limit=\"3 min\""]);
    assert_eq!(verdict.outcome, Outcome::Missed, "{}", verdict.table(Style::Plain));
    assert_eq!(verdict.completed, 12, "those of IPv4");
    assert_eq!(
        verdict.extinct,
        ["48 pieces are out of reach of ipv6 peers: nobody joins them to the others"]
    );
    let islanders = verdict.record.leechers().filter(|(plan, _)| plan.name.starts_with("new"));
    assert!(islanders.map(|(_, peer)| peer.downloaded).all(|bytes| bytes == 0), "no packet crosses");
}

#[test]
fn a_peer_that_the_tracker_cannot_answer_is_refused() {
    let text = "# None.\nversion = 1\n[torrent]\nsize = \"1 MiB\"\npiece_length = \"64 KiB\"\n\
                [tracker]\nfamily = \"ipv4\"\n[[peers]]\nrole = \"seeder\"\nlink = \"adsl\"\n\
                [[peers]]\nrole = \"leecher\"\nlink = \"adsl\"\nfamily = \"ipv6\"\n";
    let error = Scenario::parse("none.toml", text, &[]).expect_err("contradictory").to_string();
    assert!(error.contains("the tracker answers over ipv4 alone"), "{error}");
}
