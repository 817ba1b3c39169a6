//! Runs a plan: builds the world, starts the real tracker and the real peers in it, and keeps a record.
//!
//! Nothing here knows the protocol. Peers come and go through `Engine::start` and `TorrentHandle::stop`, as
//! they do in the binaries; the runner only decides when, and writes down what they say.

use std::net::SocketAddr;
use std::time::Duration;

use proto::piece::GeometryError;
use thiserror::Error;

use crate::defect::Tampered;
use crate::network::Watcher;
use crate::oracle::{Conduct, Provenance};
use crate::record::{Packets, PeerRecord, Record, TrackerRecord};
use crate::scenario::{Departure, Plan, Role, Target};
use crate::wiretap::Listener;

mod agenda;
mod announcer;
mod exam;
mod faults;
mod hosts;
mod log;
mod net_faults;
mod observe;
mod orders;
mod peer;
mod stage;
mod start;
mod torrent;
mod tracker;
mod triggers;
mod vandal;

pub use observe::{HostState, Observe, Observer};
use stage::Stage;

/// How far the world runs before the runner looks at it again. Times do not depend on it, as peers write
/// down their own; the end of a run does.
const STEP: Duration = Duration::from_millis(250);

/// The runner looks for pieces that nobody can have any more every so many steps: it is much to count.
const STEPS_PER_SEARCH: u32 = 40;

/// Why a plan could not be run.
#[derive(Debug, Error)]
pub enum RunError {
    /// The machine refused the runtime.
    #[error("cannot make a world: {0}")]
    World(#[from] std::io::Error),
    /// Lengths that make no torrent; a parsed scenario has none such.
    #[error(transparent)]
    Geometry(#[from] GeometryError),
    /// No torrent file could be made.
    #[error(transparent)]
    Torrent(#[from] proto::metainfo::create::CreateError),
    /// The torrent file that was made does not read back.
    #[error(transparent)]
    Metainfo(#[from] proto::metainfo::MetainfoError),
    /// The world has fewer hosts than the plan: a mistake in the runner.
    #[error("the world lacks host {0}")]
    Host(usize),
}

/// How far a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Glimpse {
    /// Simulated time.
    pub now: Duration,
    /// Leechers that are complete.
    pub completed: usize,
    /// Leechers.
    pub leechers: usize,
    /// Pieces that leechers hold.
    pub pieces: u64,
    /// Pieces that all leechers would hold.
    pub all_pieces: u64,
}

/// Runs `plan` to its end and tells `watch` now and then how far it is.
///
/// The end is reached when every leecher is complete or gone or when nobody can become complete any more,
/// though not before the plan's least time; or at its time limit.
///
/// # Errors
/// If the world or the torrent cannot be made; whatever goes wrong inside the world is in the record.
pub fn run(plan: &Plan, watch: &mut dyn FnMut(Glimpse)) -> Result<Record, RunError> {
    run_tampered(plan, &Tampered::nobody(), watch)
}

/// The same with defects, to see that somebody notices. What hostile peers cost is measured against sound engines.
///
/// # Errors
/// As [`run`].
pub fn run_tampered(
    plan: &Plan,
    tampered: &Tampered,
    watch: &mut dyn FnMut(Glimpse),
) -> Result<Record, RunError> {
    run_watched(plan, tampered, &Watching::default(), watch)
}

/// Who looks on, beyond the judges. Looking changes nothing, and costs time.
#[derive(Clone, Default)]
pub struct Watching {
    /// Sees every packet, fault and completion.
    pub network: Option<Watcher>,
    /// Hears every message between peers.
    pub messages: Option<Listener>,
    /// Is shown the hosts at every step.
    pub hosts: Option<Observer>,
}

/// The same before somebody's eyes.
///
/// # Errors
/// As [`run`].
pub fn run_watched(
    plan: &Plan,
    tampered: &Tampered,
    watching: &Watching,
    watch: &mut dyn FnMut(Glimpse),
) -> Result<Record, RunError> {
    let mut record = perform(plan, tampered, watching, watch)?;
    if plan.expect.justice.slowdown.is_some() {
        let undisturbed =
            perform(&plan.without_hostile(), &Tampered::nobody(), &Watching::default(), &mut |_| ())?;
        record.undisturbed = undisturbed.completions().last().copied();
    }
    Ok(record)
}

fn perform(
    plan: &Plan,
    tampered: &Tampered,
    watching: &Watching,
    watch: &mut dyn FnMut(Glimpse),
) -> Result<Record, RunError> {
    let mut stage = Stage::set(plan, tampered, watching)?;
    let limit = plan.run.time_limit;
    let mut step = 0;
    let least = plan.run.at_least;
    while stage.now() < limit && (stage.now() < least || !stage.is_decided(step % STEPS_PER_SEARCH == 0)) {
        step += 1;
        let until = (STEP * step).min(limit);
        stage.run_until(until);
        if let Some(observer) = &watching.hosts {
            stage.show(observer);
        }
        watch(stage.glimpse());
    }
    Ok(stage.record())
}

/// Where the host at this place of the world listens, and what others call it: the tracker is at 0, the first peer at 1.
pub fn addresses_of(plan: &Plan, place: usize) -> Vec<SocketAddr> {
    let Some(index) = place.checked_sub(1) else { return hosts::addresses(plan, Target::Tracker) };
    let mut addrs = hosts::addresses(plan, Target::Peer(index));
    addrs.extend(hosts::public_addresses(plan, index));
    addrs.dedup();
    addrs
}

/// The record of a plan as it would be if everybody completed at `time`: for bounds on what is still to run.
pub fn imagine(plan: &Plan, time: Duration) -> Record {
    let leaves_early = |peer: &crate::scenario::PeerPlan| {
        matches!(peer.departure, Departure::AfterArrival(_) | Departure::Holding(_))
            && peer.role == Role::Leecher
    };
    let completed = |peer| (!leaves_early(peer)).then_some(time);
    let peers =
        plan.peers.iter().map(|peer| PeerRecord { completed: completed(peer), ..PeerRecord::default() });
    Record {
        digest: String::new(),
        seconds: Vec::new(),
        end: time,
        peers: peers.collect(),
        tracker: TrackerRecord::default(),
        conduct: Conduct::default(),
        provenance: Provenance::default(),
        packets: Packets::default(),
        wire_bytes: 0,
        settings: String::new(),
        vacuous: Vec::new(),
        undisturbed: None,
        plan: plan.clone(),
    }
}
