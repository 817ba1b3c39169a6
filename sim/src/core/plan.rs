//! What happens in a core swarm, as data: drawn from a seed, made smaller by shrinking, written and read as TOML.
//!
//! Times are in milliseconds, rates in bytes a second. Everybody has a number that stays its own when others are left
//! out, because what befalls it is drawn by that number.

use proto::torrent::TorrentConfig;
use proto::torrent::policy::Policies;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Peers of one plan at the most: addresses and keys have room for more, a minute has not.
pub const MAX_PEERS: usize = 1000;

/// Content at the most, in bytes: it is made anew for every run.
pub const MAX_SIZE: u64 = 256 << 20;

/// Pieces at the most.
const MAX_PIECES: u64 = 65_536;

/// Times at the most: a week.
const MAX_MILLIS: u64 = 7 * 24 * 3600 * 1000;

/// A swarm and what befalls it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// All randomness follows from it.
    pub seed: u64,
    /// Bytes of content.
    pub size: u64,
    /// Bytes of a piece.
    pub piece_length: u32,
    /// The torrent is private (BEP 27).
    pub private: bool,
    /// One way between two peers, at the least and at the most.
    pub latency: [u64; 2],
    /// Datagrams that are lost, in percent; streams lose nothing.
    pub loss: u64,
    /// Peers in one answer of the tracker at the most.
    pub peers_in_reply: u32,
    /// What the tracker tells its clients to wait.
    pub interval: u64,
    /// Goes on for at least so long.
    pub at_least: u64,
    /// Everybody.
    pub peers: Vec<PeerPlan>,
    /// In any order.
    #[serde(default)]
    pub faults: Vec<FaultPlan>,
}

/// One peer. A file says what is not as usual.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(clippy::struct_excessive_bools, reason = "independent traits of a peer")]
pub struct PeerPlan {
    /// Which one.
    pub number: u32,
    /// Is it honest, and if not, what does it do?
    pub habit: Habit,
    /// It has everything.
    pub complete: bool,
    /// Pieces that it has otherwise.
    pub has: Vec<u32>,
    /// Pieces that its user does not want.
    pub skips: Vec<u32>,
    /// When it comes.
    pub arrives: u64,
    /// Uplink.
    pub up: u64,
    /// Downlink.
    pub down: u64,
    /// It can be dialled.
    pub open: bool,
    /// It speaks IPv6 besides IPv4.
    pub v6: bool,
    /// It speaks the fast extension (BEP 6).
    pub fast: bool,
    /// It speaks the extension protocol (BEP 10).
    pub extended: bool,
    /// It exchanges peers (BEP 11).
    pub pex: bool,
    /// It shows one piece at a time (BEP 16).
    pub super_seeds: bool,
    /// Its disk takes up to so long for each job, and ends them in any order.
    pub disk: u64,
    /// Its timers fire up to so much too late.
    pub late: u64,
    /// Its policies by name.
    pub picker: String,
    /// Whom it serves as a leecher.
    pub choker: String,
    /// Whom it serves as a seeder.
    pub seed_choker: String,
    /// Regular upload slots at the most.
    pub upload_slots: usize,
    /// Optimistic ones.
    pub optimistic_slots: usize,
    /// Connections at the most.
    pub max_peers: usize,
}

/// How a peer behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Habit {
    /// As the engine does.
    Honest,
    /// Sends wrong bytes in every block.
    Poisons,
    /// Sends wrong bytes in some blocks.
    PoisonsSome,
    /// Says that it has everything, and answers no request.
    Promises,
    /// Forgets some of what it should say.
    Forgets,
    /// Says everything twice.
    Repeats,
    /// Says things that make no sense.
    Babbles,
    /// Never serves anybody.
    Chokes,
}

impl Habit {
    /// Those that are not honest.
    pub const LIARS: [Self; 7] = [
        Self::Poisons,
        Self::PoisonsSome,
        Self::Promises,
        Self::Forgets,
        Self::Repeats,
        Self::Babbles,
        Self::Chokes,
    ];
}

/// Something that befalls a peer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultPlan {
    /// When.
    pub at: u64,
    /// Whom, by its number. Of a fault of the tracker it does not matter.
    pub peer: u32,
    /// What.
    pub kind: FaultKind,
}

/// What can befall a peer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// Its process dies and starts again so much later, with the files as they are.
    Crash(u64),
    /// The same with a power cut: what was not flushed is gone, and the resume data say what was.
    PowerCut(u64),
    /// It is gone for good, without a word.
    Vanish,
    /// Its user stops it.
    Stop,
    /// All its connections are reset.
    Cut,
    /// Nothing reaches it, and it reaches nobody, for so long. Streams go on afterwards.
    Dark(u64),
    /// Its disk takes nothing for so long.
    DiskFull(u64),
    /// Pieces on its disk rot, and it is told to doubt them.
    Rot(Vec<u32>),
    /// Its user chooses anew which pieces not to fetch.
    Choose(Vec<u32>),
    /// It gets so many upload slots.
    Slots(usize),
    /// It must part with one connection.
    Part,
    /// The tracker is silent for so long.
    TrackerDown(u64),
    /// The tracker forgets everybody.
    TrackerForgets,
}

/// Why a text is no plan.
#[derive(Debug, Error)]
pub enum PlanError {
    /// It cannot be read.
    #[error(transparent)]
    Toml(#[from] toml::de::Error),
    /// It makes no sense.
    #[error("{0}")]
    Sense(String),
}

impl Plan {
    /// Reads a plan that [`Plan::to_toml`] wrote, or a person.
    pub fn parse(text: &str) -> Result<Self, PlanError> {
        let plan: Self = toml::from_str(text)?;
        plan.complaint().map_or(Ok(plan), |complaint| Err(PlanError::Sense(complaint)))
    }

    /// The plan as a file of its own.
    pub fn to_toml(&self) -> String {
        // Nothing in it is a map with odd keys, and no number exceeds what TOML has room for.
        let Ok(mut plan) = toml::Table::try_from(self) else { return String::new() };
        let Ok(usual) = toml::Table::try_from(PeerPlan::default()) else { return String::new() };
        for peer in plan.get_mut("peers").and_then(toml::Value::as_array_mut).into_iter().flatten() {
            let Some(peer) = peer.as_table_mut() else { continue };
            peer.retain(|key, value| key == "number" || usual.get(key) != Some(value));
        }
        toml::to_string(&plan).unwrap_or_default()
    }

    /// How many pieces the content has.
    pub fn pieces(&self) -> u32 {
        self.size.div_ceil(u64::from(self.piece_length.max(1))) as u32
    }

    /// When the last thing befalls anybody.
    pub fn last_disturbance(&self) -> u64 {
        let spans = self.faults.iter().map(|fault| fault.at + fault.kind.span());
        spans.chain(self.peers.iter().map(|peer| peer.arrives)).max().unwrap_or(0)
    }

    fn complaint(&self) -> Option<String> {
        let complain = |wrong: bool, what: &str| wrong.then(|| what.to_owned());
        let pieces = self.size.div_ceil(u64::from(self.piece_length.max(1)));
        let mut numbers: Vec<_> = self.peers.iter().map(|peer| peer.number).collect();
        numbers.sort_unstable();
        numbers.dedup();
        let known =
            |fault: &FaultPlan| fault.kind.is_of_tracker() || numbers.binary_search(&fault.peer).is_ok();
        let times = |fault: &FaultPlan| fault.at <= MAX_MILLIS && fault.kind.span() <= MAX_MILLIS;
        complain(self.size == 0 || self.size > MAX_SIZE, "`size` is 1 byte to 256 MiB")
            .or_else(|| complain(self.piece_length == 0, "`piece_length` is 1 byte at the least"))
            .or_else(|| complain(pieces > MAX_PIECES, "more than 65536 pieces"))
            .or_else(|| complain(self.peers.len() > MAX_PEERS, "more than 1000 peers"))
            .or_else(|| complain(numbers.len() < self.peers.len(), "two peers have one number"))
            .or_else(|| {
                let high = numbers.last().is_some_and(|&last| last as usize >= 1 << 15);
                complain(high, "a peer's number is 32767 at the most")
            })
            .or_else(|| complain(self.latency[0] > self.latency[1], "`latency` is the least and the most"))
            .or_else(|| complain(self.latency[1] > 60_000, "`latency` is a minute at the most"))
            .or_else(|| {
                complain(self.interval > MAX_MILLIS || self.interval < 1000, "`interval` is 1000 to a week")
            })
            .or_else(|| complain(self.at_least > MAX_MILLIS, "`at_least` is a week at the most"))
            .or_else(|| complain(!self.faults.iter().all(known), "a fault befalls a peer that is not there"))
            .or_else(|| complain(!self.faults.iter().all(times), "a fault's times are a week at the most"))
            .or_else(|| self.peers.iter().find_map(PeerPlan::complaint))
    }
}

impl FaultKind {
    /// How long it lasts.
    pub const fn span(&self) -> u64 {
        match self {
            Self::Crash(span)
            | Self::PowerCut(span)
            | Self::Dark(span)
            | Self::DiskFull(span)
            | Self::TrackerDown(span) => *span,
            Self::Vanish
            | Self::Stop
            | Self::Cut
            | Self::Rot(_)
            | Self::Choose(_)
            | Self::Slots(_)
            | Self::Part
            | Self::TrackerForgets => 0,
        }
    }

    /// Does it befall the tracker?
    pub const fn is_of_tracker(&self) -> bool {
        matches!(self, Self::TrackerDown(_) | Self::TrackerForgets)
    }
}

impl Default for PeerPlan {
    fn default() -> Self {
        let TorrentConfig { picker, choker, seed_choker, upload_slots, optimistic_slots, max_peers, .. } =
            TorrentConfig::default();
        Self {
            number: 0,
            habit: Habit::Honest,
            complete: false,
            has: Vec::new(),
            skips: Vec::new(),
            arrives: 0,
            up: 100_000,
            down: 1_000_000,
            open: true,
            v6: false,
            fast: true,
            extended: true,
            pex: true,
            super_seeds: false,
            disk: 0,
            late: 0,
            picker: picker.name.to_owned(),
            choker: choker.name.to_owned(),
            seed_choker: seed_choker.name.to_owned(),
            upload_slots,
            optimistic_slots,
            max_peers,
        }
    }
}

impl PeerPlan {
    /// How it is called in messages.
    pub fn name(&self) -> String {
        format!("peer-{}", self.number)
    }

    /// Does it keep to the protocol?
    pub fn is_honest(&self) -> bool {
        self.habit == Habit::Honest
    }

    /// The engine's settings for it; nothing if a policy has no such name.
    pub fn config(&self) -> Option<TorrentConfig> {
        let policies = Policies::shipped();
        Some(TorrentConfig {
            max_peers: self.max_peers,
            upload_slots: self.upload_slots,
            optimistic_slots: self.optimistic_slots,
            pex: self.pex,
            super_seeding: self.super_seeds,
            picker: policies.picker(&self.picker)?,
            choker: policies.choker(&self.choker)?,
            seed_choker: policies.choker(&self.seed_choker)?,
            ..TorrentConfig::default()
        })
    }

    fn complaint(&self) -> Option<String> {
        let wrong = self.config().is_none() || self.up == 0 || self.down == 0 || self.arrives > MAX_MILLIS;
        let wrong = wrong || self.disk > 60_000 || self.late > 60_000;
        let why = "unknown policies, no rate, or times beyond a week (a minute for `disk` and `late`)";
        wrong.then(|| format!("{}: {why}", self.name()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_read_as_it_was_written() {
        for seed in 0..200 {
            let plan = Plan::draw(seed);
            assert_eq!(Plan::parse(&plan.to_toml()).expect("a plan"), plan);
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let plan = Plan::draw(1);
        let refused = |spoil: &dyn Fn(&mut Plan)| {
            let mut plan = plan.clone();
            spoil(&mut plan);
            Plan::parse(&plan.to_toml()).expect_err("no plan").to_string()
        };
        assert_eq!(refused(&|plan| plan.size = 0), "`size` is 1 byte to 256 MiB");
        assert_eq!(refused(&|plan| plan.peers[1].number = plan.peers[0].number), "two peers have one number");
        assert!(refused(&|plan| plan.peers[0].picker = "luck".to_owned()).starts_with("peer-"));
        let fault = FaultPlan { at: 1, peer: 9999, kind: FaultKind::Cut };
        assert!(refused(&|plan| plan.faults.push(fault.clone())).starts_with("a fault befalls"));
        assert!(Plan::parse("seed = 1").is_err());
    }
}
