//! The scenarios that come with the project: each is valid, says what it claims, and writes itself out.

use std::fs;
use std::path::PathBuf;

use sim::scenario::{Completed, Scenario};

fn all() -> Vec<(PathBuf, String)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../scenarios");
    let files =
        fs::read_dir(folder).expect("the folder is there").map(|entry| entry.expect("an entry").path());
    let toml = files.filter(|path| path.extension().is_some_and(|extension| extension == "toml"));
    toml.map(|path| (path.clone(), fs::read_to_string(path).expect("reads"))).collect()
}

#[test]
fn every_scenario_is_valid_and_can_fail() {
    let scenarios = all();
    assert!(scenarios.len() >= 3);
    for (path, text) in scenarios {
        let parsed = Scenario::parse(&path.to_string_lossy(), &text, &[]);
        let scenario = parsed.unwrap_or_else(|error| panic!("{error}"));
        assert!(scenario.claim.ends_with('.'), "{}: a claim is a sentence", path.display());
        let expect = scenario.expect;
        let judged =
            expect.completed == Completed::All || expect.efficiency.is_some() || expect.time.is_some();
        assert!(judged, "{}: nothing is expected", path.display());
    }
}

#[test]
fn every_scenario_replays_from_its_expanded_form() {
    for (path, text) in all() {
        let scenario = Scenario::parse(&path.to_string_lossy(), &text, &[]).expect("valid");
        let plan = scenario.expand(7);
        let again = Scenario::parse("expanded.toml", &plan.to_toml(), &[]).expect("valid");
        assert_eq!(again.expand(again.seed), plan, "{}", path.display());
    }
}
