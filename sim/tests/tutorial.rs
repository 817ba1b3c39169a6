//! The page on policies shows code that compiles and does what the page says.

#[expect(dead_code, reason = "the example's main is another test's matter")]
#[path = "../examples/write_a_policy.rs"]
mod example;

use std::fs;
use std::path::PathBuf;

use proto::torrent::policy::Policies;
use sim::compare::Comparison;
use sim::scenario::Scenario;

fn read(path: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn the_page_shows_the_code_of_the_example() {
    let (page, example) = (read("engine/docs/write-a-policy.md"), read("sim/examples/write_a_policy.rs"));
    let blocks: Vec<_> =
        page.split("```rust\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert_eq!(blocks.len(), 3, "a policy, its name, its comparison");
    // Everything in the example but its opening and imports stands on the page, in order.
    let code = example.split_once("use sim::compare::Comparison;\n").expect("the last import").1;
    assert_eq!(blocks.join("\n").trim(), code.trim());
}

#[test]
fn the_policy_of_the_page_can_be_named_and_fetches_both_ends_first() {
    let policies = Policies::shipped().with_picker(example::BOTH_ENDS);
    let text = "# The ends come first.\nversion = 1\n[torrent]\nsize = \"2 MiB\"\npiece_length = \"64 KiB\"\n\
                picker = \"both-ends\"\n[[peers]]\nrole = \"seeder\"\nlink = \"cable\"\n\
                [[peers]]\nrole = \"leecher\"\nlink = \"cable\"\n";
    let scenario = Scenario::parse_with("ends.toml", text, &[], &policies).expect("the name is known");
    let record = sim::run::run(&scenario.expand(1), &mut |_| ()).expect("it runs");
    let pieces = &record.peers[1].pieces;
    let early = pieces.iter().flatten().filter(|at| **at < pieces[31].expect("complete")).count();
    assert!(early <= 3, "{early} pieces came before the last one: {pieces:?}");
    assert!(Scenario::parse("ends.toml", text, &[]).is_err(), "nobody else knows it");
}

#[test]
fn a_comparison_of_equals_shows_no_difference() {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../scenarios/flash_crowd.toml");
    let smaller = ["peers.leecher.count=3", "torrent.size=1 MiB"].map(str::to_owned);
    let same = ["torrent.picker=rarest-first"].map(str::to_owned);
    let comparison = Comparison::run(&file, (&smaller, &same), 1..4, &Policies::shipped()).expect("it runs");
    assert_eq!(comparison.pairs, 3);
    assert!(comparison.rows.iter().all(|row| row.interval == Some((0.0, 0.0))), "{comparison:?}");
}
