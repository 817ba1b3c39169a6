//! Announcing without manners: what a hostile host tells the tracker, over UDP (BEP 15).

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use engine::clock::within;
use engine::transport::{Transport, UdpSocket};
use proto::id::PeerId;
use proto::seed::Random;
use proto::torrent::{AnnounceEvent, Progress};
use proto::tracker::{AnnounceRequest, ConnectionId, Family, Reply, Request, TransactionId};
use tokio::sync::mpsc;

use super::Host;
use crate::scenario::Behaviour;

/// It announces so often, whatever the tracker asks for: it wants to know of newcomers.
const EVERY: Duration = Duration::from_secs(30);

/// An answer is awaited so long, then asked for again.
const PATIENCE: Duration = Duration::from_secs(2);

/// Questions without an answer until it gives up for a while.
const TRIES: u32 = 3;

/// Peers asked for: all that fit a datagram.
const WANTED: u32 = 200;

/// A share ratio that nobody has.
const MUCH: u64 = 1_000;

/// Announces for ever and passes on whom the tracker names.
pub(super) async fn keep(host: Arc<Host>, found: mpsc::Sender<SocketAddr>) {
    let Some(mut desk) = Desk::open(&host).await else { return };
    let mut event = Some(AnnounceEvent::Started);
    loop {
        let member = (host.ground.addr.port(), host.random_id());
        for addr in desk.announce(member, progress(&host), event).await {
            if found.send(addr).await.is_err() {
                return;
            }
        }
        // Who lies about its bytes says each time that it has just finished.
        let lies = host.ground.behaviour == Behaviour::FakeCounters;
        event = lies.then_some(AnnounceEvent::Completed);
        host.pause(EVERY).await;
    }
}

/// Announces `count` peers at ports where nobody listens, each once, as seeders that everybody wants.
pub(super) async fn ghosts(host: &Host, count: u32) {
    let Some(mut desk) = Desk::open(host).await else { return };
    let first = host.ground.addr.port();
    let ports = (1..=u16::MAX).map(|step| first.wrapping_add(step)).filter(|&port| port != 0);
    for port in ports.take(count as usize) {
        let progress = Progress { uploaded: 0, downloaded: 0, left: 0 };
        desk.announce((port, host.random_id()), progress, Some(AnnounceEvent::Started)).await;
    }
}

/// What it says of itself: those who claim to have everything do so here as well.
fn progress(host: &Host) -> Progress {
    let len = host.geometry().len();
    let behaviour = host.ground.behaviour;
    if behaviour == Behaviour::FakeCounters {
        return Progress { uploaded: len * MUCH, downloaded: len, left: 0 };
    }
    let is_needy = matches!(behaviour, Behaviour::FreeRider | Behaviour::RequestFlood | Behaviour::FalseHave);
    Progress { uploaded: 0, downloaded: 0, left: if is_needy { len } else { 0 } }
}

/// A conversation with the tracker.
struct Desk<'a, U> {
    host: &'a Host,
    socket: U,
    connection: Option<ConnectionId>,
}

impl<'a> Desk<'a, crate::world::SimSocket> {
    async fn open(host: &'a Host) -> Option<Self> {
        let socket = host.transport().bind(SocketAddr::new(host.ground.addr.ip(), 0)).await.ok()?;
        Some(Self { host, socket, connection: None })
    }
}

impl<U: UdpSocket> Desk<'_, U> {
    /// Announces a port under a name; returns whom the tracker names.
    async fn announce(
        &mut self,
        (port, peer_id): (u16, PeerId),
        progress: Progress,
        event: Option<AnnounceEvent>,
    ) -> Vec<SocketAddr> {
        for _ in 0..TRIES {
            let Some(connection) = self.connection().await else { continue };
            let request = Request::Announce(AnnounceRequest {
                connection,
                transaction: self.transaction(),
                info_hash: self.host.ground.metainfo.info_hash(),
                peer_id,
                progress,
                event,
                key: 0,
                num_want: Some(WANTED),
                port,
                options: &[],
            });
            match self.ask(&request).await {
                Some(Reply::Announce { peers, .. }) => return peers,
                // Old ids are refused.
                Some(_) | None => self.connection = None,
            }
        }
        Vec::new()
    }

    async fn connection(&mut self) -> Option<ConnectionId> {
        if self.connection.is_none() {
            let request = Request::Connect { transaction: self.transaction() };
            if let Some(Reply::Connect { connection, .. }) = self.ask(&request).await {
                self.connection = Some(connection);
            }
        }
        self.connection
    }

    fn transaction(&self) -> TransactionId {
        TransactionId(self.host.random(Random::next_u32))
    }

    async fn ask(&self, request: &Request<'_>) -> Option<Reply> {
        let mut payload = Vec::new();
        request.encode(&mut payload);
        let family = Family::of(self.host.ground.tracker);
        self.socket.send_to(&payload, self.host.ground.tracker).await.ok()?;
        let mut reply = None;
        let keep = |_, payload: &[u8]| reply = Reply::decode(payload, family).ok();
        within(self.host.clock(), PATIENCE, self.socket.recv_batch(1, keep)).await;
        reply
    }
}
