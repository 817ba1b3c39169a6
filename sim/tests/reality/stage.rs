//! A plan, performed by real processes.
//!
//! A host's link stands apart from the host, as a modem does: packets cross from its own network into the lab's, where
//! one device leads them towards the others and another one towards the host, both with a `tbf` of the link's rate and
//! queue. At the host itself the kernel would hold a socket back before its own queue is full, and nothing would
//! ever be dropped. Rates and queues count IP packets, as in the simulator, so Ethernet's 14 bytes are taken off.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use sim::network::Roughness;
use sim::scenario::{Departure, Families, Link, PeerPlan, Plan, Policy, Role, Start};

use crate::lab::{Lab, now};
use crate::outcome::{Outcome, Run};

/// Where peers meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Each in a network of its own, over links as the plan has them.
    Namespaces,
    /// All over one loopback device, which limits nothing.
    Loopback,
}

/// What `tbf` saves up while nothing is sent: a 200th of a second, which is what its timer may be late by.
const BURSTS_PER_SECOND: u64 = 200;

/// The least of it: two packets with their headers.
const LEAST_BURST: u64 = 3028;

impl Place {
    /// The address of the host numbered so; the tracker has 0.
    fn addr(self, host: usize) -> SocketAddr {
        let (port, host) = (if host == 0 { 6969 } else { 6881 }, host as u8);
        match self {
            Self::Namespaces => SocketAddr::from(([10, 0, 0, 1 + host], port)),
            Self::Loopback => SocketAddr::from(([127, 0, 0, 1], port + u16::from(host))),
        }
    }

    /// What a program on this host is started with.
    fn prefix(self, host: usize) -> String {
        match self {
            Self::Namespaces => format!("ip netns exec n{host}"),
            Self::Loopback => String::new(),
        }
    }
}

/// Runs `plan` to the end, which is when every leecher is complete and the tracker knows it.
pub(crate) fn perform(plan: &Plan, place: Place, lab: &mut Lab) -> Run {
    assert!(is_feasible(plan), "{} has what reality is not asked for here", plan.name);
    if place == Place::Namespaces {
        lab.tell("ip link add name core type bridge stp_state 0 forward_delay 0\nip link set core up");
        let links = std::iter::once(plan.link(&plan.tracker.link))
            .chain(plan.peers.iter().map(|peer| plan.link_of(peer)));
        for (host, link) in links.enumerate() {
            lab.tell(&wiring(host, &link));
        }
    }
    lab.tell(&tracker(plan, place));
    lab.until("the tracker listens", |lab| lab.log("tracker.err").contains("listening"));
    let times = act(plan, place, lab);
    lab.until("everybody has told the tracker", |lab| {
        leechers(plan).all(|peer| lab.events(&peer.name, "announced").len() >= 2 && done(lab, plan, peer))
    });
    lab.tell("kill -TERM $tracker_id; wait $tracker_id");
    for peer in leechers(plan) {
        lab.tell(&format!(
            "cmp content.bin data/{0}/content.bin >logs/{0}.same && echo same >logs/{0}.same",
            peer.name
        ));
    }
    lab.tell("echo over");
    lab.until("the shell is done", |lab| lab.log("shell.out").contains("over"));
    Run { times, outcome: outcome(plan, lab) }
}

fn leechers(plan: &Plan) -> impl Iterator<Item = &PeerPlan> {
    plan.leechers().map(|(_, peer)| peer)
}

/// Is there nothing in it but content, links without delay, and peers who stay?
fn is_feasible(plan: &Plan) -> bool {
    let plain = |link: &Link| {
        (link.latency, link.loss, link.roughness) == (Duration::ZERO, 0.0, Roughness::default())
    };
    let usual = |peer: &PeerPlan| {
        let is_known = peer.role == Role::Seeder && peer.arrival.is_zero() || peer.role == Role::Leecher;
        let is_near = peer.family == Families::V4 && peer.nat.is_none() && peer.region.is_none();
        let stays = peer.departure == Departure::Never && peer.start == Start::File;
        is_known && is_near && stays && peer.policy == Policy::default() && peer.select.is_none()
    };
    plan.faults.is_empty()
        && plan.net_faults.is_empty()
        && plan.peers.iter().all(|peer| usual(peer) && plain(&plan.link_of(peer)))
}

/// The host numbered so, its network and its link.
fn wiring(host: usize, link: &Link) -> String {
    let mut script = format!(
        "ip netns add n{host}
         ip link add name home{host} type bridge stp_state 0 forward_delay 0
         ip link add name down{host} type veth peer name eth0 netns n{host}
         ip link add name up{host} type veth peer name far{host}
         ip link set down{host} master home{host}
         ip link set up{host} master home{host}
         ip link set far{host} master core
         ip -n n{host} link set eth0 gso_max_segs 1
         ip -n n{host} addr add {}/24 dev eth0
         ip -n n{host} link set lo up
         ip -n n{host} link set eth0 up
         ip -n n{host} route change 10.0.0.0/24 dev eth0 congctl reno\n",
        Place::Namespaces.addr(host).ip()
    );
    for device in ["home", "down", "up", "far"] {
        let _ = writeln!(script, "ip link set {device}{host} up");
    }
    for (device, rate) in [("up", link.up), ("down", link.down)] {
        let burst = LEAST_BURST.max(rate / BURSTS_PER_SECOND);
        let _ = writeln!(
            script,
            "tc qdisc add dev {device}{host} root stab overhead -14 linklayer ethernet tbf rate {}bit burst {burst} limit {}",
            rate * 8,
            link.queue
        );
    }
    script
}

/// The torrent, and the tracker that it names.
fn tracker(plan: &Plan, place: Place) -> String {
    let (addr, prefix) = (place.addr(0), place.prefix(0));
    format!(
        "\"$peer\" create content.bin -o content.torrent -t udp://{addr} --piece-length {} >logs/create.out
         {prefix} \"$tracker\" --bind {addr} --db '' --admin '' --json >logs/tracker.out 2>logs/tracker.err &
         tracker_id=$!",
        plan.torrent.piece_length
    )
}

/// The peer at `index` of the plan.
fn peer(plan: &Plan, index: usize, place: Place) -> String {
    let PeerPlan { name, role, .. } = &plan.peers[index];
    let (addr, prefix) = (place.addr(index + 1), place.prefix(index + 1));
    let task = if *role == Role::Seeder {
        format!(
            "mkdir data/{name}; cp content.bin data/{name}\n{prefix} \"$peer\" seed content.torrent --data data/{name}"
        )
    } else {
        format!("{prefix} \"$peer\" download content.torrent --output data/{name} --seed")
    };
    format!("{task} --json --no-lsd --listen {addr} >logs/{name}.out 2>logs/{name}.err &")
}

/// Starts everybody at their times, and notes when who is complete. The clock starts when the seeders have looked at
/// their content and are in the swarm, which takes no time in the simulator.
fn act(plan: &Plan, place: Place, lab: &mut Lab) -> Vec<Duration> {
    let (leechers, seeders): (Vec<_>, Vec<_>) =
        (0..plan.peers.len()).partition(|&index| plan.peers[index].role == Role::Leecher);
    for &index in &seeders {
        lab.tell(&peer(plan, index, place));
    }
    lab.until("the seeders are there", |lab| {
        seeders.iter().all(|&index| !lab.events(&plan.peers[index].name, "announced").is_empty())
    });
    let start = now();
    let (mut waiting, mut downloading, mut times) = (leechers, Vec::new(), Vec::new());
    lab.until("everybody is complete", |lab| {
        let time = now() - start;
        let (due, later) = waiting.iter().partition(|&&index| plan.peers[index].arrival <= time);
        waiting = later;
        for &index in &due {
            lab.tell(&peer(plan, index, place));
        }
        downloading.extend::<Vec<usize>>(due);
        let before = downloading.len();
        downloading.retain(|&index| lab.events(&plan.peers[index].name, "complete").is_empty());
        times.extend(std::iter::repeat_n(time, before - downloading.len()));
        waiting.is_empty() && downloading.is_empty()
    });
    times
}

/// Has it said that it has everything, figures and all?
fn done(lab: &Lab, plan: &Plan, peer: &PeerPlan) -> bool {
    lab.events(&peer.name, "progress").last().is_some_and(|said| said["done"] == plan.torrent.size)
}

fn outcome(plan: &Plan, lab: &Lab) -> Outcome {
    let counters: serde_json::Value =
        serde_json::from_str(&lab.log("tracker.out")).expect("the tracker's counters");
    let count = |name: &str| counters[name].as_u64().expect("a counter");
    let useful = |peer: &PeerPlan| {
        let said = lab.events(&peer.name, "progress").pop().expect("it was there before");
        let bytes = |name: &str| said[name].as_u64().expect("bytes");
        bytes("downloaded") - bytes("duplicate") - bytes("wasted") - bytes("failed")
    };
    Outcome {
        identical: leechers(plan).filter(|peer| lab.log(&format!("{}.same", peer.name)) == "same\n").count(),
        payload: leechers(plan).map(useful).sum(),
        announces: count("announces"),
        completed: count("completed"),
    }
}
