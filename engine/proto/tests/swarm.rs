//! Swarms of pure machines in memory, on a virtual clock: no tokio, no sockets, thousands of small swarms a
//! second. Each test names what a swarm must do; `swarm/` holds the little world they live in.

#![allow(clippy::unwrap_used, reason = "a test's panic is its verdict")]

#[path = "swarm/bound.rs"]
mod bound;
#[path = "swarm/event.rs"]
mod event;
#[path = "swarm/ledger.rs"]
mod ledger;
#[path = "swarm/link.rs"]
mod link;
#[path = "swarm/plan.rs"]
mod plan;
#[path = "swarm/world.rs"]
mod world;

use plan::{Node, Plan};
use proto::time::{Duration, Instant};
use proto::torrent::DisconnectReason;
use proto::tracker::Family;
use world::Swarm;

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
    assert!(bound / report.makespan > 0.8);
    assert!(report.duplicate + report.wasted < 100 * (16 << 20) / 50);
}

#[test]
fn everybody_finishes_in_a_thousand_small_swarms() {
    for seed in 0..1000 {
        let mut plan = Plan::new((3 + seed % 20) * 32 * 1024, 32 * 1024);
        plan.nodes.push(Node::seeder(MEGABIT));
        for _ in 0..=seed % 5 {
            plan.nodes.push(Node::leecher(MEGABIT, 16 * MEGABIT));
        }
        plan.arrivals = Duration::from_secs(seed % 7);
        let (leechers, bound) = (plan.nodes.len() - 1, bound::of(&plan, seed));
        let report = Swarm::new(plan, seed).run(Duration::from_secs(60));
        assert_eq!(report.completed, leechers, "seed {seed}: {report}");
        assert!(report.makespan > bound, "seed {seed}: faster than possible, {report}");
    }
}

#[test]
fn one_seed_is_one_run() {
    let run = |seed| Swarm::new(flash_crowd(10, 1 << 20), seed).run(Duration::from_secs(99)).to_string();
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

#[test]
fn pieces_spread_so_that_the_seeder_may_leave() {
    let mut plan = flash_crowd(20, 4 << 20);
    // One copy takes 3.4 s at full rate; some leechers come later than that.
    plan.nodes[0].leaves = Some(Instant::from_micros(18_000_000));
    let report = Swarm::new(plan, 1).run(Duration::from_secs(300));
    assert_eq!(report.completed, 20, "{report}");
}

#[test]
fn leechers_that_vanish_take_nothing_with_them() {
    let mut plan = flash_crowd(30, 4 << 20);
    for (number, node) in plan.nodes.iter_mut().enumerate().skip(21) {
        node.leaves = Some(Instant::from_micros(12_000_000 + number as u64 * 500_000));
    }
    let report = Swarm::new(plan, 1).run(Duration::from_secs(300));
    assert!(report.completed >= 20, "{report}");
}

#[test]
fn poisoners_are_found_out_and_nobody_honest_is() {
    let mut plan = flash_crowd(10, 8 << 20);
    plan.nodes.push(Node { poisoner: true, ..Node::seeder(MEGABIT) });
    let report = Swarm::new(plan, 1).run(Duration::from_secs(900));
    assert_eq!(report.completed, 10, "{report}");
    assert!(report.hash_failures > 0);
    assert!(report.reasons.contains_key(&DisconnectReason::Poisoner), "{report}");
    assert!(report.banned.iter().all(|&node| node == 11), "{:?}", report.banned);
}

#[test]
fn a_disk_that_is_full_for_a_while_delays_one_peer_and_loses_nothing() {
    let mut plan = flash_crowd(5, 2 << 20);
    let full = (Instant::from_micros(5_000_000), Instant::from_micros(45_000_000));
    plan.nodes[3].disk_full = Some(full);
    let report = Swarm::new(plan, 1).run(Duration::from_secs(300));
    assert_eq!(report.completed, 5, "{report}");
    assert_eq!(report.storage_failures, 1);
    assert!(report.makespan > 45.0 && report.makespan < 90.0, "{report}");
}

#[test]
fn every_request_gets_exactly_one_block_or_reject() {
    // The ledger fails the run; some nodes speak no extension, some vanish, some disks are full for a while.
    let mut rejected = 0;
    for seed in 0..8 {
        let mut plan = flash_crowd(12, 1 << 20);
        for (number, node) in plan.nodes.iter_mut().enumerate() {
            node.plain = number % 4 == 3;
            node.leaves = (number % 6 == 5).then(|| Instant::from_micros(9_000_000 + seed * 100_000));
        }
        plan.nodes[2].disk_full = Some((Instant::from_micros(5_000_000), Instant::from_micros(15_000_000)));
        let report = Swarm::new(plan, seed).run(Duration::from_secs(300));
        assert!(report.completed >= 10, "seed {seed}: {report}");
        assert!(report.answered >= 10 * 64, "seed {seed}: {} answers", report.answered);
        rejected += report.rejected;
    }
    assert!(rejected > 0, "chokes and cancels drop requests");
}

#[test]
fn peers_meet_through_peers_where_a_tracker_names_one() {
    let run = |pex, private: bool| {
        let mut plan = flash_crowd(30, 2 << 20);
        plan.num_want = 1;
        plan.config.pex = pex;
        if private {
            plan.metainfo = Plan::private(2 << 20, 256 * 1024).metainfo;
        }
        Swarm::new(plan, 1).run(Duration::from_secs(900))
    };
    let (alone, together, private) = (run(false, false), run(true, false), run(true, true));
    assert_eq!((alone.completed, together.completed, private.completed), (30, 30, 30));
    assert!(together.links > 2 * alone.links, "{together}");
    // A private torrent's members hear of each other from the tracker alone (BEP 27).
    assert!(private.links < alone.links + alone.links / 10, "{private}");
}

#[test]
fn a_super_seeder_may_leave_after_little_more_than_one_copy() {
    let leaves_after_20_s = |super_seeding| {
        let mut plan = flash_crowd(20, 8 << 20);
        plan.arrivals = Duration::ZERO;
        plan.nodes[0].super_seeding = super_seeding;
        plan.nodes[0].leaves = Some(Instant::from_micros(20_000_000));
        let report = Swarm::new(plan, 1).run(Duration::from_secs(300));
        (report.completed, report.seeded.iter().sum::<u64>() as f64 / f64::from(8 << 20))
    };
    let ((done, copies), (others_done, others_copies)) = (leaves_after_20_s(true), leaves_after_20_s(false));
    assert!(done == 20 && copies < 1.4, "{done} done after {copies} copies");
    assert!(others_done == 0 && others_copies > 2.0, "{others_done} done after {others_copies} copies");
}

#[test]
fn a_slow_peer_does_not_hold_the_last_piece() {
    let mut plan = Plan::new(2 << 20, 256 * 1024);
    plan.nodes.push(Node::seeder(MEGABIT));
    plan.nodes.push(Node::seeder(1000));
    plan.nodes.push(Node::leecher(MEGABIT, 16 * MEGABIT));
    let bound = bound::of(&plan, 1);
    let report = Swarm::new(plan, 1).run(Duration::from_secs(300));
    assert!(report.makespan < bound + 5.0, "{bound}: {report}");
    assert!(report.wasted + report.duplicate <= 4 * 16384, "{report}");
}

const BOTH: &[Family] = &[Family::V4, Family::V6];

/// One seeder that speaks IPv4, five leechers like it, five that speak IPv6, and `bridges` that speak both.
fn two_islands(bridges: usize) -> Plan {
    let mut plan = Plan::new(4 << 20, 128 * 1024);
    plan.nodes.push(Node::seeder(4 * MEGABIT));
    let islands = [(5, &BOTH[..1]), (5, &BOTH[1..]), (bridges, BOTH)];
    for (count, families) in islands {
        plan.nodes.extend(vec![Node { families, ..Node::leecher(2 * MEGABIT, 16 * MEGABIT) }; count]);
    }
    plan.arrivals = Duration::from_secs(5);
    plan
}

#[test]
fn peers_of_both_families_join_two_islands() {
    let report = Swarm::new(two_islands(3), 1).run(Duration::from_secs(600));
    assert_eq!(report.completed, 13, "{report}");
    let report = Swarm::new(two_islands(0), 1).run(Duration::from_secs(600));
    assert_eq!(report.completed, 5, "nothing crosses without them: {report}");
}

#[test]
fn peers_that_know_each_other_by_two_addresses_keep_one_connection() {
    for seed in 0..50 {
        // Nobody has a piece, so that nothing but connecting happens, for ten minutes.
        let mut plan = two_islands(6);
        plan.nodes.remove(0);
        plan.nodes.iter_mut().for_each(|node| node.families = BOTH);
        let nodes = plan.nodes.len();
        let report = Swarm::new(plan, seed).run(Duration::from_secs(600));
        assert_eq!(report.connections, nodes * (nodes - 1), "seed {seed}: {report}");
        assert!(report.reasons.contains_key(&DisconnectReason::DuplicatePeer), "seed {seed}: {report}");
        // Addresses are learnt up to the first wish for more peers, at 30 s; each leads to one dial.
        assert!(
            report.last_twin.as_secs_f64() < 60.0,
            "seed {seed}: dialled again after {:?}",
            report.last_twin
        );
    }
}
