//! Core swarms: a few hundred seeds keep all rules, defects of the machines are caught, what fails is made small, and
//! `sim core` says the same whoever runs it.

use std::collections::BTreeMap;
use std::process::Command;

use sim::core::{Outcome, Plan, run, shrink};
use sim::defect::{Defect, Tampered, catalogue};
use sim::shrink::Failure;

fn of(plan: &Plan, tampered: &Tampered) -> Outcome {
    run(plan, tampered, 0).expect("there is such a torrent")
}

#[test]
fn a_few_hundred_seeds_keep_all_rules() {
    let (mut completed, mut messages) = (0, 0);
    for seed in 0..400 {
        let outcome = of(&Plan::draw(seed), &Tampered::nobody());
        assert_eq!(outcome.violations, [], "sim core --seed {seed}");
        completed += outcome.completed;
        messages += outcome.messages;
    }
    // Most of them have something to do.
    assert!(completed > 1200 && messages > 200_000, "{completed} completed with {messages} messages");
}

#[test]
fn one_seed_is_one_run() {
    let digest = |seed| of(&Plan::draw(seed), &Tampered::nobody()).digest;
    assert_eq!(digest(3), digest(3));
    assert_ne!(digest(3), digest(4));
}

type Make = fn() -> Tampered;

fn all<D: Defect + Default + 'static>() -> Tampered {
    Tampered::only("peer", D::default)
}

/// Each with who must notice it. Whoever never says a keep-alive is not among them: hardly one of these swarms is idle
/// for so long.
const CANARIES: [(&str, Make, &str); 15] = [
    ("skips hashes", all::<catalogue::SkipsHashes>, "oracle integrity"),
    ("loses haves", all::<catalogue::LosesHaves>, "oracle protocol (haves-told)"),
    ("has too early", all::<catalogue::HasTooEarly>, "oracle protocol (have-after-hash)"),
    ("no endgame", all::<catalogue::NoEndgame>, "oracle liveness"),
    ("never chokes", all::<catalogue::NeverChokes>, "oracle protocol (answered)"),
    ("has a favourite", all::<catalogue::HasFavourite>, "oracle liveness"),
    ("forgets cancels", all::<catalogue::ForgetsCancels>, "oracle protocol (cancelled)"),
    ("unbounded pipeline", all::<catalogue::UnboundedPipeline>, "oracle protocol (outstanding)"),
    ("ignores chokes", all::<catalogue::IgnoresChokes>, "oracle protocol (choked-request)"),
    ("answers twice", all::<catalogue::AnswersTwice>, "oracle protocol (asked)"),
    ("forgets interest", all::<catalogue::ForgetsInterest>, "oracle protocol (interest)"),
    ("fibrillates", all::<catalogue::Fibrillates>, "oracle protocol (choke-pace)"),
    ("wrong left", all::<catalogue::WrongLeft>, "oracle tracker"),
    ("completes twice", all::<catalogue::CompletesTwice>, "oracle tracker"),
    ("reads wrong", all::<catalogue::ReadsWrong>, "oracle justice"),
];

/// Who notices it, and by which seed first, until `by` does or sixty seeds are over.
fn catches(make: Make, by: &str) -> BTreeMap<String, u64> {
    let mut caught = BTreeMap::new();
    for seed in 0..60 {
        let outcome = of(&Plan::draw(seed), &make());
        if let Some(failure) = Failure::of_violations(&outcome.violations) {
            caught.entry(failure.name().to_owned()).or_insert(seed);
        }
        if caught.contains_key(by) {
            break;
        }
    }
    caught
}

#[test]
fn every_defect_is_caught() {
    let missed = CANARIES.into_iter().filter_map(|(name, make, by)| {
        let caught = catches(make, by);
        println!("{name}: {caught:?}");
        (!caught.contains_key(by)).then(|| format!("{name}, by {by}: {caught:?}"))
    });
    assert_eq!(missed.collect::<Vec<_>>(), Vec::<String>::new());
}

#[test]
fn what_fails_is_made_small_and_fails_in_the_same_way() {
    let mut judge = |plan: &Plan| {
        let outcome = of(plan, &all::<catalogue::WrongLeft>());
        Failure::of_violations(&outcome.violations)
    };
    let plan = Plan::draw(26);
    let shrunk = shrink(&plan, 300, &mut judge).expect("it fails");
    assert_eq!(shrunk.failure.name(), "oracle tracker");
    assert!(shrunk.plan.peers.len() == 1 && shrunk.plan.faults.is_empty(), "{}", shrunk.plan.to_toml());
    assert!(shrunk.plan.size < plan.size && shrunk.runs < 300, "{}", shrunk.plan.to_toml());
    let again = Plan::parse(&shrunk.plan.to_toml()).expect("a plan");
    assert_eq!(judge(&again), Some(shrunk.failure));
    assert_eq!(shrink(&plan, 300, &mut |_| None), None, "who does not fail is not shrunk");
}

fn sim(args: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_sim")).args(args).output().expect("it runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
}

/// Seeds and digests of `--json` lines.
fn digests(lines: &str) -> Vec<(u64, String)> {
    let parsed = lines.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"));
    let pair = |run: serde_json::Value| {
        (run["seed"].as_u64().expect("a seed"), run["digest"].as_str().expect("a digest").to_owned())
    };
    parsed.map(pair).collect()
}

#[test]
fn the_command_says_the_same_with_any_jobs_and_shards_and_goes_on_where_it_was() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("core.jsonl");
    let file = file.to_str().expect("plain");
    let (status, whole, _) = sim(&["core", "--seeds", "1..21", "--jobs", "3", "--json"]);
    assert_eq!((status, whole.lines().count()), (0, 20));
    let (_, first, _) = sim(&["core", "--seeds", "1..21", "--shard", "1/2", "--json", "--results", file]);
    let (_, second, _) = sim(&["core", "--seeds", "1..21", "--shard", "2/2", "--json", "--results", file]);
    let mut halves = [digests(&first), digests(&second)].concat();
    halves.sort();
    assert_eq!(halves, digests(&whole));
    let (status, none, told) = sim(&["core", "--seeds", "1..21", "--json", "--results", file]);
    assert_eq!((status, &none[..], told.trim()), (0, "", "20 of 20 runs were done before"));
    let (status, merged, _) = sim(&["merge", file, "--seeds", "1..21"]);
    assert!(status == 0 && merged.contains("20 of 20"), "{merged}");
    let (_, one, _) = sim(&["core", "--seed", "7", "--json"]);
    assert_eq!(digests(&one)[0], digests(&whole)[6]);
}

#[test]
fn a_plan_that_fails_says_why_and_how_to_see_it_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("plan.toml");
    // Whoever has all serves nobody.
    let mut plan = Plan::draw(1);
    plan.faults.clear();
    plan.peers.truncate(2);
    for peer in &mut plan.peers {
        (peer.fast, peer.upload_slots, peer.optimistic_slots) = (false, 0, 0);
    }
    std::fs::write(&path, plan.to_toml()).expect("written");
    let (status, _, told) = sim(&["core", path.to_str().expect("plain")]);
    assert_eq!(status, 4, "{told}");
    for part in [
        "FAIL",
        "liveness",
        "replay: ",
        "# What was drawn",
        "# What is left",
        "[[peers]]",
        "# What happened last",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    std::fs::write(&path, "seed = 1").expect("written");
    let (status, _, told) = sim(&["core", path.to_str().expect("plain")]);
    assert!(status == 2 && told.contains("plan.toml"), "{told}");
}
