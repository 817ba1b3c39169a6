//! Hostile peers: scripts over the core's codecs, on the same simulated sockets that engines get.
//!
//! No engine is inside, and no engine knows: what a script says is what anybody on the Internet could say. Each
//! file is one behaviour; this one brings it to its victims. A hostile host announces itself, dials whoever the
//! tracker names, again and again whatever comes of it, and accepts whoever dials it.

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use engine::Environment;
use engine::clock::{Clock, within};
use engine::transport::{Listener, Stream, Transport};
use proto::bitfield::Bitfield;
use proto::id::PeerId;
use proto::metainfo::Metainfo;
use proto::piece::Geometry;
use proto::seed::{Random, Seed};
use proto::wire::Message;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::scenario::Behaviour;
use crate::storage::Content;
use crate::world::{SimClock, SimReader, SimTransport, SimWriter};

mod announce;
mod choke_oscillator;
mod deeds;
mod false_have;
mod free_rider;
mod garbage;
mod gossip;
mod impostor;
mod line;
mod lying_bitfield;
mod poisoner;
mod request_flood;
mod silent;
mod slow_loris;
mod trickler;

pub use deeds::{Deeds, Poisoned};
use free_rider::Loot;
use line::Line;

/// Connections that one hostile host keeps at the most: more than any engine lets in.
const MAX_MEETINGS: usize = 1_000;

/// Whoever was dialled is dialled again so long after the connection ended.
const INSISTS_AFTER: Duration = Duration::from_secs(10);

/// As long as an engine waits for an open stream.
const DIAL_PATIENCE: Duration = Duration::from_secs(15);

/// Handshakes that a slow loris begins with everybody: an engine lets in eight from one address.
const LORIS_HANDS: usize = 8;

/// Addresses that wait to be dialled.
const MAX_FOUND: usize = 256;

/// What one end of a stream is here.
type Wire = Stream<SimReader, SimWriter>;

/// What a script has to work with.
pub(crate) struct Ground {
    pub(crate) behaviour: Behaviour,
    pub(crate) environment: Environment<SimTransport, SimClock>,
    pub(crate) tracker: SocketAddr,
    /// Where it listens.
    pub(crate) addr: SocketAddr,
    pub(crate) metainfo: Arc<Metainfo>,
    /// The truth, for those who serve some of it.
    pub(crate) content: Arc<Content>,
    pub(crate) seed: Seed,
    /// Where everybody else can be reached, for those who gossip.
    pub(crate) rumours: Vec<Vec<SocketAddr>>,
    pub(crate) deeds: Deeds,
}

/// A hostile host at work.
struct Host {
    ground: Ground,
    random: Mutex<Random>,
    loot: Mutex<Loot>,
    /// Names of those whom it met.
    met: Mutex<Vec<PeerId>>,
}

/// The root future of a hostile host; it ends only for those who announce and vanish.
pub(crate) async fn live(ground: Ground) {
    let random = Mutex::new(ground.seed.rng());
    let loot = Mutex::new(Loot::new(ground.content.geometry()));
    let host = Arc::new(Host { ground, random, loot, met: Mutex::default() });
    if let Behaviour::SybilAnnouncers { count } = host.ground.behaviour {
        announce::ghosts(&host, count).await;
        // Their host is up: whoever dials them is refused.
        std::future::pending::<()>().await;
    } else if let Behaviour::Dead { count } = host.ground.behaviour {
        announce::ghosts(&host, count).await;
    } else {
        prowl(host).await;
    }
}

/// Announces, dials and accepts for ever.
async fn prowl(host: Arc<Host>) {
    let Ok(listener) = host.transport().listen(host.ground.addr).await else { return };
    let (names, mut found) = mpsc::channel(MAX_FOUND);
    let mut meetings = JoinSet::new();
    meetings.spawn(announce::keep(Arc::clone(&host), names));
    let mut known = BTreeSet::from([host.ground.addr]);
    let hands = if host.ground.behaviour == Behaviour::SlowLoris { LORIS_HANDS } else { 1 };
    loop {
        tokio::select! {
            biased;
            Ok(stream) = listener.accept() => if meetings.len() < MAX_MEETINGS {
                let host = Arc::clone(&host);
                meetings.spawn(async move { drop(meet(&host, stream).await) });
            },
            Some(addr) = found.recv() => if known.insert(addr) {
                (0..hands).for_each(|_| drop(meetings.spawn(insist(Arc::clone(&host), addr))));
            },
            Some(_) = meetings.join_next() => {}
        }
    }
}

/// Dials one address for ever.
async fn insist(host: Arc<Host>, addr: SocketAddr) {
    loop {
        let dialled = within(host.clock(), DIAL_PATIENCE, host.transport().connect(addr)).await;
        if let Some(Ok(stream)) = dialled {
            // However it ended: there will be another one.
            let _ = meet(&host, stream).await;
        }
        host.pause(INSISTS_AFTER).await;
    }
}

/// One connection, until somebody ends it.
async fn meet(host: &Host, stream: Wire) -> io::Result<()> {
    match host.ground.behaviour {
        Behaviour::Silent => silent::meet(stream).await,
        Behaviour::SlowLoris => slow_loris::meet(host, stream).await,
        Behaviour::Garbage => garbage::meet(host, stream).await,
        Behaviour::Impostor => impostor::meet(host, stream).await,
        Behaviour::Gossip => gossip::meet(host, stream).await,
        Behaviour::FreeRider | Behaviour::FakeCounters => free_rider::meet(host, stream).await,
        Behaviour::Poisoner { share } => poisoner::meet(host, stream, share).await,
        Behaviour::LyingBitfield { rejects } => lying_bitfield::meet(host, stream, rejects).await,
        Behaviour::FalseHave => false_have::meet(host, stream).await,
        Behaviour::RequestFlood => request_flood::meet(host, stream).await,
        Behaviour::Trickler { every } => trickler::meet(host, stream, every).await,
        Behaviour::ChokeOscillator => choke_oscillator::meet(host, stream).await,
        Behaviour::SybilAnnouncers { .. } | Behaviour::Dead { .. } => Ok(()),
    }
}

impl Host {
    fn transport(&self) -> &SimTransport {
        &self.ground.environment.transport
    }

    fn clock(&self) -> &SimClock {
        &self.ground.environment.clock
    }

    fn geometry(&self) -> Geometry {
        self.ground.content.geometry()
    }

    fn deeds(&self) -> &Deeds {
        &self.ground.deeds
    }

    /// What is said by who claims to have everything.
    fn everything(&self) -> Message {
        Message::Bitfield(Bitfield::full(self.geometry().pieces()).to_wire())
    }

    fn random<T>(&self, draw: impl FnOnce(&mut Random) -> T) -> T {
        draw(&mut lock(&self.random))
    }

    fn random_id(&self) -> PeerId {
        let mut tail = [0; 12];
        self.random(|random| random.fill(&mut tail));
        PeerId::with_tail(tail)
    }

    async fn pause(&self, time: Duration) {
        self.clock().sleep_until(self.clock().now() + time).await;
    }
}

/// Nothing under these locks can be left half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
