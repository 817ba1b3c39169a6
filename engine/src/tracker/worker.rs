//! The tracker's workers: one task for each socket, which answers batches of requests (BEP 15).
//!
//! *Invariant:* no drain is longer than [`BATCH`]. After it the other sockets, the other family's among them,
//! the timers and every other task have their turn, and the next batch reads the clock anew.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use proto::registry::{Datagram, Datagrams};

use super::handle::Shared;
use super::{MAX_SOCKETS, MAX_WORKERS, TrackerConfig, TrackerError};
use crate::clock::Clock;
use crate::transport::{Transport, UdpSocket};

/// Datagrams that are answered before the other sockets have their turn: some 250 µs of work.
const BATCH: usize = 64;

/// The pause after a socket failed, so that a lasting failure does not spin.
const FAILURE_PAUSE: Duration = Duration::from_millis(100);

/// The kind of the log's lines about receiving.
const RECEIVE_FAILED: &str = "receiving failed";

/// Binds every address for every worker; the addresses come back as they were bound, one for each given.
pub(super) async fn bind<T: Transport>(
    transport: &T,
    config: &TrackerConfig,
) -> Result<(Vec<T::Socket>, Vec<SocketAddr>), TrackerError> {
    let TrackerConfig { bind, workers, .. } = config;
    if bind.is_empty() || bind.len() > MAX_SOCKETS {
        return Err(TrackerError::Sockets(bind.len()));
    }
    if !(1..=MAX_WORKERS).contains(workers) {
        return Err(TrackerError::Workers(*workers));
    }
    let mut sockets = Vec::with_capacity(bind.len() * workers);
    let mut local_addrs = Vec::with_capacity(bind.len());
    for addr in bind {
        let shared = transport.bind_shared(*addr, *workers).await;
        let shared = shared.map_err(|source| TrackerError::Bind { addr: *addr, source })?;
        local_addrs.push(shared.first().and_then(|socket| socket.local_addr().ok()).unwrap_or(*addr));
        sockets.extend(shared);
    }
    Ok((sockets, local_addrs))
}

/// Answers what arrives at one socket.
pub(super) async fn serve<C: Clock, U: UdpSocket>(shared: Arc<Shared>, socket: U, clock: C) {
    let mut inbox = Datagrams::default();
    let mut outbox = Datagrams::default();
    loop {
        inbox.clear();
        outbox.clear();
        let received = socket.recv_batch(BATCH, |from, payload| {
            inbox.push(from, |bytes| bytes.extend_from_slice(payload));
        });
        if let Err(error) = received.await {
            if shared.may_log(clock.now(), RECEIVE_FAILED) {
                tracing::warn!(%error, "{RECEIVE_FAILED}");
            }
            shared.lock().counters.socket_failures += 1;
            clock.sleep_until(clock.now() + FAILURE_PAUSE).await;
            continue;
        }
        let is_flooded = inbox.len() >= BATCH;
        let requests = inbox.iter().map(|(from, payload)| Datagram { from, payload });
        let (now, wall) = (clock.now(), clock.wall());
        shared.lock().registry.handle(now, wall, requests, &mut outbox);
        if !outbox.is_empty() {
            let unsent = socket.send_batch(&outbox).await;
            if unsent > 0 {
                shared.lock().counters.unsent += unsent as u64;
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
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::task::JoinSet;

    use proto::seed::Seed;

    use super::*;
    use crate::clock::OsClock;
    use crate::tracker::MemoryStore;
    use crate::tracker::keeper::{Keeper, load};
    use crate::tracker::server::run;

    const ADDR: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 6969);

    /// A socket at which requests arrive faster than they can be answered.
    #[derive(Clone, Default)]
    struct Flooded {
        received: Arc<AtomicUsize>,
    }

    impl UdpSocket for Flooded {
        async fn recv_batch(
            &self,
            max: usize,
            mut each: impl FnMut(SocketAddr, &[u8]) + Send,
        ) -> io::Result<()> {
            (0..max).for_each(|_| each(ADDR, b"hello"));
            self.received.fetch_add(max, Ordering::Relaxed);
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
    fn a_flood_leaves_the_timers_and_the_other_sockets_their_turn() {
        let seed = Seed::from_u64(1);
        let store = MemoryStore::default();
        let config = TrackerConfig::at(ADDR);
        let clock = OsClock::new();
        let (shared, secrets) = load(config, &mut store.clone(), seed, &clock).expect("nothing kept");
        let shared = Arc::new(shared);
        let keeper = Keeper::new(Arc::clone(&shared), secrets, clock, store);
        let sockets = vec![Flooded::default(), Flooded::default()];
        let watched = sockets.clone();
        let (ended, end) = std::sync::mpsc::channel();
        // On a thread of its own: what never yields cannot be cut off by a timer on the same one.
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async {
                let root = run(Arc::clone(&shared), JoinSet::new(), sockets, clock, keeper);
                let stop = async {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    shared.stop.notify_one();
                };
                tokio::join!(root, stop);
            });
            ended.send(())
        });
        end.recv_timeout(Duration::from_secs(10)).expect("it stops although the flood goes on");
        let [one, other] = [0, 1].map(|at: usize| watched[at].received.load(Ordering::Relaxed));
        assert!(one >= BATCH && one.abs_diff(other) <= 2 * BATCH, "turn by turn, but {one} and {other}");
    }
}
