//! What can be made plainer in a plan, each change for itself: it is kept if the run still fails in the same way.

use std::time::Duration;

use crate::network::Roughness;
use crate::run::imagine;
use crate::scenario::{
    Clock, Completed, Departure, Expect, ExpectJustice, ExpectTracker, Families, Link, NetFaultKind,
    NetFaultPlan, PeerPlan, Plan, Policy, Regions, Run, Start, Trigger,
};

/// Content is halved at most down to so many pieces: with one there is nothing to choose.
const MIN_PIECES: u64 = 1;

/// Whoever is not complete after so many times the least possible time is not just slow.
const PATIENCE: u32 = 4;

type Change<T> = fn(&mut T);

/// Each makes the whole plan plainer in one way.
pub(super) const WHOLE: &[(&str, Change<Plan>)] = &[
    ("everybody is there from the start", |plan| {
        plan.peers.iter_mut().for_each(|peer| peer.arrival = Duration::ZERO);
    }),
    ("nobody leaves", |plan| plan.peers.iter_mut().for_each(|peer| peer.departure = Departure::Never)),
    ("one link for all", |plan| {
        if let Some(link) = plan.peers.first().map(|peer| peer.link.clone()) {
            plan.peers.iter_mut().for_each(|peer| peer.link.clone_from(&link));
        }
    }),
    ("smooth links", |plan| {
        plan.links.values_mut().for_each(|link| (link.loss, link.roughness) = (0.0, Roughness::default()));
    }),
    ("no latencies of peers' own", |plan| plan.peers.iter_mut().for_each(|peer| peer.latency = None)),
    ("no regions", |plan| {
        plan.peers.iter_mut().for_each(|peer| peer.region = None);
        (plan.tracker.region, plan.regions) = (None, Regions::default());
    }),
    ("no NAT", |plan| {
        plan.peers.iter_mut().for_each(|peer| peer.nat = None);
        plan.nats.clear();
    }),
    ("IPv4 alone", |plan| plan.peers.iter_mut().for_each(|peer| peer.family = Families::V4)),
    ("right clocks", |plan| {
        plan.peers.iter_mut().for_each(|peer| peer.clock = Clock::default());
        plan.tracker.clock = Clock::default();
    }),
    ("the engine's own policies", |plan| {
        plan.peers.iter_mut().for_each(|peer| peer.policy = Policy::default());
    }),
    ("torrent files in place of magnets", |plan| {
        plan.peers.iter_mut().for_each(|peer| peer.start = Start::File);
    }),
    ("no super seeding", |plan| plan.peers.iter_mut().for_each(|peer| peer.super_seed = false)),
    ("one file", |plan| {
        plan.torrent.files = 1;
        plan.peers.iter_mut().for_each(|peer| peer.select = None);
    }),
    ("a public torrent", |plan| plan.torrent.private = false),
    ("a tracker without limits", |plan| {
        (plan.tracker.service_time, plan.tracker.socket_buffer) = (None, None);
    }),
    ("a tracker with its own settings", |plan| {
        (plan.tracker.interval, plan.tracker.peers, plan.tracker.shedding) = (None, None, true);
    }),
    ("no longer than it takes", |plan| plan.run.at_least = Duration::ZERO),
    ("the usual tick", |plan| plan.run.tick = Run::default().tick),
    ("the usual MTU", |plan| plan.run.mtu = Run::default().mtu),
    ("as many connections as usual", |plan| plan.run.max_connections = None),
    ("nothing expected of the tracker", |plan| plan.expect.tracker = ExpectTracker::default()),
    ("nothing expected of justice", |plan| plan.expect.justice = ExpectJustice::default()),
    ("no expectation of efficiency", |plan| plan.expect.efficiency = None),
    ("no expectation of time", |plan| plan.expect.time = None),
    ("few other expectations", |plan| {
        let (efficiency, time) = (plan.expect.efficiency, plan.expect.time);
        let (tracker, justice) = (plan.expect.tracker, plan.expect.justice);
        plan.expect = Expect { efficiency, time, tracker, justice, ..Expect::default() };
    }),
    ("nobody has to complete", |plan| plan.expect.completed = Completed::AtLeast(0.0)),
];

/// Each makes one peer plainer.
pub(super) const PEER: &[(&str, Change<PeerPlan>)] = &[
    ("a peer is there from the start", |peer| peer.arrival = Duration::ZERO),
    ("a peer stays", |peer| peer.departure = Departure::Never),
    ("a peer at home in IPv4", |peer| peer.family = Families::V4),
    ("a peer without NAT", |peer| peer.nat = None),
    ("a peer without a region", |peer| peer.region = None),
];

/// Each makes one link plainer.
pub(super) const LINK: &[(&str, Change<Link>)] = &[
    ("a link without loss", |link| link.loss = 0.0),
    ("a link without delay", |link| link.latency = Duration::ZERO),
    ("a link without jitter", |link| link.roughness.jitter = None),
    ("a link without bursts of loss", |link| link.roughness.bursts = None),
    ("a link without duplicates", |link| link.roughness.duplicate = 0.0),
    ("a link that keeps the order", |link| link.roughness.reorder = None),
    ("a link that flips no bit", |link| link.roughness.corrupt = 0.0),
];

/// Each makes one fault of the network plainer.
pub(super) const NET_FAULT: &[(&str, Change<NetFaultPlan>)] = &[
    ("a fault at a whole second", |fault| round_down(&mut fault.at)),
    ("a shorter fault", |fault| {
        let half = Duration::from_secs((fault.lasts / 2).as_secs());
        fault.lasts = if half.is_zero() { fault.lasts } else { half };
    }),
    ("a cut from everybody", |fault| {
        if let NetFaultKind::Partition { from, .. } = &mut fault.kind {
            *from = None;
        }
    }),
    ("a cut in both directions", |fault| {
        if let NetFaultKind::Partition { one_way, .. } = &mut fault.kind {
            *one_way = false;
        }
    }),
];

/// A fault that waits for something comes when it came.
pub(super) fn at_a_time(when: &mut Option<Trigger>, at: &mut Duration, came: Duration) {
    if when.take().is_some() {
        *at = Duration::from_millis(came.as_millis() as u64);
    }
}

pub(super) fn round_down(at: &mut Duration) {
    *at = Duration::from_secs(at.as_secs());
}

pub(super) fn halve_content(plan: &mut Plan) {
    let piece = u64::from(plan.torrent.piece_length);
    let pieces = (plan.torrent.size.div_ceil(piece) / 2).max(MIN_PIECES);
    plan.torrent.size = plan.torrent.size.min(pieces * piece);
}

/// Half the time, though enough for who is not kept from completing: or it would fail for want of time alone.
pub(super) fn halve_time(plan: &mut Plan) {
    let faults = plan.faults.iter().map(|fault| fault.at);
    let ends = plan.net_faults.iter().map(|fault| fault.at + fault.lasts);
    let quiet = faults.chain(ends).max().unwrap_or_default().max(plan.run.at_least);
    let waits =
        plan.faults.iter().map(|fault| fault.when).chain(plan.net_faults.iter().map(|fault| fault.when));
    let bound = imagine(plan, plan.run.time_limit).swarm().bound();
    let least =
        bound.map_or(Duration::ZERO, |bound| Duration::from_secs_f64(bound.seconds.ceil())) * PATIENCE;
    let half = Duration::from_secs((plan.run.time_limit / 2).as_secs()).max(Duration::from_secs(1));
    if waits.flatten().next().is_none() && half >= quiet + least {
        plan.run.time_limit = half;
    }
}
