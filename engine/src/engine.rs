//! Starting an engine: binds, looks through the storage, and hands out a handle and the root future.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use proto::announce::{AnnounceConfig, Announcer};
use proto::metainfo::{Metainfo, Priority};
use proto::resume::Keeper;
use proto::seed::Seed;
use proto::torrent::{Input, Source, Torrent, TorrentConfig};
use thiserror::Error;
use tokio::sync::{broadcast, mpsc};
use tokio::task::JoinSet;

use crate::announce::TrackerPort;
use crate::check::{Found, look};
use crate::clock::Clock;
use crate::disk_jobs::DiskJobs;
use crate::door::{Door, Keys};
use crate::environment::Environment;
use crate::fetch::TrackerTrust;
use crate::handle::{EVENT_BACKLOG, EngineEvent, EngineHandle};
use crate::peer::{PeerTimeouts, Terms};
use crate::resume::{Past, ResumeConfig};
use crate::storage::Storage;
use crate::throttle::{RateLimits, Throttle};
use crate::torrent::{LoopState, TorrentLoop};
use crate::transport::{Listener, Transport};
use crate::web_seed::{WebSeedPort, WebTerms};

/// What a user may choose.
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// Where peers are accepted: an address of either family, or one of each. Port 0 takes any free one.
    pub listen: Vec<SocketAddr>,
    /// Connection counts and upload slots.
    pub torrent: TorrentConfig,
    /// When to give up on a connection that does not open.
    pub timeouts: PeerTimeouts,
    /// How fast bytes may go; [`EngineHandle::set_limits`] changes it.
    pub limits: RateLimits,
    /// How much each file is wanted, by its number; a file that this does not reach is normal.
    /// [`EngineHandle::set_priorities`] changes it.
    pub priorities: Vec<Priority>,
    /// Peers to try besides those that trackers know.
    pub peers: Vec<SocketAddr>,
    /// Whom to believe when a tracker is asked over TLS.
    pub tracker_trust: TrackerTrust,
    /// What to believe of an earlier run, and what to leave to the next.
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
        let (priorities, peers) = (Vec::new(), Vec::new());
        Self { listen, torrent, timeouts, limits, priorities, peers, tracker_trust, resume }
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

/// One torrent, downloaded and shared.
#[derive(Debug)]
pub struct Engine;

impl Engine {
    /// Binds, hashes what the storage already holds, and returns a handle and the root future.
    ///
    /// Nothing runs until the root future is polled, and dropping it ends every task of the engine.
    pub async fn start<T: Transport, C: Clock, S: Storage>(
        environment: Environment<T, C>,
        metainfo: Arc<Metainfo>,
        storage: S,
        config: EngineConfig,
        seed: Seed,
    ) -> Result<(EngineHandle, impl Future<Output = ()> + Send + 'static), StartError> {
        let (listeners, addrs) = listen(&environment.transport, &config.listen).await?;
        let (queue, happenings) = mpsc::unbounded_channel();
        let trackers =
            TrackerPort::open(&environment, &addrs, config.tracker_trust.clone(), queue.clone()).await;
        let trackers = trackers.map_err(StartError::Socket)?;
        let storage = Arc::new(storage);
        storage.select(config.priorities.clone()).await.map_err(StartError::Storage)?;
        let found = look(&storage, &metainfo, &config.resume, seed.child(2)).await;
        let Found { have, record } = found.map_err(StartError::Storage)?;

        let (events, receiver) = broadcast::channel(EVENT_BACKLOG);
        for &addr in &addrs {
            // The receiver is ours, so there is one.
            let _ = events.send(EngineEvent::Listening(addr));
        }
        let _ = events.send(EngineEvent::Checked { have: have.count(), pieces: have.pieces() });
        let throttle = Throttle::new(config.limits);
        let keys = Keys::default();
        let web = WebTerms::new(&environment, &config.tracker_trust, &throttle, &keys);
        let handle = EngineHandle::new(queue.clone(), receiver, throttle.clone());

        let now = environment.clock.now();
        let keeper = Keeper::new(now, &have, metainfo.geometry().all_pieces(), config.resume.flush_every);
        let torrent = Torrent::new(Arc::clone(&metainfo), have, config.torrent, seed.child(0), now);
        let (info_hash, peer_id) = (metainfo.info_hash(), torrent.peer_id());
        let tiers = metainfo.trackers().to_vec();
        let announce = AnnounceConfig::new(info_hash, peer_id, &addrs, tiers);
        let terms = Terms {
            handshake: torrent.handshake(),
            pieces: Some(metainfo.geometry().pieces()),
            timeouts: config.timeouts,
            throttle,
        };
        let door = Door::new(environment.clone(), terms.clone(), keys.clone(), queue.clone());
        let pace = terms.throttle.clone().keep(environment.clock.clone());
        let mut torrent_loop = TorrentLoop {
            environment,
            metainfo: Arc::clone(&metainfo),
            torrent,
            announcer: Announcer::new(announce, seed.child(1)),
            trackers,
            web_seeds: WebSeedPort::new(web, queue.clone()),
            disk: DiskJobs::new(storage, queue.clone()),
            keeper,
            past: Past::of(record.as_ref()),
            terms,
            keys,
            queue,
            events,
            state: LoopState::default(),
        };
        if !config.priorities.is_empty() {
            let wanted = metainfo.piece_priorities(&config.priorities);
            torrent_loop.torrent.handle_input(now, Input::Wanted(wanted));
        }
        torrent_loop.torrent.handle_input(now, Input::Ours(addrs));
        torrent_loop.torrent.handle_input(now, Input::UploadLimit(config.limits.up.of_torrent()));
        torrent_loop.torrent.handle_input(now, Input::Candidates(Source::User, config.peers));
        let met = record.map(|record| record.peers).unwrap_or_default();
        torrent_loop.torrent.handle_input(now, Input::Candidates(Source::Resume, met));
        let root = async move {
            // Tasks of their own, so that the loop's many wake-ups do not poll the listeners.
            let mut tasks = JoinSet::new();
            tasks.spawn(pace);
            for listener in listeners {
                tasks.spawn(door.clone().keep(listener));
            }
            torrent_loop.run(happenings).await;
        };
        Ok((handle, root))
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
