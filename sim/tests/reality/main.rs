//! The same TOML in reality: the binaries that people run, each in a network namespace of its own, over links that
//! `tbf` limits as the scenario says; and over plain loopback. When the peers complete, and what came of it, must be
//! what the simulator says. `sim/FIDELITY.md` has the table that this prints.
//!
//! It needs Linux, iproute2 and the right to make namespaces. Where something of it is missing, it says what and is
//! left out. `OURTORRENT_REALITY=require`, as in CI wherever namespaces can be made, makes that a failure; `skip`
//! leaves it out; `measure` runs each scenario five times, with nothing beside it, and holds the error to the goal. On a
//! busy machine the real peers are late: CI's single runs allow three times as much.

#![cfg(target_os = "linux")]

mod lab;
mod outcome;
mod stage;
mod table;

use std::path::Path;
use std::thread;

use lab::{Lab, is_measuring};
use outcome::Run;
use sim::run::run;
use sim::scenario::{Plan, Scenario};
use stage::Place;
use table::Table;

/// The scenarios, all of which run really.
const SCENARIOS: [&str; 2] = ["alike", "mixed"];

/// Seeds that are simulated.
const SEEDS: std::ops::RangeInclusive<u64> = 1..=5;

/// Real runs of each scenario for the published table.
const REPEATS: usize = 5;

/// The goal for the error of a completion time, at the median.
const GOAL: f64 = 0.10;

/// The same on a machine that is busy with other things, and for single runs.
const GENEROUS: f64 = 0.30;

fn plan(name: &str, seed: u64) -> Plan {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/reality/{name}.toml"));
    let text = std::fs::read_to_string(&path).expect("it is there");
    Scenario::parse(name, &text, &[]).unwrap_or_else(|error| panic!("{error}")).expand(seed)
}

fn simulated(plan: &Plan) -> Run {
    Run::of_record(&run(plan, &mut |_| ()).expect("it runs"))
}

/// The same plan with links half as fast.
fn halved(mut plan: Plan) -> Plan {
    for link in plan.links.values_mut() {
        (link.up, link.down) = (link.up / 2, link.down / 2);
    }
    plan
}

fn really(name: &str, place: Place) -> Run {
    let plan = plan(name, 1);
    stage::perform(&plan, place, &mut Lab::open(&plan))
}

/// Runs of each scenario in namespaces: at once, as they wait most of the time, or with nothing beside them.
fn real_runs() -> Vec<Vec<Run>> {
    if is_measuring() {
        let repeat = |name| (0..REPEATS).map(|_| really(name, Place::Namespaces)).collect();
        return SCENARIOS.into_iter().map(repeat).collect();
    }
    thread::scope(|scope| {
        let runs = SCENARIOS.map(|name| scope.spawn(move || vec![really(name, Place::Namespaces)]));
        runs.into_iter().map(|run| run.join().expect("it says why")).collect()
    })
}

#[test]
fn peers_complete_when_the_simulator_says() {
    if !lab::is_possible() {
        return;
    }
    let (mut table, mut slow) = (Table::default(), Table::default());
    for (name, real) in SCENARIOS.into_iter().zip(real_runs()) {
        let runs: Vec<_> = SEEDS.map(|seed| simulated(&plan(name, seed))).collect();
        for real in &real {
            assert_eq!(real.outcome, runs[0].outcome, "{name}: what came of it");
        }
        table.add(name, &runs, &real);
        slow.add(name, &[simulated(&halved(plan(name, 1)))], &real);
    }
    println!("{table}");
    let limit = if is_measuring() { GOAL } else { GENEROUS };
    assert!(table.median_error() <= limit, "the median error is above {limit}:\n{table}");
    assert!(slow.median_error() > limit, "a model with half the speed must be seen to be wrong:\n{slow}");
}

#[test]
fn over_loopback_the_same_comes_of_it() {
    if !lab::is_possible() {
        return;
    }
    for name in SCENARIOS {
        let (real, simulated) = (really(name, Place::Loopback), simulated(&plan(name, 1)));
        println!("{name}, over loopback: {:?}", real.outcome);
        assert_eq!(real.outcome, simulated.outcome, "{name}");
        assert!(real.times.last() < simulated.times.first(), "{name}: nothing limits loopback");
    }
}
