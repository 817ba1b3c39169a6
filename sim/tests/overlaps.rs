//! Faults of one kind that overlap on one host: the end of each ends that one, and no other.

use sim::run::run;
use sim::scenario::Scenario;

/// A leecher gets 1 MiB at 2 Mbit/s, in 4.5 s if nothing goes wrong.
const CALM: &str = "# One home gets a file from one seeder.
version = 1
[torrent]
size = \"1 MiB\"
piece_length = \"64 KiB\"
[links.home]
up = \"2 Mbit/s\"
down = \"2 Mbit/s\"
latency = \"10 ms\"
queue = \"200 kB\"
[links.slow]
up = \"100 kbit/s\"
down = \"100 kbit/s\"
latency = \"10 ms\"
queue = \"10 kB\"
[links.slower]
up = \"50 kbit/s\"
down = \"50 kbit/s\"
latency = \"10 ms\"
queue = \"10 kB\"
[[peers]]
role = \"seeder\"
link = \"home\"
[[peers]]
role = \"leecher\"
link = \"home\"
";

/// One fault that lasts from the first second to the 21st, and one that comes and goes within it.
const LONG: &str = "[[faults]]\nat = \"1 s\"\nFAULT\nfor = \"20 s\"\n";
const SHORT: &str = "[[faults]]\nat = \"2 s\"\nFAULT\nfor = \"1 s\"\n";

/// Seconds to the completion.
fn seconds(faults: &[(&str, &str)]) -> f64 {
    let faults: String = faults.iter().map(|(when, what)| when.replace("FAULT", what)).collect();
    let scenario = Scenario::parse("overlaps", &format!("{CALM}{faults}"), &[]);
    let scenario = scenario.unwrap_or_else(|error| panic!("{error}"));
    let record = run(&scenario.expand(1), &mut |_| ()).expect("it runs");
    record.completions().last().expect("it completes").as_secs_f64()
}

/// The short one within the long one changes little: what was paused goes on no earlier than without it.
fn outlasts(long: &str, short: &str) {
    let alone = seconds(&[(LONG, long)]);
    assert!(alone > 20.0, "{long} alone: {alone}");
    let both = seconds(&[(LONG, long), (SHORT, short)]);
    assert!(both > 20.0, "{long} ended with {short}: complete after {both} s");
    let short = seconds(&[(SHORT, short)]);
    assert!(short < 12.0, "the short one ends by itself: {short}");
}

#[test]
fn a_worse_link_lasts_as_long_as_its_fault() {
    outlasts("degrade = \"leecher\"\nto = \"slow\"", "degrade = \"leecher\"\nto = \"slower\"");
}

#[test]
fn a_stall_lasts_as_long_as_its_fault() {
    outlasts("stall = \"leecher\"", "stall = \"leecher\"");
}

#[test]
fn a_pause_lasts_as_long_as_its_fault() {
    outlasts("pause = \"leecher\"", "pause = \"leecher\"");
}

#[test]
fn a_full_disk_lasts_as_long_as_its_fault() {
    outlasts("disk_full = \"leecher\"", "disk_full = \"leecher\"");
}
