//! From a magnet link to a torrent: the loop around [`MetadataFetch`]. It has a door, trackers and peers of its
//! own, and leaves nothing behind but the metainfo; the engine then starts as from a torrent file.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;

use proto::announce::{self, AnnounceConfig, Announcer};
use proto::metainfo::{Magnet, Metainfo, MetainfoError};
use proto::seed::Seed;
use proto::time::Instant;
use proto::torrent::{Direction, Input, MetadataFetch, Output, PeerKey, Source};
use thiserror::Error;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tracing::debug;

use crate::announce::{TrackerLine, TrackerPort};
use crate::clock::Clock;
use crate::dialler::Dialler;
use crate::door::{Door, Doorstep, Keys};
use crate::engine::{EngineConfig, StartError, listen};
use crate::environment::Environment;
use crate::peer::{Link, Peer, Terms};
use crate::places::Places;
use crate::queue::Happening;
use crate::routes::{Route, Routes};
use crate::throttle::Throttle;
use crate::transport::Transport;

/// What the search has come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SearchEvent {
    /// So many peers are connected.
    Peers(usize),
    /// A tracker answered.
    Announced,
    /// A tracker cannot be used at present.
    TrackerFailed {
        /// Which tracker.
        url: String,
        /// Why.
        error: String,
    },
}

/// Why there is no torrent.
#[derive(Debug, Error)]
pub enum SearchError {
    /// The search could not begin.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The info dictionary has the right hash and is none that we can use.
    #[error("the torrent behind the magnet link cannot be used: {0}")]
    Torrent(#[from] MetainfoError),
}

/// What a search has found.
#[derive(Clone, Debug)]
pub struct Found {
    /// The torrent; its trackers are the link's.
    pub metainfo: Metainfo,
    /// The peers that the link and the user named.
    pub peers: Vec<SocketAddr>,
}

/// Finds the info dictionary of `magnet` among its peers, those of its trackers and those of `config`.
///
/// Ends only with a torrent or an error; drop the future to give up. Start the engine with the same `config`
/// and `seed`: trackers and peers then see one and the same peer.
pub async fn find_metadata<T: Transport, C: Clock>(
    environment: Environment<T, C>,
    magnet: &Magnet,
    config: &EngineConfig,
    seed: Seed,
    mut tell: impl FnMut(SearchEvent) + Send,
) -> Result<Found, SearchError> {
    let (listeners, addrs) = listen(&environment.transport, &config.listen).await?;
    let (queue, mut happenings) = mpsc::unbounded_channel();
    let trust = Arc::new(config.tracker_trust.clone());
    let port = TrackerPort::open(&environment.transport, &addrs, trust).await;
    let port = Arc::new(port.map_err(StartError::Socket)?);
    let routes = Routes::default();
    let Some(seat) = routes.reserve(magnet.info_hash) else {
        return Err(SearchError::Start(StartError::Families));
    };
    let now = environment.clock.now();
    let fetch = MetadataFetch::new(magnet.clone(), config.torrent, seed.child(0), now);
    let handshake = fetch.handshake();
    let announce = AnnounceConfig::new(magnet.info_hash, handshake.peer_id, &addrs, magnet.tiers());
    let announce = AnnounceConfig { reach: config.torrent.reach, ..announce };
    // What is fetched here is small: it takes no part in the rate limits.
    let throttle = Throttle::default();
    let terms = Terms { torrent: seat.key(), handshake, pieces: None, timeouts: config.timeouts, throttle };
    let keys = Keys::default();
    seat.open(Route { terms: terms.clone(), queue: queue.clone() });
    let places = Places::new(config.shared.places());
    let door = Door {
        clock: environment.clock.clone(),
        routes,
        keys: keys.clone(),
        places: places.clone(),
        turned_away: Arc::default(),
        patience: config.timeouts.handshake,
        doorstep: Doorstep::default(),
    };
    let mut doors = JoinSet::new();
    for receiver in port.receivers(&environment.clock) {
        doors.spawn(receiver);
    }
    let announcer = Announcer::new(announce, seed.child(1));
    let trackers =
        TrackerLine::new(environment.clone(), port, seat.key(), queue.clone(), announcer.courses());
    for listener in listeners {
        doors.spawn(door.clone().keep(listener));
    }
    let named = named_peers(&environment, magnet, config).await;
    let clock = environment.clock.clone();
    let dialler = Dialler::new(environment, terms, keys, places, queue);
    let mut search = Search { fetch, announcer, trackers, dialler, peers: BTreeMap::new() };
    search.fetch.handle_input(now, Input::Ours(addrs));
    search.fetch.handle_input(now, Input::Candidates(Source::User, named.clone()));
    let mut shown = 0;
    loop {
        search.carry_out(clock.now(), &mut tell).await;
        if let Some(outcome) = search.fetch.outcome() {
            // The engine will listen at the same addresses: they must be free by then.
            doors.shutdown().await;
            search.dialler.end().await;
            return Ok(Found { metainfo: outcome?, peers: named });
        }
        if shown != search.fetch.peers() {
            shown = search.fetch.peers();
            tell(SearchEvent::Peers(shown));
        }
        let timer = pin!(clock.sleep_until(search.due(clock.now())));
        let happening = tokio::select! {
            biased;
            happening = happenings.recv() => happening,
            () = timer => None,
        };
        let now = clock.now();
        if let Some(happening) = happening {
            search.happened(now, happening);
        }
        search.time_passed(now);
    }
}

/// The peers that the link and the user name.
async fn named_peers<T: Transport, C: Clock>(
    environment: &Environment<T, C>,
    magnet: &Magnet,
    config: &EngineConfig,
) -> Vec<SocketAddr> {
    let mut named = config.peers.clone();
    for (host, port) in &magnet.peers {
        // A name that leads nowhere is one peer less.
        named.extend(environment.transport.resolve(host, *port).await.unwrap_or_default());
    }
    named
}

struct Search<T: Transport, C: Clock> {
    fetch: MetadataFetch,
    announcer: Announcer,
    trackers: TrackerLine<T, C>,
    dialler: Dialler<T, C>,
    peers: BTreeMap<PeerKey, Peer>,
}

impl<T: Transport, C: Clock> Search<T, C> {
    fn due(&self, now: Instant) -> Instant {
        let announcer = self.announcer.poll_timeout().map(|(at, _)| at);
        [self.fetch.poll_timeout(), announcer].into_iter().flatten().min().unwrap_or(now)
    }

    fn time_passed(&mut self, now: Instant) {
        if self.fetch.poll_timeout().is_some_and(|at| at <= now) {
            self.fetch.handle_timeout(now);
        }
        if self.announcer.poll_timeout().is_some_and(|(at, _)| at <= now) {
            self.announcer.handle_timeout(now, &self.fetch.progress());
        }
    }

    fn happened(&mut self, now: Instant, happening: Happening) {
        match happening {
            Happening::Ready(key) => self.ready(now, key),
            Happening::Knock { key, addr, link } => {
                let peer = Peer { link, addr, direction: Direction::Incoming, opened: false };
                self.peers.insert(key, peer);
            }
            Happening::Announce(input, _permit) => {
                self.announcer.handle_input(now, &self.fetch.progress(), input);
            }
            Happening::Place(key) => self.dialler.begin(key),
            Happening::Part => self.fetch.handle_input(now, Input::Part),
            // There is no disk yet, and no handle to ask with.
            Happening::Disk(_)
            | Happening::Stats(_)
            | Happening::Snapshot(_)
            | Happening::Named(..)
            | Happening::Web(..)
            | Happening::LimitsChanged
            | Happening::Priorities(_)
            | Happening::Stop => {}
        }
    }

    /// A connection's mailbox holds something.
    fn ready(&mut self, now: Instant, key: PeerKey) {
        let Some(peer) = self.peers.get_mut(&key) else { return };
        let delivery = peer.link.take(Vec::new());
        let (addr, direction) = (peer.addr, peer.direction);
        if let Some(opened) = delivery.opened {
            peer.opened = true;
            let (id, reserved) = (opened.id, opened.reserved);
            self.fetch.handle_input(now, Input::Connected { peer: key, addr, id, reserved, direction });
        }
        for message in delivery.messages {
            self.fetch.handle_input(now, Input::Message { peer: key, message });
        }
        if !delivery.ended {
            return;
        }
        match self.peers.remove(&key) {
            Some(peer) if peer.opened => self.fetch.handle_input(now, Input::Disconnected { peer: key }),
            Some(peer) if peer.direction == Direction::Outgoing => {
                self.fetch.handle_input(now, Input::ConnectFailed { addr: peer.addr });
            }
            Some(_) | None => {}
        }
    }

    /// Carries out what both machines ask for until they are content.
    async fn carry_out(&mut self, now: Instant, tell: &mut (impl FnMut(SearchEvent) + Send)) {
        self.drain(now);
        while let Some(output) = self.announcer.poll_output() {
            match output {
                announce::Output::Resolve { host, port } => self.trackers.resolve(host, port),
                announce::Output::SendTo { addr, payload } => self.trackers.send(addr, &payload).await,
                announce::Output::Get { transaction, addr, url, patience } => {
                    self.trackers.get(transaction, addr, url, patience);
                }
                announce::Output::Warned { url, text } => tracing::warn!(%url, "the tracker warns: {text}"),
                announce::Output::Peers(addrs) => {
                    self.fetch.handle_input(now, Input::Candidates(Source::Tracker, addrs));
                    self.drain(now);
                }
                announce::Output::Announced { .. } => tell(SearchEvent::Announced),
                announce::Output::Failed { url, error } => {
                    tell(SearchEvent::TrackerFailed { url, error: error.to_string() });
                }
                // Whether the torrent is private is not known before it is found.
                announce::Output::Done | announce::Output::Switched => {}
            }
        }
    }

    fn drain(&mut self, now: Instant) {
        while let Some(output) = self.fetch.poll_output() {
            match output {
                Output::Connect { addr } => {
                    let (key, peer) = self.dialler.dial(addr);
                    self.peers.insert(key, peer);
                }
                Output::Disconnect { peer, reason } => {
                    debug!(?peer, %reason, "closing a connection");
                    self.with_link(peer, Link::close);
                }
                Output::Send { peer, message } => self.with_link(peer, |link| link.send(message)),
                Output::Announce(event) => {
                    let progress = self.fetch.progress();
                    self.announcer.handle_input(now, &progress, announce::Input::Announce(event));
                }
                // There is no content yet.
                Output::Write { .. }
                | Output::Hash { .. }
                | Output::Read { .. }
                | Output::Event(_)
                | Output::Fetch(_)
                | Output::FetchMore { .. }
                | Output::FetchStop { .. } => {}
            }
        }
    }

    fn with_link(&self, peer: PeerKey, act: impl FnOnce(&Link)) {
        if let Some(peer) = self.peers.get(&peer) {
            act(&peer.link);
        }
    }
}
