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
    match Engine::start(environment, metainfo, storage, config, seed).await {
        Err(error) => life.log.lock().failure = Some(error.to_string()),
        Ok((handle, root)) => {
            let observer = Observer {
                handle,
                leave_at: leave_at(life.departure, life.arrival, now),
                departure: life.departure,
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
        Departure::Never | Departure::AfterCompletion(_) | Departure::Exponential(_) => None,
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
                log.checked(now, have, self.disk.canonical_pieces().count());
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
        if let (Departure::AfterCompletion(time), Some(completed)) = (self.departure, log.completed) {
            self.leave_at = log.gone.is_none().then_some(completed + time);
        }
    }

    async fn obey(&mut self, order: Order) {
        match order {
            Order::Leave => self.leave().await,
            Order::Count => self.count().await,
        }
    }

    async fn leave(&mut self) {
        self.leave_at = None;
        self.count().await;
        let at = elapsed(&self.clock);
        self.log.lock().leaves(at);
        self.handle.stop();
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
