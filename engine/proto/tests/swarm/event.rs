//! What happens next in the little world, and the addresses of its nodes.

use std::cmp::Ordering;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use proto::time::Instant;
use proto::torrent::PeerKey;
use proto::tracker::Family;

use crate::link::Packet;

/// Something that happens at a set time.
#[derive(Debug)]
pub(crate) enum What {
    Arrives(usize),
    Leaves(usize),
    Wakes(usize),
    /// The uplink finished a message.
    UplinkFree(usize),
    Delivered(Packet),
    Connected {
        link: usize,
    },
    Refused {
        node: usize,
        addr: SocketAddr,
    },
    Closed {
        to: usize,
        peer: PeerKey,
    },
}

/// The same with its time; of two at one time the one that was planned first comes first.
#[derive(Debug)]
pub(crate) struct Due {
    pub(crate) at: Instant,
    pub(crate) order: u64,
    pub(crate) what: What,
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

/// Where a node listens in a family.
pub(crate) fn address(node: usize, family: Family) -> SocketAddr {
    let [.., high, low] = (node as u32).to_be_bytes();
    let ip = match family {
        Family::V4 => IpAddr::V4(Ipv4Addr::new(10, 0, high, low)),
        Family::V6 => IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, node as u16)),
    };
    SocketAddr::new(ip, 6881)
}

/// The node that listens there.
pub(crate) fn node_at(addr: SocketAddr) -> usize {
    let [high, low] = match addr.ip() {
        IpAddr::V4(ip) => [ip.octets()[2], ip.octets()[3]],
        IpAddr::V6(ip) => ip.segments()[7].to_be_bytes(),
    };
    usize::from(high) << 8 | usize::from(low)
}
