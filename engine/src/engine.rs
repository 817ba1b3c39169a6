//! Starting an engine: binds, hands out a handle and the root future, and adds torrents, whose storages it looks
//! through first.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use proto::id::InfoHash;
use proto::metainfo::{Metainfo, Priority};
use proto::seed::Seed;
use proto::share::SlotShare;
use proto::torrent::TorrentConfig;
use thiserror::Error;
use tokio::sync::Semaphore;
use tokio::sync::mpsc::{self, UnboundedSender};

use crate::announce::TrackerPort;
use crate::check::{Found, look};
use crate::clock::Clock;
use crate::door::{Keys, TurnedAway};
use crate::environment::Environment;
use crate::events::Events;
use crate::fetch::TrackerTrust;
use crate::handle::{EngineEvent, TorrentHandle};
use crate::lsd::{self, Announcers};
use crate::peer::PeerTimeouts;
use crate::places::Places;
use crate::process::{Command, Newcomer, Process};
use crate::queue::Happening;
use crate::resume::ResumeConfig;
use crate::routes::Routes;
use crate::shared::SharedLimits;
use crate::storage::Storage;
use crate::throttle::{RateLimits, Throttle, TorrentLimits};
use crate::transport::{Listener, Transport};

#[cfg(test)]
mod tests;

/// Torrents whose storage is looked through at once; each hashes two pieces at a time, and more would only make a
/// disk seek.
const MAX_CHECKS: usize = 2;

/// The child seed of local discovery; those of the torrents count up from 0.
const LSD: u64 = u64::MAX - 1;

/// What a user may choose.
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// Where peers are accepted: an address of either family, or one of each. Port 0 takes any free one.
    pub listen: Vec<SocketAddr>,
    /// Connection counts and upload slots of the torrent that [`Engine::start`] begins with.
    pub torrent: TorrentConfig,
    /// When to give up on a connection that does not open.
    pub timeouts: PeerTimeouts,
    /// How fast bytes may go; [`EngineHandle::set_limits`] changes it.
    pub limits: RateLimits,
    /// Connections and upload slots of all torrents together.
    pub shared: SharedLimits,
    /// How much each file of that torrent is wanted, by its number; a file that this does not reach is normal.
    /// [`TorrentHandle::set_priorities`] changes it.
    pub priorities: Vec<Priority>,
    /// Peers to try for that torrent besides those that trackers know.
    pub peers: Vec<SocketAddr>,
    /// Whom to believe when a tracker is asked over TLS.
    pub tracker_trust: TrackerTrust,
    /// What to believe of an earlier run of that torrent, and what to leave to the next.
    pub resume: ResumeConfig,
}

impl EngineConfig {
    /// The production settings, at one address.
    pub fn new(listen: SocketAddr) -> Self {
        Self::at(vec![listen])
    }

    /// The same at one address, or at one of each family.
    pub fn at(listen: Vec<SocketAddr>) -> Self {
        let (torrent, timeouts) = (TorrentConfig::default(), PeerTimeouts::default());
        let (limits, tracker_trust) = (RateLimits::default(), TrackerTrust::default());
        let resume = ResumeConfig::default();
        let (shared, priorities, peers) = (SharedLimits::default(), Vec::new(), Vec::new());
        Self { listen, torrent, timeouts, limits, shared, priorities, peers, tracker_trust, resume }
    }
}

/// Why an engine did not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// No address to listen at, or two of one family.
    #[error("one address to listen at is needed for IPv4, for IPv6, or for each of them")]
    Families,
    /// The address cannot be listened at.
    #[error("cannot listen at {addr}: {reason}")]
    Listen {
        /// The address.
        addr: SocketAddr,
        /// What the system said.
        reason: io::Error,
    },
    /// No socket for trackers.
    #[error("cannot open a socket for trackers: {0}")]
    Socket(io::Error),
    /// The storage cannot be read, as opposed to being empty.
    #[error(transparent)]
    Storage(io::Error),
}

/// What may differ from torrent to torrent.
#[derive(Clone, Debug, Default)]
pub struct TorrentOptions {
    /// Connection counts and upload slots.
    pub torrent: TorrentConfig,
    /// How much each file is wanted, by its number; a file that this does not reach is normal.
    /// [`TorrentHandle::set_priorities`] changes it.
    pub priorities: Vec<Priority>,
    /// Peers to try besides those that trackers know.
    pub peers: Vec<SocketAddr>,
    /// What to believe of an earlier run, and what to leave to the next.
    pub resume: ResumeConfig,
    /// Rate limits of its own, in place of those that [`EngineConfig::limits`] has for each torrent.
    pub limits: Option<TorrentLimits>,
}

/// Why a torrent was not added.
#[derive(Debug, Error)]
pub enum AddError {
    /// The engine has it already.
    #[error("the torrent {0} is being worked on already")]
    Duplicate(InfoHash),
    /// The storage cannot be read, as opposed to being empty.
    #[error(transparent)]
    Storage(io::Error),
    /// The engine has stopped.
    #[error("the engine has stopped")]
    Stopped,
}

/// Torrents, downloaded and shared by one process: one port of each family, one set of limits.
#[derive(Debug)]
pub struct Engine;

impl Engine {
    /// Binds and returns a handle, to add torrents with, and the root future.
    ///
    /// Nothing runs until the root future is polled, and dropping it ends every task of the engine. It ends by
    /// itself once every torrent has ended and no clone of the handle is left, or after [`EngineHandle::stop`].
    /// What `config` says of torrents is left to [`Self::start`].
    pub async fn open<T: Transport, C: Clock>(
        environment: Environment<T, C>,
        config: EngineConfig,
        seed: Seed,
    ) -> Result<(EngineHandle, impl Future<Output = ()> + Send + 'static), StartError> {
        let (listeners, addrs) = listen(&environment.transport, &config.listen).await?;
        let trust = Arc::new(config.tracker_trust);
        let port = TrackerPort::open(&environment.transport, &addrs, Arc::clone(&trust)).await;
        let port = Arc::new(port.map_err(StartError::Socket)?);
        let (commands, orders) = mpsc::unbounded_channel();
        let (routes, throttle) = (Routes::default(), Throttle::new(config.limits));
        let (places, slots) =
            (Places::new(config.shared.places()), SlotShare::new(config.shared.upload_slots));
        let turned_away = Arc::new(TurnedAway::default());
        let handle = EngineHandle {
            commands,
            routes: routes.clone(),
            throttle: throttle.clone(),
            addrs: addrs.clone().into(),
            checks: Arc::new(Semaphore::new(MAX_CHECKS)),
            places: places.clone(),
            turned_away: Arc::clone(&turned_away),
            seed,
        };
        let (timeouts, keys) = (config.timeouts, Keys::default());
        let (lsd, joining) = Announcers::new();
        let local = lsd::serve(environment.clone(), addrs.clone(), routes.clone(), seed.child(LSD), joining);
        let slots = Arc::new(Mutex::new(slots));
        let process = Process {
            environment,
            addrs,
            port,
            trust,
            timeouts,
            routes,
            keys,
            throttle,
            places,
            slots,
            turned_away,
            lsd,
        };
        Ok((handle, process.run(listeners, local, orders)))
    }

    /// An engine for one torrent: binds, hashes what the storage already holds, and returns a handle and the root
    /// future, which ends when the torrent does.
    ///
    /// Nothing runs until the root future is polled, and dropping it ends every task of the engine.
    pub async fn start<T: Transport, C: Clock, S: Storage>(
        environment: Environment<T, C>,
        metainfo: Arc<Metainfo>,
        storage: S,
        config: EngineConfig,
        seed: Seed,
    ) -> Result<(TorrentHandle, impl Future<Output = ()> + Send + 'static), StartError> {
        let options = TorrentOptions {
            torrent: config.torrent,
            priorities: config.priorities.clone(),
            peers: config.peers.clone(),
            resume: config.resume.clone(),
            limits: None,
        };
        // What is said of one torrent is said of all there are.
        let mut config = config;
        config.shared.connections = config.shared.connections.max(options.torrent.max_peers);
        config.shared.half_open = config.shared.half_open.max(options.torrent.max_dialling);
        let (engine, root) = Self::open(environment, config, seed).await?;
        match engine.add(metainfo, storage, options).await {
            Ok(torrent) => Ok((torrent, root)),
            Err(AddError::Storage(error)) => Err(StartError::Storage(error)),
            Err(error @ (AddError::Duplicate(_) | AddError::Stopped)) => {
                Err(StartError::Storage(io::Error::other(error)))
            }
        }
    }
}

/// What a process holds, and whom it turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EngineCounts {
    /// Torrents.
    pub torrents: usize,
    /// Connections of all torrents, those that are being dialled among them.
    pub connections: usize,
    /// Those that are being dialled.
    pub dialling: usize,
    /// Connections that came in for a torrent that is not ours, since the start.
    pub foreign: u64,
    /// Connections that came in when every one was taken, since the start.
    pub without_place: u64,
    /// Connections that came in while too many of the same address (IPv6: the same /64) said nothing, since the start.
    pub crowding: u64,
}

/// A running engine. Clones are the same one.
#[derive(Clone, Debug)]
pub struct EngineHandle {
    commands: UnboundedSender<Command>,
    routes: Routes,
    throttle: Throttle,
    addrs: Arc<[SocketAddr]>,
    checks: Arc<Semaphore>,
    places: Places,
    turned_away: Arc<TurnedAway>,
    seed: Seed,
}

impl EngineHandle {
    /// Where peers are accepted: an address of each family.
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.addrs
    }

    /// What all torrents together hold at this moment, and whom they turned away so far.
    pub fn counts(&self) -> EngineCounts {
        let (connections, dialling) = self.places.taken();
        EngineCounts {
            torrents: self.routes.count(),
            connections,
            dialling,
            foreign: self.turned_away.foreign.load(Ordering::Relaxed),
            without_place: self.turned_away.without_place.load(Ordering::Relaxed),
            crowding: self.turned_away.crowding.load(Ordering::Relaxed),
        }
    }

    /// Hashes what the storage already holds, then downloads and shares the torrent beside those that are there.
    pub async fn add<S: Storage>(
        &self,
        metainfo: Arc<Metainfo>,
        storage: S,
        options: TorrentOptions,
    ) -> Result<TorrentHandle, AddError> {
        let info_hash = metainfo.info_hash();
        let seat = self.routes.reserve(info_hash).ok_or(AddError::Duplicate(info_hash))?;
        let storage = Arc::new(storage);
        storage.select(options.priorities.clone()).await.map_err(AddError::Storage)?;
        let number = u64::from(seat.key().0);
        let [seed, announcing, looking] = [0, 1, 2].map(|part| self.seed.child(3 * number + part));
        let Found { have, record } = {
            let _turn = self.checks.acquire().await;
            let found = look(&storage, &metainfo, &options.resume, looking).await;
            found.map_err(AddError::Storage)?
        };
        let (key, events) = (seat.key(), Events::default());
        let listener = events.listen();
        for &addr in &*self.addrs {
            events.tell(&EngineEvent::Listening(addr));
        }
        events.tell(&EngineEvent::Checked { have: have.count(), pieces: have.pieces() });
        let (queue, happenings) = mpsc::unbounded_channel();
        let handle = TorrentHandle::new(key, queue.clone(), listener, self.throttle.clone());
        if options.limits.is_some() {
            self.throttle.set_own_limits(key, options.limits);
        }
        let (disk, seeds) = (storage, [seed, announcing]);
        let newcomer =
            Newcomer { seat, metainfo, disk, have, record, options, seeds, events, queue, happenings };
        self.commands.send(Command::Add(Box::new(newcomer))).map_err(|_| AddError::Stopped)?;
        Ok(handle)
    }

    /// Changes the rate limits of all torrents together, of each torrent and of each peer, at once and for every
    /// connection; the upload slots follow. Torrents with limits of their own keep them.
    pub fn set_limits(&self, limits: RateLimits) {
        self.throttle.set_limits(limits);
        self.routes.tell_all(|| Happening::LimitsChanged);
    }

    /// Asks every torrent to leave, as [`TorrentHandle::stop`] does, and takes no more. The root future then ends.
    pub fn stop(&self) {
        // An engine that is gone has stopped already.
        let _ = self.commands.send(Command::Stop);
    }
}

/// Listens at an address of each family; returns the addresses as they came to be.
pub(crate) async fn listen<T: Transport>(
    transport: &T,
    wanted: &[SocketAddr],
) -> Result<(Vec<T::Listener>, Vec<SocketAddr>), StartError> {
    let is_one_each = match wanted {
        [_] => true,
        [one, other] => one.is_ipv4() != other.is_ipv4(),
        _ => false,
    };
    if !is_one_each {
        return Err(StartError::Families);
    }
    let (mut listeners, mut addrs) = (Vec::new(), Vec::new());
    for &addr in wanted {
        let because = |reason| StartError::Listen { addr, reason };
        let listener = transport.listen(addr).await.map_err(because)?;
        addrs.push(listener.local_addr().map_err(because)?);
        listeners.push(listener);
    }
    Ok((listeners, addrs))
}
