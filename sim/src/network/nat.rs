//! A NAT box: the home router between some hosts and the Internet (RFC 4787 for UDP, RFC 5382 for TCP).
//!
//! Two questions tell its four kinds apart (RFC 4787, sections 4 and 5; the old names are of RFC 3489):
//!
//! | kind | does a new destination get a new port? | whose packets get in through a port? |
//! |---|---|---|
//! | full cone | no | anybody's |
//! | restricted | no | those of addresses that it has sent to |
//! | port-restricted | no | those of address and port that it has sent to |
//! | symmetric | yes | those of the one destination |
//!
//! Pure: time is an argument, and no draw is made. Ports are kept where they are free, else the next free one is
//! taken, so that what happens inside one box never depends on another.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use proto::time::Instant;

/// Mappings of one box at a time: what small home routers have room for.
const MAX_MAPPINGS: usize = 4_096;

/// Destinations that one mapping remembers: a peer talks to some hundreds from one UDP port.
const MAX_REMOTES: usize = 4_096;

/// A silent TCP connection is forgotten after this: 2 hours and 4 minutes (RFC 5382, REQ-5).
const TCP_LIFE: Duration = Duration::from_secs(7_440);

/// Ports below are never given to a program inside (RFC 4787, section 4.2.1).
const FIRST_PORT: u16 = 1_024;

/// Which of the four it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NatKind {
    /// Endpoint-independent mapping and filtering.
    FullCone,
    /// Filters by address.
    Restricted,
    /// Filters by address and port.
    PortRestricted,
    /// A mapping of its own for each destination.
    Symmetric,
}

/// What a box is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NatProfile {
    /// How it maps and filters.
    pub kind: NatKind,
    /// A UDP mapping ends after so long without a packet from inside.
    pub mapping_timeout: Duration,
    /// Do its own hosts reach each other through its public address?
    pub hairpin: bool,
}

/// The protocols have ports of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// Datagrams.
    Udp,
    /// Connections.
    Tcp,
}

/// One public port in use.
#[derive(Debug)]
struct Mapping {
    inside: SocketAddr,
    /// The one destination, of a symmetric mapping.
    only: Option<SocketAddr>,
    /// When a packet last left through it.
    used: Instant,
    /// Where it has sent to, and when last.
    remotes: BTreeMap<SocketAddr, Instant>,
    /// Set up by hand: it never ends and lets everybody in.
    forwarded: bool,
}

/// One box.
#[derive(Debug)]
pub struct Nat {
    profile: NatProfile,
    public: IpAddr,
    ports: BTreeMap<(Protocol, u16), Mapping>,
    /// The port of what is inside, and of its one destination if the box is symmetric.
    inside: BTreeMap<(Protocol, SocketAddr, Option<SocketAddr>), u16>,
}

impl Nat {
    /// A box with this public address.
    pub const fn new(public: IpAddr, profile: NatProfile) -> Self {
        Self { profile, public, ports: BTreeMap::new(), inside: BTreeMap::new() }
    }

    /// Its public address.
    pub const fn public(&self) -> IpAddr {
        self.public
    }

    /// Do its own hosts reach each other through its public address?
    pub const fn hairpins(&self) -> bool {
        self.profile.hairpin
    }

    /// Lets everybody in at `inside`'s port, for both protocols, as a user (or `UPnP`) sets it up. False if the port
    /// belongs to somebody else.
    pub fn forward(&mut self, now: Instant, inside: SocketAddr) -> bool {
        [Protocol::Udp, Protocol::Tcp].into_iter().all(|protocol| {
            let taken = self.ports.contains_key(&(protocol, inside.port()));
            if !taken {
                self.enter(now, protocol, inside, None, inside.port(), true);
            }
            !taken
        })
    }

    /// A packet leaves from `inside` to `remote`: what its source is called outside. Nothing if every port is taken.
    pub fn outbound(
        &mut self,
        now: Instant,
        protocol: Protocol,
        inside: SocketAddr,
        remote: SocketAddr,
    ) -> Option<SocketAddr> {
        let only = (self.profile.kind == NatKind::Symmetric).then_some(remote);
        let port = match self.port_of(now, protocol, inside, only) {
            Some(port) => port,
            None => self.map(now, protocol, inside, only)?,
        };
        let life = self.life(protocol);
        let mapping = self.ports.get_mut(&(protocol, port))?;
        mapping.used = now;
        if mapping.remotes.len() >= MAX_REMOTES {
            mapping.remotes.retain(|_, used| *used + life > now);
        }
        if mapping.remotes.len() < MAX_REMOTES || mapping.remotes.contains_key(&remote) {
            mapping.remotes.insert(remote, now);
        }
        Some(SocketAddr::new(self.public, port))
    }

    /// Who is called so outside, whoever asks.
    pub fn inside(&self, now: Instant, protocol: Protocol, port: u16) -> Option<SocketAddr> {
        self.alive(now, protocol, port).map(|mapping| mapping.inside)
    }

    /// Does a packet from `remote` get in at `port`?
    pub fn admits(&self, now: Instant, protocol: Protocol, port: u16, remote: SocketAddr) -> bool {
        let Some(mapping) = self.alive(now, protocol, port) else { return false };
        let life = self.life(protocol);
        let mut spoken_to = mapping.remotes.iter().filter(|(_, used)| **used + life > now).map(|(to, _)| to);
        mapping.forwarded
            || match self.profile.kind {
                NatKind::FullCone => true,
                NatKind::Restricted => spoken_to.any(|to| to.ip() == remote.ip()),
                NatKind::PortRestricted | NatKind::Symmetric => spoken_to.any(|to| *to == remote),
            }
    }

    const fn life(&self, protocol: Protocol) -> Duration {
        match protocol {
            Protocol::Udp => self.profile.mapping_timeout,
            Protocol::Tcp => TCP_LIFE,
        }
    }

    fn alive(&self, now: Instant, protocol: Protocol, port: u16) -> Option<&Mapping> {
        let life = self.life(protocol);
        self.ports.get(&(protocol, port)).filter(|mapping| mapping.forwarded || mapping.used + life > now)
    }

    /// The port that stands for `inside` already. What is forwarded stands for every destination.
    fn port_of(
        &self,
        now: Instant,
        protocol: Protocol,
        inside: SocketAddr,
        only: Option<SocketAddr>,
    ) -> Option<u16> {
        let known = |only| self.inside.get(&(protocol, inside, only)).copied();
        let forwarded = known(None).filter(|_| only.is_some());
        let port = forwarded.or_else(|| known(only))?;
        self.alive(now, protocol, port).map(|_| port)
    }

    /// Finds a port for something new.
    fn map(
        &mut self,
        now: Instant,
        protocol: Protocol,
        inside: SocketAddr,
        only: Option<SocketAddr>,
    ) -> Option<u16> {
        if self.ports.len() >= MAX_MAPPINGS {
            self.purge(now);
        }
        if self.ports.len() >= MAX_MAPPINGS {
            return None;
        }
        let from = inside.port().max(FIRST_PORT);
        let mut candidates = (from..=u16::MAX).chain(FIRST_PORT..from);
        let port = candidates.find(|&port| self.alive(now, protocol, port).is_none())?;
        self.enter(now, protocol, inside, only, port, false);
        Some(port)
    }

    fn enter(
        &mut self,
        now: Instant,
        protocol: Protocol,
        inside: SocketAddr,
        only: Option<SocketAddr>,
        port: u16,
        forwarded: bool,
    ) {
        let mapping = Mapping { inside, only, used: now, remotes: BTreeMap::new(), forwarded };
        if let Some(old) = self.ports.insert((protocol, port), mapping) {
            self.inside.remove(&(protocol, old.inside, old.only));
        }
        self.inside.insert((protocol, inside, only), port);
    }

    /// Forgets what has ended.
    fn purge(&mut self, now: Instant) {
        let lives = [Protocol::Udp, Protocol::Tcp].map(|protocol| self.life(protocol));
        self.ports.retain(|(protocol, _), mapping| {
            mapping.forwarded || mapping.used + lives[*protocol as usize] > now
        });
        let ports = &self.ports;
        self.inside.retain(|(protocol, _, _), port| ports.contains_key(&(*protocol, *port)));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(120);

    fn nat(kind: NatKind) -> Nat {
        let profile = NatProfile { kind, mapping_timeout: TIMEOUT, hairpin: false };
        Nat::new(IpAddr::from([198, 18, 0, 1]), profile)
    }

    fn addr(host: u8, port: u16) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, host], port))
    }

    fn at(seconds: u64) -> Instant {
        Instant::ZERO + Duration::from_secs(seconds)
    }

    /// Who gets in at the port through which `inside` has sent to 10.0.0.9:9: that very program, another port of
    /// the same host, another host; and does another destination see another port?
    fn behaviour(kind: NatKind) -> ([bool; 3], bool) {
        let mut nat = nat(kind);
        let out = nat.outbound(at(0), Protocol::Udp, addr(1, 6881), addr(9, 9)).unwrap();
        let admits = |remote| nat.admits(at(1), Protocol::Udp, out.port(), remote);
        let seen = [addr(9, 9), addr(9, 10), addr(8, 9)].map(admits);
        let other = nat.outbound(at(1), Protocol::Udp, addr(1, 6881), addr(8, 9)).unwrap();
        (seen, other != out)
    }

    #[test]
    fn the_four_kinds_differ_as_rfc_3489_names_them() {
        assert_eq!(behaviour(NatKind::FullCone), ([true, true, true], false));
        assert_eq!(behaviour(NatKind::Restricted), ([true, true, false], false));
        assert_eq!(behaviour(NatKind::PortRestricted), ([true, false, false], false));
        assert_eq!(behaviour(NatKind::Symmetric), ([true, false, false], true));
    }

    #[test]
    fn a_mapping_ends_after_its_timeout_without_a_packet_from_inside() {
        let mut nat = nat(NatKind::FullCone);
        let mut send = |seconds| nat.outbound(at(seconds), Protocol::Udp, addr(1, 6881), addr(9, 9));
        assert_eq!(send(0), send(119), "refreshed");
        assert!(nat.admits(at(238), Protocol::Udp, 6881, addr(9, 9)));
        assert!(!nat.admits(at(239), Protocol::Udp, 6881, addr(9, 9)));
        assert_eq!(nat.inside(at(239), Protocol::Udp, 6881), None);
        nat.outbound(at(240), Protocol::Tcp, addr(1, 5), addr(9, 9));
        assert!(nat.admits(at(7_600), Protocol::Tcp, FIRST_PORT, addr(9, 9)), "connections last for hours");
    }

    #[test]
    fn hosts_that_share_an_address_get_ports_of_their_own() {
        let mut nat = nat(NatKind::FullCone);
        let mut port =
            |host| nat.outbound(at(0), Protocol::Udp, addr(host, 6881), addr(9, 9)).unwrap().port();
        assert_eq!([port(1), port(2), port(1)], [6881, 6882, 6881]);
        assert_eq!(nat.inside(at(1), Protocol::Udp, 6882), Some(addr(2, 6881)));
        assert_eq!(nat.inside(at(1), Protocol::Tcp, 6882), None, "each protocol has its own");
    }

    #[test]
    fn a_forwarded_port_lets_strangers_in_and_never_ends() {
        let mut nat = nat(NatKind::Symmetric);
        assert!(nat.forward(at(0), addr(1, 6881)));
        assert!(!nat.forward(at(0), addr(2, 6881)), "one port, one host");
        assert!(nat.admits(at(100_000), Protocol::Tcp, 6881, addr(9, 9)));
        let out = nat.outbound(at(0), Protocol::Udp, addr(1, 6881), addr(9, 9)).unwrap();
        assert_eq!(out.port(), 6881, "what is forwarded stands for every destination");
    }

    #[test]
    fn a_full_box_drops_what_is_new_until_something_ends() {
        let mut nat = nat(NatKind::Symmetric);
        let mut send = |seconds, n: usize| {
            nat.outbound(at(seconds), Protocol::Udp, addr(1, 6881), addr((n >> 8) as u8, n as u16))
        };
        assert!((0..MAX_MAPPINGS).all(|n| send(0, n).is_some()));
        assert_eq!(send(1, MAX_MAPPINGS), None);
        assert!(send(0, 5).is_some(), "what is there stays");
        assert!(send(120, MAX_MAPPINGS).is_some());
    }

    proptest! {
        /// No two programs ever have one public port at one time, and replies find who asked.
        #[test]
        fn a_reply_always_finds_who_asked(
            steps in prop::collection::vec((1..4_u8, 1..4_u16, 1..4_u8, 0..200_u64), 1..60),
            symmetric: bool,
        ) {
            let mut nat = nat(if symmetric { NatKind::Symmetric } else { NatKind::PortRestricted });
            let mut now = 0;
            let mut owners: BTreeMap<u16, (SocketAddr, u64)> = BTreeMap::new();
            for (host, port, remote, wait) in steps {
                now += wait;
                let (inside, remote) = (addr(host, port), addr(100 + remote, 1));
                let public = nat.outbound(at(now), Protocol::Udp, inside, remote).unwrap();
                prop_assert_eq!(nat.inside(at(now), Protocol::Udp, public.port()), Some(inside));
                prop_assert!(nat.admits(at(now), Protocol::Udp, public.port(), remote));
                if let Some((owner, used)) = owners.insert(public.port(), (inside, now)) {
                    prop_assert!(owner == inside || used + TIMEOUT.as_secs() <= now);
                }
            }
        }
    }
}
