//! The root of a process's work: its doors, its sockets for trackers, and a task for each torrent. A torrent
//! without peers costs this one task, which sleeps until its next announce.

use std::net::SocketAddr;
use std::sync::Arc;

use proto::announce::Announcer;
use proto::bitfield::Bitfield;
use proto::metainfo::Metainfo;
use proto::resume::{Keeper, Record};
use proto::seed::Seed;
use proto::torrent::{Input, Source, Torrent};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinSet;

use crate::announce::{TrackerLine, TrackerPort};
use crate::clock::Clock;
use crate::dialler::Dialler;
use crate::disk_jobs::{Disk, DiskJobs};
use crate::door::{Door, Doorstep, Keys, TurnedAway};
use crate::engine::TorrentOptions;
use crate::environment::Environment;
use crate::events::Events;
use crate::fetch::TrackerTrust;
use crate::lsd::Announcers;
use crate::peer::{PeerTimeouts, Terms};
use crate::places::Places;
use crate::queue::{Happening, Happenings, Queue};
use crate::resume::Past;
use crate::routes::{Route, Routes, Seat};
use crate::shared::{SlotPool, Slots};
use crate::throttle::Throttle;
use crate::torrent::{LoopState, TorrentLoop};
use crate::transport::Transport;
use crate::web_seed::{WebSeedPort, WebTerms};

/// What users ask of the root. Each entry is one call of a user.
pub(crate) enum Command {
    /// Work on one torrent more.
    Add(Box<Newcomer>),
    /// Stop all torrents and take no more.
    Stop,
}

/// A torrent that is about to begin.
pub(crate) struct Newcomer {
    pub(crate) seat: Seat,
    pub(crate) metainfo: Arc<Metainfo>,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) have: Bitfield,
    /// What an earlier run has left.
    pub(crate) record: Option<Record>,
    pub(crate) options: TorrentOptions,
    /// For the torrent and its announcer.
    pub(crate) seeds: [Seed; 2],
    pub(crate) events: Events,
    pub(crate) queue: Queue,
    pub(crate) happenings: Happenings,
}

/// What all torrents of a process share.
pub(crate) struct Process<T: Transport, C: Clock> {
    pub(crate) environment: Environment<T, C>,
    pub(crate) addrs: Vec<SocketAddr>,
    pub(crate) port: Arc<TrackerPort<T>>,
    /// Whom to believe over TLS.
    pub(crate) trust: Arc<TrackerTrust>,
    pub(crate) timeouts: PeerTimeouts,
    pub(crate) routes: Routes,
    pub(crate) keys: Keys,
    pub(crate) throttle: Throttle,
    pub(crate) places: Places,
    pub(crate) slots: SlotPool,
    pub(crate) turned_away: Arc<TurnedAway>,
    pub(crate) lsd: Announcers,
}

impl<T: Transport, C: Clock> Process<T, C> {
    /// Runs until no torrent is left and nobody can add one.
    pub(crate) async fn run(
        self,
        listeners: Vec<T::Listener>,
        local: impl Future<Output = ()> + Send + 'static,
        mut commands: UnboundedReceiver<Command>,
    ) {
        // Tasks of their own, so that the loops' many wake-ups do not poll the listeners.
        let mut services = JoinSet::new();
        let clock = &self.environment.clock;
        services.spawn(self.throttle.clone().keep(clock.clone()));
        services.spawn(local);
        for receiver in self.port.receivers(clock) {
            services.spawn(receiver);
        }
        let door = Door {
            clock: clock.clone(),
            routes: self.routes.clone(),
            keys: self.keys.clone(),
            places: self.places.clone(),
            turned_away: Arc::clone(&self.turned_away),
            patience: self.timeouts.handshake,
            doorstep: Doorstep::default(),
        };
        for listener in listeners {
            services.spawn(door.clone().keep(listener));
        }
        let (mut torrents, mut is_open) = (JoinSet::new(), true);
        loop {
            tokio::select! {
                biased;
                command = commands.recv(), if is_open => match command {
                    Some(Command::Add(newcomer)) => {
                        let happenings = self.begin(*newcomer);
                        torrents.spawn(happenings);
                    }
                    Some(Command::Stop) => {
                        is_open = false;
                        commands.close();
                        self.routes.tell_all(|| Happening::Stop);
                    }
                    None => is_open = false,
                },
                Some(ended) = torrents.join_next() => {
                    if let Err(error) = ended && error.is_panic() {
                        std::panic::resume_unwind(error.into_panic());
                    }
                }
                else => return,
            }
        }
    }

    /// The whole life of a torrent.
    fn begin(&self, newcomer: Newcomer) -> impl Future<Output = ()> + Send + use<T, C> {
        let Newcomer { seat, metainfo, disk, have, record, options, seeds, events, queue, happenings } =
            newcomer;
        let environment = self.environment.clone();
        let now = environment.clock.now();
        let [seed, announcing] = seeds;
        let flush_every = options.resume.flush_every;
        let keeper = Keeper::new(now, &have, metainfo.geometry().all_pieces(), flush_every);
        let torrent = Torrent::new(Arc::clone(&metainfo), have, options.torrent, seed, now);
        let announcer = Announcer::new(torrent.announces(&self.addrs), announcing);
        let found = torrent.admits(Source::Lsd).then(|| self.lsd.join(metainfo.info_hash()));
        let key = seat.key();
        let terms = Terms {
            torrent: key,
            handshake: torrent.handshake(),
            pieces: Some(metainfo.geometry().pieces()),
            timeouts: self.timeouts,
            throttle: self.throttle.clone(),
        };
        let port = Arc::clone(&self.port);
        let web = WebTerms {
            torrent: key,
            environment: environment.clone(),
            trust: Arc::clone(&self.trust),
            throttle: self.throttle.clone(),
            keys: self.keys.clone(),
        };
        let (keys, places) = (self.keys.clone(), self.places.clone());
        let mut torrent_loop = TorrentLoop {
            clock: environment.clock.clone(),
            metainfo: Arc::clone(&metainfo),
            torrent,
            trackers: TrackerLine::new(environment.clone(), port, key, queue.clone(), announcer.courses()),
            announcer,
            dialler: Dialler::new(environment, terms.clone(), keys, places, queue.clone()),
            slots: Slots::new(Arc::clone(&self.slots), key),
            web_seeds: WebSeedPort::new(web, queue.clone()),
            disk: DiskJobs::new(disk, queue.clone()),
            keeper,
            past: Past::of(record.as_ref()),
            terms: terms.clone(),
            events,
            state: LoopState::default(),
        };
        if !options.priorities.is_empty() {
            let wanted = metainfo.piece_priorities(&options.priorities);
            torrent_loop.torrent.handle_input(now, Input::Wanted(wanted));
        }
        torrent_loop.torrent.handle_input(now, Input::Ours(self.addrs.clone()));
        let limit = self.throttle.upload_limit(key);
        torrent_loop.torrent.handle_input(now, Input::UploadLimit(limit));
        torrent_loop.torrent.handle_input(now, Input::Candidates(Source::User, options.peers));
        let met = record.map(|record| record.peers).unwrap_or_default();
        torrent_loop.torrent.handle_input(now, Input::Candidates(Source::Resume, met));
        seat.open(Route { terms, queue });
        let (throttle, places) = (self.throttle.clone(), self.places.clone());
        async move {
            torrent_loop.run(happenings).await;
            throttle.forget_torrent(seat.key());
            places.forget_torrent(seat.key());
            drop((seat, found));
        }
    }
}
