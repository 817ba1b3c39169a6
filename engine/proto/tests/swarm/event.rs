//! What happens next in the little world, and the addresses of its nodes.

use std::cmp::Ordering;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use proto::time::Instant;
use proto::torrent::PeerKey;

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

/// Where a node listens.
pub(crate) fn address(node: usize) -> SocketAddr {
    let [.., high, low] = (node as u32).to_be_bytes();
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, high, low)), 6881)
}

/// The node that listens there.
pub(crate) fn node_at(addr: SocketAddr) -> usize {
    let IpAddr::V4(ip) = addr.ip() else { unreachable!("the world speaks IPv4") };
    usize::from(ip.octets()[2]) << 8 | usize::from(ip.octets()[3])
}
