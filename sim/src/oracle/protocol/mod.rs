//! Protocol rules: what every honest peer owes its peers and its tracker, checked while the run goes on.
//!
//! Each peer is judged by what it said and heard at its own sockets, in its own order; what crosses on the way is
//! nobody's fault. Every rule names its BEP and counts how often it had an occasion: a rule without one has proven
//! nothing. The tracker's side of the table is `announces`, after the run.

use std::collections::BTreeMap;
use std::time::Duration;

use proto::piece::Geometry;
use proto::time::Instant;

use super::{Oracle, Violation};
use crate::record::Record;
use crate::wiretap::{Event, Listen, Way, What};

mod announces;
mod duties;
mod extensions;
mod line;
mod rules;
#[cfg(test)]
mod tests;

use line::Tracked;
pub use rules::Rule;

/// Breaches of one rule that are told: who breaks it once does so again.
const MAX_TOLD: u64 = 4;

/// A host that may be paused and that says and hears nothing for so long is taken to be: peers chatter.
const LONG_SILENCE: Duration = Duration::from_secs(2);

/// How peers behaved, by the rules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conduct {
    /// Occasions at which each rule was checked.
    pub exercised: BTreeMap<Rule, u64>,
    /// Breaches of each rule.
    pub broken: BTreeMap<Rule, u64>,
    /// The first breaches of each, for people.
    pub breaches: Vec<String>,
}

impl Conduct {
    /// The rule had an occasion; `what` says how it was broken unless it was kept.
    fn check(&mut self, rule: Rule, kept: bool, what: impl FnOnce() -> String) {
        *self.exercised.entry(rule).or_default() += 1;
        if !kept {
            self.breach(rule, what);
        }
    }

    fn breach(&mut self, rule: Rule, what: impl FnOnce() -> String) {
        let count = self.broken.entry(rule).or_default();
        *count += 1;
        if *count <= MAX_TOLD {
            self.breaches.push(format!("{}: {} ({})", rule.name(), what(), rule.source()));
        }
    }

    fn and(mut self, other: Self) -> Self {
        for (rule, count) in other.exercised {
            *self.exercised.entry(rule).or_default() += count;
        }
        for (rule, count) in other.broken {
            *self.broken.entry(rule).or_default() += count;
        }
        self.breaches.extend(other.breaches);
        self
    }
}

/// All of a run: what was heard, and what the tracker was told.
pub fn conduct(record: &Record) -> Conduct {
    record.conduct.clone().and(announces::audit(record))
}

pub(super) fn check(record: &Record) -> Vec<Violation> {
    let breaches = conduct(record).breaches;
    breaches.into_iter().map(|message| Violation { oracle: Oracle::Protocol, message }).collect()
}

/// When a peer came to hold each piece, by its engine's word.
pub trait Holdings: Send {
    /// Shows the times to `see`.
    fn look(&self, see: &mut dyn FnMut(&[Option<Duration>]));
}

/// A peer that is judged.
pub struct Suspect {
    /// Its name.
    pub name: String,
    /// What it holds.
    pub holdings: Box<dyn Holdings>,
    /// It hides what it has (BEP 16).
    pub super_seeds: bool,
    /// It is paused at some time, or its clock is far off: it cannot be held to times.
    pub untimed: bool,
    /// Its engine limits what it sends.
    pub limited: bool,
}

/// A judged peer, and how many of its connections each block is on order at.
struct Host {
    suspect: Suspect,
    asked: BTreeMap<(u32, u32), u32>,
    /// When it last said or heard anything.
    last: Instant,
    /// The end of its last long silence: it may have been paused until then.
    awake_since: Instant,
}

impl Host {
    fn new(suspect: Suspect) -> Self {
        Self { suspect, asked: BTreeMap::new(), last: Instant::ZERO, awake_since: Instant::ZERO }
    }

    /// Something happens at it.
    fn stirs(&mut self, at: Instant) {
        if line::gap(self.last, at) >= LONG_SILENCE {
            self.awake_since = at;
        }
        self.last = at;
    }
}

/// A piece that somebody says it has.
#[derive(Clone, Copy, Debug)]
struct Claim {
    host: usize,
    piece: u32,
    at: Instant,
}

/// Judges all peers while they talk.
pub struct Court {
    geometry: Geometry,
    is_private: bool,
    /// By their place in the world; nobody else is judged.
    hosts: BTreeMap<usize, Host>,
    /// Ends of open streams, by host and number.
    lines: BTreeMap<(usize, u64), Tracked>,
    /// Pieces that were claimed at the present instant: the engine's own word may come later in it.
    claims: Vec<Claim>,
    now: Instant,
    conduct: Conduct,
}

/// What a line's rules need besides the line.
struct Scene<'a> {
    geometry: Geometry,
    is_private: bool,
    host: &'a mut Host,
    claims: &'a mut Vec<Claim>,
    conduct: &'a mut Conduct,
    event: &'a Event,
}

impl Scene<'_> {
    fn check(&mut self, rule: Rule, kept: bool, what: impl FnOnce() -> String) {
        let (name, event) = (&self.host.suspect.name, self.event);
        self.conduct.check(rule, kept, || {
            let seconds = event.at.since(Instant::ZERO).as_secs_f64();
            format!("at {seconds:.1} s {name} {} (peer {})", what(), event.line.peer)
        });
    }
}

impl Court {
    /// Over the peers of one torrent.
    pub fn new(
        geometry: Geometry,
        is_private: bool,
        suspects: impl Iterator<Item = (usize, Suspect)>,
    ) -> Self {
        let host = |(index, suspect)| (index, Host::new(suspect));
        Self {
            geometry,
            is_private,
            hosts: suspects.map(host).collect(),
            lines: BTreeMap::new(),
            claims: Vec::new(),
            now: Instant::ZERO,
            conduct: Conduct::default(),
        }
    }

    /// The findings, once the run is over.
    pub fn adjourn(&mut self) -> Conduct {
        self.confirm();
        std::mem::take(&mut self.conduct)
    }

    /// The instant is over: whoever claimed a piece in it must hold it.
    fn confirm(&mut self) {
        for Claim { host, piece, at } in std::mem::take(&mut self.claims) {
            let Some(host) = self.hosts.get(&host) else { continue };
            let mut held = false;
            host.suspect.holdings.look(&mut |pieces| {
                held = pieces.get(piece as usize).copied().flatten().is_some();
            });
            let name = &host.suspect.name;
            self.conduct.check(Rule::HaveAfterHash, held, || {
                let seconds = at.since(Instant::ZERO).as_secs_f64();
                format!("at {seconds:.1} s {name} said that it has piece {piece}, which it had not verified")
            });
        }
    }

    /// A block came in over `from`: it must be taken back elsewhere.
    fn cancel_elsewhere(&mut self, event: &Event, block: (u32, u32)) {
        let (host, number) = (event.line.host, event.line.number);
        let lines = self.lines.range_mut((host, 0)..=(host, u64::MAX));
        for (_, line) in lines.filter(|(key, _)| key.1 != number) {
            line.must_cancel(block, event.at);
        }
    }
}

impl Listen for Court {
    fn hear(&mut self, event: &Event) {
        if event.at > self.now {
            self.confirm();
            self.now = event.at;
        }
        let Some(host) = self.hosts.get_mut(&event.line.host) else { return };
        // A limit holds back what is said above the socket, where nobody sees since when it has waited. The order in
        // which it is said still tells what may be said, and what was answered.
        let undated = (host.suspect.limited && event.way == Way::Said)
            .then(|| Event { since: Instant::ZERO, ..event.clone() });
        let event = undated.as_ref().unwrap_or(event);
        let key = (event.line.host, event.line.number);
        if event.what == What::Closed {
            if let Some(line) = self.lines.remove(&key) {
                line.asked.iter().for_each(|asked| host.settled(asked.block));
            }
            return;
        }
        host.stirs(event.at);
        let line = self.lines.entry(key);
        let line = line.or_insert_with(|| Tracked::new(self.geometry.pieces(), event.at));
        let (geometry, is_private) = (self.geometry, self.is_private);
        let (claims, conduct) = (&mut self.claims, &mut self.conduct);
        let mut scene = Scene { geometry, is_private, host, claims, conduct, event };
        let arrived = match event.way {
            Way::Said => {
                line.said(&mut scene);
                None
            }
            Way::Heard => line.heard(&mut scene),
        };
        if let Some(block) = arrived {
            self.cancel_elsewhere(event, block);
        }
    }
}
