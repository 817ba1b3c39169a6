//! The sockets, the resolver and the HTTP client of the announcers, whose decisions are [`proto::announce`]'s.
//!
//! A process has one [`TrackerPort`], with a socket for each family, whatever the number of its torrents; each
//! torrent has a [`TrackerLine`] to it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use proto::announce::Input;
use proto::rate::TorrentKey;
use proto::tracker::{Exchanges, TrackerUrl, TransactionId};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tracing::debug;

use crate::clock::Clock;
use crate::environment::Environment;
use crate::fetch::{self, TrackerTrust};
use crate::queue::{Happening, Queue};
use crate::transport::{Transport, UdpSocket};

/// Datagrams that wait for the torrents' loops. Most torrents ask one question at a time over each family; what
/// exceeds this is a flood of somebody who reads our questions.
const MAX_DATAGRAMS: usize = 1024;

/// Datagrams taken from a socket at once.
const RECEIVE_BATCH: usize = 8;

/// After a failed receive the socket rests this long.
const REST: Duration = Duration::from_secs(1);

/// Who asks, and over which queue it hears.
#[derive(Debug, Default)]
struct Desk {
    exchanges: Exchanges,
    askers: BTreeMap<TorrentKey, Queue>,
}

/// What the announcers of a process have of the network in common.
pub(crate) struct TrackerPort<T: Transport> {
    trust: Arc<TrackerTrust>,
    sockets: Vec<Arc<T::Socket>>,
    desk: Arc<Mutex<Desk>>,
}

impl<T: Transport> TrackerPort<T> {
    /// Binds a socket at each address of `listen`, so that a tracker sees the addresses at which we listen.
    pub(crate) async fn open(
        transport: &T,
        listen: &[SocketAddr],
        trust: Arc<TrackerTrust>,
    ) -> std::io::Result<Self> {
        let mut port = Self { trust, sockets: Vec::new(), desk: Arc::default() };
        for addr in listen {
            let socket = transport.bind(SocketAddr::new(addr.ip(), 0)).await?;
            port.sockets.push(Arc::new(socket));
        }
        Ok(port)
    }

    /// Hands out what comes in, for ever; one for each socket.
    pub(crate) fn receivers<C: Clock>(
        &self,
        clock: &C,
    ) -> impl Iterator<Item = impl Future<Output = ()> + Send + 'static> {
        let of = |socket: &Arc<T::Socket>| receive(Arc::clone(socket), clock.clone(), Arc::clone(&self.desk));
        self.sockets.iter().map(of)
    }

    fn socket_for(&self, addr: SocketAddr) -> Option<&T::Socket> {
        self.sockets.iter().map(|socket| &**socket).find(|socket| is_ipv4(*socket) == addr.is_ipv4())
    }
}

fn lock(desk: &Mutex<Desk>) -> MutexGuard<'_, Desk> {
    // No code that may panic runs under this lock.
    desk.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What an announcer needs of the network, for one torrent.
pub(crate) struct TrackerLine<T: Transport, C: Clock> {
    environment: Environment<T, C>,
    port: Arc<TrackerPort<T>>,
    torrent: TorrentKey,
    /// Trackers that it asks at a time.
    courses: usize,
    queue: Queue,
    tasks: JoinSet<()>,
}

impl<T: Transport, C: Clock> TrackerLine<T, C> {
    /// A line whose answers come through `queue`.
    pub(crate) fn new(
        environment: Environment<T, C>,
        port: Arc<TrackerPort<T>>,
        torrent: TorrentKey,
        queue: Queue,
        courses: usize,
    ) -> Self {
        lock(&port.desk).askers.insert(torrent, queue.clone());
        Self { environment, port, torrent, courses, queue, tasks: JoinSet::new() }
    }

    /// Sends a datagram; a failure is a loss, which the announcer survives.
    pub(crate) async fn send(&self, addr: SocketAddr, payload: &[u8]) {
        let Some(socket) = self.port.socket_for(addr) else { return };
        lock(&self.port.desk).exchanges.ask(self.torrent, self.courses, payload);
        if let Err(error) = socket.send_to(payload, addr).await {
            debug!(%addr, %error, "cannot send to the tracker");
        }
    }

    /// Looks `host` up; the addresses that we have a socket for come through the queue.
    pub(crate) fn resolve(&mut self, host: String, port: u16) {
        while self.tasks.try_join_next().is_some() {}
        let (transport, queue) = (self.environment.transport.clone(), self.queue.clone());
        let families: Vec<bool> = self.port.sockets.iter().map(|socket| is_ipv4(&**socket)).collect();
        self.tasks.spawn(async move {
            let found = transport.resolve(&host, port).await.unwrap_or_else(|error| {
                debug!(%host, %error, "cannot resolve the tracker");
                Vec::new()
            });
            let addrs = found.into_iter().filter(|addr| families.contains(&addr.is_ipv4())).collect();
            let _ = queue.send(Happening::Announce(Input::Resolved { host, port, addrs }, None));
        });
    }

    /// Asks an HTTP tracker; the answer comes through the queue.
    pub(crate) fn get(
        &mut self,
        transaction: TransactionId,
        addr: SocketAddr,
        url: TrackerUrl,
        patience: Duration,
    ) {
        while self.tasks.try_join_next().is_some() {}
        let (environment, port) = (self.environment.clone(), Arc::clone(&self.port));
        let queue = self.queue.clone();
        self.tasks.spawn(async move {
            let outcome = fetch::get(&environment, &port.trust, addr, &url, patience).await;
            let _ = queue.send(Happening::Announce(Input::Got { transaction, outcome }, None));
        });
    }
}

impl<T: Transport, C: Clock> Drop for TrackerLine<T, C> {
    fn drop(&mut self) {
        let mut desk = lock(&self.port.desk);
        desk.exchanges.forget(self.torrent);
        desk.askers.remove(&self.torrent);
    }
}

fn is_ipv4<S: UdpSocket>(socket: &S) -> bool {
    socket.local_addr().is_ok_and(|addr| addr.is_ipv4())
}

async fn receive<S: UdpSocket, C: Clock>(socket: Arc<S>, clock: C, desk: Arc<Mutex<Desk>>) {
    let permits = Arc::new(Semaphore::new(MAX_DATAGRAMS));
    loop {
        let mut received = 0;
        let each = |from, payload: &[u8]| {
            received += 1;
            let desk = lock(&desk);
            for queue in desk.exchanges.askers(payload).filter_map(|torrent| desk.askers.get(&torrent)) {
                let Ok(permit) = Arc::clone(&permits).try_acquire_owned() else { return };
                let input = Input::Datagram { from, payload: Bytes::copy_from_slice(payload) };
                let _ = queue.send(Happening::Announce(input, Some(permit)));
            }
        };
        if let Err(error) = socket.recv_batch(RECEIVE_BATCH, each).await {
            debug!(%error, "cannot receive from trackers");
            clock.sleep_until(clock.now() + REST).await;
        }
        if received >= RECEIVE_BATCH {
            // A flooded socket is ready at once, takes no part in tokio's budget and would keep the thread.
            tokio::task::yield_now().await;
        }
    }
}
