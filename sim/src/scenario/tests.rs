//! Scenario files that are right, wrong, and wrong in an instructive way.

use std::time::Duration;

use proptest::prelude::*;

use super::*;

mod mistakes;

const SMALL: &str = "# Three fetch from one.
version = 1

[torrent]
size = \"1 MiB\"
piece_length = \"256 KiB\"

[[peers]]
role = \"seeder\"
link = \"server\"

[[peers]]
count = 3
role = \"leecher\"
link = \"adsl\"
arrival = { uniform = \"10 s\" }
departure = { exponential = \"100 s\" }

[[faults]]
at = \"5 s\"
crash = \"leecher\"
count = 2
for = \"3 s\"

[expect]
completed = \">= 90 %\"
efficiency = \">= 0.65\"
";

fn parse(text: &str) -> Result<Scenario, String> {
    Scenario::parse("small.toml", text, &[]).map_err(|error| error.to_string())
}

fn refusal(from: &str, to: &str) -> String {
    let text = SMALL.replace(from, to);
    assert_ne!(text, SMALL, "`{from}` must occur");
    parse(&text).expect_err("must be refused")
}

fn set(sets: &[&str]) -> Result<Scenario, ScenarioError> {
    let sets: Vec<_> = sets.iter().map(|&set| set.to_owned()).collect();
    Scenario::parse("small.toml", SMALL, &sets)
}

#[test]
fn a_scenario_reads_as_it_is_written() {
    let scenario = parse(SMALL).expect("valid");
    assert_eq!((scenario.name.as_str(), scenario.claim.as_str()), ("small", "Three fetch from one."));
    let torrent = Torrent { size: 1 << 20, piece_length: 256 << 10, private: false, files: 1 };
    assert_eq!(scenario.torrent, torrent);
    assert_eq!(scenario.groups[1].arrival, Arrival::Uniform(Duration::from_secs(10)));
    assert_eq!(scenario.expect.completed, Completed::AtLeast(0.9));
    assert_eq!(scenario.faults[0].kind, FaultKind::Crash { back_after: Some(Duration::from_secs(3)) });
}

#[test]
fn a_twin_needs_somebody_whose_twin_it_is() {
    let wrong = refusal("count = 3", "count = 3\ntwin_of = \"leecher\"");
    assert!(wrong.contains("there is no peer `leecher`"), "{wrong}");
    assert!(refusal("count = 3", "count = 3\ntwin_of = \"tracker\"").contains("no peer `tracker`"));
}

#[test]
fn peers_play_as_their_group_or_else_the_torrent_says() {
    let names = |policy: Policy| [policy.picker.map(|p| p.name), policy.choker.map(|c| c.name)];
    let sets = ["torrent.picker=sequential", "torrent.choker=random", "peers.leecher.picker=random"];
    let text = SMALL.replace("count = 3", "name = \"leecher\"\ncount = 3\nupload_slots = 2");
    let scenario = Scenario::parse("small.toml", &text, &sets.map(str::to_owned)).expect("valid");
    assert_eq!(names(scenario.groups[0].policy), [Some("sequential"), Some("random")]);
    assert_eq!(names(scenario.groups[1].policy), [Some("random"), Some("random")]);
    assert_eq!(scenario.groups[1].policy.upload_slots, Some(2));
    let plan = scenario.expand(1);
    let again = Scenario::parse("again.toml", &plan.to_toml(), &[]).expect("valid");
    assert_eq!(again.expand(1), plan);
    insta::assert_snapshot!(refusal("\"256 KiB\"", "\"256 KiB\"\npicker = \"sequental\""), @r#"
    small.toml:7:10: no policy here is called `sequental`
       |
     7 | picker = "sequental"
       |          ^^^^^^^^^^^
       = did you mean "sequential"?
    "#);
}

#[test]
fn a_misspelt_key_is_answered_with_the_right_one() {
    insta::assert_snapshot!(refusal("piece_length", "piece_lenght"), @r#"
    small.toml:6:1: unknown key `piece_lenght` in [torrent]
       |
     6 | piece_lenght = "256 KiB"
       | ^^^^^^^^^^^^
       = did you mean `piece_length`?
    "#);
}

#[test]
fn impossible_values_are_refused_where_they_stand() {
    insta::assert_snapshot!(refusal("\"1 MiB\"", "\"1 Mib\""), @r#"
    small.toml:5:8: `1 Mib` is not a size: did you mean "1 MiB"?
       |
     5 | size = "1 Mib"
       |        ^^^^^^^
    "#);
    insta::assert_snapshot!(refusal("\"256 KiB\"", "\"512 MiB\""), @r#"
    small.toml:6:16: piece length 536870912 is not within 1 to 268435456
       |
     6 | piece_length = "512 MiB"
       |                ^^^^^^^^^
    "#);
    insta::assert_snapshot!(refusal("\"1 MiB\"", "\"4097 MiB\""), @r#"
    small.toml:5:8: content is at most 4 GiB
       |
     5 | size = "4097 MiB"
       |        ^^^^^^^^^^
    "#);
    insta::assert_snapshot!(refusal("\"adsl\"", "\"asdl\""), @r#"
    small.toml:15:8: there is no link `asdl`
        |
     15 | link = "asdl"
        |        ^^^^^^
        = did you mean "adsl"?
    "#);
    insta::assert_snapshot!(refusal(">= 0.65", "> 0.65"), @r#"
    small.toml:27:14: `> 0.65` must begin with `>=`
        |
     27 | efficiency = "> 0.65"
        |              ^^^^^^^^
        = write ">= 0.65"
    "#);
    insta::assert_snapshot!(refusal("= \"server\"", "="), @r"
    small.toml:10:7: string values must be quoted, expected literal string
        |
     10 | link =
        |       ^
        = put the text in quotes
    ");
}

#[test]
fn what_does_not_fit_into_memory_is_refused() {
    let sets = ["torrent.size=1 GiB", "torrent.piece_length=16 KiB", "peers.2.count=2000"];
    insta::assert_snapshot!(set(&sets).expect_err("refused"), @r"
    small.toml:4:1: 2001 peers with 65536 pieces each are more than fit into memory
       |
     4 | [torrent]
       | ^^^^^^^^^
       = make the pieces longer, or take fewer peers
    ");
}

#[test]
fn contradictions_are_refused() {
    insta::assert_snapshot!(refusal("role = \"leecher\"", "role = \"seeder\"\nname = \"other\""), @r#"
    small.toml:8:1: no [[peers]] with role = "leecher": nobody to watch
       |
     8 | [[peers]]
       | ^^^^^^^^^
    "#);
    insta::assert_snapshot!(refusal("link = \"server\"", "link = \"server\"\ndeparture = \"on completion\""), @r#"
    small.toml:11:13: a seeder is complete from the start
        |
     11 | departure = "on completion"
        |             ^^^^^^^^^^^^^^^
        = say when it leaves: { after = "90 s" }
    "#);
    insta::assert_snapshot!(refusal("crash = \"leecher\"", "leave = \"leecher\""), @r"
    small.toml:19:1: who leaves does not come back: no `for`
        |
     19 | [[faults]]
        | ^^^^^^^^^^
    ");
    insta::assert_snapshot!(refusal("at = \"5 s\"", "at = \"2 h\""), @r#"
    small.toml:20:6: the run is over by then (`time_limit` in [run])
        |
     20 | at = "2 h"
        |      ^^^^^
    "#);
    insta::assert_snapshot!(refusal("uniform = \"10 s\"", "poisson = \"20 min\""), @r#"
    small.toml:16:11: the run is over before all have come (`time_limit` in [run])
        |
     16 | arrival = { poisson = "20 min" }
        |           ^^^^^^^^^^^^^^^^^^^^^^
    "#);
    insta::assert_snapshot!(refusal("uniform = \"10 s\"", "uniform = \"10 s\", at = \"1 s\""), @r#"
    small.toml:16:11: arrival needs exactly one of: at, uniform, poisson, trace
        |
     16 | arrival = { uniform = "10 s", at = "1 s" }
        |           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
        = it has at and uniform
    "#);
    insta::assert_snapshot!(refusal("# Three fetch from one.", ""), @r"
    small.toml:1:1: the first line must say what the scenario claims
       |
     1 |
       | ^
       = write for example: # A hundred peers finish within twice the time of the bound.
    ");
}

#[test]
fn overrides_reach_every_value() {
    let sets = ["torrent.size=2 MiB", "peers.2.count=7", "links.adsl.loss=0.5", "expect.efficiency=>= 0.1"];
    let scenario = set(&sets).expect("valid");
    assert_eq!((scenario.links["adsl"].up, scenario.links["adsl"].loss), (125_000, 0.5));
    assert_eq!((scenario.torrent.size, scenario.groups[1].count), (2 << 20, 7));
    assert_eq!(scenario.expect.efficiency, Some(0.1));
}

#[test]
fn a_misspelt_override_is_shown() {
    insta::assert_snapshot!(set(&["torrent.size=2 MiB", "torrent.pieces=3"]).expect_err("refused"), @r"
    --set:2:9: unknown key `pieces` in [torrent]
       |
     2 | torrent.pieces=3
       |         ^^^^^^
       = did you mean `piece_length`?
    ");
    insta::assert_snapshot!(set(&["peers.nobody.count=3"]).expect_err("refused"), @r"
    --set:1:7: no `nobody` among the 2 of [[peers]]
       |
     1 | peers.nobody.count=3
       |       ^^^^^^
       = say its `name`, or its number from 1
    ");
    insta::assert_snapshot!(set(&["seed"]).expect_err("refused"), @r#"
    --set:1:5: key with no value, expected `=`
       |
     1 | seed
       |     ^
       = write for example: --set torrent.size="4 MiB"
    "#);
}

#[test]
fn one_more_peer_leaves_the_others_as_they_were() {
    let few = parse(SMALL).expect("valid").expand(7);
    let more = set(&["peers.2.count=30"]).expect("valid").expand(7);
    assert_eq!(few.peers[..], more.peers[..4]);
    let other = parse(SMALL).expect("valid").expand(8);
    assert_ne!(few.peers, other.peers);
}

#[test]
fn poisson_arrivals_come_at_their_rate() {
    let sets = ["peers.2.count=1000", "peers.2.arrival.poisson=2 s"];
    let text = SMALL.replace("arrival = { uniform = \"10 s\" }\n", "");
    let sets = sets.map(str::to_owned);
    let plan = Scenario::parse("x", &text, &sets).expect("valid").expand(1);
    let last = plan.peers.last().expect("some").arrival.as_secs_f64();
    // 1,000 exponential gaps of 2 s: the sum's standard deviation is 63 s.
    assert!((1_750.0..2_250.0).contains(&last), "{last}");
}

/// The scenario with this instead of its one fault.
fn with_fault(lines: &str) -> Result<Plan, String> {
    let text = SMALL.replace("crash = \"leecher\"\ncount = 2\nfor = \"3 s\"", lines);
    parse(&text).map(|scenario| scenario.expand(1))
}

#[test]
fn disk_faults_are_read_and_written_and_misuse_is_refused() {
    for lines in [
        "power_cut = \"leecher\"\nfor = \"2 s\"",
        "disk_error = \"leecher\"\nfor = \"2 s\"",
        "disk_full = \"leecher\"\nfor = \"2 s\"",
        "slow_disk = \"leecher\"\nfor = \"2 s\"\nlatency = \"30 ms\"",
        "bit_rot = \"leecher\"\npieces = 3",
        "bit_rot = \"leecher\"",
    ] {
        let plan = with_fault(lines).expect(lines);
        assert!(plan.faults.iter().any(|fault| lines.starts_with(fault.kind.key())), "{lines}");
        let again = parse(&plan.to_toml()).expect("the plan is a valid scenario");
        assert_eq!(again.expand(again.seed), plan, "{lines}");
    }
    for (lines, why) in [
        ("disk_full = \"leecher\"", "`disk_full` needs a `for`"),
        ("slow_disk = \"leecher\"\nfor = \"2 s\"", "`slow_disk` needs a `latency`"),
        ("disk_error = \"leecher\"\nfor = \"2 s\"\nlatency = \"1 s\"", "only a `slow_disk` has a `latency`"),
        ("crash = \"leecher\"\npieces = 3", "only `bit_rot` has `pieces`"),
        ("bit_rot = \"leecher\"\nfor = \"2 s\"", "what rots stays so: no `for`"),
        ("disk_full = \"tracker\"\nfor = \"2 s\"", "`disk_full` can only befall a peer"),
    ] {
        let error = with_fault(lines).expect_err(lines);
        assert!(error.contains(why), "{lines}: {error}");
    }
}

proptest! {
    #[test]
    fn an_expanded_plan_expands_to_itself(seed: u64, arrival in 0..3_usize, micros in 1..10_000_000_u64) {
        let arrival = ["at", "uniform", "poisson"][arrival];
        let text = SMALL.replace("{ uniform = \"10 s\" }", &format!("{{ {arrival} = \"{micros} us\" }}"));
        let plan = parse(&text).expect("valid").expand(seed);
        let again = parse(&plan.to_toml()).expect("the plan is a valid scenario");
        prop_assert_eq!(again.seed, seed);
        prop_assert_eq!(again.expand(again.seed), plan);
    }

    #[test]
    fn no_text_panics(text in "(#[a-z]{0,5}\n)?(version = 1\n)?[a-z\\[\\]{}=.\" 0-9\n]{0,80}") {
        let _ = parse(&text);
    }
}

#[test]
fn magnets_super_seeds_and_private_torrents_are_said_and_written_down() {
    let text = SMALL
        .replace("piece_length = \"256 KiB\"", "piece_length = \"256 KiB\"\nprivate = true")
        .replace("link = \"server\"", "link = \"server\"\nsuper_seed = true")
        .replace("link = \"adsl\"", "link = \"adsl\"\nstart = \"magnet\"")
        .replace("efficiency = \">= 0.65\"", "seed_copies = \"<= 1.2\"");
    let plan = parse(&text).expect("valid").expand(1);
    assert!(plan.torrent.private && plan.peers[0].super_seed && plan.peers[1].start == Start::Magnet);
    assert_eq!(plan.expect.seed_copies, Some(1.2));
    assert_eq!(parse(&plan.to_toml()).expect("valid").expand(1), plan);
    let refused = refusal("link = \"adsl\"", "link = \"adsl\"\nsuper_seed = true");
    assert!(refused.contains("small.toml:16:14: only a seeder can super-seed"), "{refused}");
    let refused = refusal("link = \"server\"", "link = \"server\"\nstart = \"magnet\"");
    assert!(refused.contains("small.toml:11:9: only a leecher can start from a magnet link"), "{refused}");
    let refused = refusal("efficiency = \">= 0.65\"", "seed_copies = \"<= many\"");
    assert!(refused.contains("a number of copies such as"), "{refused}");
}

#[test]
fn a_population_is_bounded_from_either_side() {
    for (said, meant) in [("<= 25", Population::AtMost(25)), (">= 40", Population::AtLeast(40))] {
        let text = SMALL.replace("efficiency = \">= 0.65\"", &format!("population = \"{said}\""));
        let plan = parse(&text).expect("valid").expand(1);
        assert_eq!(plan.expect.population, Some(meant));
        assert_eq!(parse(&plan.to_toml()).expect("valid").expand(1), plan);
    }
    let refused = refusal("efficiency = \">= 0.65\"", "population = \">= some\"");
    assert!(refused.contains("a number of leechers such as"), "{refused}");
}

#[test]
fn packets_fit_into_queues_and_address_books_have_a_limit() {
    let plan =
        parse(&SMALL.replace("efficiency = \">= 0.65\"", "known = \"<= 4\"")).expect("valid").expand(1);
    assert_eq!(plan.expect.known, Some(4.0));
    assert_eq!(parse(&plan.to_toml()).expect("valid").expand(1), plan);
    let refused = refusal("efficiency = \">= 0.65\"", "known = \"<= few\"");
    assert!(refused.contains("a number of addresses such as"), "{refused}");
    let narrow = |mtu: u32| {
        format!(
            "{SMALL}\n[links.narrow]\nup = \"1 Mbit/s\"\ndown = \"1 Mbit/s\"\nlatency = \"1 ms\"\nqueue = \"8 kB\"\n[run]\nmtu = {mtu}\n"
        )
    };
    parse(&narrow(8_000)).expect("one packet has room");
    let refused = parse(&narrow(9_000)).expect_err("must be refused");
    assert!(refused.contains("a queue of 8 kB has no room for a packet of 9000 bytes"), "{refused}");
}
