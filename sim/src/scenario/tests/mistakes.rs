//! What newcomers get wrong, and what they are told: the snapshot reads as a lesson.

use std::fmt::Write as _;

use super::{SMALL, refusal, set};

/// What is written, and what is written in its place.
const MISTAKES: &[(&str, &str)] = &[
    // Wrong types.
    ("at = \"5 s\"", "at = 5"),
    ("count = 3", "count = \"3\""),
    ("count = 3", "count = 3.5"),
    ("count = 3", "count = -3"),
    ("\"1 MiB\"", "1.5"),
    ("[[faults]]", "[links.adsl]\nup = 4\n\n[[faults]]"),
    ("[[faults]]", "[links.adsl]\nloss = 5\n\n[[faults]]"),
    ("[[faults]]", "[run]\nlong = 5\n\n[[faults]]"),
    ("version = 1", "version = \"1\""),
    ("role = \"seeder\"", "role = \"seeder\"\nsuper_seed = \"true\""),
    ("{ uniform = \"10 s\" }", "10"),
    ("completed = \">= 90 %\"", "completed = 90"),
    ("efficiency = \">= 0.65\"", "efficiency = 0.65"),
    ("efficiency = \">= 0.65\"", "time = 60"),
    ("link = \"adsl\"", "link = { up = \"4 Mbit/s\" }"),
    // Wrong units and signs.
    ("\"5 s\"", "\"5\""),
    ("\"5 s\"", "\"-5 s\""),
    ("\"5 s\"", "\"5 seconds\""),
    ("\"1 MiB\"", "\"1 megabyte\""),
    ("\"1 MiB\"", "\"1 M\""),
    ("\"256 KiB\"", "\"100 KiB\""),
    ("[[faults]]", "[links.adsl]\nup = \"4 Mbit\"\n\n[[faults]]"),
    ("[[faults]]", "[links.adsl]\nloss = \"5 percent\"\n\n[[faults]]"),
    ("efficiency = \">= 0.65\"", "efficiency = \"65 %\""),
    ("efficiency = \">= 0.65\"", "time = \"1 min\""),
    ("[expect]", "[run]\ntick = \"1 s\"\n\n[expect]"),
    // Misspelt, missing, twice.
    ("piece_length", "piece_size"),
    ("role = \"leecher\"", "role = \"downloader\""),
    ("role = \"leecher\"", "role = leecher"),
    ("role = \"leecher\"", "role = \"leecher"),
    ("role = \"leecher\"\nlink = \"adsl\"", "role = \"leecher\""),
    ("[torrent]\nsize = \"1 MiB\"\npiece_length = \"256 KiB\"", ""),
    ("[[peers]]", "[peers]"),
    ("[[faults]]", "[faults]"),
    ("at = \"5 s\"\n", ""),
    ("crash = \"leecher\"", "crash = \"leechers\""),
    ("crash = \"leecher\"", "crash = \"leecher\"\npause = \"leecher\""),
    ("count = 2", "count = 20"),
    ("role = \"seeder\"", "role = \"seeder\"\nname = \"leecher\""),
    ("role = \"seeder\"", "role = \"seeder\"\nname = \"tracker\""),
    ("role = \"seeder\"", "role = \"seeder\"\nname = \"the seeder\""),
    ("[[faults]]", "[links.home]\nup = \"4 Mbit/s\"\n\n[[faults]]"),
    // Families.
    ("version = 1", "version = 1\nextends = \"nowhere.toml\""),
    ("version = 1", "version = 1\nextends = \"small.toml\""),
    ("version = 1", "version = 2"),
];

/// What `--set` is given.
const SETS: &[&str] = &[
    "torrent.sise=1 MiB",
    "tracker=5",
    "peers.lecher.count=3",
    "peers.leecher.count=ten",
    "faults.2.at=1 s",
    "links.adls.up=4 Mbit/s",
    "run.tick=5",
];

#[test]
fn mistakes_are_answered_with_what_would_be_right() {
    let mut lesson = String::new();
    for (from, to) in MISTAKES {
        let _ = writeln!(lesson, "{}\n", refusal(from, to));
    }
    for text in SETS {
        let _ = writeln!(lesson, "{}\n", set(&[text]).expect_err("must be refused"));
    }
    insta::assert_snapshot!(lesson);
}

#[test]
fn each_mistake_is_one_of_its_own() {
    let answers = MISTAKES.iter().map(|(from, to)| refusal(from, to));
    let distinct: std::collections::BTreeSet<_> = answers.collect();
    assert_eq!(distinct.len(), MISTAKES.len());
    assert!(super::parse(SMALL).is_ok());
}
