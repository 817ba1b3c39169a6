//! The tracker's tasks: one for each socket, one for the timers ([`super::keeper`]).
//!
//! They share the registry under a lock that is never held across an await; with one thread, as the binary
//! and the simulator run it, it is never contended.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use proto::registry::{Datagram, Datagrams};
use proto::seed::Seed;
use tokio::task::JoinSet;

use super::handle::{Shared, TrackerHandle};
use super::keeper::{flush, keep_time, load};
use super::store::Store;
use super::{MAX_SOCKETS, TrackerConfig, TrackerError};
use crate::clock::Clock;
use crate::environment::Environment;
use crate::transport::{Transport, UdpSocket};

/// Datagrams that are answered before the other sockets have their turn.
const BATCH: usize = 64;

/// The pause after a socket failed, so that a lasting failure does not spin.
const FAILURE_PAUSE: Duration = Duration::from_millis(100);

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
    let shared = Arc::new(Shared::new(registry));
    let handle = TrackerHandle { shared: Arc::clone(&shared), local_addrs };
    Ok((handle, run(shared, sockets, clock, store)))
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

#[cfg(test)]
mod tests {
    use std::io;

    use proto::time::Instant;

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
        let shared = Arc::new(Shared::new(registry));
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
