//! The bounds against brute force on tiny cases, and against each other.

use proptest::prelude::*;

use super::*;

fn leecher(up: f64, down: f64, arrival: f64) -> Leecher {
    Leecher { up, down, arrival, departure: f64::INFINITY, finishes: true, open: true }
}

/// The anchor workload: 16 MiB, one seeder of 10 Mbit/s, a hundred leechers of 1 up and 16 Mbit/s down.
fn anchor() -> Swarm {
    let leechers = (0..100).map(|index| leecher(125_000.0, 2_000_000.0, f64::from(index) * 0.1)).collect();
    swarm(16.0 * 1_048_576.0, 262_144.0, 1_250_000.0, leechers)
}

fn swarm(content: f64, piece: f64, seed_up: f64, leechers: Vec<Leecher>) -> Swarm {
    Swarm { content, piece, seed_up, open_seed_up: seed_up, leechers }
}

fn near(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-9 * a.abs().max(b.abs())
}

#[test]
fn the_anchor_is_bound_by_uploads_that_begin_late() {
    let bound = anchor().bound().expect("somebody finishes");
    assert_eq!(bound.term, Term::StartUp);
    // B1 alone: 100 x 16 MiB / (110 Mbit/s) = 122.0 s; start-up adds a few seconds.
    assert!((122.0..130.0).contains(&bound.seconds), "{}", bound.seconds);
}

#[test]
fn each_term_can_bind() {
    let mut swarm = swarm(100.0, 1.0, 1.0, vec![leecher(10.0, 50.0, 0.0)]);
    assert_eq!(swarm.bound(), Some(Bound { seconds: 100.0, term: Term::Seed }));
    swarm.seed_up = 1_000.0;
    assert_eq!(swarm.bound(), Some(Bound { seconds: 2.0, term: Term::Download }));
    swarm.leechers = vec![leecher(1.0, 1e9, 0.0); 2];
    (swarm.piece, swarm.seed_up) = (100.0, 1.0);
    // One piece that is everything: the seeder sends it, then both do.
    assert_eq!(swarm.bound(), Some(Bound { seconds: 150.0, term: Term::LastPiece }));
    swarm.leechers = vec![Leecher { finishes: false, ..leecher(1.0, 1.0, 0.0) }];
    assert_eq!(swarm.bound(), None);
}

#[test]
fn who_cannot_be_dialled_is_served_by_those_who_can() {
    let closed = Leecher { open: false, ..leecher(10.0, 1e9, 0.0) };
    let mut swarm = swarm(100.0, 1.0, 5.0, vec![closed, closed, closed, leecher(5.0, 1e9, 10.0)]);
    // 300 bytes at 5 a second, and at 10 from the tenth on; all uploads together would take about 12 s.
    assert_eq!(swarm.bound(), Some(Bound { seconds: 35.0, term: Term::Reach }));
    swarm.open_seed_up = 0.0;
    assert_eq!(swarm.bound(), Some(Bound { seconds: 70.0, term: Term::Reach }));
}

#[test]
fn those_who_leave_upload_no_more() {
    let gone = Leecher { departure: 1.0, finishes: false, ..leecher(100.0, 1e9, 0.0) };
    let leechers = vec![leecher(1e-9, 1e9, 0.0), leecher(1e-9, 1e9, 0.0), gone];
    let swarm = swarm(1_000.0, 1.0, 100.0, leechers);
    let bound = swarm.bound().expect("two finish");
    // 2,000 bytes at 100 a second, less the 100 that the third gave in its one second.
    assert_eq!(bound.term, Term::Presence);
    assert!((bound.seconds - 19.0).abs() < 1e-6, "{}", bound.seconds);
}

/// The shortest makespan of a tiny swarm in which time goes in steps and an uploader sends one whole piece a
/// step (several if its rate allows), found by trying everything. It obeys all that the fluid bounds assume,
/// so none may exceed it.
mod brute {
    use std::collections::BTreeSet;

    /// Pieces held, a bit set for each leecher.
    type Held = Vec<u32>;

    /// The seeder can be dialled, and so can all leechers but the first `closed`.
    pub(super) fn makespan(pieces: u32, seed: u32, uploads: &[u32], closed: usize) -> u32 {
        let full = (1 << pieces) - 1;
        let mut states = BTreeSet::from([vec![0_u32; uploads.len()]]);
        for step in 0.. {
            if states.iter().any(|held| held.iter().all(|&bits| bits == full)) {
                return step;
            }
            states = states.iter().flat_map(|held| next(held, pieces, seed, uploads, closed)).collect();
        }
        unreachable!("the seeder alone gets everybody done")
    }

    /// Every outcome of one step; what is received in it cannot be sent on in it.
    fn next(held: &Held, pieces: u32, seed: u32, uploads: &[u32], closed: usize) -> BTreeSet<Held> {
        let full = (1 << pieces) - 1;
        let senders = uploads.iter().zip(held).map(|(&rate, &bits)| (rate, bits)).chain([(seed, full)]);
        let mut outcomes = BTreeSet::from([held.clone()]);
        for (sender, (rate, bits)) in senders.enumerate() {
            // Two who cannot be dialled never meet.
            let first = if sender < closed { closed } else { 0 };
            for _ in 0..rate {
                outcomes =
                    outcomes.iter().flat_map(|outcome| send_one(outcome, bits, pieces, first)).collect();
            }
        }
        outcomes
    }

    /// Every way to send one of the pieces in `bits` to somebody from `first` on who lacks it, or to send none.
    fn send_one(held: &Held, bits: u32, pieces: u32, first: usize) -> Vec<Held> {
        let mut outcomes = vec![held.clone()];
        for piece in (0..pieces).filter(|piece| bits & (1 << piece) != 0) {
            for to in (first..held.len()).filter(|&to| held[to] & (1 << piece) == 0) {
                let mut outcome = held.clone();
                outcome[to] |= 1 << piece;
                outcomes.push(outcome);
            }
        }
        outcomes
    }
}

#[test]
fn no_bound_exceeds_the_best_schedule_of_a_tiny_swarm() {
    for pieces in 1..=3 {
        for seed in 1..=2 {
            for uploads in [&[0][..], &[1], &[2], &[0, 1], &[1, 1], &[1, 2], &[0, 0, 1], &[1, 1, 1]] {
                for closed in 0..=uploads.len() {
                    let best = f64::from(brute::makespan(pieces, seed, uploads, closed));
                    let home = |(number, &up): (usize, &u32)| Leecher {
                        open: number >= closed,
                        ..leecher(f64::from(up), 1e9, 0.0)
                    };
                    let leechers = uploads.iter().enumerate().map(home).collect();
                    let swarm = swarm(f64::from(pieces), 1.0, f64::from(seed), leechers);
                    let bound = swarm.bound().expect("all finish");
                    let slack = best - bound.seconds;
                    assert!(
                        slack >= -1e-6,
                        "{pieces} pieces, {seed}, {uploads:?}, {closed}: {bound:?} > {best}"
                    );
                }
            }
        }
    }
}

#[test]
fn one_piece_to_equal_peers_meets_the_bound_exactly() {
    // Doubling: one holder more after the first step, then two, then four; B3 is fluid and a little below.
    assert_eq!(brute::makespan(1, 1, &[1, 1, 1], 0), 2);
    let swarm = swarm(1.0, 1.0, 1.0, vec![leecher(1.0, 1e9, 0.0); 3]);
    assert!(near(swarm.bound().expect("all").seconds, 1.0 + 1.0 / 2.0 + 1.0 / 3.0));
}

fn swarms() -> impl Strategy<Value = Swarm> {
    let finishes = prop::bool::weighted(0.9);
    let one = (1.0..1e6, 1e3..1e8, 0.0..100.0, prop::option::of(0.0..1e4), finishes, any::<bool>());
    let leechers = prop::collection::vec(one, 1..12).prop_map(|all| {
        let make =
            |(up, down, arrival, stay, finishes, open): (f64, f64, f64, Option<f64>, bool, bool)| Leecher {
                up,
                down,
                arrival,
                departure: stay.map_or(f64::INFINITY, |stay| arrival + stay),
                finishes,
                open,
            };
        all.into_iter().map(make).collect::<Vec<_>>()
    });
    (1e3..1e8, 1..100_u32, 1e2..1e6, leechers).prop_map(|(content, pieces, seed_up, leechers)| Swarm {
        content,
        piece: content / f64::from(pieces),
        seed_up,
        open_seed_up: seed_up,
        leechers,
    })
}

fn seconds(swarm: &Swarm) -> f64 {
    swarm.bound().map_or(0.0, |bound| bound.seconds)
}

/// Not later than, but for rounding.
fn at_most(a: f64, b: f64) -> bool {
    a <= b * (1.0 + 1e-9) || b.is_infinite()
}

proptest! {
    #[test]
    fn more_capacity_never_hurts(swarm in swarms(), factor in 1.0..10.0, which in 0..12_usize) {
        let before = seconds(&swarm);
        let index = which % swarm.leechers.len();
        let mut faster = swarm.clone();
        faster.seed_up *= factor;
        faster.open_seed_up *= factor;
        prop_assert!(at_most(seconds(&faster), before));
        let mut faster = swarm.clone();
        faster.leechers[index].up *= factor;
        faster.leechers[index].down *= factor;
        prop_assert!(at_most(seconds(&faster), before));
    }

    #[test]
    fn coming_later_never_helps(swarm in swarms(), delay in 0.0..100.0, which in 0..12_usize) {
        let mut later = swarm.clone();
        let index = which % swarm.leechers.len();
        later.leechers[index].arrival += delay;
        later.leechers[index].departure = later.leechers[index].departure.max(later.leechers[index].arrival);
        // Staying the same time span later could help B6; so it leaves when it left before.
        prop_assert!(at_most(seconds(&swarm), seconds(&later)));
    }

    #[test]
    fn the_content_cannot_be_served_faster_than_at_full_rate(swarm in swarms()) {
        let supply = Supply::of(&swarm);
        let all: f64 = swarm.leechers.iter().map(|leecher| leecher.up).sum::<f64>() + swarm.seed_up;
        for k in 1..=swarm.finishers() {
            let time = swarm.kth_completion(k, &supply);
            prop_assert!(at_most(k as f64 * swarm.content / all, time));
            if k > 1 {
                prop_assert!(at_most(swarm.kth_completion(k - 1, &supply), time));
            }
        }
        if swarm.finishers() > 0 {
            prop_assert!(at_most(swarm.kth_completion(swarm.finishers(), &supply), seconds(&swarm)));
        }
    }

    #[test]
    fn the_supply_curve_is_the_formula(swarm in swarms(), bytes in 1.0..1e9) {
        // C(t) written as in the design, without the sweep.
        let mut arrivals: Vec<_> = swarm.leechers.iter().map(|leecher| leecher.arrival).collect();
        arrivals.sort_by(f64::total_cmp);
        let mut ups: Vec<_> = swarm.leechers.iter().map(|leecher| leecher.up).collect();
        ups.sort_by(|a, b| b.total_cmp(a));
        let largest = |n: usize| ups[..n].iter().sum::<f64>();
        let tau = |k: usize| (0..k).map(|n| swarm.piece / (swarm.seed_up + largest(n))).sum::<f64>();
        let served = |t: f64| swarm.seed_up * t + (1..=ups.len())
            .map(|k| ups[k - 1] * (t - tau(k).max(arrivals[k - 1])).max(0.0)).sum::<f64>();
        let time = Supply::of(&swarm).time_of(bytes);
        prop_assert!((served(time) - bytes).abs() <= 1e-6 * bytes, "{} {}", served(time), bytes);
    }
}
