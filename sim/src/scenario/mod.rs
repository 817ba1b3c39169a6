//! Scenarios: what happens in a run, as a TOML file says it.
//!
//! *File = distribution, seed = sample, expanded file = exact replay.* [`Scenario::parse`] reads and checks
//! the file, [`Scenario::expand`] draws each peer and fault for one seed into a [`Plan`], and
//! [`Plan::to_toml`] writes that plan as a scenario which expands to itself.

use std::collections::BTreeMap;
use std::time::Duration;

mod clock;
mod decode;
pub(crate) mod expand;
mod expect;
mod family;
mod fault;
mod overrides;
mod plan;
mod tracker;
mod write;

#[cfg(test)]
mod tests;

pub use clock::Clock;
pub use expect::{Completed, Expect, ExpectTracker};
pub use family::Families;
pub use fault::{Fault, FaultKind};
pub use plan::{FaultPlan, PeerPlan, Plan, Target};
pub use settings::source::RefusedText as ScenarioError;
pub use tracker::Tracker;

pub(crate) use settings::quantity;
use settings::{fields, source};

/// Peers of one scenario at the most: what the address plan and one machine's memory are good for.
pub const MAX_PEERS: usize = 10_000;

/// Bytes of content at the most: it is held in memory, once.
pub const MAX_CONTENT: u64 = 4 << 30;

/// Peers times pieces at the most: the runner remembers for each when it came, in 16 bytes.
pub const MAX_HOLDINGS: u64 = 1 << 26;

/// Faults of one scenario after expansion at the most: ten for every peer.
pub const MAX_FAULTS: usize = 10 * MAX_PEERS;

/// The name under which faults refer to the tracker.
pub const TRACKER: &str = "tracker";

/// A scenario as its file describes it; what contradicts itself has been refused.
#[derive(Clone, Debug, PartialEq)]
pub struct Scenario {
    /// The file's `name`, or else its stem.
    pub name: String,
    /// What the scenario claims: the file's first line.
    pub claim: String,
    /// The seed to use unless the command line names one.
    pub seed: u64,
    /// What is shared.
    pub torrent: Torrent,
    /// The tracker.
    pub tracker: Tracker,
    /// Access links by name, the built-in ones included.
    pub links: BTreeMap<String, Link>,
    /// Peers.
    pub groups: Vec<Group>,
    /// What goes wrong.
    pub faults: Vec<Fault>,
    /// How it is run.
    pub run: Run,
    /// What must come out.
    pub expect: Expect,
}

/// The shared content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Torrent {
    /// Bytes.
    pub size: u64,
    /// Bytes of a piece.
    pub piece_length: u32,
}

/// An access link: what a home or a server has to the Internet.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Link {
    /// Bytes a second towards the Internet, headers included.
    pub up: u64,
    /// Bytes a second from the Internet, headers included.
    pub down: u64,
    /// One way, of this link alone.
    pub latency: Duration,
    /// Bytes that wait in each direction before packets are dropped.
    pub queue: u64,
    /// Share of packets lost at random, in each direction.
    pub loss: f64,
}

/// What a peer starts with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Everything.
    Seeder,
    /// Nothing.
    Leecher,
    /// Nothing, and it never gets anything: it only announces, for a torrent of its own, as an engine would.
    Announcer,
}

/// Peers that are alike.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// The name of a group of one; otherwise its peers are `name-1` to `name-count`.
    pub name: String,
    /// How many.
    pub count: u32,
    /// What they start with.
    pub role: Role,
    /// Their access link's name.
    pub link: String,
    /// Their hosts' clocks.
    pub clock: Clock,
    /// The families that they speak.
    pub family: Families,
    /// When they come.
    pub arrival: Arrival,
    /// When they go.
    pub departure: Departure,
}

impl Group {
    /// The name of the peer numbered `index`, from 0.
    pub fn peer_name(&self, index: u32) -> String {
        if self.count == 1 { self.name.clone() } else { format!("{}-{}", self.name, index + 1) }
    }

    /// When the last peer comes; on average, if that is random without a limit.
    fn typical_last_arrival(&self) -> Duration {
        match self.arrival {
            Arrival::At(time) | Arrival::Uniform(time) => time,
            Arrival::Poisson(mean) => mean.saturating_mul(self.count),
        }
    }
}

/// When the peers of a group come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// All at this time.
    At(Duration),
    /// Each at a uniformly random time before this one.
    Uniform(Duration),
    /// One after the other, with exponential gaps of this mean.
    Poisson(Duration),
}

/// When a peer goes, by itself and in good order: it tells the tracker `stopped`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Departure {
    /// It stays.
    Never,
    /// So long after its last piece came in.
    AfterCompletion(Duration),
    /// So long after its arrival, complete or not.
    AfterArrival(Duration),
    /// After an exponential time with this mean, complete or not.
    Exponential(Duration),
}

/// How a scenario is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// Simulated time after which a peer that could have completed counts as stuck.
    pub time_limit: Duration,
    /// The run goes on at least until then, though everybody be complete.
    pub at_least: Duration,
    /// The simulated network's step.
    pub tick: Duration,
    /// Largest IP packet, in bytes.
    pub mtu: u32,
    /// Connections that a peer keeps; the engine's default if absent.
    pub max_connections: Option<u32>,
}

impl Default for Run {
    fn default() -> Self {
        Self {
            time_limit: Duration::from_secs(3600),
            at_least: Duration::ZERO,
            tick: Duration::from_millis(1),
            mtu: 1500,
            max_connections: None,
        }
    }
}
