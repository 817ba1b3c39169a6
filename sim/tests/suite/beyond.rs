//! What a claim says beyond its expectations: about figures that no key of the language names.

use sim::oracle::Rule;
use sim::report::Verdict;

/// Panics if a scenario that passed has still not shown what it claims.
pub fn check(name: &str, verdict: &Verdict) {
    match name {
        "asymmetric_partition" => {
            let dropped = verdict.record.packets.dropped;
            assert!(dropped > 1_000, "the cuts took {dropped} packets");
        }
        "crash_and_resume" | "power_loss" => power_cuts_came(name, verdict),
        "free_riders" => {
            let loot = verdict.justice.and_then(|justice| justice.loot);
            assert!(loot.is_some_and(|loot| loot < 1.0), "{loot:?}");
        }
        "poisoners" => {
            let justice = verdict.justice.expect("four are hostile");
            assert_eq!(justice.refused, justice.sufferers);
            assert!(justice.sufferers >= 24, "{justice:?}");
        }
        "private_torrent" => {
            let occasions = verdict.record.conduct.exercised.get(&Rule::Private);
            assert!(occasions.is_some_and(|&count| count > 0), "nobody had an occasion to tell");
        }
        "seed_leaves_at_one_copy" => {
            let left = verdict.record.peers[0].gone.as_ref().expect("the seeder left").at;
            let done = verdict.record.completions();
            // The last piece to come may be somebody's last.
            assert!(
                done.iter().filter(|done| **done <= left).count() <= 1,
                "{done:?}, and it left at {left:?}"
            );
        }
        "self_connect" => {
            let met = verdict.record.conduct.exercised.get(&Rule::Itself).copied().unwrap_or_default();
            // Both ends count. An address that turned out to be its own is not dialled again.
            assert!((4..=32).contains(&met), "eight peers with two addresses met themselves {met} times");
        }
        "steady_churn" => assert!(verdict.completed < verdict.peers, "some leave before"),
        "super_seeding" => {
            assert!(verdict.seed_copies >= 1.0, "nobody else has anything to give: {}", verdict.seed_copies);
        }
        _ => {}
    }
}

fn power_cuts_came(name: &str, verdict: &Verdict) {
    assert!(verdict.record.peers.iter().all(|peer| !peer.uncounted), "everybody told its sums");
    let lives: usize = verdict.record.peers.iter().map(|peer| peer.lives.len()).sum();
    assert!(lives >= 30, "{name}: {lives} lives");
}
