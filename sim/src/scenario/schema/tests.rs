//! The schema and the decoder agree: on every key, on every kind of value, on every file of the collection.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value as Json;
use toml::Value;

use super::super::decode::TOP;
use super::super::{Scenario, fault};
use super::{Key, Shape, json};

mod validate;

use validate::Validator;

/// Something of everything. The groups are a seeder, leechers, and a hostile peer; whoever needs a fault makes one.
const BASE: &str = "version = 1
[torrent]
size = \"1 MiB\"
piece_length = \"64 KiB\"
[tracker]
interval = \"30 s\"
clock = {}
[links.home]
up = \"500 kbit/s\"
down = \"1 Mbit/s\"
latency = \"10 ms\"
queue = \"100 kB\"
bursts = { gap = \"5 s\", length = \"1 s\", loss = 0.1 }
reorder = { share = 0.1, hold = \"1 s\" }
[regions.here]
here = \"3 s\"
[nats.box]
kind = \"symmetric\"
[[peers]]
role = \"seeder\"
link = \"server\"
clock = {}
[[peers]]
role = \"leecher\"
count = 2
link = \"adsl\"
clock = {}
[[peers]]
role = \"announcer\"
link = \"adsl\"
clock = {}
[[faults]]
at = \"1 s\"
crash = \"tracker\"
[run]
tick = \"5 ms\"
[expect]
justice = {}
tracker = {}
";

/// What no key takes.
const NONSENSE: &str = "[[[]]]";

fn base() -> Value {
    toml::from_str(BASE).expect("TOML")
}

fn value(literal: &str) -> Value {
    toml::from_str::<toml::Table>(&format!("it = {literal}")).expect(literal)["it"].clone()
}

/// The place that a path leads to.
fn at<'a>(whole: &'a mut Value, path: &[String]) -> &'a mut Value {
    path.iter().fold(whole, |place, step| match step.parse::<usize>() {
        Ok(index) => &mut place[index],
        Err(_) => &mut place[step.as_str()],
    })
}

fn table<'a>(whole: &'a mut Value, path: &[String]) -> &'a mut toml::Table {
    at(whole, path).as_table_mut().expect("a table")
}

/// `whole` with this as `key` of the table at `path`.
fn with(mut whole: Value, path: &[String], key: &str, value: Value) -> Value {
    table(&mut whole, path).insert(key.to_owned(), value);
    whole
}

/// What the decoder and the schema say of a file.
fn verdicts(whole: &Value) -> (Result<Scenario, String>, bool) {
    let text = format!("# All there is.\n{}", toml::to_string(whole).expect("TOML"));
    let decoded = Scenario::parse("all.toml", &text, &[]).map_err(|error| error.to_string());
    let json = serde_json::to_value(whole).expect("JSON");
    (decoded, Validator::default().holds(&super::json(), &json))
}

fn both_accept(whole: &Value) -> Scenario {
    let (decoded, holds) = verdicts(whole);
    let scenario = decoded.unwrap_or_else(|error| panic!("{error}\n{whole}"));
    assert!(holds, "the schema refuses {whole}");
    scenario
}

fn both_refuse(whole: &Value) {
    let (decoded, holds) = verdicts(whole);
    assert!(decoded.is_err(), "the decoder accepts {whole}");
    assert!(!holds, "the schema accepts {whole}");
}

/// A key, and the table in which it stands.
type Site = (Vec<String>, Key);

/// Every key of these tables and of those in them.
fn sites(tables: &[&[Key]], path: &[String], out: &mut Vec<Site>) {
    for key in tables.iter().copied().flatten() {
        let below = |name: &str| [path, &[key.name.to_owned(), name.to_owned()]].concat();
        match (key.name, key.shape) {
            ("extends" | "without" | "faults", _) => {}
            (_, Shape::Table(inner)) => sites(inner, &below("")[..=path.len()], out),
            ("links", Shape::Named(Shape::Table(inner), _)) => sites(inner, &below("home"), out),
            ("nats", Shape::Named(Shape::Table(inner), _)) => sites(inner, &below("box"), out),
            ("peers", Shape::List(Shape::Member(inner, _))) => {
                (0..3).for_each(|group| sites(inner, &below(&group.to_string()), out));
            }
            _ => out.push((path.to_vec(), *key)),
        }
    }
}

fn all_sites() -> Vec<Site> {
    let mut out = Vec::new();
    sites(&[TOP], &[], &mut out);
    out
}

/// Values of every kind that this key takes, as TOML.
fn examples(key: &Key) -> Vec<String> {
    match key.name {
        "version" => vec!["1".into()],
        "time_limit" => vec!["\"2 h\"".into()],
        "tick" => vec!["\"7 ms\"".into()],
        "piece_length" => vec!["\"128 KiB\"".into(), "32768".into()],
        "regions" => vec!["{ here = { here = \"1 s\" } }".into()],
        "region" => vec!["\"here\"".into()],
        "nat" => vec!["\"box\"".into()],
        "twin_of" => vec!["\"seeder\"".into()],
        _ => of_shape(key.shape),
    }
}

fn of_shape(shape: Shape) -> Vec<String> {
    let these = |examples: &[&str]| examples.iter().map(|&example| example.to_owned()).collect();
    match shape {
        Shape::Time => these(&["\"3 s\"", "\"1 min 30 s\"", "\"0.5 s\"", "\" 3s \""]),
        Shape::Shift => these(&["\"-3 s\"", "\"+ 1 min\"", "\"2 h\""]),
        Shape::Drift => these(&["\"200 ppm\"", "\"-5ppm\""]),
        Shape::Size => these(&["\"64 KiB\"", "65536", "\"1.5 MB\""]),
        Shape::Rate => these(&["\"1 Mbit/s\"", "\"2 MiB/s\""]),
        Shape::Share => these(&["\"50 %\"", "\"0.5\"", "0.5"]),
        Shape::AtLeast => these(&["\">= 65 %\"", "\">=0.5\""]),
        Shape::AtMost => these(&["\"<= 65 %\"", "\"<=0.5\""]),
        Shape::Within => these(&["\"<= 3 s\"", "\"<=1 min 3 s\""]),
        Shape::Times => these(&["\"<= 1.5\""]),
        Shape::Crowd => these(&["\"<= 25\"", "\">=40\""]),
        Shape::Files => these(&["\"0-0\""]),
        Shape::Text => these(&["\"words\""]),
        Shape::Name => these(&["\"adsl\""]),
        Shape::Truth => these(&["true", "false"]),
        Shape::Whole(least, most) => vec![least.to_string(), (least + 1).min(most).to_string()],
        Shape::Natural => these(&["0", "7"]),
        Shape::Number(..) => these(&["1", "1.5"]),
        Shape::Word(words) => words().iter().map(|word| format!("{word:?}")).collect(),
        Shape::Either(shapes) => shapes.iter().flat_map(|&shape| of_shape(shape)).collect(),
        Shape::List(member) => of_shape(*member).iter().map(|one| format!("[{one}]")).collect(),
        Shape::Two(member) => of_shape(*member).iter().map(|one| format!("[{one}, {one}]")).collect(),
        Shape::Table(tables) | Shape::Member(tables, _) => {
            let first = |key: &Key| format!("{} = {}", key.name, examples(key)[0]);
            let needed: Vec<_> = tables.concat().iter().filter(|key| key.is_needed).map(first).collect();
            vec![format!("{{ {} }}", needed.join(", "))]
        }
        Shape::OneOf(keys) => {
            let keys = keys().into_iter().filter(|key| key.name != "trace");
            let of_key = |key: Key| {
                let all = examples(&key).into_iter();
                all.map(|one| format!("{{ {:?} = {one} }}", key.name)).collect::<Vec<_>>()
            };
            keys.flat_map(of_key).collect()
        }
        Shape::Named(..) => Vec::new(),
    }
}

/// Is this key for these peers?
fn suits(path: &[String], key: &Key) -> bool {
    let group = (path.first().is_some_and(|first| first == "peers")).then(|| path[1].as_str());
    match key.name {
        "start" | "select" | "departure" | "behaviour" | "role" => group == Some("1"),
        "super_seed" => group == Some("0"),
        _ => true,
    }
}

#[test]
fn every_key_takes_what_the_schema_says_it_takes() {
    both_accept(&base());
    let mut tried = 0;
    for (path, key) in all_sites().into_iter().filter(|(path, key)| suits(path, key)) {
        for example in examples(&key) {
            let mut whole = base();
            if matches!(key.name, "behaviour" | "role") {
                // Somebody else has to be watched.
                let other = value("{ role = \"leecher\", name = \"other\", link = \"adsl\" }");
                whole["peers"].as_array_mut().expect("a list").push(other);
                let peers = table(&mut whole, &path);
                peers.remove("role");
                peers.insert("name".into(), "these".into());
            }
            if key.name == "family" && path[0] == "tracker" && example.contains("ipv6") {
                (0..3).for_each(|index| {
                    whole["peers"][index]
                        .as_table_mut()
                        .expect("a table")
                        .insert("family".into(), "ipv6".into());
                });
            }
            both_accept(&with(whole, &path, key.name, value(&example)));
            tried += 1;
        }
    }
    assert!(tried > 200, "{tried}");
}

#[test]
fn no_key_takes_nonsense_and_no_table_an_unknown_key() {
    let mut tables = std::collections::BTreeSet::from([Vec::new()]);
    for (path, key) in all_sites() {
        both_refuse(&with(base(), &path, key.name, value(NONSENSE)));
        if key.is_needed {
            let mut whole = base();
            table(&mut whole, &path).remove(key.name);
            both_refuse(&whole);
        }
        tables.insert(path);
    }
    for path in tables {
        both_refuse(&with(base(), &path, "nonsense", Value::Integer(1)));
    }
}

#[test]
fn what_is_left_out_is_as_the_schema_says() {
    let base_scenario = both_accept(&base());
    for (path, key) in all_sites().into_iter().filter(|(path, key)| suits(path, key)) {
        let Some(default) = key.default else { continue };
        let default: Json =
            serde_json::from_str(default).unwrap_or_else(|error| panic!("{}: {error}", key.name));
        let is_said = table(&mut base(), &path).contains_key(key.name);
        let said = both_accept(&with(base(), &path, key.name, Value::try_from(default).expect("TOML")));
        assert!(is_said || said == base_scenario, "{path:?} {}", key.name);
    }
}

/// Faults of every kind, with whatever goes with them.
const FAULTS: &[&str] = &[
    "at = \"5 s\", crash = \"leecher\", count = 1, for = \"3 s\", every = \"10 s\", times = 2",
    "at = \"5 s\", power_cut = \"leecher-2\"",
    "at = \"5 s\", lose_database = \"tracker\", for = \"3 s\"",
    "when = { completed = 1 }, leave = \"leecher\"",
    "when = { progress = \"50 %\" }, pause = \"tracker\", for = \"3 s\"",
    "when = { copies = 1 }, clock_jump = \"seeder\", by = \"-3 s\"",
    "when = { endgame = \"leecher\" }, crash = \"it\"",
    "when = { before_have = [\"leecher-1\", \"leecher-2\"] }, power_cut = \"it\", count = 1",
    "when = { announcing = [\"leecher-1\"] }, stall = \"it\", for = \"3 s\"",
    "at = \"5 s\", store_fails = \"tracker\", for = \"3 s\"",
    "at = \"5 s\", disk_error = \"leecher\", for = \"3 s\"",
    "at = \"5 s\", disk_full = \"leecher\", for = \"3 s\"",
    "at = \"5 s\", slow_disk = \"leecher\", for = \"3 s\", latency = \"1 s\"",
    "at = \"5 s\", bit_rot = \"leecher\", pieces = 2",
    "at = \"5 s\", partition = [\"leecher\", \"seeder\"], from = \"tracker\", one_way = true, for = \"3 s\"",
    "at = \"5 s\", stall = \"leecher\", for = \"3 s\"",
    "at = \"5 s\", black_hole = \"leecher\", for = \"3 s\"",
    "at = \"5 s\", dns_fails = \"leecher\", for = \"3 s\"",
    "at = \"5 s\", degrade = \"leecher\", to = \"home\", for = \"3 s\"",
];

fn faulty(fault: Value) -> Value {
    let mut whole = base();
    whole["faults"] = Value::Array(vec![fault]);
    whole
}

#[test]
fn faults_are_what_the_schema_says() {
    let mut seen = std::collections::BTreeSet::new();
    for text in FAULTS {
        let fault = value(&format!("{{ {text} }}"));
        both_accept(&faulty(fault.clone()));
        for key in fault.as_table().expect("a table").keys() {
            both_refuse(&faulty(with(fault.clone(), &[], key, value(NONSENSE))));
            seen.insert(key.clone());
        }
        both_refuse(&faulty(with(fault.clone(), &[], "nonsense", Value::Integer(1))));
        both_refuse(&faulty(with(fault, &[], "when", value("{ nonsense = 1 }"))));
    }
    let known = fault::TABLES.concat().iter().map(|key| key.name.to_owned()).collect();
    assert_eq!(seen, known, "every key is tried");
    for two_or_none in [
        "at = \"5 s\", crash = \"leecher\", pause = \"leecher\", for = \"3 s\"",
        "at = \"5 s\"",
        "crash = \"leecher\"",
    ] {
        both_refuse(&faulty(value(&format!("{{ {two_or_none} }}"))));
    }
}

fn scenarios() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios")
}

#[test]
fn every_scenario_and_what_it_expands_to_are_what_the_schema_says() {
    let (schema, validator) = (json(), Validator::default());
    let holds = |text: &str| validator.holds(&schema, &toml::from_str::<Json>(text).expect("TOML"));
    let mut extended = 0;
    for entry in fs::read_dir(scenarios()).expect("the folder is there").flatten() {
        let path = entry.path();
        if path.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        let text = fs::read_to_string(&path).expect("reads");
        assert!(holds(&text), "{}", path.display());
        let scenario = Scenario::parse(&path.to_string_lossy(), &text, &[]).expect("valid");
        assert!(holds(&scenario.expand(7).to_toml()), "{} expanded", path.display());
        extended += usize::from(!scenario.extends.is_empty());
        assert!(scenario.extends.is_empty() || !holds(&text.replace("extends =", "extend =")));
    }
    assert!(extended > 3, "{extended}");
}

#[test]
fn the_schema_beside_the_scenarios_is_this_one() {
    let kept = fs::read_to_string(scenarios().join("schema.json")).expect("it is there");
    let kept: Json = serde_json::from_str(&kept).expect("JSON");
    assert!(kept == json(), "write it anew: cargo run -p sim -- schema > scenarios/schema.json");
}
