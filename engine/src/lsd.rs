//! The sockets of local service discovery (BEP 14), whose decisions are [`proto::lsd`]'s: one task for all torrents
//! of a process.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use proto::id::InfoHash;
use proto::lsd::{Input, LocalDiscovery, Output, group};
use proto::seed::Seed;
use proto::torrent::Source;
use proto::tracker::Family;
use tokio::sync::mpsc::{self, Sender, UnboundedReceiver, UnboundedSender};
use tokio::task::JoinSet;
use tracing::{debug, info};

use crate::clock::Clock;
use crate::environment::Environment;
use crate::queue::Happening;
use crate::routes::Routes;
use crate::transport::{Transport, UdpSocket};

/// Datagrams that wait to be read; a network of some hundred clients sends as many in a minute.
const MAX_WAITING: usize = 64;

/// Datagrams taken from a socket at once.
const RECEIVE_BATCH: usize = 8;

/// After a failed receive the socket rests this long.
const REST: Duration = Duration::from_secs(1);

/// Without any deadline the task looks up this often, which spares it a special case.
const IDLE: Duration = Duration::from_secs(3600);

/// Tells the task of torrents that come and go: two entries for each. Clones lead to the same task.
#[derive(Clone, Debug)]
pub(crate) struct Announcers(UnboundedSender<Input>);

/// What the task hears.
pub(crate) type Orders = UnboundedReceiver<Input>;

impl Announcers {
    /// For a task that is about to begin.
    pub(crate) fn new() -> (Self, Orders) {
        let (sender, orders) = mpsc::unbounded_channel();
        (Self(sender), orders)
    }

    /// The torrent wants to be found until the guard is dropped.
    pub(crate) fn join(&self, info_hash: InfoHash) -> Joined {
        // Without multicast nobody listens.
        let _ = self.0.send(Input::Join(info_hash));
        Joined { announcers: self.clone(), info_hash }
    }
}

/// A torrent's part in local discovery.
#[derive(Debug)]
pub(crate) struct Joined {
    announcers: Announcers,
    info_hash: InfoHash,
}

impl Drop for Joined {
    fn drop(&mut self) {
        let _ = self.announcers.0.send(Input::Leave(self.info_hash));
    }
}

/// Announces and listens, for peers that are accepted at `listen`; opens no socket before a torrent wants it.
pub(crate) async fn serve<T: Transport, C: Clock>(
    environment: Environment<T, C>,
    listen: Vec<SocketAddr>,
    routes: Routes,
    seed: Seed,
    mut orders: Orders,
) {
    let Some(first) = orders.recv().await else { return };
    let clock = environment.clock.clone();
    let (datagrams, mut heard) = mpsc::channel(MAX_WAITING);
    let (mut sockets, mut receivers) = (Vec::new(), JoinSet::new());
    for &addr in &listen {
        let family = Family::of(addr);
        match environment.transport.join(group(family), addr.ip()).await {
            Ok(socket) => {
                let socket = Arc::new(socket);
                receivers.spawn(receive(Arc::clone(&socket), clock.clone(), datagrams.clone()));
                sockets.push((family, socket));
            }
            Err(error) => info!(?family, %error, "no local discovery: the network has no multicast here"),
        }
    }
    if sockets.is_empty() {
        return;
    }
    let mut machine = LocalDiscovery::new(&listen, seed);
    let mut input = Some(first);
    loop {
        let now = clock.now();
        if let Some(input) = input.take() {
            machine.handle_input(now, input);
        }
        machine.handle_timeout(now);
        while let Some(output) = machine.poll_output() {
            match output {
                Output::Send { family, payload } => send(&sockets, family, &payload).await,
                Output::Found { info_hash, addr } => found(&routes, info_hash, addr),
            }
        }
        let timer = pin!(clock.sleep_until(machine.poll_timeout().unwrap_or(now + IDLE)));
        input = tokio::select! {
            biased;
            order = orders.recv() => match order {
                None => return,
                order => order,
            },
            datagram = heard.recv() => datagram,
            () = timer => None,
        };
    }
}

async fn send<S: UdpSocket>(sockets: &[(Family, Arc<S>)], family: Family, payload: &[u8]) {
    for (_, socket) in sockets.iter().filter(|(of, _)| *of == family) {
        if let Err(error) = socket.send_to(payload, group(family)).await {
            debug!(?family, %error, "cannot announce to the local network");
        }
    }
}

fn found(routes: &Routes, info_hash: InfoHash, addr: SocketAddr) {
    if let Some(route) = routes.find(info_hash) {
        debug!(%info_hash, %addr, "found in the local network");
        // A torrent that ends needs nobody.
        let _ = route.queue.send(Happening::Named(Source::Lsd, addr));
    }
}

async fn receive<S: UdpSocket, C: Clock>(socket: Arc<S>, clock: C, datagrams: Sender<Input>) {
    loop {
        let mut received = 0;
        let each = |from, payload: &[u8]| {
            received += 1;
            // What does not fit is a flood.
            let _ = datagrams.try_send(Input::Datagram { from, payload: Bytes::copy_from_slice(payload) });
        };
        let outcome: io::Result<()> = socket.recv_batch(RECEIVE_BATCH, each).await;
        if let Err(error) = outcome {
            debug!(%error, "cannot receive from the local network");
            clock.sleep_until(clock.now() + REST).await;
        }
        if received >= RECEIVE_BATCH {
            // A flooded socket is ready at once, takes no part in tokio's budget and would keep the thread.
            tokio::task::yield_now().await;
        }
    }
}
