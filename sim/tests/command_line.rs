//! The test bench as its users meet it: a process, its output and its exit status.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

const TINY: &str = "# Three homes get a small file from one seeder.
version = 1

[torrent]
size = \"1 MiB\"
piece_length = \"64 KiB\"

[[peers]]
role = \"seeder\"
link = \"cable\"

[[peers]]
role = \"leecher\"
count = 3
link = \"adsl\"
arrival = { uniform = \"1 s\" }

[run]
time_limit = \"2 min\"

[expect]
completed = \"all\"
time = \"<= 1 min\"
";

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().expect("a folder"));
        folder.write("tiny.toml", TINY);
        folder
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path().join(name), text).expect("writes");
    }

    fn sim(&self, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sim"));
        command.args(args).current_dir(self.path()).output().expect("runs")
    }

    /// The summary of the only run.
    fn json(&self, args: &[&str]) -> serde_json::Value {
        let output = self.sim(&[args, &["--json"]].concat());
        serde_json::from_str(&text(&output.stdout)).expect("one JSON object and nothing else")
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

fn status(output: &Output) -> i32 {
    output.status.code().expect("it ended by itself")
}

#[test]
fn a_run_ends_in_a_verdict() {
    let output = Folder::new().sim(&["tiny.toml"]);
    assert_eq!(status(&output), 0, "{}", text(&output.stderr));
    // Figures change with every improvement of the engine; the shape is for people.
    insta::with_settings!({filters => vec![
        (r"[0-9a-f]{32}", "[digest]"),
        (r"[0-9.]+ ([KM]i)?B\)", "[size])"),
        (r"[0-9][0-9,]*(\.[0-9]+)?", "[n]"),
        (r"[ ▁▂▃▄▅▆▇█]*█ ", "[curve] "),
        (r"[▏▎▍▌▋▊▉█]+░*", "[bar]"),
    ]}, {
        insta::assert_snapshot!(text(&output.stdout), @r"
        tiny                                                                            PASS
        Three homes get a small file from one seeder.

          peers        [n] of [n] leechers completed
          completed at p[n] [n] s, p[n] [n] s, p[n] [n] s, last [n] s
                       [n] s[curve] [n] s
          took         p[n] [n] s, p[n] [n] s, p[n] [n] s, last [n] s, each since its arrival
          lower bound  [n] s, set by the slowest download (B[n])
          efficiency   [n]   [bar]
          link use     [n] % of the uplinks, [n] % of the downlinks
          fairness     [n] (Jain's index of the share ratios)
          overhead     [n] % on the wire beyond the content; [n] % came twice ([size])
          tracker      [n] announces, [n] % answered; counts [n] % true
                       [n] % of [n] named peers were there and of use
                       [n] of [n] downloads counted
          oracles      integrity [n] conservation [n] bounds [n] liveness [n] tracker [n]
                       protocol [n]; idle: resume, justice
          packets      [n] sent, [n] delivered, [n] dropped
          settings     [n] connections, [n] upload slots, [n] optimistic; announces every [n] min
          conditions   seed [n] [n] simulated s, tick [n] ms, MTU [n]
          digest       [digest]

          ✓ completed  all who stay      [n] of [n]
          ✓ time       <= [n] min          [n] s
          [n] s of wall time, [n] simulated seconds in each
        ");
    });
    assert_eq!(text(&output.stderr), "");
}

#[test]
fn two_processes_agree_and_another_seed_differs() {
    let folder = Folder::new();
    let one = folder.json(&["tiny.toml"]);
    let two = folder.json(&["tiny.toml"]);
    let other = folder.json(&["tiny.toml", "--seed", "2"]);
    assert_eq!(one["digest"], two["digest"]);
    assert_eq!(one["completion_seconds"], two["completion_seconds"]);
    assert_ne!(one["digest"], other["digest"]);
    assert_eq!(one["outcome"], "pass");
}

#[test]
fn the_expanded_scenario_replays_the_run() {
    let folder = Folder::new();
    let first = folder.json(&["tiny.toml", "--seed", "5", "--out", "out"]);
    let again = folder.json(&["out/expanded.toml"]);
    assert_eq!((&first["digest"], &first["seed"]), (&again["digest"], &again["seed"]));
    let summary = fs::read_to_string(folder.path().join("out/summary.json")).expect("it was written");
    assert_eq!(serde_json::from_str::<serde_json::Value>(&summary).expect("JSON")["digest"], first["digest"]);
}

#[test]
fn running_twice_compares() {
    let output = Folder::new().sim(&["tiny.toml", "--twice"]);
    assert_eq!(status(&output), 0, "{}", text(&output.stderr));
}

#[test]
fn a_sweep_keeps_the_order_of_its_seeds() {
    let output = Folder::new().sim(&["tiny.toml", "--seeds", "1..5", "--jobs", "3", "--json"]);
    let lines: Vec<serde_json::Value> =
        text(&output.stdout).lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines.iter().map(|line| &line["seed"]).collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert_ne!(lines[0]["digest"], lines[1]["digest"]);
}

#[test]
fn a_sweep_for_people_has_a_line_for_each_run_and_a_sum() {
    let output = Folder::new().sim(&["tiny.toml", "--seeds", "1..4"]);
    let lines = text(&output.stdout);
    assert_eq!(lines.lines().filter(|line| line.starts_with("PASS  tiny seed ")).count(), 3, "{lines}");
    assert!(lines.lines().last().is_some_and(|line| line.starts_with("3 of 3 runs passed; efficiency ")));
}

#[test]
fn a_fault_that_finds_nobody_is_told() {
    let folder = Folder::new();
    let late = "\n[[faults]]\nat = \"100 s\"\ncrash = \"leecher-1\"\n";
    let early = "\n[[faults]]\nat = \"0 s\"\nleave = \"leecher-2\"\n";
    folder.write("vacuous.toml", &format!("{TINY}{late}{early}"));
    let table = text(&folder.sim(&["vacuous.toml"]).stdout);
    assert!(table.contains("! fault at 0 s: leecher-2 was not there"), "{table}");
    assert!(table.contains("! fault at 100 s: the run was over"), "{table}");
}

#[test]
fn what_is_vacuous_fails_where_one_is_strict() {
    let folder = Folder::new();
    folder.write("late.toml", &format!("{TINY}\n[[faults]]\nat = \"100 s\"\ncrash = \"leecher-1\"\n"));
    assert_eq!(status(&folder.sim(&["tiny.toml", "--strict"])), 0, "everything in it is put to the test");
    assert_eq!(status(&folder.sim(&["late.toml"])), 0);
    let strict = folder.sim(&["late.toml", "--strict"]);
    assert_eq!(status(&strict), 1);
    assert!(text(&strict.stderr).ends_with("late.toml --seed 1 --strict\n"), "{}", text(&strict.stderr));
    let json = folder.json(&["late.toml", "--strict"]);
    assert_eq!(
        (&json["outcome"], &json["vacuous"][0]),
        (&"vacuous".into(), &"fault at 100 s: the run was over".into())
    );
    assert_eq!((&json["oracles"]["integrity"], &json["oracles"]["resume"]), (&3.into(), &0.into()));
}

#[test]
fn two_variants_part_at_an_event_that_is_named() {
    let folder = Folder::new();
    let same = folder.sim(&["diff", "tiny.toml"]);
    assert_eq!((status(&same), text(&same.stdout).as_str()), (0, "they do the same\n"));
    assert_eq!(status(&folder.sim(&["diff", "tiny.toml", "--against", "2"])), 5);
    let crash = "\n[[faults]]\nat = \"1200 ms\"\ncrash = \"leecher-2\"\nfor = \"1 s\"\n";
    folder.write("crash.toml", &format!("{TINY}{crash}"));
    let crash = folder.sim(&["diff", "tiny.toml", "crash.toml"]);
    assert_eq!(status(&crash), 5);
    let told = text(&crash.stdout);
    assert!(told.starts_with("the runs part in second 1, between 1 s and 2 s of simulated time\n"), "{told}");
    assert!(told.lines().last().is_some_and(|b| b.contains("leecher-2") && b.contains("Crash")), "{told}");
}

#[test]
fn results_and_traces_of_two_programs_can_be_compared() {
    let folder = Folder::new();
    for seed in ["1", "2"] {
        let output = folder.sim(&["tiny.toml", "--seed", seed, "--json"]);
        folder.write(&format!("{seed}.json"), &text(&output.stdout));
        let trace =
            ["trace", "tiny.toml", "--seed", seed, "--from", "0 s", "--until", "1 s", "--packets", "--json"];
        folder.write(&format!("{seed}.jsonl"), &text(&folder.sim(&trace).stdout));
    }
    assert_eq!(status(&folder.sim(&["diff", "1.json", "1.json"])), 0);
    let results = folder.sim(&["diff", "1.json", "2.json"]);
    assert_eq!(status(&results), 5);
    let told = text(&results.stdout);
    assert!(
        told.contains("sim trace tiny --seed 2 --from '0 s' --until '1 s' --packets --json >b.jsonl"),
        "{told}"
    );
    assert_eq!(status(&folder.sim(&["diff", "2.jsonl", "2.jsonl"])), 0);
    let traces = folder.sim(&["diff", "1.jsonl", "2.jsonl", "--json"]);
    let parting: serde_json::Value = serde_json::from_str(&text(&traces.stdout)).expect("JSON");
    assert_eq!((&parting["second"], parting["a"].is_object()), (&0.into(), true));
    let stranger = folder.sim(&["trace", "tiny.toml", "--peer", "leecher-9"]);
    assert!(text(&stranger.stderr).contains("tiny has no peer leecher-9"), "{}", text(&stranger.stderr));
}

#[test]
fn an_empty_trace_says_why_it_is_empty() {
    let folder = Folder::new();
    let late = folder.sim(&["trace", "tiny.toml", "--from", "1 h"]);
    assert_eq!((status(&late), text(&late.stdout)), (0, String::new()));
    assert!(
        text(&late.stderr).starts_with("nothing that was asked for happened in the "),
        "{}",
        text(&late.stderr)
    );
    let backwards = folder.sim(&["trace", "tiny.toml", "--from", "2 s", "--until", "2 s"]);
    assert_eq!(status(&backwards), 2);
    assert!(text(&backwards.stderr).contains("--from is not before --until"), "{}", text(&backwards.stderr));
}

#[test]
fn a_missed_expectation_has_status_1_and_says_how_to_replay() {
    let output = Folder::new().sim(&["tiny.toml", "--set", "expect.time=<= 1 s"]);
    assert_eq!(status(&output), 1);
    assert!(text(&output.stdout).contains("✗ time"), "{}", text(&output.stdout));
    // The program is named as it was called, so that the line can be pasted.
    let replay =
        format!("replay: {} tiny.toml --seed 1 --set 'expect.time=<= 1 s'\n", env!("CARGO_BIN_EXE_sim"));
    assert_eq!(text(&output.stderr), replay);
}

#[test]
fn who_could_have_completed_and_did_not_has_status_4() {
    let output = Folder::new().sim(&["tiny.toml", "--set", "run.time_limit=2 s"]);
    assert_eq!(status(&output), 4, "{}", text(&output.stdout));
    assert!(text(&output.stdout).contains("could have completed"));
}

#[test]
fn a_seeder_that_crashes_early_makes_pieces_extinct() {
    let folder = Folder::new();
    folder.write("crash.toml", &format!("{TINY}\n[[faults]]\nat = \"1500 ms\"\ncrash = \"seeder\"\n"));
    let output = folder.sim(&["crash.toml"]);
    assert_eq!(status(&output), 1, "{}{}", text(&output.stdout), text(&output.stderr));
    assert!(text(&output.stdout).contains("extinct at 1.5 s, last holder seeder crashed (fault 1)"));
}

#[test]
fn a_crashed_peer_comes_back_with_its_disk() {
    let folder = Folder::new();
    folder.write(
        "back.toml",
        &format!("{TINY}\n[[faults]]\nat = \"1500 ms\"\ncrash = \"leecher\"\ncount = 2\nfor = \"2 s\"\n"),
    );
    let output = folder.sim(&["back.toml", "--twice"]);
    assert_eq!(status(&output), 0, "{}{}", text(&output.stdout), text(&output.stderr));
}

#[test]
fn a_misspelt_key_is_one_clear_message() {
    let folder = Folder::new();
    folder.write("bad.toml", &TINY.replace("piece_length", "piece_lenght"));
    let output = folder.sim(&["bad.toml"]);
    assert_eq!((status(&output), text(&output.stdout)), (2, String::new()));
    insta::assert_snapshot!(text(&output.stderr), @r#"
    error: bad.toml:6:1: unknown key `piece_lenght` in [torrent]
       |
     6 | piece_lenght = "64 KiB"
       | ^^^^^^^^^^^^
       = did you mean `piece_length`?
    "#);
}

#[test]
fn bad_usage_is_answered_with_what_would_be_right() {
    let folder = Folder::new();
    fs::create_dir(folder.path().join("scenarios")).expect("a folder");
    folder.write("scenarios/flash_crowd.toml", TINY);
    let complaint = |args: &[&str]| {
        let output = folder.sim(args);
        assert_eq!(status(&output), 2);
        text(&output.stderr)
    };
    insta::assert_snapshot!(complaint(&[]), @r"
    error: which scenario shall it be? For example: sim scenarios/flash_crowd.toml
    (known: flash_crowd)
    ");
    insta::assert_snapshot!(complaint(&["flash_crwod"]), @"error: there is no scenario flash_crwod; did you mean scenarios/flash_crowd.toml?");
    insta::assert_snapshot!(complaint(&["chek", "tiny.toml"]), @"error: there is no scenario chek; did you mean the command `check`?");
    insta::assert_snapshot!(complaint(&["scenarios"]), @"error: scenarios is a folder; `sim list scenarios` lists its scenarios");
    insta::assert_snapshot!(complaint(&["tiny.toml", "--seeds", "5..5"]), @r"
    error: invalid value '5..5' for '--seeds <A..B>': no seed lies in this range

    For more information, try '--help'.
    ");
}

#[test]
fn names_are_looked_up_in_the_folder_of_scenarios() {
    let folder = Folder::new();
    fs::create_dir(folder.path().join("scenarios")).expect("a folder");
    folder.write("scenarios/pair.toml", TINY);
    folder.write("scenarios/bad.toml", "version = 1\n");
    assert_eq!(folder.json(&["pair"])["scenario"], "pair");
    insta::assert_snapshot!(text(&folder.sim(&["list"]).stdout), @r"
    bad   refused: scenarios/bad.toml:1:1: the first line must say what the scenario claims
    pair  Three homes get a small file from one seeder.
    ");
    let listed = text(&folder.sim(&["list", "--json"]).stdout);
    let listed: Vec<serde_json::Value> =
        listed.lines().map(|line| serde_json::from_str(line).expect("an object a line")).collect();
    assert!(listed[0]["refused"].as_str().is_some_and(|why| why.contains("bad.toml:1:1")), "{listed:?}");
    let claim = "Three homes get a small file from one seeder.";
    let pair = serde_json::json!({
        "file": "scenarios/pair.toml", "name": "pair", "claim": claim, "long": false, "seconds": null,
        "extends": []
    });
    assert_eq!(listed[1], pair);
    insta::assert_snapshot!(text(&folder.sim(&["check", "pair"]).stdout), @"scenarios/pair.toml: fine; 1 seeder, 3 leechers, 16 pieces, 0 faults; at least 1.3 s, set by the slowest download (B1)");
}

#[test]
fn the_list_says_what_takes_long_and_how_to_run_it() {
    let folder = Folder::new();
    let long = |name: &str, long: &str| {
        folder.write(
            name,
            &format!("# Takes {long}.\nversion = 1\nextends = \"tiny.toml\"\nrun.long = {long}\n"),
        );
    };
    let list = || {
        let listed = text(&folder.sim(&["list", "."]).stdout);
        listed.replace(env!("CARGO_BIN_EXE_sim"), "sim")
    };
    long("a.toml", "\"5 min\"");
    long("b.toml", "\"2 h 30 min\"");
    insta::assert_snapshot!(list(), @r#"
    a     (long: about 5 min) Takes "5 min".
    b     (long: about 150 min) Takes "2 h 30 min".
    tiny  Three homes get a small file from one seeder.

    CI runs all but the long ones, about 155 min together: sim ./a.toml ./b.toml
    "#);
    long("c.toml", "true");
    insta::assert_snapshot!(list(), @r#"
    a     (long: about 5 min) Takes "5 min".
    b     (long: about 150 min) Takes "2 h 30 min".
    c     (long) Takes true.
    tiny  Three homes get a small file from one seeder.

    CI runs all but the long ones: sim ./a.toml ./b.toml ./c.toml
    "#);
    let listed = text(&folder.sim(&["list", ".", "--json"]).stdout);
    let listed: Vec<serde_json::Value> =
        listed.lines().map(|line| serde_json::from_str(line).expect("an object a line")).collect();
    let costs: Vec<_> = listed.iter().map(|entry| (&entry["long"], &entry["seconds"])).collect();
    insta::assert_snapshot!(serde_json::json!(costs), @"[[true,300],[true,9000],[true,null],[false,null]]");
    folder.write("d.toml", "# Nonsense.\nversion = 1\nextends = \"tiny.toml\"\nrun.long = 5\n");
    insta::assert_snapshot!(text(&folder.sim(&["check", "d.toml"]).stderr), @r#"
    error: d.toml:4:12: an integer, where the value must be true, or about how long it takes, such as "5 min"
       |
     4 | run.long = 5
       |            ^
    "#);
}
