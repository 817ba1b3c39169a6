//! Swarms of pure machines in memory, on a virtual clock: no tokio, no sockets, thousands of small swarms a
//! second. Each test names what a swarm must do; `swarm/` holds the little world they live in.

#![allow(clippy::unwrap_used, reason = "a test's panic is its verdict")]

#[path = "swarm/bound.rs"]
mod bound;
#[path = "swarm/world.rs"]
mod world;

use proto::time::Duration;
use world::{Node, Plan, Swarm};

const MEGABIT: u64 = 125_000;

/// The anchor workload of the flash crowd: one seeder, 100 leechers, arrivals over ten seconds.
fn flash_crowd(leechers: usize, len: u64) -> Plan {
    let mut plan = Plan::new(len, 256 * 1024);
    plan.nodes.push(Node::seeder(10 * MEGABIT));
    for _ in 0..leechers {
        plan.nodes.push(Node::leecher(MEGABIT, 16 * MEGABIT));
    }
    plan.arrivals = Duration::from_secs(10);
    plan
}

#[test]
fn one_leecher_gets_everything_from_one_seeder() {
    let mut plan = Plan::new(1_000_000, 64 * 1024);
    plan.nodes.push(Node::seeder(MEGABIT));
    plan.nodes.push(Node::leecher(MEGABIT, MEGABIT));
    let report = Swarm::new(plan, 1).run(Duration::from_secs(60));
    assert_eq!(report.completed, 1);
    assert_eq!(report.duplicate + report.wasted, 0);
    assert!(report.makespan < 10.0, "{report:?}");
}

#[test]
fn a_flash_crowd_is_served_near_the_bound() {
    let plan = flash_crowd(100, 16 << 20);
    let bound = bound::of(&plan, 1);
    let report = Swarm::new(plan, 1).run(Duration::from_secs(600));
    println!("bound {bound:.1} s, efficiency {:.3}: {report}", bound / report.makespan);
    assert_eq!(report.completed, 100);
    assert!(bound / report.makespan > 0.85);
    assert!(report.duplicate + report.wasted < 100 * (16 << 20) / 50);
}
