//! `sim shrink` as its users meet it: a failing scenario goes in, a small one that fails alike comes out.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

/// The seeder leaves while half of the swarm is cut off from it: what it alone had is gone for good, and the others
/// cannot all complete.
const LOST: &str = "# A swarm outlives its seeder, though a few are cut off for a while.
version = 1
[torrent]
size = \"2 MiB\"
piece_length = \"64 KiB\"
[regions.here]
here = \"2 ms\"
there = \"40 ms\"
[regions.there]
there = \"2 ms\"
[links.home]
up = \"2 Mbit/s\"
down = \"8 Mbit/s\"
latency = \"10 ms\"
queue = \"200 kB\"
jitter = \"4 ms\"
[[peers]]
role = \"seeder\"
link = \"home\"
region = \"here\"
[[peers]]
role = \"leecher\"
count = 4
link = \"home\"
region = \"there\"
arrival = { uniform = \"1 s\" }
[[faults]]
at = \"1500 ms\"
stall = \"leecher-3\"
for = \"500 ms\"
[[faults]]
at = \"2 s\"
partition = [\"leecher-1\", \"leecher-2\", \"leecher-3\", \"leecher-4\"]
for = \"1 min\"
[[faults]]
at = \"40 s\"
leave = \"seeder\"
[[faults]]
at = \"12 s\"
crash = \"leecher-2\"
for = \"1 s\"
[run]
time_limit = \"2 min\"
";

fn sim(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sim"));
    command.args(args).current_dir(folder).output().expect("it runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_loss_under_a_partition_shrinks_to_a_file_that_fails_alike() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("lost.toml"), LOST).expect("written");
    let failing = sim(folder.path(), &["lost.toml"]);
    assert_eq!(failing.status.code(), Some(1), "{}", text(&failing.stdout));
    let output = sim(folder.path(), &["shrink", "lost.toml", "--into", "small.toml"]);
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{told}");
    assert_eq!(text(&output.stdout), "", "the file has it");
    assert!(told.starts_with("at first: 5 peers, 4 faults, 32 pieces, "), "{told}");
    assert!(told.contains("\nrun ") && told.contains("fewer faults"), "it tells how far it is: {told}");
    assert!(told.contains("still fails: expectation completed; 2 peers, 2 faults, "), "{told}");
    let necessary: Vec<_> = told.lines().filter_map(|line| line.trim().strip_prefix("necessary: ")).collect();
    assert_eq!(necessary.len(), 2, "{told}");
    assert!(necessary.iter().any(|line| line.contains("leave = \"seeder\"")), "{told}");
    assert!(necessary.iter().any(|line| line.contains("partition = [")), "{told}");
    let small = fs::read_to_string(folder.path().join("small.toml")).expect("it was written");
    for gone in ["region", "jitter", "stall", "crash"] {
        assert!(!small.contains(gone), "{gone} is still there:\n{small}");
    }
    let again = sim(folder.path(), &["small.toml"]);
    assert_eq!(again.status.code(), Some(1), "{}", text(&again.stdout));
    let verdict = text(&again.stdout);
    assert!(verdict.contains("✗ completed"), "{verdict}");
    assert!(verdict.contains("extinct") && verdict.contains("seeder"), "{verdict}");
}

#[test]
fn what_passes_is_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("lost.toml"), LOST).expect("written");
    let args = ["shrink", "lost.toml", "--set", "expect.completed=\">= 0 %\""];
    let output = sim(folder.path(), &args);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        text(&output.stderr).contains("with seed 1 passes: there is nothing to shrink"),
        "{}",
        text(&output.stderr)
    );
}
