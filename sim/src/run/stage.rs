//! The stage: a world with its hosts, and what has happened on it so far.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use engine::EngineConfig;
use proto::metainfo::{Metainfo, Priority};
use proto::time::Instant;
use proto::torrent::TorrentConfig;
use tokio::sync::mpsc;

use super::agenda::{Action, Agenda};
use super::exam::{self, Answer};
use super::log::SharedLog;
use super::peer::Order;
use super::start::limits_itself;
use super::tracker::TrackerHost;
use super::triggers::Triggers;
use super::{Glimpse, RunError, STEP, Watching, hosts, torrent};
use crate::defect::{SharedDefect, Tampered};
use crate::hostile::Deeds;
use crate::oracle::{self, Conduct, Court, Ledger, Provenance, Suspect};
use crate::record::{Packets, PeerRecord, Record, TrackerRecord};
use crate::scenario::expand::keyed;
use crate::scenario::quantity::duration_text;
use crate::scenario::{Clock, FaultKind, FaultPlan, PeerPlan, Plan, Policy, Role, TRACKER, Target};
use crate::storage::{Content, SharedStorage};
use crate::wiretap::both;
use crate::world::{ClockError, World, WorldSettings};

/// A plan in progress.
pub(super) struct Stage<'a> {
    pub(super) plan: &'a Plan,
    pub(super) world: World,
    pub(super) agenda: Agenda,
    pub(super) content: Arc<Content>,
    pub(super) metainfo: Arc<Metainfo>,
    pub(super) tracker: TrackerHost,
    pub(super) peers: Vec<Peer>,
    /// Judges what the peers say to each other.
    court: Arc<Mutex<Court>>,
    /// Keeps the accounts of what they send.
    ledger: Arc<Mutex<Ledger>>,
    /// Faults that found nobody.
    pub(super) vacuous: Vec<String>,
    pub(super) triggers: Triggers,
}

/// One peer, whether its host is up or not.
pub(super) struct Peer {
    pub(super) storage: SharedStorage,
    pub(super) log: SharedLog,
    /// How often it was started.
    pub(super) lives: u64,
    pub(super) orders: Option<mpsc::UnboundedSender<Order>>,
    /// Its completion stands in the digest.
    noted: bool,
    /// What is wrong with it, in a test of the bench.
    pub(super) defect: Option<SharedDefect>,
    /// What it does if it is hostile.
    pub(super) deeds: Deeds,
    /// A fault waits for what happens on its disk.
    pub(super) is_held: bool,
}

impl<'a> Stage<'a> {
    /// A world in which nothing has happened yet.
    pub(super) fn set(plan: &'a Plan, tampered: &Tampered, watching: &Watching) -> Result<Self, RunError> {
        let (content, metainfo) = torrent::make(plan, hosts::announce_url())?;
        let settings =
            WorldSettings { seed: keyed(plan.seed, "network", ""), tick: plan.run.tick, mtu: plan.run.mtu };
        let specs = hosts::specs(plan);
        let mut world = World::new(settings, &specs)?;
        if let Some(missing) = (0..specs.len()).find(|&index| world.host(index).is_none()) {
            return Err(RunError::Host(missing));
        }
        conditions(&mut world, plan);
        hosts::put_behind_nat(&mut world, plan);
        let held: BTreeSet<_> = plan.held_disks().collect();
        let peer = |(index, peer): (usize, &PeerPlan)| Peer {
            storage: match peer.role {
                Role::Seeder => SharedStorage::full(Arc::clone(&content)),
                Role::Leecher | Role::Announcer | Role::Hostile(_) => {
                    SharedStorage::empty(Arc::clone(&content))
                }
            },
            log: SharedLog::new(if peer.role.is_honest() { content.geometry().pieces() } else { 0 }),
            lives: 0,
            orders: None,
            noted: false,
            defect: tampered.of(&peer.name),
            deeds: Deeds::new(world.clock()),
            is_held: held.contains(&Target::Peer(index)),
        };
        let peers: Vec<_> = plan.peers.iter().enumerate().map(peer).collect();
        let (agenda, tracker) = (Agenda::of(plan), TrackerHost::new(plan, tampered.of(TRACKER)));
        let court = Arc::new(Mutex::new(judge(plan, &content, &peers)));
        let ledger = Arc::new(Mutex::new(Ledger::new(hosts::holders(plan))));
        let mut triggers = Triggers::of(plan);
        let judges = triggers.listen(&world, both(court.clone(), ledger.clone()));
        world.overhear(match watching.messages.clone() {
            None => judges,
            Some(listener) => both(judges, listener),
        });
        if let Some(watcher) = watching.network.clone() {
            world.watch(watcher);
        }
        let vacuous = Vec::new();
        let mut stage =
            Self { plan, world, agenda, content, metainfo, tracker, peers, court, ledger, vacuous, triggers };
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
            let mut next = self.agenda.next_at().map_or(until, |at| at.min(until));
            if self.triggers.is_waiting() {
                next = next.min(self.now() + self.triggers.patience(self.plan.run.tick));
            }
            self.world.run_until(Instant::ZERO + next);
            self.note_completions();
            self.bury();
            self.look();
            self.act();
            self.hold_disks();
        }
    }

    /// Does what is due.
    fn act(&mut self) {
        let now = self.now();
        while let Some(action) = self.agenda.pop_due(now) {
            match action {
                Action::Start(target) => self.start(target),
                Action::Fault(fault) => self.fault(fault, now),
                Action::Mend(fault) => self.mend(fault),
                Action::Disturb(number) => self.disturb(number, now),
                Action::Calm(number, cut) => self.calm(number, cut),
            }
        }
    }

    pub(super) fn order(&self, target: Target, order: Order) {
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
            self.agenda.faults().map(|at| format!("fault at {}: the run was over", duration_text(at))),
        );
        self.vacuous.extend(self.settle_triggers(&mut record.plan));
        record.vacuous = std::mem::take(&mut self.vacuous);
        // Before the engines are asked, which count what they send once it has left.
        let accounts: Vec<_> = self.peers.iter().map(|peer| peer.deeds.account()).collect();
        for index in 0..self.peers.len() {
            self.order(Target::Peer(index), Order::Count);
        }
        let next_tick = self.world.now() + self.plan.run.tick;
        self.world.run_until(next_tick);
        record.tracker = self.examine();
        record.conduct = self.court.lock().unwrap_or_else(PoisonError::into_inner).adjourn();
        let ledger = self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        record.provenance = ledger.provenance();
        if record.tracker.missed > 0 {
            let missed = record.tracker.missed;
            record.vacuous.push(format!("tracker: {missed} datagrams were too many to judge any"));
        }
        let peers = record.peers.iter_mut().zip(&self.peers).zip(accounts).enumerate();
        for (index, ((seen, peer), account)) in peers {
            seen.statement = ledger.statement(hosts::index(Target::Peer(index)));
            let log = peer.log.lock();
            let sums = log.sums();
            seen.known = log.known;
            drop(log);
            (seen.uploaded, seen.downloaded, seen.duplicate) =
                (sums.uploaded, sums.downloaded, sums.duplicate);
            account.confess(seen);
            seen.identical = peer.storage.canonical_pieces().count();
        }
        record
    }

    /// Asks the tracker, and takes down what was seen at its door.
    fn examine(&mut self) -> TrackerRecord {
        let tracker = self.world.host(hosts::index(Target::Tracker));
        let examiner = hosts::observer(self.plan);
        let observer = self.world.host(hosts::index(examiner));
        let Some((tracker, observer)) = tracker.zip(observer) else { return TrackerRecord::default() };
        let answer = Answer::default();
        if self.world.is_running(tracker)
            && let Some((to, from)) = hosts::talking(self.plan, examiner)
        {
            let (environment, info_hash) = (self.world.environment(observer), self.metainfo.info_hash());
            self.world.start(observer, exam::ask(environment, from, to, info_hash, Arc::clone(&answer)));
            let limit = self.world.now() + exam::LONGEST;
            while self.world.now() < limit && self.world.is_running(observer) {
                let next = self.world.now() + STEP;
                self.world.run_until(next.min(limit));
            }
        }
        let (seen, missed) = self.world.take_seen();
        let (refused, in_the_end) = (self.world.refused(tracker), exam::read(&answer));
        TrackerRecord { seen, missed, refused, in_the_end, ..self.tracker.record() }
    }

    /// What was seen so far, without what only the engines and the disks know.
    fn seen(&self) -> Record {
        let totals = self.world.totals();
        Record {
            plan: self.plan.clone(),
            digest: self.world.digest(),
            seconds: self.world.seconds(),
            end: self.now(),
            peers: (0..self.peers.len()).filter_map(|index| self.peer_record(index)).collect(),
            tracker: self.tracker.record(),
            conduct: Conduct::default(),
            provenance: Provenance::default(),
            packets: Packets { sent: totals.sent, delivered: totals.delivered, dropped: totals.dropped },
            wire_bytes: totals.sent_bytes,
            settings: settings(self.plan, &self.tracker),
            vacuous: Vec::new(),
            undisturbed: None,
        }
    }

    fn peer_record(&self, index: usize) -> Option<PeerRecord> {
        let host = self.world.host(hosts::index(Target::Peer(index)))?;
        let (up, down) = self.world.link_counts(host);
        let log = self.peers.get(index)?.log.lock();
        Some(PeerRecord {
            addrs: hosts::public_addresses(self.plan, index),
            lives: log.lives(),
            completed: log.completed,
            gone: log.gone.clone(),
            pieces: log.pieces.clone(),
            up_bytes: up.carried,
            down_bytes: down.carried,
            failure: log.failure.clone(),
            failed: log.failed.clone(),
            bans: log.bans.clone(),
            undone: log.undone,
            needless: log.needless,
            false_claims: log.false_claims,
            uncounted: log.uncounted,
            ..PeerRecord::default()
        })
    }
}

/// Makes the hosts as the plan wants them.
fn conditions(world: &mut World, plan: &Plan) {
    let clocks = plan.peers.iter().enumerate().map(|(index, peer)| (Target::Peer(index), peer.clock));
    for (target, Clock { skew, drift }) in clocks.chain([(Target::Tracker, plan.tracker.clock)]) {
        if let Some(host) = world.host(hosts::index(target)) {
            world.set_clock(host, ClockError { skew, drift });
        }
    }
    hosts::lay_paths(world, plan);
    let Some(tracker) = world.host(hosts::index(Target::Tracker)) else { return };
    plan.tracker.service_time.inspect(|&time| world.set_service_time(tracker, time));
    plan.tracker.socket_buffer.inspect(|&bytes| world.limit_inbox(tracker, bytes));
    world.tap(tracker);
}

/// Whose clock is further off cannot be held to times, in parts of a million: protocols leave a few percent.
const MAX_DRIFT: u32 = 10_000;

/// Whoever is an engine is held to the rules, if it is known what it holds: nearly all of them depend on that.
fn judge(plan: &Plan, content: &Content, peers: &[Peer]) -> Court {
    let engines = plan.peers.iter().zip(peers).enumerate();
    let engines = engines.filter(|(index, (peer, _))| peer.role.is_honest() && plan.is_plain(*index));
    let suspects = engines.map(|(index, (peer, seen))| {
        let pauses = |fault: &FaultPlan| {
            matches!(fault.kind, FaultKind::Pause(_)) && fault.target == Target::Peer(index)
        };
        let suspect = Suspect {
            name: peer.name.clone(),
            holdings: Box::new(seen.log.clone()),
            super_seeds: peer.super_seed,
            untimed: plan.faults.iter().any(pauses) || peer.clock.drift.unsigned_abs() > MAX_DRIFT,
            limited: limits_itself(plan, index, seen.defect.as_ref()),
        };
        (hosts::index(Target::Peer(index)), suspect)
    });
    Court::new(content.geometry(), plan.torrent.private, suspects)
}

/// The settings that matter, for the report.
fn settings(plan: &Plan, tracker: &TrackerHost) -> String {
    let torrent = config(plan, Target::Peer(0)).torrent;
    let mut text = format!(
        "{} connections, {} upload slots, {} optimistic; announces every {}",
        torrent.max_peers,
        torrent.upload_slots,
        torrent.optimistic_slots,
        duration_text(tracker.interval())
    );
    // The first of each kind that plays by a policy of its own; the defaults go without saying.
    let default = TorrentConfig::default();
    let chosen = |pick: fn(&Policy) -> Option<&'static str>, default| {
        let names = plan.peers.iter().filter_map(move |peer| pick(&peer.policy));
        names.into_iter().find(|&name| name != default)
    };
    let policies = [
        ("picker", chosen(|policy| Some(policy.picker?.name), default.picker.name)),
        ("choker", chosen(|policy| Some(policy.choker?.name), default.choker.name)),
        ("seed choker", chosen(|policy| Some(policy.seed_choker?.name), default.seed_choker.name)),
    ];
    for (kind, name) in policies {
        if let Some(name) = name {
            let _ = write!(text, "; {kind} {name}");
        }
    }
    text
}

/// The engine's production settings, save what the scenario says.
pub(super) fn config(plan: &Plan, target: Target) -> EngineConfig {
    let mut config = EngineConfig::at(hosts::doors(plan, target));
    if let Some(connections) = plan.run.max_connections {
        config.torrent.max_peers = connections as usize;
        config.torrent.dial_below = config.torrent.dial_below.min(connections as usize);
    }
    if let Target::Peer(index) = target
        && let Some(peer) = plan.peers.get(index)
    {
        peer.policy.apply(&mut config.torrent);
        config.torrent.super_seeding = peer.super_seed;
        if let Some((first, last)) = peer.select {
            let level = |file| if (first..=last).contains(&file) { Priority::Normal } else { Priority::Skip };
            config.priorities = (0..plan.torrent.files).map(level).collect();
        }
    }
    config
}
