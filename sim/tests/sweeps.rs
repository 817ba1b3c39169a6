//! Sweeps: shards and their merging, interruptions, failures that are told at once, and the recipes beside the code.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const TINY: &str = "# Two homes get a small file from one seeder.
version = 1
[torrent]
size = \"512 KiB\"
piece_length = \"64 KiB\"
[[peers]]
role = \"seeder\"
link = \"cable\"
[[peers]]
role = \"leecher\"
count = 2
link = \"adsl\"
arrival = { uniform = \"1 s\" }
";

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().expect("a folder"));
        fs::write(folder.path("tiny.toml"), TINY).expect("written");
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn sim(&self, args: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_sim"))
            .args(args)
            .current_dir(self.0.path())
            .output()
            .expect("it runs")
    }

    fn lines(&self, name: &str) -> Vec<serde_json::Value> {
        let text = fs::read_to_string(self.path(name)).expect("it is there");
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

fn status(output: &Output) -> i32 {
    output.status.code().expect("it ended by itself")
}

#[test]
fn shards_together_are_the_whole() {
    let folder = Folder::new();
    let whole = folder.sim(&["tiny.toml", "--seeds", "1..6", "--jobs", "2", "--results", "whole.jsonl"]);
    assert_eq!(status(&whole), 0, "{}", text(&whole.stderr));
    for shard in ["1/2", "2/2"] {
        let file = format!("{}.jsonl", shard.replace('/', "-"));
        folder.sim(&["tiny.toml", "--seeds", "1..6", "--shard", shard, "--results", &file]);
    }
    assert_eq!((folder.lines("1-2.jsonl").len(), folder.lines("2-2.jsonl").len()), (3, 2));
    let merged = folder.sim(&["merge", "2-2.jsonl", "1-2.jsonl", "--into", "all.jsonl", "--seeds", "1..6"]);
    assert_eq!(status(&merged), 0, "{}", text(&merged.stdout));
    assert!(
        text(&merged.stdout).starts_with("tiny: 5 of 5 runs passed; efficiency "),
        "{}",
        text(&merged.stdout)
    );
    let digests = |name| {
        let mut digests: Vec<_> = folder.lines(name).iter().map(|line| line["digest"].to_string()).collect();
        digests.sort();
        digests
    };
    assert_eq!(digests("all.jsonl"), digests("whole.jsonl"));
    let gap = folder.sim(&["merge", "1-2.jsonl", "--seeds", "1..6"]);
    assert_eq!(status(&gap), 2);
    assert!(text(&gap.stdout).contains("missing  tiny --seed 4\n"), "{}", text(&gap.stdout));
}

#[test]
fn a_run_with_two_digests_is_a_clash() {
    let folder = Folder::new();
    folder.sim(&["tiny.toml", "--seeds", "1..3", "--results", "a.jsonl"]);
    let other =
        fs::read_to_string(folder.path("a.jsonl")).expect("read").replace("\"digest\":\"", "\"digest\":\"f");
    fs::write(folder.path("b.jsonl"), other).expect("written");
    let merged = folder.sim(&["merge", "a.jsonl", "b.jsonl"]);
    assert_eq!(status(&merged), 5);
    assert!(
        text(&merged.stdout).contains("tiny --seed 1 has two digests, in b.jsonl"),
        "{}",
        text(&merged.stdout)
    );
}

#[test]
fn an_interrupted_sweep_goes_on_where_it_was() {
    let folder = Folder::new();
    let sweep = |seeds: &str, more: &[&str]| {
        folder.sim(&[&["tiny.toml", "--seeds", seeds, "--results", "results.jsonl"], more].concat())
    };
    sweep("1..4", &[]);
    let path = folder.path("results.jsonl");
    let text_of_three = fs::read_to_string(&path).expect("read");
    fs::write(&path, text_of_three.get(..text_of_three.len() - 40).expect("long enough")).expect("written");
    let again = sweep("1..5", &[]);
    assert!(text(&again.stderr).starts_with("2 of 4 runs were done before\n"), "{}", text(&again.stderr));
    assert!(text(&again.stdout).contains("4 of 4 runs passed"), "{}", text(&again.stdout));
    let seeds: Vec<_> = folder.lines("results.jsonl").iter().map(|line| line["seed"].clone()).collect();
    assert_eq!(seeds, [1, 2, 3, 4]);
    sweep("1..3", &["--set", "torrent.size=256 KiB"]);
    assert_eq!(folder.lines("results.jsonl").len(), 6, "another variant is another run");
}

#[test]
fn a_failure_is_told_at_once_and_counts_in_the_end_and_after_a_resumption() {
    let folder = Folder::new();
    let args = ["tiny.toml", "--seeds", "1..3", "--set", "expect.time=<= 1 s", "--results", "results.jsonl"];
    for told in [2, 0] {
        let output = folder.sim(&args);
        assert_eq!(status(&output), 1);
        let err = text(&output.stderr);
        assert_eq!(err.matches("FAIL  tiny seed ").count(), told, "{err}");
        assert_eq!(err.matches("replay: ").count(), told);
        assert!(text(&output.stdout).contains("0 of 2 runs passed"), "{}", text(&output.stdout));
    }
    let merged = folder.sim(&["merge", "results.jsonl", "--junit", "junit.xml"]);
    let junit = fs::read_to_string(folder.path("junit.xml")).expect("it was written");
    assert!(junit.contains("<testsuites name=\"sim\" tests=\"2\" failures=\"2\""), "{junit}");
    assert_eq!(
        junit.matches("<failure type=\"expectation\" message=\"expectation: time &lt;= 1 s").count(),
        2
    );
    assert_eq!(status(&merged), 1);
    let line = "FAIL  tiny --set expect.time=<= 1 s --seed 1  expectation: time <= 1 s, measured ";
    assert!(text(&merged.stdout).starts_with(line), "{}", text(&merged.stdout));
}

/// The recipes call the program with options that it has.
#[test]
fn the_recipes_use_options_that_exist() {
    let recipes = Path::new(env!("CARGO_MANIFEST_DIR")).join("sweeps");
    let help = text(&Folder::new().sim(&["run", "--help"]).stdout);
    let mut seen = 0;
    for entry in fs::read_dir(recipes).expect("the folder is there").flatten() {
        let recipe = fs::read_to_string(entry.path()).expect("text");
        let calls = recipe.lines().filter(|line| line.contains("--shard"));
        for option in calls.flat_map(|line| line.split_whitespace().filter(|word| word.starts_with("--"))) {
            seen += 1;
            let option = option.trim_matches(|c: char| c != '-' && !c.is_ascii_alphabetic());
            assert!(help.contains(option), "{}: {option}", entry.path().display());
        }
    }
    assert!(seen >= 12, "{seen}");
}
