//! What happens next in a core swarm, the order of it, and the addresses of its peers.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use bytes::Bytes;
use proto::resume::Step;
use proto::time::Instant;
use proto::torrent::{Input, PeerKey};
use proto::tracker::Family;

/// Where peers listen.
const PORT: u16 = 6881;

/// Something that happens at a set time. Of what a process waits for, the life says which process it was.
#[derive(Debug)]
pub(super) enum What {
    /// A peer's process starts.
    Starts(usize),
    /// Its timer fires.
    Wakes {
        host: usize,
        life: u32,
    },
    /// A disk job is done.
    Disk {
        host: usize,
        life: u32,
        input: Input,
    },
    /// So is a step of the resume data.
    Kept {
        host: usize,
        life: u32,
        step: Step,
    },
    /// An uplink finished a packet.
    UplinkFree(usize),
    /// Bytes of a stream arrive, sent by this end.
    Delivered {
        from: PeerKey,
        bytes: Bytes,
    },
    /// The end hears that so many of its bytes arrived.
    Acknowledged {
        end: PeerKey,
        bytes: usize,
    },
    /// A connection is open at this end.
    Opened(PeerKey),
    /// A dial failed.
    Refused {
        host: usize,
        life: u32,
        addr: SocketAddr,
    },
    /// The other side has closed: this end hears of it.
    Closed(PeerKey),
    Datagram {
        from: SocketAddr,
        to: SocketAddr,
        payload: Bytes,
    },
    /// A fault of the plan, by its place there.
    Fault(usize),
}

/// The same with its time; of two at one time the one that was planned first comes first.
#[derive(Debug)]
struct Due {
    at: Instant,
    order: u64,
    what: What,
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.order == other.order
    }
}

impl Eq for Due {}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Due {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.order).cmp(&(self.at, self.order))
    }
}

/// Everything that is to happen.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    heap: BinaryHeap<Due>,
    order: u64,
}

impl Agenda {
    pub(super) fn schedule(&mut self, at: Instant, what: What) {
        self.order += 1;
        self.heap.push(Due { at, order: self.order, what });
    }

    pub(super) fn next(&mut self) -> Option<(Instant, What)> {
        self.heap.pop().map(|due| (due.at, due.what))
    }
}

/// Where the peer of this number listens in a family.
pub(super) fn address(number: u32, family: Family) -> SocketAddr {
    let [.., high, low] = number.to_be_bytes();
    let ip = match family {
        Family::V4 => IpAddr::V4(Ipv4Addr::new(10, 0, high, low)),
        Family::V6 => IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, number as u16)),
    };
    SocketAddr::new(ip, PORT)
}

/// The number of whoever has this address.
pub(super) fn number_at(addr: SocketAddr) -> u32 {
    match addr.ip() {
        IpAddr::V4(ip) => u32::from(ip) & 0xffff,
        IpAddr::V6(ip) => u32::from(ip.segments()[7]),
    }
}

/// The tracker's address in a family.
pub(super) fn tracker(family: Family) -> SocketAddr {
    SocketAddr::new(address(TRACKER, family).ip(), 6969)
}

/// The tracker's number; peers have smaller ones.
pub(super) const TRACKER: u32 = 0xffff;
