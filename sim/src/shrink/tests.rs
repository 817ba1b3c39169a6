//! A swarm whose seeder crashes too soon, among much that does not matter.

use super::*;
use crate::defect::Tampered;
use crate::run::run_tampered;

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

fn judged(plan: &Plan, tampered: &Tampered) -> Option<Failure> {
    Failure::of(&Verdict::of(run_tampered(plan, tampered, &mut |_| ()).expect("it runs")))
}

#[test]
fn only_what_is_needed_is_left_and_it_stands_alone() {
    let nobody = Tampered::nobody();
    let shrunk = shrink(&plan(BUSY), 200, &mut |plan| judged(plan, &nobody), &mut |_, _| ());
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
    assert_eq!(judged(&again.expand(again.seed), &nobody), Some(shrunk.failure));
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
        let failure = |name: &str| Some(Failure(name.to_owned()));
        if hits("seeder") && hits("leecher-2") { failure("both") } else { failure("another") }
    };
    let shrunk = shrink(&plan(BUSY), 500, &mut judge, &mut |_, _| ()).expect("it fails");
    assert_eq!(shrunk.failure.name(), "both");
    let names: Vec<_> = shrunk.plan.peers.iter().map(|peer| peer.name.as_str()).collect();
    assert_eq!(names, ["seeder", "leecher-2"]);
    assert_eq!(shrunk.faults.iter().map(|(_, is_necessary)| *is_necessary).collect::<Vec<_>>(), [true, true]);
    assert!(!shrunk.plan.to_toml().contains("loss = 0.005"), "what does not matter is plain");
}

#[test]
fn what_passes_is_not_shrunk() {
    let nobody = Tampered::nobody();
    let text = BUSY.replacen("crash = \"seeder\"", "crash = \"seeder\"\nfor = \"1 s\"", 1);
    assert_eq!(shrink(&plan(&text), 9, &mut |plan| judged(plan, &nobody), &mut |_, _| ()), None);
}
