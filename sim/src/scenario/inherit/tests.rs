//! Scenarios that extend others: what is laid over what, what is taken away, and mistakes shown in the right file.

use std::fs;
use std::time::Duration;

use super::super::{Arrival, Departure, FaultKind, Scenario};
use super::MAX_FILES;

const BASE: &str = "# Three fetch from one.
version = 1
name = \"three\"

[torrent]
size = \"1 MiB\"
piece_length = \"256 KiB\"

[links.home]
up = \"1 Mbit/s\"
down = \"8 Mbit/s\"
latency = \"10 ms\"
queue = \"100 kB\"
bursts = { gap = \"5 s\", length = \"200 ms\", loss = \"70 %\" }

[[peers]]
role = \"seeder\"
link = \"server\"

[[peers]]
role = \"leecher\"
count = 3
link = \"home\"
arrival = { uniform = \"10 s\" }
departure = { after = \"90 s\" }

[[peers]]
behaviour = \"poisoner\"
link = \"home\"

[[faults]]
at = \"5 s\"
crash = \"leecher\"
for = \"3 s\"

[[faults]]
when = { copies = 1 }
leave = \"seeder\"

[expect]
efficiency = \">= 0.65\"
time = \"<= 5 min\"
";

/// The scenario `top.toml`, which is `text`, beside `base.toml` and these files.
fn parse_beside(text: &str, others: &[(&str, &str)], sets: &[&str]) -> Result<Scenario, String> {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in [("base.toml", BASE)].iter().chain(others) {
        fs::write(folder.path().join(name), text).expect("room");
    }
    let sets: Vec<_> = sets.iter().map(ToString::to_string).collect();
    let file = folder.path().join("top.toml");
    let parsed = Scenario::parse(&file.to_string_lossy(), text, &sets);
    parsed.map_err(|error| error.to_string().replace(&format!("{}/", folder.path().display()), ""))
}

fn extended(text: &str) -> Result<Scenario, String> {
    parse_beside(&format!("# Like the base.\nversion = 1\nextends = \"base.toml\"\n{text}"), &[], &[])
}

fn over(text: &str) -> Scenario {
    extended(text).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn what_is_not_said_is_as_in_the_base() {
    let base = Scenario::parse("top.toml", BASE, &[]).expect("valid");
    let expected = Scenario {
        name: "top".into(),
        claim: "Like the base.".into(),
        extends: vec!["base.toml".into()],
        ..base
    };
    assert_eq!(over(""), expected);
}

#[test]
fn tables_are_merged_and_values_replaced() {
    let scenario = over(
        "[torrent]\nsize = \"2 MiB\"\n[links.home]\nbursts = { loss = 0.5 }\n[links.far]\nup = \"1 Mbit/s\"\n\
         down = \"1 Mbit/s\"\nlatency = \"1 s\"\nqueue = \"9 kB\"\n[expect]\nefficiency = \">= 0.5\"\n",
    );
    assert_eq!((scenario.torrent.size, scenario.torrent.piece_length), (2 << 20, 256 << 10));
    let bursts = scenario.links["home"].roughness.bursts.expect("some");
    assert_eq!((bursts.loss, bursts.gap), (0.5, Duration::from_secs(5)));
    assert_eq!(scenario.links["far"].latency, Duration::from_secs(1));
    assert_eq!(
        (scenario.expect.efficiency, scenario.expect.time),
        (Some(0.5), Some(Duration::from_secs(300)))
    );
}

#[test]
fn groups_are_known_by_their_names_and_faults_are_added() {
    let scenario = over(
        "[[peers]]\nname = \"leecher\"\ncount = 7\narrival = { poisson = \"1 s\" }\ndeparture = \"never\"\n\
         [[peers]]\nname = \"late\"\nrole = \"leecher\"\nlink = \"adsl\"\n[[faults]]\nat = \"9 s\"\ncrash = \"late\"\n",
    );
    let names: Vec<_> = scenario.groups.iter().map(|group| (group.name.as_str(), group.count)).collect();
    assert_eq!(names, [("seeder", 1), ("leecher", 7), ("poisoner", 1), ("late", 1)]);
    let leechers = &scenario.groups[1];
    assert_eq!((leechers.link.as_str(), leechers.departure), ("home", Departure::Never));
    assert_eq!(
        leechers.arrival,
        Arrival::Poisson(Duration::from_secs(1)),
        "another choice replaces the former"
    );
    let kinds: Vec<_> = scenario.faults.iter().map(|fault| fault.kind).collect();
    let back_after = Some(Duration::from_secs(3));
    let crash = |back_after| FaultKind::Crash { back_after };
    assert_eq!(kinds, [crash(back_after), FaultKind::Leave, crash(None)]);
}

#[test]
fn what_it_is_without_is_gone() {
    let scenario = over(
        "without = [\"expect.efficiency\", \"faults.1\", \"peers.poisoner\", \"links.home.bursts\", \
         \"peers.leecher.departure\"]\n",
    );
    assert_eq!((scenario.expect.efficiency, scenario.faults.len(), scenario.groups.len()), (None, 1, 2));
    assert_eq!(scenario.faults[0].kind, FaultKind::Leave);
    assert_eq!(scenario.links["home"].roughness.bursts, None);
    assert_eq!(scenario.groups[1].departure, Departure::Never);
    assert_eq!(over("without = [\"faults.1\", \"faults.2\"]\n").faults, [], "numbers are those of the base");
    assert_eq!(over("without = [\"faults\"]\n").faults, []);
}

#[test]
fn a_set_lies_over_both_and_what_is_expanded_stands_alone() {
    let text = "# Like the base.\nversion = 1\nextends = \"base.toml\"\n[tracker]\ninterval = \"30 s\"\n";
    let sets = ["tracker.interval=60s", "peers.leecher.count=5", "peers.leecher.arrival.poisson=1 s"];
    let scenario = parse_beside(text, &[], &sets).expect("valid");
    assert_eq!(scenario.tracker.interval, Some(Duration::from_secs(60)));
    assert_eq!(
        (scenario.groups[1].count, scenario.groups[1].arrival.clone()),
        (5, Arrival::Poisson(Duration::from_secs(1)))
    );
    let plan = scenario.expand(3);
    assert_eq!(Scenario::parse("alone.toml", &plan.to_toml(), &[]).expect("valid").expand(3), plan);
}

#[test]
fn complaints_point_into_the_file_that_is_wrong() {
    insta::assert_snapshot!(extended("[expect]\nefficency = \">= 0.5\"\n").unwrap_err(), @r#"
    top.toml:5:1: unknown key `efficency` in [expect]
       |
     5 | efficency = ">= 0.5"
       | ^^^^^^^^^
       = did you mean `efficiency`?
    "#);
    let wrong = BASE.replace("\"100 kB\"", "\"100 kb\"");
    let top = "# Like another.\nversion = 1\nextends = \"wrong.toml\"\n[run]\ntick = \"5 ms\"\n";
    insta::assert_snapshot!(parse_beside(top, &[("wrong.toml", &wrong)], &[]).unwrap_err(), @r#"
    wrong.toml:13:9: `100 kb` is not a size: did you mean "100 kB"?
        |
     13 | queue = "100 kb"
        |         ^^^^^^^^
    "#);
    let broken = BASE.replace("[links.home]", "[links.home");
    let error = parse_beside(top, &[("wrong.toml", &broken)], &[]).unwrap_err();
    assert!(error.starts_with("wrong.toml:9:12: "), "{error}");
    let old = BASE.replace("version = 1\n", "");
    let error = parse_beside(top, &[("wrong.toml", &old)], &[]).unwrap_err();
    assert!(error.starts_with("wrong.toml:1:1: the scenario lacks its `version`"), "{error}");
}

#[test]
fn a_base_that_cannot_be_is_refused_where_it_is_named() {
    let naming = |name: &str, others: &[(&str, &str)]| {
        parse_beside(&format!("# On {name}.\nversion = 1\nextends = \"{name}\"\n"), others, &[]).unwrap_err()
    };
    insta::assert_snapshot!(naming("bsae.toml", &[]), @r#"
    top.toml:3:11: cannot read bsae.toml: No such file or directory (os error 2)
       |
     3 | extends = "bsae.toml"
       |           ^^^^^^^^^^^
       = did you mean "base.toml"?
    "#);
    for outside in ["../base.toml", "/base.toml", "a/base.toml", ".."] {
        assert!(naming(outside, &[]).contains("is not the name of a file beside this one"), "{outside}");
    }
    let on_top = BASE.replace("version = 1\n", "version = 1\nextends = \"top.toml\"\n");
    insta::assert_snapshot!(naming("circle.toml", &[("circle.toml", &on_top)]), @r#"
    circle.toml:3:11: it goes in a circle: top.toml extends circle.toml extends top.toml
       |
     3 | extends = "top.toml"
       |           ^^^^^^^^^^
       = the last file of a family extends nothing
    "#);
    let text = |number| format!("# {number}.\nversion = 1\nextends = \"{}.toml\"\n", number + 1);
    let deep: Vec<_> = (1..=MAX_FILES).map(|number| (format!("{number}.toml"), text(number))).collect();
    let deep: Vec<_> = deep.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    assert!(naming("1.toml", &deep).contains("more than 8 files that build on each other"));
}

#[test]
fn what_is_not_there_cannot_be_taken_away() {
    insta::assert_snapshot!(extended("without = [\"expect.eficiency\"]\n").unwrap_err(), @r#"
    top.toml:4:12: there is no `eficiency` to be without
       |
     4 | without = ["expect.eficiency"]
       |            ^^^^^^^^^^^^^^^^^^
       = did you mean "efficiency"?
    "#);
    for (without, complaint) in [
        ("[\"peers.passer\"]", "it can be \"seeder\", \"leecher\", \"poisoner\""),
        ("[\"faults.3\"]", "there is no `3` to be without"),
        ("[\"torrent.size.unit\"]", "there is no `unit` to be without"),
        ("\"faults\"", "a list of what the other scenario has"),
    ] {
        let error = extended(&format!("without = {without}\n")).unwrap_err();
        assert!(error.contains(complaint), "{error}");
    }
    let alone =
        parse_beside(&BASE.replace("name =", "without = [\"faults\"]\nname ="), &[], &[]).unwrap_err();
    assert!(alone.contains("there is no `faults` to be without"), "{alone}");
}
