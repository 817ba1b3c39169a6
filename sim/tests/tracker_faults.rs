//! A tracker that crashes at any point: what it counts in the end is never more than the truth and lacks no
//! more than one flush, or what a power cut may take.

use std::fmt::Write as _;

use proptest::prelude::*;
use sim::oracle::{Severity, judge};
use sim::record::Record;
use sim::run::run;
use sim::scenario::{FaultKind, Scenario};

/// Twenty tiny downloads over a minute and a half, through links that lose datagrams, so that clients repeat
/// themselves; `faults` befall the tracker.
fn downloads(seed: u64, loss: u32, faults: &[(u32, &str, u32)]) -> Record {
    let mut text = format!(
        "# Downloads end while the tracker suffers.\nversion = 1\n\
         [torrent]\nsize = \"32 KiB\"\npiece_length = \"16 KiB\"\n[tracker]\ninterval = \"15 s\"\n\
         [links.home]\nup = \"4 Mbit/s\"\ndown = \"4 Mbit/s\"\nlatency = \"10 ms\"\nqueue = \"200 kB\"\n\
         loss = \"{loss} %\"\n[[peers]]\nrole = \"seeder\"\nlink = \"home\"\n\
         [[peers]]\nrole = \"leecher\"\nlink = \"home\"\ncount = 20\narrival = {{ uniform = \"90 s\" }}\n\
         [run]\ntick = \"5 ms\"\ntime_limit = \"10 min\"\nat_least = \"150 s\"\n"
    );
    for (at, kind, lasts) in faults {
        let _ = write!(text, "[[faults]]\nat = \"{at} ms\"\n{kind} = \"tracker\"\nfor = \"{lasts} ms\"\n");
    }
    let scenario = Scenario::parse("downloads.toml", &text, &[]).unwrap_or_else(|error| panic!("{error}"));
    run(&scenario.expand(seed), &mut |_| ()).expect("it runs")
}

/// What was done wrong. Slow it may be: whoever loses a datagram in each round of BEP 15 waits for minutes.
fn complaints(record: &Record) -> Vec<String> {
    let wrong = judge(record).into_iter().filter(|violation| violation.oracle.severity() == Severity::Safety);
    wrong.map(|violation| violation.to_string()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn counts_survive_a_crash_at_any_point(
        seed: u64,
        loss in 0_u32..10,
        faults in prop::collection::vec(
            (
                1_000_u32..110_000,
                prop::sample::select(vec!["crash", "power_cut", "lose_database", "store_fails", "pause"]),
                100_u32..12_000,
            ),
            1..4,
        ),
    ) {
        let record = downloads(seed, loss, &faults);
        prop_assert_eq!(complaints(&record), Vec::<String>::new());
        prop_assert!(record.tracker.in_the_end.is_some(), "it is there in the end and can be asked");
    }
}

#[test]
fn the_property_is_one_that_fails() {
    let mut record = downloads(1, 0, &[(60_000, "lose_database", 1_000)]);
    assert_eq!(complaints(&record), Vec::<String>::new());
    // The same run, had it been no more than a crash.
    record.tracker.ends = vec![FaultKind::Crash { back_after: None }];
    let complaints = complaints(&record).join("\n");
    assert!(complaints.contains("had been told to it in time"), "{complaints}");
}

#[test]
fn a_tracker_that_cannot_start_is_started_again() {
    // It comes back without a database, to a disk that is full.
    let record = downloads(0, 0, &[(67_440, "store_fails", 11_208), (67_441, "lose_database", 111)]);
    assert_eq!(complaints(&record), Vec::<String>::new());
    assert!(record.tracker.in_the_end.is_some());
}
