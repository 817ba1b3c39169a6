//! Peer priority (BEP 40): whom to keep when every connection is taken. Both ends of a connection come to the
//! same number, and nobody can choose theirs, so that the swarm's connections spread evenly and none flaps.

use std::net::{IpAddr, SocketAddr};

use crate::time::Instant;
use crate::torrent::machine::Torrent;
use crate::torrent::peers::Peer;
use crate::torrent::{DisconnectReason, PeerKey};

/// Leading bytes that are compared in any case: those of a /16 of IPv4, of a /48 of IPv6.
const V4_WHOLE: usize = 2;
const V6_WHOLE: usize = 6;

/// The priority of a connection between two addresses; nothing across families.
//= BEP 40: CRC32-C over both masked addresses, the smaller one first; over the ports if the addresses are equal.
fn priority(one: SocketAddr, other: SocketAddr) -> Option<u32> {
    let bytes = match (one.ip().to_canonical(), other.ip().to_canonical()) {
        (a, b) if a == b => sorted(one.port().to_be_bytes(), other.port().to_be_bytes()),
        (IpAddr::V4(a), IpAddr::V4(b)) => masked(a.octets(), b.octets(), V4_WHOLE),
        (IpAddr::V6(a), IpAddr::V6(b)) => masked(a.octets(), b.octets(), V6_WHOLE),
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => return None,
    };
    Some(crc32c(&bytes))
}

//= BEP 40: FF.FF.55.55 "unless the IP addresses are in the same /16. In that case, the mask to be used should be
//= FF.FF.FF.55", and so on, byte by byte; for IPv6 "derived in the same way", from a /48.
/// Both addresses, whole up to and with the first byte in which they differ, then every other bit.
fn masked<const N: usize>(mut a: [u8; N], mut b: [u8; N], whole: usize) -> Vec<u8> {
    let shared = a.iter().zip(&b).take_while(|(a, b)| a == b).count();
    for byte in a
        .iter_mut()
        .chain(&mut b)
        .enumerate()
        .filter_map(|(i, byte)| (i % N > shared.max(whole - 1)).then_some(byte))
    {
        *byte &= 0x55;
    }
    sorted(a, b)
}

fn sorted<const N: usize>(one: [u8; N], other: [u8; N]) -> Vec<u8> {
    [one.min(other), one.max(other)].concat()
}

/// CRC-32 with Castagnoli's polynomial, bit by bit: it is over a few dozen bytes.
fn crc32c(bytes: &[u8]) -> u32 {
    let step = |crc: u32| (crc >> 1) ^ (0x82f6_3b78 * (crc & 1));
    !bytes.iter().fold(!0, |crc, &byte| (0..8).fold(crc ^ u32::from(byte), |crc, _| step(crc)))
}

impl Torrent {
    /// Every connection is taken: one that lies idle and has a lower priority than the newcomer makes room.
    pub(super) fn make_room_for(
        &mut self,
        now: Instant,
        newcomer: SocketAddr,
    ) -> Result<(), DisconnectReason> {
        let idle = |peer: &Peer| peer.pipeline.len() == 0 && peer.uplink.len() == 0;
        let candidates = self.peers.iter().filter(|(_, peer)| idle(peer));
        let ranked = candidates.filter_map(|(&key, peer)| Some((self.priority_of(peer.addr)?, key)));
        let lowest: Option<(u32, PeerKey)> = ranked.min();
        match (lowest, self.priority_of(newcomer)) {
            (Some((lowest, key)), Some(new)) if lowest < new => {
                self.disconnect(now, key, DisconnectReason::Outranked);
                Ok(())
            }
            _ => Err(DisconnectReason::TooManyPeers),
        }
    }

    /// Other torrents need a connection of ours: one that lies idle, else the slowest, and of equal ones the youngest.
    pub(super) fn part_with_one(&mut self, now: Instant) {
        let use_of = |peer: &Peer| {
            let busy = peer.pipeline.len() > 0 || peer.uplink.len() > 0;
            (busy, peer.pipeline.ranking.rate(now) + peer.uplink.meter.rate(now))
        };
        let least = self.peers.iter().min_by_key(|&(&key, peer)| (use_of(peer), std::cmp::Reverse(key)));
        if let Some((&key, _)) = least {
            self.disconnect(now, key, DisconnectReason::Shared);
        }
    }

    /// The priority of a connection of ours; unknown until some peer has told us our own address.
    fn priority_of(&self, addr: SocketAddr) -> Option<u32> {
        let v4 = addr.ip().to_canonical().is_ipv4();
        let ours = SocketAddr::new(self.external_ip(v4)?, self.listen_port(v4).unwrap_or(0));
        priority(ours, addr)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(one: &str, other: &str) -> Option<u32> {
        priority(one.parse().unwrap(), other.parse().unwrap())
    }

    #[test]
    fn the_vectors_of_the_specification() {
        assert_eq!(of("123.213.32.10:1", "98.76.54.32:2"), Some(0xec2d_7224));
        assert_eq!(of("123.213.32.10:1", "123.213.32.234:2"), Some(0x9956_8189));
    }

    #[test]
    fn neighbours_are_told_apart_and_strangers_of_one_network_are_not() {
        assert_eq!(of("1.2.3.4:1", "9.9.0.0:1"), of("1.2.3.4:1", "9.9.170.170:7"));
        assert_ne!(of("1.2.3.4:1", "1.2.0.1:1"), of("1.2.3.4:1", "1.2.1.1:1"));
        assert_ne!(of("1.2.3.4:1", "1.2.3.5:1"), of("1.2.3.4:1", "1.2.3.7:1"));
        assert_ne!(of("1.2.3.4:1", "1.2.3.4:2"), of("1.2.3.4:1", "1.2.3.4:3"));
        assert_ne!(of("[2001:db8::1]:1", "[2001:db8::2]:1"), of("[2001:db8::1]:1", "[2001:db8:1::2]:1"));
        assert_eq!(of("1.2.3.4:1", "[2001:db8::1]:1"), None);
        // Hosts of one /64, told apart by the first byte in which they differ, whatever follows.
        assert_ne!(of("[2001:db8::1]:1", "[2001:db8::2]:1"), of("[2001:db8::1]:1", "[2001:db8::4]:1"));
        assert_ne!(
            of("[2001:db8::1]:1", "[2001:db8::100:0]:1"),
            of("[2001:db8::1]:1", "[2001:db8::200:0]:1")
        );
        assert_eq!(
            of("[2001:db8::1]:1", "[2001:db8::200:0]:1"),
            of("[2001:db8::1]:1", "[2001:db8::200:aa]:1")
        );
    }

    #[test]
    fn masks_are_those_of_the_specification() {
        let mask = |one: &str, other: &str| {
            let (one, other): (std::net::Ipv6Addr, std::net::Ipv6Addr) =
                (one.parse().unwrap(), other.parse().unwrap());
            let bytes = masked(one.octets(), other.octets(), V6_WHOLE);
            u128::from_be_bytes(bytes[16..].try_into().unwrap())
        };
        let all = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
        assert_eq!(mask("::", all), 0xffff_ffff_ffff_5555_5555_5555_5555_5555);
        assert_eq!(mask("ffff:ffff:ffff::", all), 0xffff_ffff_ffff_ff55_5555_5555_5555_5555);
        assert_eq!(mask("ffff:ffff:ffff:ff00::", all), 0xffff_ffff_ffff_ffff_5555_5555_5555_5555);
        assert_eq!(mask("ffff:ffff:ffff:ffff::", all), 0xffff_ffff_ffff_ffff_ff55_5555_5555_5555);
    }

    proptest! {
        #[test]
        fn both_ends_come_to_the_same_number(a: ([u8; 4], u16), b: ([u8; 4], u16), c: ([u16; 8], u16), d: ([u16; 8], u16)) {
            let (a, b) = (SocketAddr::from(a), SocketAddr::from(b));
            prop_assert_eq!(priority(a, b), priority(b, a));
            let (c, d) = (SocketAddr::from(c), SocketAddr::from(d));
            prop_assert_eq!(priority(c, d), priority(d, c));
        }
    }
}
