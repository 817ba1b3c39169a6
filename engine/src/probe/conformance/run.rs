//! Runs the rules of a suite at one address: most side by side, then those that might stop the tracker.

use std::future::Future;
use std::sync::Arc;

use proto::seed::{Random, Seed};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::report::Finding;
use super::rule::{Check, Outcome, Trouble, Turn};

/// Rules that run at once: a few, so that a tracker's limit for one address is not met.
const AT_ONCE: usize = 12;

/// What a rule works with, over UDP or HTTP.
pub(super) trait Workplace: Send + Sync + 'static {
    /// What all rules at one address share.
    type Bench: Send + Sync + 'static;

    /// One rule's own place at the bench.
    fn at(bench: Arc<Self::Bench>, random: Random) -> Self;

    /// Does the tracker still answer?
    fn is_alive(&self) -> impl Future<Output = bool> + Send;

    /// Takes back every announce, and gives the torrents to other rules.
    fn finish(&self) -> impl Future<Output = ()> + Send;
}

/// Those of `all` that are called for; `rules` names them, and is empty for all.
pub(super) fn chosen<S>(all: Vec<Check<S>>, rules: &[String]) -> Vec<Check<S>> {
    let called_for = |check: &Check<S>| rules.is_empty() || rules.iter().any(|id| id == check.rule.id);
    all.into_iter().filter(called_for).collect()
}

/// What comes of `checks`, in their order.
pub(super) async fn run_all<S: Workplace>(
    checks: Vec<Check<S>>,
    bench: &Arc<S::Bench>,
    seed: Seed,
) -> Vec<Finding> {
    let mut pending: Vec<_> = checks.into_iter().enumerate().collect();
    let alone: Vec<_> = pending.extract_if(.., |(_, check)| check.turn == Turn::Alone).collect();
    let mut findings = Vec::new();
    let (room, mut tasks) = (Arc::new(Semaphore::new(AT_ONCE)), JoinSet::new());
    for (index, check) in pending {
        let (bench, room) = (Arc::clone(bench), Arc::clone(&room));
        tasks.spawn(async move {
            let _permit = room.acquire_owned().await;
            (index, run(check, bench, seed.child(index as u64)).await)
        });
    }
    while let Some(finished) = tasks.join_next().await {
        findings.extend(finished);
    }
    for (index, check) in alone {
        findings.push((index, run(check, Arc::clone(bench), seed.child(index as u64)).await));
    }
    findings.sort_by_key(|(index, _)| *index);
    findings.into_iter().map(|(_, finding)| finding).collect()
}

/// One rule, and the clean-up behind it.
async fn run<S: Workplace>(check: Check<S>, bench: Arc<S::Bench>, seed: Seed) -> Finding {
    let place = Arc::new(S::at(bench, seed.rng()));
    let outcome: Outcome = match check.turn {
        // What an earlier rule broke is not this one's finding.
        Turn::Alone if !place.is_alive().await => {
            Err(Trouble::Skipped("the tracker does not answer any more".to_owned()))
        }
        Turn::Shared | Turn::Alone => (check.run)(Arc::clone(&place)).await,
    };
    place.finish().await;
    Finding::of(check.rule, outcome)
}
