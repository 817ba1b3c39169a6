//! The hosts of a plan: who has which address and link.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::network::LinkProfile;
use crate::scenario::{Link, Plan, TRACKER, Target};
use crate::world::HostSpec;

/// The port that the tracker is bound to.
const TRACKER_PORT: u16 = 6969;

/// The port that every peer listens at.
const PEER_PORT: u16 = 6881;

/// The name of the host that only watches.
const OBSERVER: &str = "observer";

/// A host's place in the list of [`specs`].
pub(super) fn index(target: Target) -> usize {
    match target {
        Target::Tracker => 0,
        Target::Peer(index) => index + 1,
    }
}

/// Where a host's tracker or peer can be reached.
pub(super) fn address(target: Target) -> SocketAddr {
    let port = if target == Target::Tracker { TRACKER_PORT } else { PEER_PORT };
    SocketAddr::new(ip(index(target)), port)
}

/// 10.0.0.1 and so on. No last byte is 0 or 255, which are no hosts' addresses.
fn ip(index: usize) -> IpAddr {
    const HOSTS: usize = 250;
    let byte = |number: usize| (number % HOSTS) as u8;
    let address = Ipv4Addr::new(10, byte(index / HOSTS / HOSTS), byte(index / HOSTS), byte(index) + 1);
    IpAddr::V4(address)
}

/// All hosts, the tracker first.
pub(super) fn specs(plan: &Plan) -> Vec<HostSpec> {
    let spec = |name: &str, target, link| HostSpec {
        name: name.to_owned(),
        addr: address(target).ip(),
        link: profile(plan.link(link)),
    };
    let peers = plan.peers.iter().enumerate();
    let peers = peers.map(|(index, peer)| spec(&peer.name, Target::Peer(index), &peer.link));
    let observer = spec(OBSERVER, observer(plan), &plan.tracker.link);
    let tracker = spec(TRACKER, Target::Tracker, &plan.tracker.link);
    std::iter::once(tracker).chain(peers).chain([observer]).collect()
}

/// The host behind the last peer's, from which the tracker is asked in the end.
pub(super) fn observer(plan: &Plan) -> Target {
    Target::Peer(plan.peers.len())
}

fn profile(link: Link) -> LinkProfile {
    let Link { up, down, latency, queue, loss } = link;
    LinkProfile { up, down, latency, queue, loss }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::scenario::MAX_PEERS;

    #[test]
    fn every_peer_has_an_address_of_its_own() {
        let addresses: BTreeSet<_> = (0..=MAX_PEERS + 1).map(ip).collect();
        assert_eq!(addresses.len(), MAX_PEERS + 2);
        let reserved = |ip: &IpAddr| matches!(ip, IpAddr::V4(v4) if [0, 255].contains(&v4.octets()[3]));
        assert!(!addresses.iter().any(reserved));
        assert_eq!(address(Target::Peer(0)).to_string(), "10.0.0.2:6881");
    }
}
