//! What a tracker still knows after it was ended, in order or not.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use proto::seed::Seed;

use crate::client::Client;
use crate::process::Tracker;

/// A flush a second, and what a busy machine may add to it.
const MAX_LOSS: Duration = Duration::from_millis(2500);

#[expect(clippy::disallowed_methods, reason = "a test of a real process takes real time")]
fn now() -> Instant {
    Instant::now()
}

#[test]
fn a_restart_brings_the_swarms_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let db = folder.path().join("tracker.db");
    let tracker = Tracker::start("127.0.0.1:0", &db);
    let client = Client::of(&tracker);
    for port in 1..=300 {
        client.join((port % 7) as u8, port, &[]).expect("joined");
    }
    let begun = now();
    assert_eq!(tracker.terminate().0, Some(0));
    assert!(begun.elapsed() < Duration::from_secs(2), "stopped after {:?}", begun.elapsed());
    let again = Tracker::start("127.0.0.1:0", &db);
    let client = Client::of(&again);
    assert_eq!((0..7).map(|byte| client.seeders(byte)).sum::<u32>(), 300);
    let (_, stdout, _) = again.terminate();
    assert!(stdout.contains("\"restored\":300"), "{stdout}");
}

/// Downloads until told to stop; when each was done.
fn downloads(client: &Client, first_port: u16, stop: &AtomicBool) -> Vec<Instant> {
    let mut done = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        client.download(1, first_port + done.len() as u16);
        done.push(now());
        std::thread::sleep(Duration::from_millis(2));
    }
    done
}

#[test]
fn kills_at_any_moment_lose_at_most_the_last_flush() {
    let folder = tempfile::tempdir().expect("a folder");
    let db = folder.path().join("tracker.db");
    let mut random = Seed::from_u64(9).rng();
    let mut known = 0;
    for round in 0..8 {
        let tracker = Tracker::start("127.0.0.1:0", &db);
        let client = Client::of(&tracker);
        let kept = client.completed(client.connect(), 1);
        assert_eq!(kept, known, "what was there at the last look stays");
        let stop = AtomicBool::new(false);
        let pause = Duration::from_millis(200 + random.below(3000));
        let (done, killed_at) = std::thread::scope(|scope| {
            let loading = scope.spawn(|| downloads(&client, 1000, &stop));
            std::thread::sleep(pause);
            stop.store(true, Ordering::Relaxed);
            let done = loading.join().expect("no panic");
            let killed_at = now();
            tracker.kill();
            (done, killed_at)
        });
        let again = Tracker::start("127.0.0.1:0", &db);
        let client = Client::of(&again);
        known = client.completed(client.connect(), 1);
        let old = done.iter().filter(|at| killed_at.duration_since(**at) > MAX_LOSS).count() as u32;
        let truth = kept + done.len() as u32;
        assert!(
            (kept + old..=truth).contains(&known),
            "round {round}: {known} counted, {truth} happened, {old} of them long before the kill"
        );
        again.kill();
    }
    assert!(known > 0, "something was kept");
}
