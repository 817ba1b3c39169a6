//! Scenarios: what happens in a run, as a TOML file says it.
//!
//! *File = distribution, seed = sample, expanded file = exact replay.* [`Scenario::parse`] reads and checks
//! the file, [`Scenario::expand`] draws each peer and fault for one seed into a [`Plan`], and
//! [`Plan::to_toml`] writes that plan as a scenario which expands to itself.

use std::collections::BTreeMap;

mod behaviour;
mod clock;
mod decode;
mod disk_fault;
pub(crate) mod expand;
mod expect;
mod family;
mod fault;
mod group;
mod inherit;
mod justice;
mod layers;
mod link;
mod moment;
mod nat;
mod net_fault;
mod overrides;
mod plan;
mod policy;
mod region;
mod roughness;
mod run;
mod schema;
mod session;
mod spread;
mod torrent;
mod tracker;
mod write;

#[cfg(test)]
mod tests;

pub use behaviour::Behaviour;
pub use clock::Clock;
pub use disk_fault::DiskFault;
pub use expect::{Completed, Expect, ExpectTracker, Population};
pub use family::Families;
pub use fault::{Fault, FaultKind};
pub use group::{Group, Role, Start};
pub use inherit::read_file;
pub use justice::ExpectJustice;
pub use link::Link;
pub use moment::{Moment, Trigger, Who};
pub use nat::{Nat, NatPlace};
pub use net_fault::{NetFault, NetFaultKind, NetFaultPlan};
pub use plan::{FaultPlan, PeerPlan, Plan, Target};
pub use policy::Policy;
pub use region::Regions;
pub use run::{Cost, Run};
pub use schema::json as json_schema;
pub use session::{Arrival, Departure};
pub use settings::source::RefusedText as ScenarioError;
pub use torrent::Torrent;
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

/// What faults call each of the peers of whom their `when` speaks.
pub const IT: &str = "it";

/// A scenario as its file describes it; what contradicts itself has been refused.
#[derive(Clone, Debug, PartialEq)]
pub struct Scenario {
    /// The file's `name`, or else its stem.
    pub name: String,
    /// What the scenario claims: the file's first line.
    pub claim: String,
    /// The files that it extends, the nearest one first.
    pub extends: Vec<String>,
    /// The seed to use unless the command line names one.
    pub seed: u64,
    /// What is shared.
    pub torrent: Torrent,
    /// The tracker.
    pub tracker: Tracker,
    /// Access links by name, the built-in ones included.
    pub links: BTreeMap<String, Link>,
    /// Parts of the world.
    pub regions: Regions,
    /// Kinds of NAT boxes by name.
    pub nats: BTreeMap<String, Nat>,
    /// Peers.
    pub groups: Vec<Group>,
    /// What goes wrong.
    pub faults: Vec<Fault>,
    /// What goes wrong with the network.
    pub net_faults: Vec<NetFault>,
    /// How it is run.
    pub run: Run,
    /// What must come out.
    pub expect: Expect,
}
