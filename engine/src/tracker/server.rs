//! The tracker's tasks: one for each socket, one for the timers.
//!
//! They share the registry under a lock that is never held across an await; with one thread, as the binary
//! and the simulator run it, it is never contended.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use proto::registry::{Datagram, Datagrams, Registry, Secret};
use proto::seed::Seed;
use proto::time::Instant;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::store::{Batch, Store, StoreError};
use super::{MAX_SOCKETS, TrackerConfig, TrackerError, TrackerStats};
use crate::clock::Clock;
use crate::environment::Environment;
use crate::transport::{Transport, UdpSocket};

/// Datagrams that are answered before the other sockets have their turn.
const BATCH: usize = 64;

/// How often changes are handed to the store.
const FLUSH_EVERY: Duration = Duration::from_secs(1);

/// How long flushed changes may stay exposed to a power cut.
const SYNC_AFTER: Duration = Duration::from_secs(10);

/// Rows handed over in one flush. What is more waits for the next one.
const MAX_ROWS: usize = 10_000;

/// The pause after a socket failed, so that a lasting failure does not spin.
const FAILURE_PAUSE: Duration = Duration::from_millis(100);

/// A running tracker, seen from outside. Plain types only; clones are cheap.
#[derive(Clone, Debug)]
pub struct TrackerHandle {
    shared: Arc<Shared>,
    local_addrs: Vec<SocketAddr>,
}

impl TrackerHandle {
    /// The counters of this moment.
    pub fn stats(&self) -> TrackerStats {
        self.shared.lock().stats()
    }

    /// Where it listens, in the order of the configuration.
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.local_addrs
    }

    /// Ends the tracker in order: the root future flushes, closes the store and returns.
    pub fn stop(&self) {
        self.shared.stop.notify_one();
    }
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    stop: Notify,
}

#[derive(Debug)]
struct State {
    registry: Registry,
    store_failures: u64,
    socket_failures: u64,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // The registry is whole after every call, also after one that panicked in another task.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn stats(&self) -> TrackerStats {
        let Self { registry, store_failures, socket_failures } = self;
        TrackerStats {
            registry: registry.stats(),
            store_failures: *store_failures,
            socket_failures: *socket_failures,
        }
    }
}

/// Starts a tracker: loads what `store` kept, binds every address, and leaves the rest to the root future.
pub async fn start<T: Transport, C: Clock, S: Store>(
    environment: Environment<T, C>,
    config: TrackerConfig,
    mut store: S,
    seed: Seed,
) -> Result<(TrackerHandle, impl Future<Output = ()> + Send + 'static), TrackerError> {
    let Environment { transport, clock } = environment;
    if config.bind.is_empty() || config.bind.len() > MAX_SOCKETS {
        return Err(TrackerError::Sockets(config.bind.len()));
    }
    // Bind first: a second tracker on the same address must not touch the first one's database.
    let mut sockets = Vec::with_capacity(config.bind.len());
    for addr in &config.bind {
        let socket = transport.bind(*addr).await;
        sockets.push(socket.map_err(|source| TrackerError::Bind { addr: *addr, source })?);
    }
    let bound = |(socket, addr): (&T::Socket, &SocketAddr)| socket.local_addr().unwrap_or(*addr);
    let local_addrs = sockets.iter().zip(&config.bind).map(bound).collect();
    let registry = load(config, &mut store, seed, clock.now())?;
    let state = State { registry, store_failures: 0, socket_failures: 0 };
    let shared = Arc::new(Shared { state: Mutex::new(state), stop: Notify::new() });
    let handle = TrackerHandle { shared: Arc::clone(&shared), local_addrs };
    Ok((handle, run(shared, sockets, clock, store)))
}

/// A registry with everything that was kept, and a secret that is kept from now on.
fn load(
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

/// The root: owns every task until `stop`.
async fn run<C: Clock, S: Store, U: UdpSocket>(shared: Arc<Shared>, sockets: Vec<U>, clock: C, mut store: S) {
    let mut tasks = JoinSet::new();
    for socket in sockets {
        tasks.spawn(serve(Arc::clone(&shared), socket, clock.clone()));
    }
    tokio::select! {
        biased;
        () = shared.stop.notified() => {}
        // Socket tasks run for ever; one that ended has panicked, and a deaf tracker helps nobody.
        _ = tasks.join_next() => tracing::error!("a socket's task ended"),
        () = keep_time(&shared, &clock, &mut store) => {}
    }
    tasks.shutdown().await;
    while flush(&shared, &mut store) {}
    if let Err(error) = store.close() {
        tracing::error!(%error, "the last changes may not be kept");
        shared.lock().store_failures += 1;
    }
}

/// Answers what arrives at one socket.
async fn serve<C: Clock, U: UdpSocket>(shared: Arc<Shared>, socket: U, clock: C) {
    let mut inbox = Datagrams::default();
    let mut outbox = Datagrams::default();
    loop {
        inbox.clear();
        outbox.clear();
        let received = socket.recv_batch(BATCH, |from, payload| {
            inbox.push(from, |bytes| bytes.extend_from_slice(payload));
        });
        if let Err(error) = received.await {
            tracing::warn!(%error, "receiving failed");
            shared.lock().socket_failures += 1;
            clock.sleep_until(clock.now() + FAILURE_PAUSE).await;
            continue;
        }
        let is_flooded = inbox.len() >= BATCH;
        let requests = inbox.iter().map(|(from, payload)| Datagram { from, payload });
        shared.lock().registry.handle(clock.now(), clock.wall(), requests, &mut outbox);
        for (to, reply) in outbox.iter() {
            if let Err(error) = socket.send_to(reply, to).await {
                tracing::debug!(%error, %to, "sending failed");
                shared.lock().socket_failures += 1;
            }
        }
        if is_flooded {
            // A socket with more to read is ready at once and takes no part in tokio's budget.
            tokio::task::yield_now().await;
        }
    }
}

/// Expires members and hands changes to the store, for ever.
async fn keep_time<C: Clock>(shared: &Shared, clock: &C, store: &mut impl Store) {
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
            flush(shared, store);
            sync_at = sync_at.or(Some(now + SYNC_AFTER));
        }
        if sync_at.is_some_and(|at| now >= at) {
            sync_at = None;
            note(shared, &store.sync());
        }
    }
}

/// Hands over up to [`MAX_ROWS`] changes; true if there are more and the store works.
fn flush(shared: &Shared, store: &mut impl Store) -> bool {
    let mut completed = shared.lock().registry.take_completed(MAX_ROWS);
    if completed.is_empty() {
        return false;
    }
    completed.sort_unstable();
    let batch = Batch { completed };
    let is_kept = note(shared, &store.flush(&batch));
    let mut state = shared.lock();
    if !is_kept {
        state.registry.keep_completed(&batch.completed);
    }
    is_kept && state.registry.has_completed()
}

/// Counts and tells a failure of the store; the tracker goes on serving.
fn note(shared: &Shared, result: &Result<(), StoreError>) -> bool {
    if let Err(error) = result {
        tracing::error!(%error, "the store failed; it is tried again");
        shared.lock().store_failures += 1;
    }
    result.is_ok()
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::clock::OsClock;
    use crate::tracker::MemoryStore;

    const ADDR: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 6969);

    /// A socket at which requests arrive faster than they can be answered.
    struct Flooded;

    impl UdpSocket for Flooded {
        async fn recv_batch(
            &self,
            max: usize,
            mut each: impl FnMut(SocketAddr, &[u8]) + Send,
        ) -> io::Result<()> {
            (0..max).for_each(|_| each(ADDR, b"hello"));
            Ok(())
        }

        async fn send_to(&self, _payload: &[u8], _to: SocketAddr) -> io::Result<()> {
            Ok(())
        }

        fn local_addr(&self) -> io::Result<SocketAddr> {
            Ok(ADDR)
        }
    }

    #[test]
    fn a_flood_leaves_the_other_tasks_their_turn() {
        let seed = Seed::from_u64(1);
        let store = MemoryStore::default();
        let config = TrackerConfig::at(ADDR);
        let registry = load(config, &mut store.clone(), seed, Instant::ZERO).expect("nothing kept");
        let state = State { registry, store_failures: 0, socket_failures: 0 };
        let shared = Arc::new(Shared { state: Mutex::new(state), stop: Notify::new() });
        let (ended, end) = std::sync::mpsc::channel();
        // On a thread of its own: what never yields cannot be cut off by a timer on the same one.
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async {
                let root = run(Arc::clone(&shared), vec![Flooded, Flooded], OsClock::new(), store);
                let stop = async {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    shared.stop.notify_one();
                };
                tokio::join!(root, stop);
            });
            ended.send(())
        });
        end.recv_timeout(Duration::from_secs(10)).expect("it stops although the flood goes on");
    }
}
