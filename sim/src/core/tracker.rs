//! The tracker of a core swarm: the registry's machine behind a network that loses datagrams, and what its clients tell
//! it, which must be true.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use proto::announce;
use proto::registry::{Datagram, Datagrams, Registry, RegistryConfig, Secret};
use proto::seed::Seed;
use proto::time::Instant;
use proto::torrent::AnnounceEvent;
use proto::tracker::{Family, Request};

use super::event::{TRACKER, What, address, number_at, tracker};
use super::plan::Plan;
use super::world::World;
use crate::oracle::Oracle;

/// The stream of the registry's draws.
const TRACKER_STREAM: u64 = 1 << 41;

/// The wall clock at the start: connection ids contain it.
const WALL: Duration = Duration::from_secs(1_800_000_000);

/// What the torrents of these swarms name.
pub(super) const URL: &str = "udp://10.0.255.255:6969/announce";

/// The registry, and when it does not answer.
pub(super) struct Tracker {
    pub(super) registry: Registry,
    pub(super) down_until: Instant,
    /// How often it forgot everybody.
    lives: u8,
}

impl Tracker {
    pub(super) fn new(plan: &Plan) -> Self {
        Self { registry: registry(plan, 0, Instant::ZERO), down_until: Instant::ZERO, lives: 0 }
    }

    /// Starts again with nothing, under another secret.
    pub(super) fn forget(&mut self, plan: &Plan, now: Instant) {
        self.lives = self.lives.wrapping_add(1);
        self.registry = registry(plan, self.lives, now);
    }

    /// Where it is for whoever speaks IPv4, or both.
    pub(super) fn addrs(v6: bool) -> Vec<SocketAddr> {
        let families = if v6 { &[Family::V4, Family::V6][..] } else { &[Family::V4] };
        families.iter().map(|&family| tracker(family)).collect()
    }
}

fn registry(plan: &Plan, life: u8, now: Instant) -> Registry {
    let interval = Duration::from_millis(plan.interval);
    let config = RegistryConfig {
        interval,
        min_interval: interval / 4,
        default_peers: plan.peers_in_reply as usize,
        max_peers_in_reply: plan.peers_in_reply as usize,
        ..RegistryConfig::default()
    };
    let seed = Seed::from_u64(plan.seed).child(TRACKER_STREAM + u64::from(life));
    Registry::new(config, Secret([life; 16]), seed, now)
}

impl World<'_> {
    /// A peer sends a datagram to the tracker.
    pub(super) fn send_datagram(&mut self, host: usize, to: SocketAddr, payload: &Bytes) {
        let datagrams = match self.hosts[host].defect.as_ref() {
            Some(defect) => defect.lock().sends(payload.to_vec()),
            None => vec![payload.to_vec()],
        };
        for payload in datagrams {
            self.audit_announce(host, Family::of(to), &payload);
            let from = address(self.hosts[host].plan.number, Family::of(to));
            self.post(host, from, to, payload.into());
        }
    }

    /// A datagram of `host`'s, or to it, goes its way.
    fn post(&mut self, host: usize, from: SocketAddr, to: SocketAddr, payload: Bytes) {
        let is_lost = self.draw(host, 100) < self.plan.loss;
        let [least, most] = self.plan.latency.map(|millis| millis * 1000);
        let took = Duration::from_micros(least + self.draw(host, most - least + 1));
        let is_dark = self.now < self.hosts[host].dark_until;
        if !is_lost && !is_dark {
            self.agenda.schedule(self.now + took, What::Datagram { from, to, payload });
        }
    }

    /// What an honest peer tells the tracker is so.
    fn audit_announce(&mut self, host: usize, family: Family, payload: &[u8]) {
        let Ok(Request::Announce(request)) = Request::decode(payload) else { return };
        let (geometry, here) = (self.content.geometry, &mut self.hosts[host]);
        let missing = geometry.all_pieces().filter(|&piece| !here.held.has(piece));
        let left: u64 = missing.map(|piece| u64::from(geometry.len_of(piece))).sum();
        let (name, is_honest) = (here.plan.name(), here.is_honest());
        let Some(life) = here.life.as_mut().filter(|_| is_honest) else { return };
        let completes = request.event == Some(AnnounceEvent::Completed);
        let began_complete = life.began_with == geometry.pieces();
        let elsewhere = life.told[usize::from(family == Family::V4)].completed;
        let misconduct = life.told[usize::from(family == Family::V6)].announces(request.event);
        self.ears.note(self.now, host, || format!("announces {:?}, {left} bytes left", request.event));
        let said = request.progress.left;
        if said != left {
            self.complain(Oracle::Tracker, || format!("{name} says that {said} bytes are left of {left}"));
        }
        if completes && (left > 0 || began_complete || elsewhere) {
            self.complain(Oracle::Tracker, || {
                format!("{name} says `completed`, and did not complete just now")
            });
        }
        if let Some(misconduct) = misconduct {
            self.complain(Oracle::Tracker, || format!("{name} {misconduct}"));
        }
    }

    pub(super) fn datagram(&mut self, from: SocketAddr, to: SocketAddr, payload: &Bytes) {
        if number_at(to) != TRACKER {
            return self.answered(from, to, payload);
        }
        let now = self.now;
        let Some(&host) = self.places.get(&number_at(from)) else { return };
        if now < self.tracker.down_until {
            return;
        }
        let registry = &mut self.tracker.registry;
        if registry.poll_timeout().is_some_and(|at| at <= now) {
            registry.handle_timeout(now);
        }
        let mut replies = Datagrams::default();
        let wall = WALL + now.since(Instant::ZERO);
        registry.handle(now, wall, [Datagram { from, payload }], &mut replies);
        for (back, reply) in replies.iter() {
            self.post(host, to, back, Bytes::copy_from_slice(reply));
        }
    }

    /// The tracker's answer reaches a peer, if it is still there.
    fn answered(&mut self, from: SocketAddr, to: SocketAddr, payload: &Bytes) {
        let Some(&host) = self.places.get(&number_at(to)) else { return };
        if self.now < self.hosts[host].dark_until {
            return;
        }
        let datagrams = match self.hosts[host].defect.as_ref() {
            Some(defect) => defect.lock().receives(payload.to_vec()),
            None => vec![payload.to_vec()],
        };
        for payload in datagrams {
            self.tell_announcer(host, announce::Input::Datagram { from, payload: payload.into() });
            self.drain(host);
        }
    }
}
