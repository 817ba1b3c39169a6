//! Hosts behind NAT boxes, as the network meets them: addresses are changed where a packet leaves a host's stack and
//! where it reaches one, so that everything in between (flows, traces, taps) knows public addresses only.
//!
//! A departure from reality: which host a packet is for is looked up when it is sent. Whether it is let in is asked
//! when it arrives, as it should be.

use std::net::{IpAddr, SocketAddr};

use proto::time::Instant;
use turmoil_net::Packet;

use super::nat::{Nat, NatProfile, Protocol};
use super::packet;
use super::{Cargo, Drop, Network, Wire};

/// A box, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NatId(u32);

impl Network {
    /// Puts up a NAT box with this public address.
    pub fn add_nat(&mut self, public: IpAddr, profile: NatProfile) -> NatId {
        let id = NatId(self.nats.len() as u32);
        self.nats.push(Nat::new(public, profile));
        self.publics.insert(public, id);
        id
    }

    /// Puts a host behind a box, with its IPv4 address; IPv6 needs no translation.
    pub fn place_behind(&mut self, host: u32, nat: NatId) {
        if let Some(host) = self.hosts.get_mut(host as usize) {
            host.nat = Some(nat);
        }
    }

    /// Lets everybody in at this port of a host behind a box; false if it stands behind none, or if the port is
    /// another host's already.
    pub fn forward(&mut self, now: Instant, inside: SocketAddr) -> bool {
        let Some(nat) = self.nat_of(inside.ip()) else { return false };
        self.nats.get_mut(nat.0 as usize).is_some_and(|nat| nat.forward(now, inside))
    }

    /// Which host is meant by `addr`: its own address, or a public one with a port that stands for it.
    pub(super) fn locate(&self, now: Instant, protocol: Protocol, addr: SocketAddr) -> Option<u32> {
        let own = || self.addresses.get(&addr.ip()).copied();
        own().or_else(|| {
            let inside = self.nat_at(addr.ip())?.inside(now, protocol, addr.port())?;
            self.addresses.get(&inside.ip()).copied()
        })
    }

    /// Which hosts a packet goes between.
    pub(super) fn between(
        &self,
        now: Instant,
        [from, to]: [SocketAddr; 2],
        protocol: Protocol,
        cargo: &Cargo,
    ) -> [Option<u32>; 2] {
        if let (Cargo::Flow(freight), true) = (cargo, self.nats.is_empty())
            && let Some(connection) = self.connections.get(freight.connection)
        {
            // Without boxes an address is its host's for ever, and the connection knows its ends.
            return [freight.side, 1 - freight.side].map(|side| connection.hosts.get(side).copied());
        }
        [from, to].map(|addr| self.locate(now, protocol, addr))
    }

    /// Gives a packet that leaves a stack its public source; says why if it does not get out.
    pub(super) fn translate_out(&mut self, now: Instant, packet: &mut Packet) -> Result<(), Drop> {
        if self.nats.is_empty() {
            return Ok(());
        }
        let (from, to) = packet::endpoints(packet);
        let public = self.public_name(now, packet::protocol(packet), from, to)?;
        packet::set_source(packet, public);
        Ok(())
    }

    /// What the source of a packet that leaves a stack is called outside; says why if it does not get out.
    pub(super) fn public_name(
        &mut self,
        now: Instant,
        protocol: Protocol,
        from: SocketAddr,
        to: SocketAddr,
    ) -> Result<SocketAddr, Drop> {
        if self.nats.is_empty() {
            return Ok(from);
        }
        let home = self.nat_of(from.ip());
        if let Some(far) = self.nat_of(to.ip()) {
            // A private address means something at home only, where no box stands between.
            return if home == Some(far) { Ok(from) } else { Err(Drop::NoRoute) };
        }
        let Some(nat) = home.and_then(|home| self.nats.get_mut(home.0 as usize)) else { return Ok(from) };
        if to.ip() == nat.public() && !nat.hairpins() {
            return Err(Drop::Nat);
        }
        nat.outbound(now, protocol, from, to).ok_or(Drop::Nat)
    }

    /// Does the receiver's box let this packet in?
    pub(super) fn lets_in(&self, now: Instant, wire: &Wire) -> bool {
        self.nat_at(wire.to.ip())
            .is_none_or(|nat| nat.admits(now, wire.lot.protocol, wire.to.port(), wire.from))
    }

    /// Gives a packet that reaches a stack its private destination; false if nobody is meant any more.
    pub(super) fn translate_in(&self, now: Instant, packet: &mut Packet) -> bool {
        let (_, to) = packet::endpoints(packet);
        let Some(nat) = self.nat_at(to.ip()) else { return true };
        let inside = nat.inside(now, packet::protocol(packet), to.port());
        inside.inspect(|&inside| packet::set_destination(packet, inside)).is_some()
    }

    fn nat_of(&self, inside: IpAddr) -> Option<NatId> {
        let host = *self.addresses.get(&inside).filter(|_| inside.is_ipv4())?;
        self.hosts.get(host as usize).and_then(|host| host.nat)
    }

    fn nat_at(&self, public: IpAddr) -> Option<&Nat> {
        let id = self.publics.get(&public)?;
        self.nats.get(id.0 as usize)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use turmoil_net::{Transport, UdpDatagram};

    use super::super::{LinkProfile, NatKind};
    use super::*;

    const OPEN: [u8; 4] = [10, 0, 0, 1];
    const HOME: [u8; 4] = [10, 0, 0, 2];
    const NEXT_ROOM: [u8; 4] = [10, 0, 0, 3];
    const PUBLIC: [u8; 4] = [198, 18, 0, 1];

    struct Bench {
        network: Network,
        now: Instant,
    }

    impl Bench {
        /// An open host, and two behind one port-restricted box.
        fn new(hairpin: bool) -> Self {
            let profile = LinkProfile {
                up: 1 << 20,
                down: 1 << 20,
                latency: Duration::from_millis(5),
                queue: 1 << 20,
                loss: 0.0,
            };
            let mut network = Network::new(1, 1_500);
            let hosts = [OPEN, HOME, NEXT_ROOM].map(|ip| network.add_host(&[IpAddr::from(ip)], profile));
            let mapping_timeout = Duration::from_secs(120);
            let nat = NatProfile { kind: NatKind::PortRestricted, mapping_timeout, hairpin };
            let nat = network.add_nat(IpAddr::from(PUBLIC), nat);
            network.place_behind(hosts[1], nat);
            network.place_behind(hosts[2], nat);
            Self { network, now: Instant::ZERO }
        }

        /// Sends a datagram and lets it arrive: what the receiving stack sees of it.
        fn send(&mut self, from: ([u8; 4], u16), to: ([u8; 4], u16)) -> Option<(SocketAddr, SocketAddr)> {
            let datagram =
                UdpDatagram { src_port: from.1, dst_port: to.1, payload: Bytes::from_static(b"block") };
            let payload = Transport::Udp(datagram);
            let packet = Packet { src: IpAddr::from(from.0), dst: IpAddr::from(to.0), ttl: 64, payload };
            self.network.send(self.now, packet);
            self.now += Duration::from_millis(100);
            self.network.advance(self.now);
            self.network.poll_delivery(self.now).map(|(_, packet)| packet::endpoints(&packet))
        }
    }

    fn addr((ip, port): ([u8; 4], u16)) -> SocketAddr {
        SocketAddr::from((ip, port))
    }

    #[test]
    fn a_reply_comes_home_and_a_stranger_does_not() {
        let mut bench = Bench::new(false);
        assert_eq!(bench.send((OPEN, 7), (PUBLIC, 6881)), None, "nobody has asked");
        let seen = bench.send((HOME, 6881), (OPEN, 7));
        assert_eq!(seen, Some((addr((PUBLIC, 6881)), addr((OPEN, 7)))), "outside, only the box is seen");
        assert_eq!(bench.send((OPEN, 7), (PUBLIC, 6881)), Some((addr((OPEN, 7)), addr((HOME, 6881)))));
        assert_eq!(bench.send((OPEN, 8), (PUBLIC, 6881)), None, "another port is a stranger");
        assert_eq!(bench.send((OPEN, 7), (HOME, 6881)), None, "a private address means nothing outside");
        assert_eq!(bench.network.totals().dropped, 3);
    }

    #[test]
    fn a_forwarded_port_is_reached_from_outside() {
        let mut bench = Bench::new(false);
        assert!(bench.network.forward(Instant::ZERO, addr((NEXT_ROOM, 6882))));
        assert!(!bench.network.forward(Instant::ZERO, addr((OPEN, 6882))), "it has no box");
        assert_eq!(bench.send((OPEN, 7), (PUBLIC, 6882)), Some((addr((OPEN, 7)), addr((NEXT_ROOM, 6882)))));
    }

    #[test]
    fn neighbours_meet_at_home_and_through_their_public_address_if_the_box_turns_packets_round() {
        for hairpin in [false, true] {
            let mut bench = Bench::new(hairpin);
            let at_home = (addr((HOME, 6881)), addr((NEXT_ROOM, 6882)));
            assert_eq!(bench.send((HOME, 6881), (NEXT_ROOM, 6882)), Some(at_home));
            bench.network.forward(bench.now, addr((NEXT_ROOM, 6882)));
            let turned = bench.send((HOME, 6881), (PUBLIC, 6882));
            let seen = (addr((PUBLIC, 6881)), addr((NEXT_ROOM, 6882)));
            assert_eq!(turned, hairpin.then_some(seen));
        }
    }
}
