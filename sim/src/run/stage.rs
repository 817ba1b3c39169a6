//! The stage: a world with its hosts, and what has happened on it so far.

use std::sync::Arc;
use std::time::Duration;

use engine::EngineConfig;
use proto::metainfo::Metainfo;
use proto::time::Instant;
use tokio::sync::mpsc;

use super::agenda::{Action, Agenda};
use super::log::SharedLog;
use super::peer::{self, Life, Order};
use super::tracker::TrackerHost;
use super::{Glimpse, RunError, hosts, torrent};
use crate::oracle;
use crate::record::{Departed, Packets, PeerRecord, Record};
use crate::scenario::expand::keyed;
use crate::scenario::quantity::duration_text;
use crate::scenario::{FaultKind, FaultPlan, PeerPlan, Plan, Role, TRACKER, Target};
use crate::storage::{Content, SharedStorage};
use crate::world::{HostId, World, WorldSettings};

/// A plan in progress.
pub(super) struct Stage<'a> {
    plan: &'a Plan,
    world: World,
    agenda: Agenda,
    content: Arc<Content>,
    metainfo: Arc<Metainfo>,
    tracker: TrackerHost,
    peers: Vec<Peer>,
    /// Faults that found nobody.
    vacuous: Vec<String>,
}

/// One peer, whether its host is up or not.
struct Peer {
    storage: SharedStorage,
    log: SharedLog,
    /// How often it was started.
    lives: u64,
    orders: Option<mpsc::UnboundedSender<Order>>,
    /// Its completion stands in the digest.
    noted: bool,
}

impl<'a> Stage<'a> {
    /// A world in which nothing has happened yet.
    pub(super) fn set(plan: &'a Plan) -> Result<Self, RunError> {
        let (content, metainfo) = torrent::make(plan, hosts::address(Target::Tracker))?;
        let settings =
            WorldSettings { seed: keyed(plan.seed, "network", ""), tick: plan.run.tick, mtu: plan.run.mtu };
        let specs = hosts::specs(plan);
        let world = World::new(settings, &specs)?;
        if let Some(missing) = (0..specs.len()).find(|&index| world.host(index).is_none()) {
            return Err(RunError::Host(missing));
        }
        let peer = |peer: &PeerPlan| Peer {
            storage: match peer.role {
                Role::Seeder => SharedStorage::full(Arc::clone(&content)),
                Role::Leecher => SharedStorage::empty(Arc::clone(&content)),
            },
            log: SharedLog::new(content.geometry().pieces()),
            lives: 0,
            orders: None,
            noted: false,
        };
        let peers = plan.peers.iter().map(peer).collect();
        let (agenda, tracker) = (Agenda::of(plan), TrackerHost::new(plan));
        let mut stage = Self { plan, world, agenda, content, metainfo, tracker, peers, vacuous: Vec::new() };
        stage.act();
        Ok(stage)
    }

    /// Simulated time.
    pub(super) fn now(&self) -> Duration {
        self.world.now().since(Instant::ZERO)
    }

    /// Lets time pass, with all that is due on the way.
    pub(super) fn run_until(&mut self, until: Duration) {
        while self.now() < until {
            let next = self.agenda.next_at().map_or(until, |at| at.min(until));
            self.world.run_until(Instant::ZERO + next);
            self.note_completions();
            self.act();
        }
    }

    /// Does what is due.
    fn act(&mut self) {
        let now = self.now();
        while let Some(action) = self.agenda.pop_due(now) {
            match action {
                Action::Start(target) => self.start(target),
                Action::Fault(fault) => self.fault(fault, now),
            }
        }
    }

    fn start(&mut self, target: Target) {
        let Some(host) = self.world.host(hosts::index(target)) else { return };
        let environment = self.world.environment(host);
        match target {
            Target::Tracker => self.world.start(host, self.tracker.live(environment)),
            Target::Peer(index) => {
                let (Some(peer), Some(plan)) = (self.peers.get_mut(index), self.plan.peers.get(index)) else {
                    return;
                };
                let (sender, orders) = mpsc::unbounded_channel();
                peer.orders = Some(sender);
                peer.log.lock().reborn();
                let life = Life {
                    environment,
                    metainfo: Arc::clone(&self.metainfo),
                    storage: peer.storage.clone(),
                    config: config(self.plan, target),
                    seed: keyed(self.plan.seed, "engine", &plan.name).child(peer.lives),
                    departure: plan.departure,
                    arrival: plan.arrival,
                    log: peer.log.clone(),
                    orders,
                };
                peer.lives += 1;
                self.world.start(host, peer::live(life));
            }
        }
    }

    fn fault(&mut self, fault: FaultPlan, now: Duration) {
        let Some(host) = self.world.host(hosts::index(fault.target)) else { return };
        if !self.world.is_running(host) {
            let who = self.name(fault.target);
            self.vacuous.push(format!("fault at {}: {who} was not there", duration_text(fault.at)));
            return;
        }
        self.world.note(&format!("{:?} {:?}", fault.kind, fault.target));
        match fault.kind {
            FaultKind::Leave => self.order(fault.target, Order::Leave),
            FaultKind::Crash { back_after } => self.crash(host, fault.target, back_after, now),
        }
    }

    fn name(&self, target: Target) -> &str {
        match target {
            Target::Tracker => TRACKER,
            Target::Peer(index) => self.plan.peers.get(index).map_or("nobody", |peer| &peer.name),
        }
    }

    fn crash(&mut self, host: HostId, target: Target, back_after: Option<Duration>, now: Duration) {
        self.world.crash(host);
        let peer = match target {
            Target::Tracker => None,
            Target::Peer(index) => self.peers.get_mut(index),
        };
        match back_after {
            Some(time) => self.agenda.add(now + time, Action::Start(target)),
            None => {
                if let Some(peer) = peer {
                    let how = "crashed".to_owned();
                    peer.log.lock().gone.get_or_insert(Departed { at: now, how });
                }
            }
        }
    }

    fn order(&self, target: Target, order: Order) {
        let Target::Peer(index) = target else { return };
        if let Some(orders) = self.peers.get(index).and_then(|peer| peer.orders.as_ref()) {
            // Whoever has gone meanwhile needs no order.
            let _ = orders.send(order);
        }
    }

    /// Writes new completions into the digest.
    fn note_completions(&mut self) {
        for (peer, plan) in self.peers.iter_mut().zip(&self.plan.peers) {
            if peer.noted {
                continue;
            }
            if let Some(at) = peer.log.lock().completed {
                peer.noted = true;
                self.world.note(&format!("{} complete at {} us", plan.name, at.as_micros()));
            }
        }
    }

    /// Can nothing change any more that the expectations ask for? `search` for extinct pieces, too?
    pub(super) fn is_decided(&self, search: bool) -> bool {
        let open = |(plan, peer): (&PeerPlan, &Peer)| {
            let log = peer.log.lock();
            plan.role == Role::Leecher && log.completed.is_none() && log.gone.is_none()
        };
        if !self.plan.peers.iter().zip(&self.peers).any(open) {
            return true;
        }
        // Whoever is still to come or to return may bring a lost piece.
        if !search || !self.agenda.is_empty() || !self.peers.iter().any(|peer| peer.log.lock().gone.is_some())
        {
            return false;
        }
        oracle::nobody_can_complete(&self.seen())
    }

    /// How far the run is.
    pub(super) fn glimpse(&self) -> Glimpse {
        let leechers = || self.plan.leechers().filter_map(|(index, _)| self.peers.get(index));
        let count = leechers().count();
        Glimpse {
            now: self.now(),
            completed: leechers().filter(|peer| peer.log.lock().completed.is_some()).count(),
            leechers: count,
            pieces: leechers().map(|peer| peer.log.lock().held()).sum(),
            all_pieces: count as u64 * u64::from(self.content.geometry().pieces()),
        }
    }

    /// The end: everybody's sums, and what the disks hold.
    pub(super) fn record(mut self) -> Record {
        let mut record = self.seen();
        self.vacuous.extend(
            self.agenda
                .faults()
                .map(|fault| format!("fault at {}: the run was over", duration_text(fault.at))),
        );
        record.vacuous = std::mem::take(&mut self.vacuous);
        for index in 0..self.peers.len() {
            self.order(Target::Peer(index), Order::Count);
        }
        let next_tick = self.world.now() + self.plan.run.tick;
        self.world.run_until(next_tick);
        for (seen, peer) in record.peers.iter_mut().zip(&self.peers) {
            let sums = peer.log.lock().sums();
            (seen.uploaded, seen.downloaded, seen.duplicate) =
                (sums.uploaded, sums.downloaded, sums.duplicate);
            seen.identical = peer.storage.canonical_pieces().count();
        }
        record
    }

    /// What was seen so far, without what only the engines and the disks know.
    fn seen(&self) -> Record {
        let totals = self.world.totals();
        Record {
            plan: self.plan.clone(),
            digest: self.world.digest(),
            end: self.now(),
            peers: (0..self.peers.len()).filter_map(|index| self.peer_record(index)).collect(),
            packets: Packets { sent: totals.sent, delivered: totals.delivered, dropped: totals.dropped },
            wire_bytes: totals.sent_bytes,
            settings: settings(self.plan, &self.tracker),
            vacuous: Vec::new(),
        }
    }

    fn peer_record(&self, index: usize) -> Option<PeerRecord> {
        let host = self.world.host(hosts::index(Target::Peer(index)))?;
        let (up, down) = self.world.link_counts(host);
        let log = self.peers.get(index)?.log.lock();
        Some(PeerRecord {
            completed: log.completed,
            gone: log.gone.clone(),
            pieces: log.pieces.clone(),
            up_bytes: up.carried,
            down_bytes: down.carried,
            failure: log.failure.clone(),
            ..PeerRecord::default()
        })
    }
}

/// The settings that matter, for the report.
fn settings(plan: &Plan, tracker: &TrackerHost) -> String {
    let torrent = config(plan, Target::Peer(0)).torrent;
    format!(
        "{} connections, {} upload slots, {} optimistic; announces every {}",
        torrent.max_peers,
        torrent.upload_slots,
        torrent.optimistic_slots,
        duration_text(tracker.interval())
    )
}

/// The engine's production settings, save what the scenario says.
fn config(plan: &Plan, target: Target) -> EngineConfig {
    let mut config = EngineConfig::new(hosts::address(target));
    if let Some(connections) = plan.run.max_connections {
        config.torrent.max_peers = connections as usize;
        config.torrent.dial_below = config.torrent.dial_below.min(connections as usize);
    }
    config
}
