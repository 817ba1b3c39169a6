//! The root future of a peer's host: starts its engine and writes down what it says.

use std::sync::Arc;
use std::time::Duration;

use engine::clock::Clock;
use engine::metadata::find_metadata;
use engine::storage::Storage;
use engine::transport::Transport;
use engine::{Engine, EngineConfig, EngineEvent, Environment, TorrentHandle};
use proto::metainfo::{Magnet, Metainfo};
use proto::seed::Seed;
use proto::time::Instant;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::log::SharedLog;
use crate::defect::{SharedDefect, TamperedStorage, TamperedTransport};
use crate::scenario::{Departure, Start};
use crate::storage::SharedStorage;
use crate::world::{SimClock, SimTransport};

/// What the runner may ask of a running peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Leave in good order.
    Leave,
    /// Write your sums into the log.
    Count,
}

/// How often a peer that leaves at some ratio looks at its own.
const WEIGHING: Duration = Duration::from_secs(1);

/// How often its address book is looked into.
const LOOK: Duration = Duration::from_secs(600);

/// All that a peer's life needs.
pub(super) struct Life<T: Transport, S> {
    pub(super) environment: Environment<T, SimClock>,
    pub(super) metainfo: Arc<Metainfo>,
    pub(super) storage: S,
    /// The disk itself, for those who watch.
    pub(super) disk: SharedStorage,
    pub(super) config: EngineConfig,
    pub(super) seed: Seed,
    pub(super) start: Start,
    pub(super) departure: Departure,
    /// It has everything from the start.
    pub(super) is_seeder: bool,
    pub(super) arrival: Duration,
    pub(super) log: SharedLog,
    pub(super) orders: mpsc::UnboundedReceiver<Order>,
    /// True time: what is written down must not depend on a host's wrong clock.
    pub(super) clock: SimClock,
}

impl Life<SimTransport, SharedStorage> {
    /// The same life with something wrong.
    pub(super) fn tampered(self, defect: SharedDefect) -> Life<TamperedTransport, TamperedStorage> {
        let Self { environment, storage: inner, mut config, clock, .. } = self;
        defect.lock().configures(&mut config);
        let transport = TamperedTransport::new(environment.transport, defect.clone(), clock.clone());
        Life {
            environment: Environment { transport, clock: environment.clock },
            storage: TamperedStorage { inner, defect },
            config,
            clock,
            metainfo: self.metainfo,
            disk: self.disk,
            seed: self.seed,
            start: self.start,
            departure: self.departure,
            is_seeder: self.is_seeder,
            arrival: self.arrival,
            log: self.log,
            orders: self.orders,
        }
    }
}

/// Lives until the engine ends.
pub(super) async fn live<T: Transport, S: Storage>(life: Life<T, S>) {
    let Life { environment, metainfo, storage, config, seed, clock, .. } = life;
    let now = elapsed(&clock);
    let (metainfo, config) = match life.start {
        Start::File => (metainfo, config),
        Start::Magnet => {
            let magnet = Magnet::of(&metainfo);
            match find_metadata(environment.clone(), &magnet, &config, seed, |_| ()).await {
                Ok(found) => (Arc::new(found.metainfo), EngineConfig { peers: found.peers, ..config }),
                Err(error) => return life.log.lock().failure = Some(error.to_string()),
            }
        }
    };
    let size = metainfo.geometry().len();
    match Engine::start(environment, metainfo, storage, config, seed).await {
        Err(error) => life.log.lock().failure = Some(error.to_string()),
        Ok((handle, root)) => {
            let observer = Observer {
                handle,
                leave_at: leave_at(life.departure, life.arrival, now),
                departure: life.departure,
                weigh_at: matches!(life.departure, Departure::Ratio(_)).then_some(now + WEIGHING),
                look_at: now + LOOK,
                size,
                is_seeder: life.is_seeder,
                orders: life.orders,
                log: life.log,
                disk: life.disk,
                clock,
            };
            // A task of its own, so that it is not asked each time the engine is.
            let mut observing = JoinSet::new();
            observing.spawn(observer.observe());
            root.await;
            while observing.join_next().await.is_some() {}
        }
    }
}

/// When it leaves, as far as that is known at its start. A host that was down when it should have left does
/// so now.
pub(super) fn leave_at(departure: Departure, arrival: Duration, now: Duration) -> Option<Duration> {
    match departure {
        Departure::AfterArrival(time) => Some((arrival + time).max(now)),
        Departure::Never
        | Departure::AfterCompletion(_)
        | Departure::Exponential(_)
        | Departure::Drawn(_)
        | Departure::Ratio(_)
        | Departure::Holding(_) => None,
    }
}

struct Observer {
    handle: TorrentHandle,
    clock: SimClock,
    log: SharedLog,
    disk: SharedStorage,
    orders: mpsc::UnboundedReceiver<Order>,
    departure: Departure,
    leave_at: Option<Duration>,
    /// When to look at what it has uploaded.
    weigh_at: Option<Duration>,
    /// When to look into its address book.
    look_at: Duration,
    /// Bytes of the content.
    size: u64,
    is_seeder: bool,
}

impl Observer {
    async fn observe(mut self) {
        loop {
            tokio::select! {
                biased;
                event = self.handle.next_event() => match event {
                    Some(event) => self.note(event),
                    None => break,
                },
                Some(order) = self.orders.recv() => self.obey(order).await,
                () = sleep_until(&self.clock, self.leave_at) => self.leave().await,
                () = sleep_until(&self.clock, self.weigh_at) => self.weigh().await,
                () = sleep_until(&self.clock, Some(self.look_at)) => self.look().await,
            }
        }
        let mut log = self.log.lock();
        if log.gone.is_none() && log.failure.is_none() {
            log.failure = Some("the engine ended by itself".to_owned());
        }
    }

    fn note(&mut self, event: EngineEvent) {
        let now = elapsed(&self.clock);
        let mut log = self.log.lock();
        match event {
            EngineEvent::Checked { have, .. } => {
                log.checked(now, have, &self.disk.sound_pieces());
            }
            EngineEvent::PieceVerified(piece) => log.verified(now, piece),
            EngineEvent::Completed | EngineEvent::SelectionCompleted => {
                log.completed.get_or_insert(now);
            }
            EngineEvent::StorageFailed { error, .. } => log.failure = Some(error),
            EngineEvent::PieceFailed(piece) => log.failed.push((now, piece)),
            EngineEvent::Banned(banned) => log.banned(now, &banned),
            EngineEvent::Listening(_)
            | EngineEvent::FileLost { .. }
            | EngineEvent::Announced { .. }
            | EngineEvent::TrackerFailed { .. }
            | EngineEvent::WebSeedFailed { .. }
            | EngineEvent::Missed(_)
            | EngineEvent::Stopped => {}
        }
        if log.gone.is_some() {
            self.leave_at = None;
            return;
        }
        match (self.departure, log.completed) {
            (Departure::AfterCompletion(time), Some(completed)) => self.leave_at = Some(completed + time),
            (Departure::Holding(share), _)
                if log.held() * 1_000_000 >= log.pieces.len() as u64 * u64::from(share) =>
            {
                self.leave_at = Some(now);
            }
            _ => {}
        }
    }

    /// Looks whether it has uploaded enough, if it leaves then.
    async fn weigh(&mut self) {
        let Departure::Ratio(thousandths) = self.departure else { return };
        let is_done = { self.log.lock().completed.is_some() } || self.is_seeder;
        if let Some(stats) = self.handle.stats().await
            && is_done
            && stats.progress.uploaded * 1_000 >= self.size * u64::from(thousandths)
        {
            self.leave().await;
        }
        self.weigh_at = self.weigh_at.map(|_| elapsed(&self.clock) + WEIGHING);
    }

    /// Looks into its address book, which may be full in the middle of a life and empty in the end.
    async fn look(&mut self) {
        self.look_at = elapsed(&self.clock) + LOOK;
        if let Some(stats) = self.handle.stats().await {
            self.log.lock().knows(stats.known);
        }
    }

    async fn obey(&mut self, order: Order) {
        match order {
            Order::Leave => self.leave().await,
            Order::Count => self.count().await,
        }
    }

    /// It sends on until it hears of it, so it is asked again then; if it is gone by that time, the first answer stands.
    async fn leave(&mut self) {
        self.leave_at = None;
        self.count().await;
        let at = elapsed(&self.clock);
        self.log.lock().leaves(at);
        self.handle.stop();
        self.count().await;
    }

    async fn count(&self) {
        if let Some(stats) = self.handle.stats().await {
            self.log.lock().count(&stats);
        }
    }
}

/// Ends at this true time; never if there is none.
pub(super) async fn sleep_until(clock: &SimClock, at: Option<Duration>) {
    match at {
        Some(at) => clock.sleep_until(Instant::ZERO + at).await,
        None => std::future::pending().await,
    }
}

/// True time since the start of the run.
pub(super) fn elapsed(clock: &SimClock) -> Duration {
    clock.now().since(Instant::ZERO)
}
