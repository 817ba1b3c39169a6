//! A swarm whose seeder crashes too soon, among much that does not matter.

use super::*;
use crate::run::run;

const BUSY: &str = "# Many things go wrong.
version = 1
[torrent]
size = \"1 MiB\"
piece_length = \"64 KiB\"
[links.home]
up = \"1 Mbit/s\"
down = \"8 Mbit/s\"
latency = \"20 ms\"
queue = \"200 kB\"
loss = \"0.5 %\"
[[peers]]
role = \"seeder\"
link = \"home\"
[[peers]]
role = \"leecher\"
count = 5
link = \"home\"
arrival = { uniform = \"2 s\" }
[[faults]]
at = \"1500 ms\"
crash = \"leecher-2\"
for = \"1 s\"
[[faults]]
at = \"2300 ms\"
crash = \"seeder\"
[[faults]]
at = \"2400 ms\"
crash = \"tracker\"
for = \"3 s\"
[run]
time_limit = \"1 min\"
";

fn plan(text: &str) -> Plan {
    Scenario::parse("busy.toml", text, &[]).expect("valid").expand(3)
}

fn judged(plan: &Plan) -> Option<(Failure, Plan)> {
    let verdict = Verdict::of(run(plan, &mut |_| ()).expect("it runs"));
    Failure::of(&verdict).map(|failure| (failure, verdict.record.plan))
}

#[test]
fn only_what_is_needed_is_left_and_it_stands_alone() {
    let mut last = [0; 2];
    let shrunk = shrink(&plan(BUSY), 200, &mut judged, &mut |step| last = step.runs);
    assert_eq!(last, [1, 1], "whether the last fault is necessary was tried");
    let shrunk = shrunk.expect("it fails");
    assert_eq!((shrunk.failure.name(), shrunk.is_minimal), ("expectation completed", true));
    let names: Vec<_> = shrunk.plan.peers.iter().map(|peer| peer.name.as_str()).collect();
    assert_eq!(names.len(), 2, "{names:?}");
    assert!(names.contains(&"seeder"));
    assert_eq!(shrunk.faults.len(), 1, "{:?}", shrunk.faults);
    assert!(shrunk.faults[0].1, "the seeder's crash is necessary");
    let text = shrunk.plan.to_toml();
    assert!(text.starts_with("# Shrunk from busy with seed 3: expectation completed fails.\n"), "{text}");
    let again = Scenario::parse("again.toml", &text, &[]).expect("it stands alone");
    assert_eq!(judged(&again.expand(again.seed)).map(|(failure, _)| failure), Some(shrunk.failure));
}

#[test]
fn another_failure_is_not_taken_for_this_one() {
    let mut judge = |plan: &Plan| {
        let hits = |name: &str| {
            plan.faults.iter().any(|fault| match fault.target {
                Target::Tracker => name == "tracker",
                Target::Peer(index) => plan.peers[index].name == name,
            })
        };
        let failure = |name: &str| Some((Failure(name.to_owned()), plan.clone()));
        if hits("seeder") && hits("leecher-2") { failure("both") } else { failure("another") }
    };
    let shrunk = shrink(&plan(BUSY), 500, &mut judge, &mut |_| ()).expect("it fails");
    assert_eq!(shrunk.failure.name(), "both");
    let names: Vec<_> = shrunk.plan.peers.iter().map(|peer| peer.name.as_str()).collect();
    assert_eq!(names, ["seeder", "leecher-2"]);
    assert_eq!(shrunk.faults.iter().map(|(_, is_necessary)| *is_necessary).collect::<Vec<_>>(), [true, true]);
    assert!(!shrunk.plan.to_toml().contains("loss = 0.005"), "what does not matter is plain");
}

#[test]
fn what_passes_is_not_shrunk() {
    let text = BUSY.replacen("crash = \"seeder\"", "crash = \"seeder\"\nfor = \"1 s\"", 1);
    assert_eq!(shrink(&plan(&text), 9, &mut judged, &mut |_| ()), None);
}

/// What else can be peculiar: regions, two families, rough links, faults of the network, one of which waits.
const PECULIAR: &str = "
[regions.here]
here = \"1 ms\"
there = \"30 ms\"
[regions.there]
there = \"1 ms\"
[links.rough]
up = \"1 Mbit/s\"
down = \"8 Mbit/s\"
latency = \"20 ms\"
queue = \"200 kB\"
jitter = \"5 ms\"
bursts = { gap = \"8 s\", length = \"200 ms\", loss = \"60 %\" }
duplicate = \"1 %\"
corrupt = \"1 %\"
reorder = { share = \"1 %\", hold = \"25 ms\" }
[[peers]]
role = \"leecher\"
name = \"far\"
count = 2
link = \"rough\"
region = \"there\"
family = \"dual\"
[[faults]]
when = { progress = \"30 %\" }
partition = [\"seeder\", \"leecher-1\"]
for = \"5 s\"
[[faults]]
at = \"3500 ms\"
stall = [\"far-1\", \"far-2\", \"seeder\"]
for = \"1 s\"
";

#[test]
fn what_the_network_suffers_is_thinned_and_its_necessity_told() {
    let text = format!("{BUSY}tick = \"5 ms\"\nmtu = 1400\n{PECULIAR}");
    // The partition came at 4.321 s, and nothing but it and a stalled `far-2` matter.
    let mut judge = |plan: &Plan| {
        let name = |target: &Target| match target {
            Target::Tracker => "tracker",
            Target::Peer(index) => plan.peers[*index].name.as_str(),
        };
        let has = |key: &str, whom: &str| {
            let of = |fault: &NetFaultPlan| {
                fault.kind.key() == key && fault.targets.iter().any(|t| name(t) == whom)
            };
            plan.net_faults.iter().any(of)
        };
        let mut seen = plan.clone();
        let waits = seen.net_faults.iter_mut().filter(|fault| fault.when.is_some());
        waits.for_each(|fault| fault.at = Duration::from_micros(4_321_500));
        (has("partition", "leecher-1") && has("stall", "far-2")).then(|| (Failure("cut".to_owned()), seen))
    };
    let shrunk = shrink(&plan(&text), 500, &mut judge, &mut |_| ()).expect("it fails");
    let faults: Vec<_> =
        shrunk.faults.iter().map(|(fault, needed)| (fault.text(&shrunk.plan), *needed)).collect();
    let want = [
        ("at = \"3 s\", stall = [\"far-2\"], for = \"1 s\"".to_owned(), true),
        ("at = \"4 s\", partition = [\"leecher-1\"], for = \"1 s\"".to_owned(), true),
    ];
    assert_eq!(faults, want);
    let text = shrunk.plan.to_toml();
    assert!(shrunk.plan.peers.iter().all(|peer| peer.family == crate::scenario::Families::V4));
    for peculiarity in ["regions", "jitter", "bursts", "duplicate", "corrupt", "reorder", "5 ms", "1400"] {
        assert!(!text.contains(peculiarity), "{peculiarity} is still there:\n{text}");
    }
}

#[test]
fn no_plan_is_left_without_the_time_that_it_takes() {
    let mut judge = |plan: &Plan| Some((Failure("always".to_owned()), plan.clone()));
    let shrunk = shrink(&plan(BUSY), 500, &mut judge, &mut |_| ()).expect("it fails");
    let text = BUSY.replace("time_limit = \"1 min\"", "time_limit = \"1 h\"");
    let plan = plan(&text);
    assert!(shrunk.plan.run.time_limit <= Duration::from_secs(60));
    let mut halved = plan.clone();
    for _ in 0..20 {
        plainer::halve_time(&mut halved);
    }
    let seconds = halved.run.time_limit.as_secs();
    // 1 MiB at 1 Mbit/s take 8.4 s, and the last fault comes at 2.4 s.
    assert!((36..90).contains(&seconds), "{seconds}");
}
