//! Peers whose disks forget and rot, beyond what the suite sees: who is named, and hundreds of power cuts in one small swarm.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use sim::defect::{Tampered, catalogue};
use sim::oracle::Oracle;
use sim::record::Record;
use sim::report::{Outcome, Verdict};
use sim::run::run_tampered;
use sim::scenario::{Plan, Scenario};

fn shipped(name: &str) -> Plan {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../scenarios").join(name);
    let text = fs::read_to_string(path).expect("it comes with the project");
    plan(name, &text)
}

fn plan(name: &str, text: &str) -> Plan {
    let scenario = Scenario::parse(name, text, &[]).unwrap_or_else(|error| panic!("{error}"));
    scenario.expand(scenario.seed)
}

fn judged(plan: &Plan, tampered: &Tampered) -> Verdict {
    let record: Record = run_tampered(plan, tampered, &mut |_| ()).expect("it runs");
    Verdict::of(record)
}

fn complaints(verdict: &Verdict, oracle: Oracle) -> String {
    let of_it = verdict.violations.iter().filter(|violation| violation.oracle == oracle);
    of_it.map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[test]
fn rot_shows_in_the_sample_and_only_there() {
    let tampered = Tampered::only("leecher", || catalogue::SkipsSample);
    let verdict = judged(&shipped("crash_and_resume.toml"), &tampered);
    assert_eq!(verdict.outcome, Outcome::Safety);
    let started = "resume: leecher-3 started with 100 pieces that its disk does not hold";
    assert_eq!(complaints(&verdict, Oracle::Resume), started, "nobody else needs the sample");
    assert!(complaints(&verdict, Oracle::Integrity).contains("leecher-3"), "and it stays complete in name");
}

/// Four peers lose power 75 times each; nothing of it may depend on the sample.
#[test]
fn hundreds_of_power_cuts_spoil_nothing() {
    let mut text = "# Power is cut three hundred times.\nversion = 1\n\
         [torrent]\nsize = \"1 MiB\"\npiece_length = \"16 KiB\"\n[tracker]\ninterval = \"30 s\"\n\
         [links.home]\nup = \"60 kbit/s\"\ndown = \"1 Mbit/s\"\nlatency = \"10 ms\"\nqueue = \"50 kB\"\n\
         [[peers]]\nrole = \"seeder\"\nlink = \"home\"\n\
         [[peers]]\nrole = \"leecher\"\nlink = \"home\"\ncount = 4\n\
         [run]\ntick = \"10 ms\"\nat_least = \"920 s\"\ntime_limit = \"1 h\"\n"
        .to_owned();
    for number in 0..75_u64 {
        // Never at the same distance from the flushes.
        let at = 4_000 + number * 12_000 + number * number * 7_919 % 9_000;
        let _ = write!(text, "[[faults]]\nat = \"{at} ms\"\npower_cut = \"leecher\"\nfor = \"500 ms\"\n");
    }
    let drawn =
        |seed| plan("cuts.toml", &text.replace("version = 1", &format!("version = 1\nseed = {seed}")));
    // With each, others lose power while they answer a SYN or wait for the answer to theirs.
    for seed in 1..=6 {
        let honest = judged(&drawn(seed), &Tampered::only("leecher", || catalogue::SkipsSample));
        let lives: usize = honest.record.peers.iter().map(|peer| peer.lives.len()).sum();
        println!("{lives} lives, last completion {:?}", honest.completion.map(|times| times.last));
        assert_eq!(honest.complaints(), Vec::<String>::new(), "seed {seed}");
        assert!(lives >= 300, "{lives} lives");
    }
    let is_found = |seed| {
        let lying = judged(&drawn(seed), &Tampered::only("leecher", || catalogue::ClaimsTooEarly));
        !complaints(&lying, Oracle::Resume).is_empty()
    };
    assert!((1..=6).any(is_found), "the same cuts find a liar");
}
