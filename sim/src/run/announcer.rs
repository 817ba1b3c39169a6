//! The root future of an announcer: it announces one torrent of its own with the engine's own announcer, and
//! does nothing else. Thousands of them are a tracker's load for the price of their datagrams.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use engine::Environment;
use engine::clock::Clock;
use engine::transport::{Transport, UdpSocket};
use proto::announce::{AnnounceConfig, Announcer, Input, Output};
use proto::id::{InfoHash, PeerId};
use proto::seed::Seed;
use proto::torrent::{AnnounceEvent, Progress};
use tokio::sync::mpsc;

use super::log::SharedLog;
use super::peer::{Order, elapsed, sleep_until};
use crate::world::{SimClock, SimTransport};

/// Datagrams taken at once: a tracker sends one at a time.
const BATCH: usize = 8;

/// How long an idle announcer sleeps at the most.
const IDLE: Duration = Duration::from_secs(3600);

/// All that an announcer's life needs.
pub(super) struct Chore {
    pub(super) environment: Environment<SimTransport, SimClock>,
    pub(super) tracker: SocketAddr,
    /// Where it says that it listens; nobody does.
    pub(super) addr: SocketAddr,
    /// Bytes that it says are left.
    pub(super) left: u64,
    pub(super) seed: Seed,
    pub(super) leave_at: Option<Duration>,
    pub(super) log: SharedLog,
    pub(super) orders: mpsc::UnboundedReceiver<Order>,
    /// True time.
    pub(super) clock: SimClock,
}

/// Lives until it has left.
pub(super) async fn live(mut chore: Chore) {
    let source = SocketAddr::new(chore.addr.ip(), 0);
    let socket = match chore.environment.transport.bind(source).await {
        Ok(socket) => socket,
        Err(error) => return chore.log.lock().failure = Some(error.to_string()),
    };
    let mut random = chore.seed.rng();
    let (mut info_hash, mut peer_id) = ([0; 20], [0; 20]);
    random.fill(&mut info_hash);
    random.fill(&mut peer_id);
    let tiers = vec![vec![format!("udp://{}/announce", chore.tracker)]];
    let config = AnnounceConfig::new(InfoHash(info_hash), PeerId(peer_id), &[chore.addr], tiers);
    let mut script = Script {
        announcer: Announcer::new(config, chore.seed.child(1)),
        progress: Progress { uploaded: 0, downloaded: 0, left: chore.left },
        socket,
        clock: chore.environment.clock.clone(),
        is_done: false,
    };
    script.tell(Input::Announce(Some(AnnounceEvent::Started))).await;
    while !script.is_done {
        tokio::select! {
            biased;
            received = receive(&script.socket) => for (from, payload) in received {
                script.tell(Input::Datagram { from, payload }).await;
            },
            Some(order) = chore.orders.recv() => if order == Order::Leave {
                leave(&mut chore, &mut script).await;
            },
            () = sleep_until(&chore.clock, chore.leave_at) => leave(&mut chore, &mut script).await,
            () = script.due() => script.time_passed().await,
        }
    }
}

async fn leave<U: UdpSocket>(chore: &mut Chore, script: &mut Script<U>) {
    chore.leave_at = None;
    chore.log.lock().leaves(elapsed(&chore.clock));
    script.tell(Input::Announce(Some(AnnounceEvent::Stopped))).await;
}

struct Script<U> {
    announcer: Announcer,
    progress: Progress,
    socket: U,
    clock: SimClock,
    is_done: bool,
}

impl<U: UdpSocket> Script<U> {
    async fn tell(&mut self, input: Input) {
        self.announcer.handle_input(self.clock.now(), &self.progress, input);
        self.carry_out().await;
    }

    async fn time_passed(&mut self) {
        self.announcer.handle_timeout(self.clock.now(), &self.progress);
        self.carry_out().await;
    }

    /// Ends when the announcer has something to do.
    async fn due(&self) {
        let at = self.announcer.poll_timeout().map_or_else(|| self.clock.now() + IDLE, |(at, _)| at);
        self.clock.sleep_until(at).await;
    }

    async fn carry_out(&mut self) {
        while let Some(output) = self.announcer.poll_output() {
            match output {
                Output::Resolve { host, port } => {
                    let addrs = host
                        .trim_matches(['[', ']'])
                        .parse()
                        .map(|ip| SocketAddr::new(ip, port))
                        .into_iter()
                        .collect();
                    let input = Input::Resolved { host, port, addrs };
                    self.announcer.handle_input(self.clock.now(), &self.progress, input);
                }
                Output::SendTo { addr, payload } => {
                    // What cannot be sent is lost, which the announcer survives.
                    let _ = self.socket.send_to(&payload, addr).await;
                }
                Output::Done => self.is_done = true,
                // Its trackers are asked over UDP.
                Output::Get { .. }
                | Output::Warned { .. }
                | Output::Switched
                | Output::Peers(_)
                | Output::Announced { .. }
                | Output::Failed { .. } => {}
            }
        }
    }
}

async fn receive<U: UdpSocket>(socket: &U) -> Vec<(SocketAddr, Bytes)> {
    let mut received = Vec::new();
    let keep = |from, payload: &[u8]| received.push((from, Bytes::copy_from_slice(payload)));
    if socket.recv_batch(BATCH, keep).await.is_err() {
        // It has received nothing, and is asked again when the announcer next has something to do.
        std::future::pending::<()>().await;
    }
    received
}
