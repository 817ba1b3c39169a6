//! Rough links, regions, sessions and faults of the network, as they are read, refused and written down.

use std::time::Duration;

use super::super::{Arrival, Departure, Plan, Scenario, Target, Trigger};
use super::NetFaultKind;
use crate::network::{Bursts, Reorder, Roughness, Spread};

const MS: fn(u64) -> Duration = Duration::from_millis;

const FAR: &str = "# Two continents.
version = 1
[torrent]
size = \"1 MiB\"
piece_length = \"256 KiB\"
[tracker]
region = \"europe\"
[regions.europe]
europe = \"5 ms\"
asia = \"90 ms\"
[regions.asia]
asia = \"15 ms\"
[links.radio]
up = \"2 Mbit/s\"
down = \"8 Mbit/s\"
latency = \"20 ms\"
queue = \"100 kB\"
jitter = \"30 ms\"
bursts = { gap = \"8 s\", length = \"200 ms\", loss = \"60 %\" }
reorder = { share = \"1 %\", hold = \"25 ms\" }
duplicate = \"0.5 %\"
corrupt = 0.001
[[peers]]
role = \"seeder\"
link = \"cable\"
region = \"europe\"
departure = { ratio = 2.5 }
[[peers]]
role = \"leecher\"
count = 4
link = \"radio\"
region = \"asia\"
latency = { lognormal = { median = \"20 ms\", sigma = 0.7 } }
departure = { weibull = { scale = \"10 min\", shape = 0.6 } }
[[peers]]
name = \"half\"
role = \"leecher\"
link = \"radio\"
departure = { holding = \"50 %\" }
[[faults]]
at = \"5 s\"
every = \"20 s\"
partition = [\"seeder\", \"half\"]
from = \"leecher\"
one_way = true
for = \"4 s\"
[[faults]]
when = { progress = \"50 %\" }
stall = \"leecher\"
count = 2
for = \"2 s\"
[[faults]]
when = { copies = 1 }
leave = \"seeder\"
[[faults]]
at = \"30 s\"
degrade = \"seeder\"
to = \"radio\"
for = \"5 s\"
[run]
time_limit = \"1 min\"
";

fn parse(text: &str) -> Result<Scenario, String> {
    Scenario::parse("far.toml", text, &[]).map_err(|error| error.to_string())
}

fn plan() -> Plan {
    parse(FAR).unwrap_or_else(|error| panic!("{error}")).expand(1)
}

fn refusal(from: &str, to: &str) -> String {
    let text = FAR.replacen(from, to, 1);
    assert_ne!(text, FAR, "`{from}` must occur");
    parse(&text).expect_err("must be refused")
}

#[test]
fn rough_links_and_regions_read_as_they_are_written() {
    let scenario = parse(FAR).unwrap_or_else(|error| panic!("{error}"));
    let expected = Roughness {
        jitter: Some(Spread::Uniform(Duration::ZERO, MS(30))),
        bursts: Some(Bursts { gap: MS(8_000), length: MS(200), loss: 0.6 }),
        duplicate: 0.005,
        reorder: Some(Reorder { share: 0.01, hold: MS(25) }),
        corrupt: 0.001,
    };
    assert_eq!(scenario.links["radio"].roughness, expected);
    assert_eq!(scenario.regions.matrix(), [[MS(15), MS(90)], [MS(90), MS(5)]], "one way says both");
    assert_eq!(scenario.groups[0].departure, Departure::Ratio(2_500));
    assert_eq!(scenario.groups[2].departure, Departure::Holding(500_000));
}

#[test]
fn a_plan_has_every_occurrence_and_replays_itself() {
    let plan = plan();
    let again = parse(&plan.to_toml()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(again.expand(again.seed), plan);
    let of = |key: &str| plan.net_faults.iter().filter(|fault| fault.kind.key() == key).collect::<Vec<_>>();
    let partitions = of("partition");
    assert_eq!(partitions.iter().map(|fault| fault.at.as_secs()).collect::<Vec<_>>(), [5, 25, 45]);
    assert_eq!(partitions[0].targets, [Target::Peer(0), Target::Peer(5)]);
    let from = Some((1..=4).map(Target::Peer).collect());
    assert_eq!(partitions[0].kind, NetFaultKind::Partition { from, one_way: true });
    assert_eq!((of("stall")[0].targets.len(), of("stall")[0].when), (2, Some(Trigger::Progress(500_000))));
    assert_eq!(plan.faults[0].when, Some(Trigger::Copies(1)));
    let latencies: Vec<_> = plan.peers[1..5].iter().filter_map(|peer| peer.latency).collect();
    assert_eq!(latencies.len(), 4);
    assert!(latencies.windows(2).all(|pair| pair[0] != pair[1]), "each has its own");
    assert!(matches!(plan.peers[1].departure, Departure::AfterArrival(time) if time > Duration::ZERO));
}

#[test]
fn what_cannot_be_is_refused_where_it_stands() {
    let twice = FAR.replace("every = \"20 s\"", "every = \"20 s\"\ntimes = 2");
    let count = |plan: Plan| plan.net_faults.iter().filter(|fault| fault.kind.key() == "partition").count();
    assert_eq!(count(parse(&twice).expect("valid").expand(1)), 2);
    for (from, to, complaint) in [
        ("asia = \"90 ms\"\n", "", "[regions.asia] lacks the way to `europe`"),
        ("region = \"asia\"", "region = \"asya\"", "did you mean \"asia\"?"),
        ("jitter = \"30 ms\"", "jiter = \"30 ms\"", "unknown key `jiter` in [links.radio]"),
        ("jitter = \"30 ms\"", "jitter = { uniform = [\"9 ms\", \"3 ms\"] }", "the first time is longer"),
        ("gap = \"8 s\", ", "", "bursts lacks its `gap`"),
        ("sigma = 0.7", "sigma = 700", "700 is not within 0.05 to 100"),
        ("ratio = 2.5", "ratio = 0", "0 is not within 0.001 to 1000"),
        ("every = \"20 s\"", "every = \"3 s\"", "it is not over by then (`for`)"),
        ("when = { copies = 1 }", "at = \"3 s\"\nwhen = { copies = 1 }", "not both"),
        ("at = \"30 s\"", "at = \"30 s\"\ntimes = 2", "after how long each time?"),
        ("when = { copies = 1 }", "when = { copys = 1 }", "did you mean `copies`?"),
        ("partition = [\"seeder\", \"half\"]", "partition = [\"seder\"]", "did you mean \"seeder\"?"),
        ("one_way = true\nfor = \"4 s\"", "one_way = true", "lacks its `for`"),
        ("to = \"radio\"", "to = \"fibre\"", "`fibre` is faster than the link of `seeder`, which is `cable`"),
        ("to = \"radio\"", "from = \"half\"\nto = \"radio\"", "only a `partition` has a `from`"),
        ("stall = \"leecher\"", "stall = [\"leecher\", \"half\"]", "so many of which of them?"),
        ("leave = \"seeder\"", "leave = \"seeder\"\none_way = true", "it has nothing to do with `leave`"),
        ("holding = \"50 %\"", "trace = \"x\"", "unknown key `trace` in departure"),
    ] {
        let refused = refusal(from, to);
        assert!(refused.contains(complaint), "{refused}\n… where `{complaint}` was due");
        assert!(refused.starts_with("far.toml:"), "{refused}");
    }
}

#[test]
fn arrivals_come_from_a_file_beside_the_scenario() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("crowd.toml");
    let text = FAR.replacen("count = 4", "count = 4\narrival = { trace = \"crowd.txt\" }", 1);
    let parse = || Scenario::parse(&file.to_string_lossy(), &text, &[]).map_err(|error| error.to_string());
    let error = parse().expect_err("no such file");
    assert!(error.contains("cannot read") && error.contains("crowd.txt"), "{error}");
    let write = |lines: &str| std::fs::write(folder.path().join("crowd.txt"), lines).expect("room");
    write("# four\n3 s\n\n1500 ms\n10 s\n");
    assert!(parse().expect_err("too few").contains("has 3 arrivals, and these are 4 peers"));
    write("3 s\n1500 ms\n10 s\n12 sec\n");
    assert!(parse().expect_err("no time").contains("crowd.txt:4:"));
    write("3 s\n1500 ms\n10 s\n12 s\n");
    let scenario = parse().expect("valid");
    assert_eq!(scenario.groups[1].arrival, Arrival::Trace([3_000, 1_500, 10_000, 12_000].map(MS).to_vec()));
    let plan = scenario.expand(1);
    assert_eq!(plan.peers[2].arrival, MS(1_500));
    assert_eq!(Scenario::parse("x.toml", &plan.to_toml(), &[]).expect("valid").expand(1), plan);
}

#[test]
fn what_is_drawn_again_hits_others() {
    let text = FAR.replace("when = { progress = \"50 %\" }\nstall", "at = \"1 s\"\nevery = \"5 s\"\nstall");
    let plan = parse(&text).expect("valid").expand(1);
    let stalls = plan.net_faults.iter().filter(|fault| fault.kind == NetFaultKind::Stall);
    let hit: std::collections::BTreeSet<_> = stalls.map(|fault| fault.targets.clone()).collect();
    assert!(hit.len() > 2, "{hit:?}");
}
