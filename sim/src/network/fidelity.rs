//! How true to nature the emulated network is: measured against theory, and published in `sim/FIDELITY.md`.
//!
//! The test prints the tables and compares them with the file, so that what is published is what is measured.

use std::fmt::Write as _;
use std::time::Duration;

use proto::seed::Seed;
use proto::time::Instant;

use super::LinkProfile;
use super::link::Line;
use super::load::WINDOW;
use super::spread::Spread;
use super::tests::{Bench, SEGMENT, link};

const FAR: LinkProfile = LinkProfile { latency: Duration::ZERO, ..LinkProfile::UNLIMITED };

/// Bytes a second that so many flows carry over this link for a minute, and Jain's index of their shares.
fn carried(near: LinkProfile, flows: usize) -> (f64, f64) {
    const SECONDS: u64 = 60;
    let mut bench = Bench::new(near, FAR, flows, 3);
    bench.run(Duration::from_secs(SECONDS));
    (bench.received() as f64 / SECONDS as f64, bench.jain())
}

/// One flow under random loss, over a link that is never full.
fn loss_table() -> String {
    let mut table = "| loss | round trip | measured | formula | ratio |\n|---|---|---|---|---|\n".to_owned();
    for loss in [0.001, 0.01, 0.05] {
        for round_trip in [20_u64, 50, 100, 300] {
            let (rate, _) = carried(link(100_000_000, round_trip / 2, u64::MAX, loss), 1);
            let seconds = round_trip as f64 / 1e3;
            // Mathis et al. (1997), and no more than the window in each round trip.
            let mathis = f64::from(SEGMENT) / seconds * 1.22 / loss.sqrt();
            let formula = mathis.min(f64::from(WINDOW) / seconds);
            let ratio = rate / formula;
            assert!((1.0 / 1.5..1.5).contains(&ratio), "{ratio} at {loss} and {round_trip} ms");
            let (loss, rate, formula) = (loss * 100.0, rate / 1e3, formula / 1e3);
            let _ = writeln!(
                table,
                "| {loss} % | {round_trip} ms | {rate:.0} kB/s | {formula:.0} kB/s | {ratio:.2} |"
            );
        }
    }
    table
}

/// Flows that fill a link.
fn link_table() -> String {
    let mut table =
        "| rate | round trip | queue | flows | of the link | Jain |\n|---|---|---|---|---|---|\n".to_owned();
    let rows = [
        (1, 50, 50_000, 1),
        (1, 50, 50_000, 8),
        (1, 50, 200_000, 8),
        (1, 50, 50_000, 16),
        (1, 50, 200_000, 16),
        (1, 200, 50_000, 4),
        (10, 20, 100_000, 1),
        (10, 20, 100_000, 8),
        (10, 100, 200_000, 4),
        (10, 100, 200_000, 16),
    ];
    for (megabits, round_trip, queue, flows) in rows {
        let rate = megabits * 125_000;
        let (carried, jain) = carried(link(rate, round_trip / 2, queue, 0.0), flows);
        let share = carried / rate as f64;
        assert!((0.9..1.0).contains(&share), "{share} of {megabits} Mbit/s with {flows} flows");
        assert!(jain >= 0.9, "{flows} flows share {megabits} Mbit/s with {jain}");
        let queue = queue / 1_000;
        let _ = writeln!(
            table,
            "| {megabits} Mbit/s | {round_trip} ms | {queue} kB | {flows} | {share:.2} | {jain:.2} |"
        );
    }
    table
}

/// The mean time that packets wait which come at random, on a line so busy.
fn wait(busy: f64) -> f64 {
    const PACKETS: u32 = 200_000;
    // A thousand bytes take a millisecond.
    let mut line = Line::new(1_000_000, u64::MAX);
    let gap = Spread::Weibull { scale: Duration::from_secs_f64(1e-3 / busy), shape: 1.0 };
    let (mut random, mut now, mut waited) = (Seed::from_u64(1).rng(), Instant::ZERO, 0.0);
    for _ in 0..PACKETS {
        now += gap.unlimited(random.next_u64());
        let left = line.enqueue(now, 1_000, false).unwrap_or(now);
        waited += left.since(now).as_secs_f64() * 1e3 - 1.0;
    }
    waited / f64::from(PACKETS)
}

fn queue_table() -> String {
    let mut table = "| load | mean wait | M/D/1 | ratio |\n|---|---|---|---|\n".to_owned();
    for busy in [0.3, 0.5, 0.7, 0.8, 0.9] {
        let (wait, theory) = (wait(busy), busy / (2.0 * (1.0 - busy)));
        let ratio = wait / theory;
        assert!((0.95..1.05).contains(&ratio), "{ratio} at {busy}");
        let _ = writeln!(table, "| {:.0} % | {wait:.2} ms | {theory:.2} ms | {ratio:.2} |", busy * 100.0);
    }
    table
}

#[test]
fn what_is_published_is_what_is_measured() {
    let tables = [loss_table(), link_table(), queue_table()];
    println!("{}", tables.join("\n"));
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/FIDELITY.md");
    let published = std::fs::read_to_string(path).expect("it is there");
    assert!(
        tables.iter().all(|table| published.contains(table)),
        "sim/FIDELITY.md has other tables than these"
    );
}
