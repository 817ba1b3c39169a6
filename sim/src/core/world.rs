//! The world of a core swarm: drives the machines of every peer on a virtual clock, and carries out what they ask.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use proto::announce;
use proto::id::InfoHash;
use proto::metainfo::Metainfo;
use proto::time::Instant;
use proto::torrent::{Input, Output, Source};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::disk::Content;
use super::ears::Ears;
use super::event::{Agenda, What};
use super::host::Host;
use super::line::Lines;
use super::plan::Plan;
use super::tracker::Tracker;
use crate::oracle::{Oracle, Violation};

/// Events at one instant at the most: who needs more turns in a circle.
const MAX_AT_ONCE: u32 = 200_000;

/// How long nothing may be left to do before a run is over: what was said last is heard, announces are answered.
const TAIL: Duration = Duration::from_secs(15);

/// How often it is asked whether the run is over.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What is said of one oracle at the most.
const MAX_TOLD: usize = 4;

/// A swarm while it runs.
pub(super) struct World<'a> {
    pub(super) plan: &'a Plan,
    pub(super) metainfo: Arc<Metainfo>,
    pub(super) content: Content,
    pub(super) now: Instant,
    pub(super) agenda: Agenda,
    pub(super) hosts: Vec<Host>,
    /// The place of each peer, by its number.
    pub(super) places: BTreeMap<u32, usize>,
    pub(super) lines: Lines,
    pub(super) tracker: Tracker,
    pub(super) ears: Ears,
    pub(super) violations: Vec<Violation>,
    pub(super) events: u64,
}

impl World<'_> {
    pub(super) fn info_hash(&self) -> InfoHash {
        self.metainfo.info_hash()
    }

    /// Runs until nobody can get any further, or until `limit`; was somebody still waiting then?
    pub(super) fn run(&mut self, limit: Instant) -> bool {
        for (place, peer) in self.plan.peers.iter().enumerate() {
            self.agenda.schedule(Instant::from_micros(peer.arrives * 1000), What::Starts(place));
        }
        for (place, fault) in self.plan.faults.iter().enumerate() {
            self.agenda.schedule(Instant::from_micros(fault.at * 1000), What::Fault(place));
        }
        let (mut looked, mut quiet_since, mut at_once) = (Instant::ZERO, None, 0);
        let mut was_stopped = false;
        while let Some((at, what)) = self.agenda.next() {
            at_once = if at == self.now { at_once + 1 } else { 0 };
            if at > limit || at_once > MAX_AT_ONCE {
                was_stopped = true;
                break;
            }
            if at >= looked + LOOK_EVERY {
                looked = at;
                quiet_since = self.is_over().then(|| quiet_since.unwrap_or(at));
                if quiet_since.is_some_and(|since| since + TAIL <= at) {
                    return false;
                }
            }
            self.now = at;
            self.events += 1;
            self.happen(what);
        }
        if at_once > MAX_AT_ONCE {
            self.complain(Oracle::Bounds, || "the machines turn in a circle: time stands still".to_owned());
        }
        was_stopped || self.somebody_waits()
    }

    fn happen(&mut self, what: What) {
        match what {
            What::Starts(host) => self.start(host),
            What::Wakes { host, life } => self.wake(host, life),
            What::Disk { host, life, input } => {
                if self.is_alive(host, life) {
                    self.feed(host, input);
                }
            }
            What::Kept { host, life, step } => self.kept(host, life, step),
            What::UplinkFree(host) => {
                self.hosts[host].is_sending = false;
                self.next_packet(host);
            }
            What::Delivered { from, bytes } => self.delivered(from, bytes),
            What::Acknowledged { end, bytes } => self.acknowledged(end, bytes),
            What::Opened(end) => self.opened(end),
            What::Refused { host, life, addr } => {
                if self.is_alive(host, life) {
                    self.feed(host, Input::ConnectFailed { addr });
                }
            }
            What::Closed(end) => self.closed(end),
            What::Datagram { from, to, payload } => self.datagram(from, to, &payload),
            What::Fault(place) => self.befall(place),
        }
    }

    /// A number below `bound`, which nobody else's draws change.
    pub(super) fn draw(&mut self, host: usize, bound: u64) -> u64 {
        let host = &mut self.hosts[host];
        host.draws += 1;
        let key = [u64::from(host.plan.number).to_le_bytes(), host.draws.to_le_bytes()].concat();
        let drawn = xxh3_64_with_seed(&key, self.plan.seed);
        ((u128::from(drawn) * u128::from(bound)) >> 64) as u64
    }

    pub(super) fn complain(&mut self, oracle: Oracle, what: impl FnOnce() -> String) {
        let told = self.violations.iter().filter(|violation| violation.oracle == oracle).count();
        if told < MAX_TOLD {
            let message = format!("at {:.3} s {}", self.now.as_secs_f64(), what());
            self.violations.push(Violation { oracle, message });
        }
    }

    fn is_alive(&self, host: usize, life: u32) -> bool {
        self.hosts[host].life.as_ref().is_some_and(|present| present.number == life)
    }

    /// The machine hears what its user wants.
    pub(super) fn choose(&mut self, host: usize) {
        let priorities = self.hosts[host].priorities(self.content.geometry.pieces());
        self.feed(host, Input::Wanted(priorities));
    }

    fn wake(&mut self, host: usize, life: u32) {
        let now = self.now;
        let Some(present) = self.hosts[host].life.as_mut().filter(|present| present.number == life) else {
            return;
        };
        if present.armed.is_none_or(|(_, fires)| fires != now) {
            return;
        }
        present.armed = None;
        if present.torrent.poll_timeout().is_some_and(|(at, _)| at <= now) {
            present.torrent.handle_timeout(now);
        }
        self.drain(host);
        let Some(present) = self.hosts[host].life.as_mut() else { return };
        if present.announcer.poll_timeout().is_some_and(|(at, _)| at <= now) {
            let progress = present.torrent.progress();
            present.announcer.set_partial_seed(present.torrent.is_partial_seed());
            present.announcer.handle_timeout(now, &progress);
        }
        present.keeper.handle_timeout(now);
        self.drain(host);
    }

    pub(super) fn feed(&mut self, host: usize, input: Input) {
        if let Some(life) = &mut self.hosts[host].life {
            life.torrent.handle_input(self.now, input);
            self.drain(host);
        }
    }

    pub(super) fn tell_announcer(&mut self, host: usize, input: announce::Input) {
        if let Some(life) = &mut self.hosts[host].life {
            let progress = life.torrent.progress();
            life.announcer.set_partial_seed(life.torrent.is_partial_seed());
            life.announcer.handle_input(self.now, &progress, input);
        }
    }

    /// Carries out everything that a peer's machines ask for, and sets its timer.
    pub(super) fn drain(&mut self, host: usize) {
        while let Some(life) = &mut self.hosts[host].life {
            if let Some(output) = life.torrent.poll_output() {
                if let Some(input) = self.carry_out(host, output)
                    && let Some(life) = &mut self.hosts[host].life
                {
                    life.torrent.handle_input(self.now, input);
                }
            } else if let Some(output) = life.announcer.poll_output() {
                self.announced(host, output);
            } else if let Some(step) = life.keeper.poll_step() {
                self.keep(host, step);
            } else if life.keeper.has_left() {
                self.end(host);
                self.hosts[host].is_gone = true;
            } else {
                return self.arm(host);
            }
        }
    }

    fn arm(&mut self, host: usize) {
        let Some(life) = &self.hosts[host].life else { return };
        let torrent = life.torrent.poll_timeout().map(|(at, _)| at);
        let announcer = life.announcer.poll_timeout().map(|(at, _)| at);
        let due = [torrent, announcer, life.keeper.poll_timeout()].into_iter().flatten().min();
        let (armed, number, late) = (life.armed, life.number, self.hosts[host].plan.late);
        let Some(due) = due.filter(|&due| armed.is_none_or(|(before, _)| due < before)) else { return };
        let late = Duration::from_micros(if late > 0 { self.draw(host, late * 1000) } else { 0 });
        let fires = due.max(self.now) + late;
        if let Some(life) = &mut self.hosts[host].life {
            life.armed = Some((due, fires));
        }
        self.agenda.schedule(fires, What::Wakes { host, life: number });
    }

    fn carry_out(&mut self, host: usize, output: Output) -> Option<Input> {
        match output {
            Output::Connect { addr } => self.dial(host, addr),
            Output::Disconnect { peer, reason } => {
                self.ears.note(self.now, host, || format!("closes: {reason}"));
                self.close(peer, true);
                // Its machine hears of it as of any other end.
                self.agenda.schedule(self.now, What::Closed(peer));
            }
            Output::Send { peer, message } => return self.say(peer, message),
            Output::Write { block, data } => {
                let full = self.now < self.hosts[host].full_until;
                if !full {
                    self.hosts[host].disk.write(&self.content, block, data);
                }
                return self.disk_job(host, Input::Written { block, ok: !full });
            }
            Output::Hash { piece } => {
                let stored = self.hosts[host].disk.hash(&self.content, piece);
                let right = self.metainfo.hash_of(piece);
                let defect = self.hosts[host].defect.as_ref();
                let hash = stored
                    .map(|stored| defect.map_or(stored, |defect| defect.lock().hashes(piece, stored, right)));
                return self.disk_job(host, Input::Hashed { piece, hash });
            }
            Output::Read { peer, block } => {
                let data = self.hosts[host].disk.read(&self.content, block);
                let defect = self.hosts[host].defect.as_ref();
                let data =
                    data.map(|data| defect.map_or(data.clone(), |defect| defect.lock().reads(block, data)));
                return self.disk_job(host, Input::BlockRead { peer, block, data });
            }
            Output::Announce(event) => self.tell_announcer(host, announce::Input::Announce(event)),
            Output::Event(event) => self.report(host, &event),
            // There are no web seeds in these torrents.
            Output::Fetch(_) | Output::FetchMore { .. } | Output::FetchStop { .. } => {}
        }
        None
    }

    /// A disk that takes no time has done it at once.
    fn disk_job(&mut self, host: usize, input: Input) -> Option<Input> {
        let slow = self.hosts[host].plan.disk;
        if slow == 0 {
            return Some(input);
        }
        let at = self.now + Duration::from_micros(self.draw(host, slow * 1000));
        let life = self.hosts[host].lives;
        self.agenda.schedule(at, What::Disk { host, life, input });
        None
    }

    /// Carries out what an announcer asks for.
    fn announced(&mut self, host: usize, output: announce::Output) {
        match output {
            announce::Output::Resolve { host: name, port } => {
                let addrs = Tracker::addrs(self.hosts[host].plan.v6);
                self.tell_announcer(host, announce::Input::Resolved { host: name, port, addrs });
            }
            announce::Output::SendTo { addr, payload } => self.send_datagram(host, addr, &payload),
            announce::Output::Switched => {
                if let Some(life) = &mut self.hosts[host].life {
                    life.torrent.handle_input(self.now, Input::TrackerSwitched);
                }
            }
            announce::Output::Peers(addrs) => {
                if let Some(life) = &mut self.hosts[host].life {
                    life.torrent.handle_input(self.now, Input::Candidates(Source::Tracker, addrs));
                }
            }
            announce::Output::Done => {
                if let Some(life) = &mut self.hosts[host].life {
                    life.keeper.leave();
                }
            }
            announce::Output::Failed { error, .. } => {
                self.ears.note(self.now, host, || format!("the tracker fails: {error}"));
            }
            // There is no HTTP tracker, and ours does not warn.
            announce::Output::Announced { .. }
            | announce::Output::Warned { .. }
            | announce::Output::Get { .. } => {}
        }
    }
}
