//! The hosts of a plan: who has which address and link.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use proto::tracker::Family;

use crate::network::{LinkProfile, NatId, NatProfile};
use crate::oracle::Holder;
use crate::scenario::{Families, Link, PeerPlan, Plan, TRACKER, Target};
use crate::world::{HostSpec, World};

/// The port that the tracker is bound to.
const TRACKER_PORT: u16 = 6969;

/// The port that every peer listens at.
const PEER_PORT: u16 = 6881;

/// Hosts in a subnet: the last byte is neither 0 nor 255, which are no hosts' addresses.
const HOSTS: usize = 250;

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
        Target::Peer(index) => {
            // Who shares an address listens at a port of its own, or nobody could tell them apart.
            let peer = plan.peers.get(index);
            let seat = peer.and_then(|peer| peer.nat.as_ref()).map_or(0, |place| place.seat as u16);
            (peer.map_or(Families::Dual, |peer| peer.family), PEER_PORT + seat)
        }
    };
    let address = |&family| SocketAddr::new(ip(index(target), family), port);
    families.list().iter().map(address).collect()
}

/// Where its engine listens: everywhere, as at home, so that it knows its own addresses from others alone.
pub(super) fn doors(plan: &Plan, target: Target) -> Vec<SocketAddr> {
    let everywhere = |addr: SocketAddr| match addr {
        SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, addr.port())),
        SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, addr.port())),
    };
    addresses(plan, target).into_iter().map(everywhere).collect()
}

/// What others call it: its addresses, or those of the box that it stands behind.
pub(super) fn public_addresses(plan: &Plan, index: usize) -> Vec<SocketAddr> {
    let place = plan.peers.get(index).and_then(|peer| peer.nat.as_ref());
    let public =
        |addr: SocketAddr| place.map_or(addr, |place| SocketAddr::new(public_ip(place.number), addr.port()));
    addresses(plan, Target::Peer(index)).into_iter().map(public).collect()
}

/// Puts up the NAT boxes, and the peers behind them.
pub(super) fn put_behind_nat(world: &mut World, plan: &Plan) {
    let mut boxes: BTreeMap<u32, NatId> = BTreeMap::new();
    for (number, peer) in plan.peers.iter().enumerate() {
        let target = Target::Peer(number);
        let (Some(place), Some(nat), Some(host)) = (&peer.nat, plan.nat_of(peer), world.host(index(target)))
        else {
            continue;
        };
        let profile = NatProfile { kind: nat.kind, mapping_timeout: nat.timeout, hairpin: nat.hairpin };
        let put_up = || world.add_nat(public_ip(place.number), profile);
        let id = *boxes.entry(place.number).or_insert_with(put_up);
        world.place_behind(host, id);
        addresses(plan, target).into_iter().filter(|_| nat.forward).for_each(|addr| world.forward(addr));
    }
}

/// 198.18.0.1 and so on: the range for tests of network devices (RFC 2544).
fn public_ip(index: u32) -> IpAddr {
    let index = index as usize;
    let byte = |number: usize| (number % HOSTS) as u8;
    IpAddr::from([198, 18 + byte(index / HOSTS / HOSTS), byte(index / HOSTS), byte(index) + 1])
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

/// Where everybody is and can be reached, for those who gossip.
pub(super) fn rumours(plan: &Plan) -> Vec<Vec<SocketAddr>> {
    let both = |index| {
        let mut addrs = addresses(plan, Target::Peer(index));
        addrs.extend(public_addresses(plan, index));
        addrs.dedup();
        addrs
    };
    (0..plan.peers.len()).map(both).collect()
}

/// 10.0.0.1 and so on, of which no last byte is 0 or 255, which are no hosts' addresses; or `fd00::1` and so on.
fn ip(index: usize, family: Family) -> IpAddr {
    if family == Family::V6 {
        return IpAddr::V6(Ipv6Addr::from_bits(0xfd00 << 112 | (index as u128 + 1)));
    }
    let byte = |number: usize| (number % HOSTS) as u8;
    let address = Ipv4Addr::new(10, byte(index / HOSTS / HOSTS), byte(index / HOSTS), byte(index) + 1);
    IpAddr::V4(address)
}

/// All hosts, the tracker first.
pub(super) fn specs(plan: &Plan) -> Vec<HostSpec> {
    let spec = |name: &str, target| HostSpec {
        name: name.to_owned(),
        addrs: addresses(plan, target).iter().map(SocketAddr::ip).collect(),
        link: profile_of(plan, target, link_of(plan, target)),
    };
    let peers = plan.peers.iter().enumerate();
    let peers = peers.map(|(index, peer)| spec(&peer.name, Target::Peer(index)));
    let observer = spec(OBSERVER, observer(plan));
    let tracker = spec(TRACKER, Target::Tracker);
    std::iter::once(tracker).chain(peers).chain([observer]).collect()
}

/// Whoever sends blocks has an account.
pub(super) fn holders(plan: &Plan) -> impl Iterator<Item = (usize, Holder)> {
    plan.peers.iter().enumerate().map(|(number, peer)| {
        let own = addresses(plan, Target::Peer(number));
        let addrs = own.into_iter().chain(public_addresses(plan, number));
        let addrs = addrs.map(|addr| addr.ip()).collect();
        (index(Target::Peer(number)), Holder { name: peer.name.clone(), addrs })
    })
}

/// The host behind the last peer's, from which the tracker is asked in the end.
pub(super) fn observer(plan: &Plan) -> Target {
    Target::Peer(plan.peers.len())
}

/// The access link of a host; the observer's is like the tracker's.
pub(super) fn link_of(plan: &Plan, target: Target) -> Link {
    plan.link(peer_at(plan, target).map_or(&plan.tracker.link, |peer| &peer.link))
}

/// What a host gets that has this link.
pub(super) fn profile_of(plan: &Plan, target: Target, link: Link) -> LinkProfile {
    let Link { up, down, latency, queue, loss, .. } = link;
    let latency = peer_at(plan, target).and_then(|peer| peer.latency).unwrap_or(latency);
    LinkProfile { up, down, latency, queue, loss }
}

/// Makes links rough, and puts hosts where they are in the world.
pub(super) fn lay_paths(world: &mut World, plan: &Plan) {
    world.set_regions(plan.regions.matrix());
    let peers = (0..plan.peers.len()).map(Target::Peer);
    for target in peers.chain([Target::Tracker, observer(plan)]) {
        let Some(host) = world.host(index(target)) else { continue };
        world.roughen(host, link_of(plan, target).roughness);
        let region = peer_at(plan, target).map_or(&plan.tracker.region, |peer| &peer.region);
        if let Some(number) = region.as_ref().and_then(|region| plan.regions.number(region)) {
            world.place_in(host, number);
        }
    }
}

fn peer_at(plan: &Plan, target: Target) -> Option<&PeerPlan> {
    match target {
        Target::Tracker => None,
        Target::Peer(index) => plan.peers.get(index),
    }
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
