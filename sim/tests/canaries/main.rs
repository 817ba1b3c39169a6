//! Canaries: the bench is run with engines that are broken on purpose, and must notice each.
//!
//! `cargo test -p sim --test canaries -- --nocapture` prints who caught what; the table is kept as a snapshot.

use std::fmt::Write as _;
use std::time::Duration;

use sim::defect::{Defect, Tampered, catalogue};
use sim::oracle::Oracle;
use sim::record::Record;
use sim::report::{Outcome, Verdict};
use sim::run::run_tampered;
use sim::scenario::Scenario;

/// Four leechers fetch 19 pieces from a seeder over slow uplinks, so that they need each other.
const SMALL: &str = "# A small swarm.
version = 1
[torrent]
size = \"1200 KiB\"
piece_length = \"64 KiB\"
[tracker]
interval = \"20 s\"
[links.home]
up = \"1 Mbit/s\"
down = \"16 Mbit/s\"
latency = \"10 ms\"
queue = \"4 MB\"
[[peers]]
role = \"seeder\"
link = \"home\"
[[peers]]
role = \"leecher\"
link = \"home\"
count = 4
arrival = { uniform = \"2 s\" }
[run]
time_limit = \"150 s\"
[expect]
time = \"<= 40 s\"
";

/// One of two seeders is slow: whoever waits for its last blocks waits long.
const SLOW: &str = "[links.modem]
up = \"16 kbit/s\"
down = \"1 Mbit/s\"
latency = \"100 ms\"
queue = \"4 MB\"
[[peers]]
name = \"slow\"
role = \"seeder\"
link = \"modem\"
[[peers]]
role = \"leecher\"
";

fn run(text: &str, tampered: &Tampered) -> Verdict {
    let scenario = Scenario::parse("small.toml", text, &[]).unwrap_or_else(|error| panic!("{error}"));
    Verdict::of(run_tampered(&scenario.expand(1), tampered, &mut |_| ()).expect("it runs"))
}

fn scenarios() -> [(&'static str, String); 6] {
    let slow = SMALL.replacen("[[peers]]\nrole = \"leecher\"\n", SLOW, 1);
    // It goes on when all is done, and who came first leaves.
    let leave = "[[faults]]\nat = \"90 s\"\nleave = \"leecher-1\"\n[expect]\n";
    let longer = |at_least: &str| format!("time_limit = \"300 s\"\nat_least = \"{at_least}\"");
    let long = SMALL.replacen("time_limit = \"150 s\"", &longer("150 s"), 1).replacen("[expect]\n", leave, 1);
    // The seeder leaves too soon: nobody can do any more than keep in touch.
    let idle = SMALL
        .replacen("role = \"seeder\"\n", "role = \"seeder\"\ndeparture = { after = \"6 s\" }\n", 1)
        .replacen("time_limit = \"150 s\"", &longer("280 s"), 1)
        .replacen("time = \"<= 40 s\"", "completed = \">= 0 %\"", 1);
    // Nobody can reach anybody but the seeder.
    let apart = SMALL
        .replacen("[[peers]]\n", "[nats.box]\nkind = \"symmetric\"\n[[peers]]\n", 1)
        .replacen("role = \"leecher\"\n", "role = \"leecher\"\nnat = \"box\"\n", 1)
        .replacen("<= 40 s", "<= 75 s", 1);
    // Power fails after the first records.
    let cut = "[[faults]]\nat = \"24 s\"\npower_cut = \"leecher\"\nfor = \"1 s\"\n[[faults]]\n";
    let cuts = long.replacen("[[faults]]\n", cut, 1).replacen("<= 40 s", "<= 60 s", 1);
    let small = SMALL.to_owned();
    [("apart", apart), ("small", small), ("slow", slow), ("long", long), ("idle", idle), ("cuts", cuts)]
}

/// Who complained: an oracle's rule, or an expectation.
fn caught(verdict: &Verdict) -> Vec<String> {
    let mut by: Vec<_> = verdict
        .violations
        .iter()
        .map(|violation| {
            let rule = violation.message.split(':').next().unwrap_or_default();
            let is_rule = violation.oracle == Oracle::Protocol;
            if is_rule { format!("protocol/{rule}") } else { violation.oracle.to_string() }
        })
        .chain(verdict.checks.iter().filter(|check| !check.met).map(|check| format!("expect/{}", check.name)))
        .collect();
    by.sort();
    by.dedup();
    by
}

type Make = fn() -> Tampered;

fn defects() -> Vec<(&'static str, Make)> {
    fn all<D: Defect + Default + 'static>() -> Tampered {
        Tampered::only("leecher", D::default).and("seeder", D::default)
    }
    vec![
        ("never chokes", all::<catalogue::NeverChokes>),
        ("unfair unchoke", all::<catalogue::HasFavourite>),
        ("lost have", all::<catalogue::LosesHaves>),
        ("have before hash", all::<catalogue::HasTooEarly>),
        ("skipped hash", || {
            Tampered::only("seeder", catalogue::ReadsWrong::default)
                .and("leecher", catalogue::SkipsHashes::default)
        }),
        ("no endgame", all::<catalogue::NoEndgame>),
        ("forgotten cancel", all::<catalogue::ForgetsCancels>),
        ("unbounded pipeline", all::<catalogue::UnboundedPipeline>),
        ("ignored choke", all::<catalogue::IgnoresChokes>),
        ("answers twice", all::<catalogue::AnswersTwice>),
        ("forgotten interest", all::<catalogue::ForgetsInterest>),
        ("fibrillation", all::<catalogue::Fibrillates>),
        ("gossip flood", all::<catalogue::Gossips>),
        ("no keep-alive", all::<catalogue::FallsSilent>),
        ("wrong left", all::<catalogue::WrongLeft>),
        ("wrong counters", all::<catalogue::WrongCounters>),
        ("double completed", all::<catalogue::CompletesTwice>),
        ("no stopped", all::<catalogue::NeverStops>),
        ("ignored interval", all::<catalogue::IgnoresInterval>),
        ("stale peer list", || Tampered::only("tracker", catalogue::StalePeerList::default)),
        ("resume lies", all::<catalogue::ClaimsTooEarly>),
        ("dawdling", || Tampered::only("seeder", || catalogue::Dawdles::by(Duration::from_secs(20)))),
    ]
}

#[test]
fn an_environment_without_a_defect_changes_nothing() {
    struct Nothing;
    impl Defect for Nothing {}
    for (name, text) in scenarios() {
        let honest = run(&text, &Tampered::nobody());
        assert_eq!(honest.outcome, Outcome::Pass, "{name}: {:?}", honest.complaints());
        let wrapped = run(&text, &Tampered::only("leecher", || Nothing).and("tracker", || Nothing));
        assert_eq!(honest, wrapped);
    }
}

#[test]
fn every_defect_is_noticed() {
    let scenarios = scenarios();
    let mut table = String::new();
    let mut missed = Vec::new();
    for (defect, make) in defects() {
        let _ = writeln!(table, "{defect}");
        let mut noticed = false;
        for (name, text) in &scenarios {
            let verdict = run(text, &make());
            let by = caught(&verdict);
            noticed |= !by.is_empty();
            let by = if by.is_empty() { "-".to_owned() } else { by.join(", ") };
            let _ = writeln!(table, "  {name:<6} {by}");
        }
        if !noticed {
            missed.push(defect);
        }
    }
    println!("{table}");
    assert!(missed.is_empty(), "nobody noticed: {missed:?}");
    insta::assert_snapshot!(table);
}

/// What the record says of itself must not change by being looked at.
#[test]
fn the_judges_disturb_nobody() {
    let record = |tampered: &Tampered| -> Record { run(SMALL, tampered).record };
    assert_eq!(record(&Tampered::nobody()).digest, record(&Tampered::nobody()).digest);
}
