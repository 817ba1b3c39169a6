//! The hosts of a plan: who has which address and link.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use proto::tracker::Family;

use crate::network::LinkProfile;
use crate::scenario::{Families, Link, Plan, TRACKER, Target};
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

/// Where a host's tracker or peer can be reached: an address of each family that it speaks.
pub(super) fn addresses(plan: &Plan, target: Target) -> Vec<SocketAddr> {
    let (families, port) = match target {
        Target::Tracker => (plan.tracker.family, TRACKER_PORT),
        Target::Peer(index) => (plan.peers.get(index).map_or(Families::Dual, |peer| peer.family), PEER_PORT),
    };
    let address = |&family| SocketAddr::new(ip(index(target), family), port);
    families.list().iter().map(address).collect()
}

/// The addresses over which the tracker and a host can talk; of two families the first.
pub(super) fn talking(plan: &Plan, target: Target) -> Option<(SocketAddr, SocketAddr)> {
    let own = addresses(plan, target);
    let mut pairs = addresses(plan, Target::Tracker).into_iter().filter_map(|tracker| {
        let own = own.iter().find(|own| own.is_ipv4() == tracker.is_ipv4())?;
        Some((tracker, *own))
    });
    pairs.next()
}

/// The tracker's URL, whose host stands for all its addresses.
pub(super) fn announce_url() -> String {
    format!("udp://{TRACKER}:{TRACKER_PORT}/announce")
}

/// 10.0.0.1 and so on, of which no last byte is 0 or 255, which are no hosts' addresses; or `fd00::1` and so on.
fn ip(index: usize, family: Family) -> IpAddr {
    const HOSTS: usize = 250;
    if family == Family::V6 {
        return IpAddr::V6(Ipv6Addr::from_bits(0xfd00 << 112 | (index as u128 + 1)));
    }
    let byte = |number: usize| (number % HOSTS) as u8;
    let address = Ipv4Addr::new(10, byte(index / HOSTS / HOSTS), byte(index / HOSTS), byte(index) + 1);
    IpAddr::V4(address)
}

/// All hosts, the tracker first.
pub(super) fn specs(plan: &Plan) -> Vec<HostSpec> {
    let spec = |name: &str, target, link| HostSpec {
        name: name.to_owned(),
        addrs: addresses(plan, target).iter().map(SocketAddr::ip).collect(),
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
        let both = |index| [Family::V4, Family::V6].map(|family| ip(index, family));
        let addresses: BTreeSet<_> = (0..=MAX_PEERS + 1).flat_map(both).collect();
        assert_eq!(addresses.len(), 2 * (MAX_PEERS + 2));
        let reserved = |ip: &IpAddr| matches!(ip, IpAddr::V4(v4) if [0, 255].contains(&v4.octets()[3]));
        assert!(!addresses.iter().any(reserved));
        assert_eq!(both(1).map(|ip| ip.to_string()), ["10.0.0.2", "fd00::2"]);
    }
}
