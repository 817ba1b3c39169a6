//! The tracker's timers: members that fell silent go, and what changed is handed to the store.

use std::sync::Arc;
use std::time::Duration;

use proto::registry::{PAGES, Registry, Secret, Secrets, SwarmPage};
use proto::seed::Seed;
use proto::time::Instant;

use super::TrackerConfig;
use super::handle::{Rules, Shared};
use super::store::{Batch, Control, Store, StoreError, Stored};
use crate::clock::Clock;

/// How often changes are handed to the store.
const FLUSH_EVERY: Duration = Duration::from_secs(1);

/// How long flushed changes may stay exposed to a power cut.
const SYNC_AFTER: Duration = Duration::from_secs(10);

/// Counts handed over in one flush. What is more waits for the next one.
const MAX_ROWS: usize = 10_000;

/// Pages that are packed at once at the end, when nobody waits for the registry.
const LAST_PAGES: usize = 256;

/// The kind of the log's lines about the store.
const STORE_FAILED: &str = "the store failed";

/// Everything that was kept, in memory again, and secrets that are kept from now on.
pub(super) fn load<C: Clock>(
    config: TrackerConfig,
    store: &mut impl Store,
    seed: Seed,
    clock: &C,
) -> Result<(Shared, Secrets), StoreError> {
    let (now, wall) = (clock.now(), clock.wall());
    let Stored { control, completed, pages } = store.load()?;
    let secrets = match control.secrets {
        Some(secrets) => secrets,
        None => first_secrets(store, seed)?,
    };
    let kept = completed.len();
    let rules = Rules { access: config.access, control, id_life: config.registry.id_life() };
    let mut registry = Registry::new(config.registry, secrets, seed.child(1), now);
    let restored = completed.into_iter().take_while(|(hash, count)| registry.restore(*hash, *count));
    let restored = restored.count();
    if restored < kept {
        tracing::warn!(kept, restored, "more torrents are kept than are allowed in memory");
    }
    let members = restore(&mut registry, now, wall, pages);
    if secrets.previous.is_some() {
        // Torrents lie in other pages under another secret: all are written anew.
        registry.keep_pages(&(0..PAGES as u16).collect::<Vec<_>>());
    }
    let shared = Shared::new(registry);
    shared.lock().counters.restored = members;
    shared.change_rules(|present| *present = rules);
    Ok((shared, secrets))
}

fn first_secrets(store: &mut impl Store, seed: Seed) -> Result<Secrets, StoreError> {
    let mut secret = Secret([0; 16]);
    seed.child(0).rng().fill(&mut secret.0);
    let secrets = Secrets::from(secret);
    store.keep_secrets(&secrets)?;
    Ok(secrets)
}

/// Puts back the swarms; how many members. A page that cannot be read costs its own members only.
fn restore(registry: &mut Registry, now: Instant, wall: Duration, pages: Vec<SwarmPage>) -> u64 {
    let mut members = 0;
    for page in pages {
        match registry.restore_page(now, wall, &page) {
            Ok(restored) => members += restored as u64,
            Err(error) => tracing::warn!(page = page.number, %error, "the peers of a page are lost"),
        }
    }
    members
}

/// Keeps time for a tracker, and its changes in a store.
pub(super) struct Keeper<C, S> {
    shared: Arc<Shared>,
    clock: C,
    store: S,
    sync_at: Option<Instant>,
    secrets: Secrets,
    /// When ids of the previous secret are all too old, and it is of use only to who stole it.
    forget_previous_at: Option<Instant>,
}

impl<C: Clock, S: Store> Keeper<C, S> {
    pub(super) fn new(shared: Arc<Shared>, secrets: Secrets, clock: C, store: S) -> Self {
        // The last life may have ended between a flush and its sync.
        let sync_at = Some(clock.now());
        let mut keeper = Self { shared, clock, store, sync_at, secrets, forget_previous_at: None };
        keeper.time_previous();
        keeper
    }

    /// Expires members and hands changes to the store, for ever.
    pub(super) async fn keep_time(&mut self) {
        let mut flush_at = self.clock.now() + FLUSH_EVERY;
        loop {
            let sweep_at = self.shared.lock().registry.poll_timeout();
            self.clock.sleep_until(sweep_at.map_or(flush_at, |at| at.min(flush_at))).await;
            let now = self.clock.now();
            self.shared.lock().registry.handle_timeout(now);
            if now >= flush_at {
                flush_at = now + FLUSH_EVERY;
                self.flush_due(now);
                self.mind_control(now);
                self.shared.log_summaries(now);
            }
        }
    }

    /// Keeps everything that changed and closes the store.
    pub(super) fn finish(mut self) {
        let (now, wall) = (self.clock.now(), self.clock.wall());
        loop {
            let mut state = self.shared.lock();
            let completed = state.registry.take_completed(MAX_ROWS);
            let pages = state.registry.take_all_pages(now, wall, LAST_PAGES);
            drop(state);
            let batch = Batch { completed, pages };
            if batch.is_empty() || !self.flush(now, batch) {
                break;
            }
        }
        if let Err(error) = self.store.close() {
            tracing::error!(%error, "the last changes may not be kept");
            self.shared.lock().counters.store_failures += 1;
        }
    }

    /// Hands over what changed and is due.
    fn flush_due(&mut self, now: Instant) {
        let mut state = self.shared.lock();
        let completed = state.registry.take_completed(MAX_ROWS);
        let pages = state.registry.take_pages(now, self.clock.wall(), PAGES);
        drop(state);
        let batch = Batch { completed, pages };
        if !batch.is_empty() {
            self.flush(now, batch);
            self.sync_at = self.sync_at.or(Some(now + SYNC_AFTER));
        }
        if self.sync_at.is_some_and(|at| now >= at) {
            self.sync_at = None;
            if let Err(error) = self.store.sync() {
                self.note_failure(now, &error);
                self.sync_at = Some(now + FLUSH_EVERY);
            }
        }
    }

    /// Hands over a batch; what the store does not take comes again.
    fn flush(&mut self, now: Instant, mut batch: Batch) -> bool {
        batch.completed.sort_unstable();
        let flushed = self.store.flush(&batch);
        let is_kept = flushed.inspect_err(|error| self.note_failure(now, error)).is_ok();
        let mut state = self.shared.lock();
        if is_kept {
            state.counters.flushes += 1;
            state.store_failing_since = None;
        } else {
            state.registry.keep_completed(&batch.completed);
            let numbers: Vec<u16> = batch.pages.iter().map(|page| page.number).collect();
            state.registry.keep_pages(&numbers);
        }
        is_kept
    }

    /// Takes over what an operator changed in the store, and forgets a secret whose time is over.
    fn mind_control(&mut self, now: Instant) {
        match self.store.poll_control() {
            Ok(None) => {}
            Ok(Some(control)) => self.take_over(control),
            Err(error) => self.note_failure(now, &error),
        }
        if self.forget_previous_at.is_some_and(|at| now >= at) {
            self.forget_previous_at = None;
            self.secrets.previous = None;
            self.shared.lock().registry.set_secrets(&self.secrets);
        }
    }

    fn take_over(&mut self, control: Control) {
        if let Some(secrets) = control.secrets.filter(|secrets| secrets.current != self.secrets.current) {
            self.secrets = secrets;
            self.shared.lock().registry.set_secrets(&secrets);
            self.time_previous();
            tracing::info!("the secret of connection ids was rotated");
        }
        let (torrents, passkeys) = (control.allowed.len() + control.denied.len(), control.passkeys.len());
        self.shared.change_rules(|rules| rules.control = control);
        tracing::info!(torrents, passkeys, "lists read again");
    }

    fn time_previous(&mut self) {
        let until = || self.clock.now() + self.shared.id_life();
        self.forget_previous_at = self.secrets.previous.map(|_| until());
    }

    /// Counts and tells a failure of the store; the tracker goes on serving.
    fn note_failure(&self, now: Instant, error: &StoreError) {
        let mut state = self.shared.lock();
        state.counters.store_failures += 1;
        state.store_failing_since.get_or_insert(now);
        drop(state);
        if self.shared.may_log(now, STORE_FAILED) {
            tracing::error!(%error, "the store failed; it is tried again");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use proto::id::InfoHash;
    use proto::registry::{Announce, Passkey};
    use tokio::time::timeout;

    use super::*;
    use crate::clock::OsClock;
    use crate::tracker::MemoryStore;

    const ADDR: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 6969);

    fn loaded(store: &MemoryStore) -> (Arc<Shared>, Keeper<OsClock, MemoryStore>) {
        let (config, clock) = (TrackerConfig::at(ADDR), OsClock::new());
        let (shared, secrets) = load(config, &mut store.clone(), Seed::from_u64(1), &clock).expect("loads");
        let shared = Arc::new(shared);
        (Arc::clone(&shared), Keeper::new(shared, secrets, clock, store.clone()))
    }

    /// Peer number `n` joins a torrent of its own.
    fn join(shared: &Shared, now: Instant, n: u8) -> bool {
        let addr = SocketAddr::new(std::net::Ipv4Addr::new(10, 0, 0, n).into(), 6881);
        let info_hash = InfoHash([n; 20]);
        let request = Announce { info_hash, addr, left: 0, event: None, num_want: None, passkey: None };
        shared.lock().registry.announce(now, &request, &mut Vec::new()).is_ok()
    }

    async fn keep_for(keeper: &mut Keeper<OsClock, MemoryStore>, seconds: u64) {
        let time = Duration::from_secs(seconds);
        timeout(time, keeper.keep_time()).await.expect_err("it never ends");
    }

    #[tokio::test(start_paused = true)]
    async fn a_crash_loses_the_peers_of_a_minute_at_the_most() {
        let store = MemoryStore::default();
        let (shared, mut keeper) = loaded(&store);
        assert!((0..100).all(|n| join(&shared, keeper.clock.now(), n)));
        keep_for(&mut keeper, 60).await;
        assert!((100..110).all(|n| join(&shared, keeper.clock.now(), n)));
        // Killed: no last flush.
        drop(keeper);
        let (shared, keeper) = loaded(&store);
        let restored = shared.lock().stats().restored;
        assert!((100..=110).contains(&restored), "{restored}");
        keeper.finish();
        let (shared, _) = loaded(&store);
        assert_eq!(shared.lock().stats().restored, restored, "an end in order loses nothing");
    }

    #[tokio::test(start_paused = true)]
    async fn what_an_operator_changes_takes_effect_within_seconds() {
        let store = MemoryStore::default();
        let (shared, mut keeper) = loaded(&store);
        shared.change_rules(|rules| rules.access.mode = proto::registry::AccessMode::Deny);
        assert!(join(&shared, keeper.clock.now(), 1));
        store.change_control(|control| control.denied = vec![InfoHash([1; 20])]);
        keep_for(&mut keeper, 2).await;
        assert!(!join(&shared, keeper.clock.now(), 1));
        shared.change_rules(|rules| rules.access.is_private = true);
        store.change_control(|control| control.passkeys = vec![Passkey([1; 16])]);
        keep_for(&mut keeper, 2).await;
        assert!(!join(&shared, keeper.clock.now(), 2), "no passkey");
    }

    #[tokio::test(start_paused = true)]
    async fn a_previous_secret_is_forgotten_when_its_ids_are() {
        let store = MemoryStore::default();
        let (_, mut keeper) = loaded(&store);
        let (old, new) = (keeper.secrets.current, Secret([5; 16]));
        store.change_control(|control| control.secrets = Some(Secrets { current: new, previous: Some(old) }));
        keep_for(&mut keeper, 2).await;
        assert_eq!(keeper.secrets, Secrets { current: new, previous: Some(old) });
        keep_for(&mut keeper, 301).await;
        assert_eq!(keeper.secrets, Secrets::from(new));
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_store_does_not_take_comes_again() {
        let store = MemoryStore::default();
        let (shared, mut keeper) = loaded(&store);
        assert!(join(&shared, keeper.clock.now(), 1));
        store.fail_with(Some(StoreError::Full));
        keep_for(&mut keeper, 60).await;
        assert!(shared.lock().stats().store_failures > 0);
        assert!(shared.lock().store_failing_since.is_some());
        store.fail_with(None);
        keep_for(&mut keeper, 60).await;
        assert_eq!(shared.lock().store_failing_since, None);
        let (again, _) = loaded(&store);
        assert_eq!(again.lock().stats().restored, 1);
    }
}
