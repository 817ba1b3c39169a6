//! Core swarms: the pure machines of many peers and of a tracker in memory, on a virtual clock. No sockets, no
//! runtime, no packets of IP; what peers say to each other is encoded and decoded, and so are announces.
//!
//! They are for breadth: each [`Plan`] is a small swarm drawn from a seed, with odd sizes, odd policies, liars and
//! faults, and thousands of them run in a minute. What the driver does, and what a real network does, is for the
//! scenarios.
//!
//! ```text
//! seed ──draw──▶ Plan ──▶ World: agenda ⇄ hosts (torrent, announcer, resume keeper, disk) ⇄ streams, tracker
//!                 ▲                  └──▶ ears: the judge of the protocol's rules, digest, trace
//!                 └── shrink ◀── Outcome ◀── judge: integrity, conservation, liveness, justice, bounds
//! ```

mod disk;
mod draw;
mod ears;
mod event;
mod faults;
mod habits;
mod host;
mod judge;
mod line;
mod plan;
mod process;
mod shrink;
mod streams;
mod tracker;
mod world;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use proto::id::PieceHash;
use proto::metainfo::{Metainfo, MetainfoError};
use proto::seed::Seed;
use proto::time::Instant;

use crate::defect::{SharedDefect, Tampered};
use crate::oracle::{Court, Oracle, Severity, Suspect, Violation};
use crate::trace::Entry;
use disk::Content;
use ears::Ears;
use host::Host;
use world::World;

pub use plan::{FaultKind, FaultPlan, Habit, PeerPlan, Plan, PlanError};
pub use shrink::{Shrunk, shrink};

/// The stream of the content's bytes; that of liars begins where it ends.
const CONTENT_STREAM: u64 = 1 << 42;
const LIAR_STREAM: u64 = 1 << 43;

/// How long after the last disturbance everybody may take, besides what their links need: peers wait for minutes
/// before they try again, and for a tracker that does not answer up to an hour (BEP 15).
const PATIENCE: Duration = Duration::from_secs(3 * 3600);

/// What came of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// Of all that was said and heard: two runs of one plan have the same.
    pub digest: String,
    /// What should not be.
    pub violations: Vec<Violation>,
    /// Simulated time.
    pub end: Duration,
    /// Honest peers that began without everything, and those of them that have all they want.
    pub leechers: usize,
    /// See above.
    pub completed: usize,
    /// Messages that were said.
    pub messages: u64,
    /// What happened last, if it was asked for.
    pub last: Vec<Entry>,
}

impl Outcome {
    /// As `sim` has it: 3 for something that must never be, 4 for something that was due.
    pub fn exit_status(&self) -> u8 {
        let is_safety = |violation: &Violation| violation.oracle.severity() == Severity::Safety;
        match &self.violations[..] {
            [] => 0,
            some if some.iter().any(is_safety) => 3,
            _ => 4,
        }
    }
}

/// Runs a plan, with these defects of the machines; of its trace the last `last` events are kept.
///
/// A machine that panics has failed the run like any other. Fails if there is no torrent of these sizes.
pub fn run(plan: &Plan, tampered: &Tampered, last: usize) -> Result<Outcome, MetainfoError> {
    let (metainfo, content) = content(plan)?;
    let metainfo = Arc::new(metainfo);
    // Nothing of a world survives its panic: everything in it is dropped here.
    let attempt = catch_unwind(AssertUnwindSafe(|| attempt(plan, metainfo, content, tampered, last)));
    Ok(attempt.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        let message = format!("panicked: {}", text.unwrap_or_default());
        Outcome {
            digest: String::new(),
            violations: vec![Violation { oracle: Oracle::Integrity, message }],
            end: Duration::ZERO,
            leechers: 0,
            completed: 0,
            messages: 0,
            last: Vec::new(),
        }
    }))
}

fn attempt(
    plan: &Plan,
    metainfo: Arc<Metainfo>,
    content: Content,
    tampered: &Tampered,
    last: usize,
) -> Outcome {
    let geometry = content.geometry;
    let defect = |peer: &PeerPlan| {
        let seed = Seed::from_u64(plan.seed).child(LIAR_STREAM + u64::from(peer.number));
        let liar = || SharedDefect::new(habits::Liar::new(peer.habit, geometry.pieces(), seed));
        if peer.is_honest() { tampered.of(&peer.name()) } else { Some(liar()) }
    };
    let hosts: Vec<_> = plan.peers.iter().map(|peer| Host::new(peer, geometry, defect(peer))).collect();
    let names = plan.peers.iter().map(PeerPlan::name).collect();
    let ears = Ears::new(court(plan, &content, &hosts), names, last);
    let mut world = World {
        plan,
        metainfo,
        content,
        now: Instant::ZERO,
        agenda: event::Agenda::default(),
        places: plan
            .peers
            .iter()
            .enumerate()
            .map(|(place, peer)| (peer.number, place))
            .collect::<BTreeMap<_, _>>(),
        hosts,
        lines: line::Lines::default(),
        tracker: tracker::Tracker::new(plan),
        ears,
        violations: Vec::new(),
        events: 0,
    };
    let limit = limit(plan);
    let was_cut_short = world.run(limit);
    world.conclude(was_cut_short);
    let leechers = || world.hosts.iter().filter(|host| host.is_honest() && !host.plan.complete);
    Outcome {
        digest: world.ears.digest(),
        end: world.now.since(Instant::ZERO),
        leechers: leechers().count(),
        completed: leechers().filter(|host| host.finished.is_some()).count(),
        messages: world.ears.messages,
        last: world.ears.last(),
        violations: world.violations,
    }
}

/// When even the slowest are done: all copies through one slow uplink, one after the other.
fn limit(plan: &Plan) -> Instant {
    let slowest = plan.peers.iter().map(|peer| peer.up.min(peer.down)).min().unwrap_or(1).max(1);
    let copies = Duration::from_secs(2 * plan.size * plan.peers.len() as u64 / slowest);
    let disturbed = Duration::from_millis(plan.last_disturbance().max(plan.at_least));
    Instant::ZERO + disturbed + copies + PATIENCE
}

/// Honest peers are held to the rules, if it is plain what they want.
fn court(plan: &Plan, content: &Content, hosts: &[Host]) -> Court {
    let chooses = |peer: &PeerPlan| {
        let mut own = plan.faults.iter().filter(|fault| fault.peer == peer.number);
        !peer.skips.is_empty()
            || own.any(|fault| matches!(fault.kind, FaultKind::Choose(_) | FaultKind::Rot(_)))
    };
    let judged = hosts.iter().enumerate().filter(|(_, host)| host.is_honest() && !chooses(&host.plan));
    let suspects = judged.map(|(place, host)| {
        let suspect = Suspect {
            name: host.plan.name(),
            holdings: Box::new(host.held.clone()),
            super_seeds: host.plan.super_seeds,
            untimed: false,
            limited: false,
        };
        (place, suspect)
    });
    Court::new(content.geometry, plan.private, suspects)
}

/// The torrent: random bytes, hashed as they should be.
fn content(plan: &Plan) -> Result<(Metainfo, Content), MetainfoError> {
    let mut bytes = vec![0; plan.size as usize];
    Seed::from_u64(plan.seed).child(CONTENT_STREAM).rng().fill(&mut bytes);
    let hashes: Vec<_> = bytes.chunks(plan.piece_length.max(1) as usize).map(PieceHash::of).collect();
    // By hand, because what we create ourselves has whole blocks in its pieces.
    let url = tracker::URL;
    let mut file =
        format!("d8:announce{}:{url}4:infod6:lengthi{}e4:name7:content", url.len(), plan.size).into_bytes();
    file.extend(format!("12:piece lengthi{}e6:pieces{}:", plan.piece_length, 20 * hashes.len()).bytes());
    file.extend(hashes.iter().flat_map(|hash| hash.0));
    file.extend_from_slice(if plan.private { b"7:privatei1eee" } else { b"ee" });
    let metainfo = Metainfo::parse(&file)?;
    let content = Content { bytes: Bytes::from(bytes), geometry: metainfo.geometry(), hashes };
    Ok((metainfo, content))
}
