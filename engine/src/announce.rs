//! The sockets, the resolver and the HTTP client of the announcer, whose decisions are [`proto::announce`]'s.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use proto::announce::Input;
use proto::tracker::{TrackerUrl, TransactionId};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tracing::debug;

use crate::clock::Clock;
use crate::environment::Environment;
use crate::fetch::{self, TrackerTrust};
use crate::queue::{Happening, Queue};
use crate::transport::{Transport, UdpSocket};

/// Datagrams that wait for the loop. A tracker sends one at a time; what exceeds this is a flood.
const MAX_DATAGRAMS: usize = 32;

/// Datagrams taken from a socket at once.
const RECEIVE_BATCH: usize = 8;

/// After a failed receive the socket rests this long.
const REST: Duration = Duration::from_secs(1);

/// What an announcer needs of the network, for one torrent.
#[derive(Debug)]
pub(crate) struct TrackerPort<T: Transport, C: Clock> {
    environment: Environment<T, C>,
    trust: Arc<TrackerTrust>,
    sockets: Vec<Arc<T::Socket>>,
    queue: Queue,
    tasks: JoinSet<()>,
}

impl<T: Transport, C: Clock> TrackerPort<T, C> {
    /// Binds a socket at each address of `listen`, so that a tracker sees the addresses at which we listen.
    pub(crate) async fn open(
        environment: &Environment<T, C>,
        listen: &[SocketAddr],
        trust: TrackerTrust,
        queue: Queue,
    ) -> std::io::Result<Self> {
        let (environment, trust) = (environment.clone(), Arc::new(trust));
        let mut port = Self { environment, trust, sockets: Vec::new(), queue, tasks: JoinSet::new() };
        for addr in listen {
            let socket = Arc::new(port.environment.transport.bind(SocketAddr::new(addr.ip(), 0)).await?);
            let (clock, queue) = (port.environment.clock.clone(), port.queue.clone());
            port.tasks.spawn(receive(Arc::clone(&socket), clock, queue));
            port.sockets.push(socket);
        }
        Ok(port)
    }

    /// Sends a datagram; a failure is a loss, which the announcer survives.
    pub(crate) async fn send(&self, addr: SocketAddr, payload: &[u8]) {
        let Some(socket) = self.socket_for(addr) else { return };
        if let Err(error) = socket.send_to(payload, addr).await {
            debug!(%addr, %error, "cannot send to the tracker");
        }
    }

    /// Looks `host` up; the addresses that we have a socket for come through the queue.
    pub(crate) fn resolve(&mut self, host: String, port: u16) {
        while self.tasks.try_join_next().is_some() {}
        let (transport, queue) = (self.environment.transport.clone(), self.queue.clone());
        let families: Vec<bool> = self.sockets.iter().map(|socket| is_ipv4(&**socket)).collect();
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
        let (environment, trust) = (self.environment.clone(), Arc::clone(&self.trust));
        let queue = self.queue.clone();
        self.tasks.spawn(async move {
            let outcome = fetch::get(&environment, &trust, addr, &url, patience).await;
            let _ = queue.send(Happening::Announce(Input::Got { transaction, outcome }, None));
        });
    }

    fn socket_for(&self, addr: SocketAddr) -> Option<&T::Socket> {
        self.sockets.iter().map(|socket| &**socket).find(|socket| is_ipv4(*socket) == addr.is_ipv4())
    }
}

fn is_ipv4<S: UdpSocket>(socket: &S) -> bool {
    socket.local_addr().is_ok_and(|addr| addr.is_ipv4())
}

async fn receive<S: UdpSocket, C: Clock>(socket: Arc<S>, clock: C, queue: Queue) {
    let permits = Arc::new(Semaphore::new(MAX_DATAGRAMS));
    loop {
        let mut received = 0;
        let each = |from, payload: &[u8]| {
            received += 1;
            let Ok(permit) = Arc::clone(&permits).try_acquire_owned() else { return };
            let input = Input::Datagram { from, payload: Bytes::copy_from_slice(payload) };
            let _ = queue.send(Happening::Announce(input, Some(permit)));
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
