//! The tracker's timers: members that fell silent go, and what changed is handed to the store.

use std::time::Duration;

use proto::registry::{Registry, Secret};
use proto::seed::Seed;
use proto::time::Instant;

use super::TrackerConfig;
use super::handle::Shared;
use super::store::{Batch, Store, StoreError};
use crate::clock::Clock;

/// How often changes are handed to the store.
const FLUSH_EVERY: Duration = Duration::from_secs(1);

/// How long flushed changes may stay exposed to a power cut.
const SYNC_AFTER: Duration = Duration::from_secs(10);

/// Rows handed over in one flush. What is more waits for the next one.
const MAX_ROWS: usize = 10_000;

/// A registry with everything that was kept, and a secret that is kept from now on.
pub(super) fn load(
    config: TrackerConfig,
    store: &mut impl Store,
    seed: Seed,
    now: Instant,
) -> Result<Registry, StoreError> {
    let stored = store.load()?;
    let secret = if let Some(secret) = stored.secret {
        secret
    } else {
        let mut secret = Secret([0; 16]);
        seed.child(0).rng().fill(&mut secret.0);
        store.keep_secret(secret)?;
        secret
    };
    let kept = stored.completed.len();
    let mut registry = Registry::new(config.registry, secret, seed.child(1), now);
    let restored =
        stored.completed.into_iter().take_while(|(hash, count)| registry.restore(now, *hash, *count));
    let restored = restored.count();
    if restored < kept {
        tracing::warn!(kept, restored, "more torrents are kept than are allowed in memory");
    }
    Ok(registry)
}

/// Expires members and hands changes to the store, for ever.
pub(super) async fn keep_time<C: Clock>(shared: &Shared, clock: &C, store: &mut impl Store) {
    let mut flush_at = clock.now() + FLUSH_EVERY;
    let mut sync_at: Option<Instant> = None;
    loop {
        let sweep_at = shared.lock().registry.poll_timeout();
        clock.sleep_until(sweep_at.map_or(flush_at, |at| at.min(flush_at))).await;
        let now = clock.now();
        shared.lock().registry.handle_timeout(now);
        if now < flush_at {
            continue;
        }
        flush_at = now + FLUSH_EVERY;
        if shared.lock().registry.has_completed() {
            flush(shared, now, store);
            sync_at = sync_at.or(Some(now + SYNC_AFTER));
        }
        if sync_at.is_some_and(|at| now >= at) {
            sync_at = None;
            note(shared, now, &store.sync());
        }
    }
}

/// Hands over up to [`MAX_ROWS`] changes; true if there are more and the store works.
pub(super) fn flush(shared: &Shared, now: Instant, store: &mut impl Store) -> bool {
    let mut completed = shared.lock().registry.take_completed(MAX_ROWS);
    if completed.is_empty() {
        return false;
    }
    completed.sort_unstable();
    let batch = Batch { completed };
    let is_kept = note(shared, now, &store.flush(&batch));
    let mut state = shared.lock();
    if !is_kept {
        state.registry.keep_completed(&batch.completed);
    }
    is_kept && state.registry.has_completed()
}

/// Counts and tells a failure of the store; the tracker goes on serving.
fn note(shared: &Shared, now: Instant, result: &Result<(), StoreError>) -> bool {
    let mut state = shared.lock();
    if let Err(error) = result {
        tracing::error!(%error, "the store failed; it is tried again");
        state.store_failures += 1;
        state.store_failing_since.get_or_insert(now);
    } else {
        state.store_failing_since = None;
    }
    result.is_ok()
}
