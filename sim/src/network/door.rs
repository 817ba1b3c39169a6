//! A host's door: the bounded receive buffer of its programs, and the tap that overhears what comes and goes.

use std::net::SocketAddr;

use proto::time::Instant;
use turmoil_net::Packet;

use super::inbox::Inbox;
use super::packet::{self, Kind};
use super::tap::{Seen, Tap, Way};
use super::{Network, Wire};

impl Network {
    /// Bounds the receive buffer of a host's datagram sockets; see `inbox.rs`.
    pub fn limit_inbox(&mut self, host: u32, limit: u64) {
        if let Some(host) = self.hosts.get_mut(host as usize) {
            host.inbox = Some(Inbox::new(limit));
        }
    }

    /// A host's programs have read so many bytes from their datagram sockets, as `inbox::charge` counts.
    pub fn taken(&mut self, host: u32, bytes: u64) {
        if let Some(inbox) = self.hosts.get_mut(host as usize).and_then(|host| host.inbox.as_mut()) {
            inbox.taken(bytes);
        }
    }

    /// Datagrams that found a host's receive buffer full.
    pub fn refused(&self, host: u32) -> u64 {
        self.hosts.get(host as usize).and_then(|host| host.inbox.as_ref()).map_or(0, Inbox::refused)
    }

    /// Listens to every datagram that reaches or leaves a host, from now on. There is one tap.
    pub fn tap(&mut self, host: u32) {
        self.tap = Some(Tap::new(host));
    }

    /// What the tap saw since the last call, and how many datagrams it had no room for.
    pub fn take_seen(&mut self) -> (Vec<Seen>, u64) {
        self.tap.as_mut().map(Tap::take).unwrap_or_default()
    }

    /// Does a datagram find room in the receiver's buffer? Anything but a datagram does.
    pub(super) fn admit(&mut self, now: Instant, wire: &Wire, packet: &Packet) -> bool {
        let target = wire.lot.hosts[1];
        let inbox = self.hosts.get_mut(target as usize).and_then(|host| host.inbox.as_mut());
        let fits = packet::kind(packet) != Kind::Datagram
            || inbox.is_none_or(|inbox| inbox.admit(packet::payload(packet).len()));
        self.overhear(now, target, if fits { Way::In } else { Way::Refused }, wire.from, packet);
        fits
    }

    /// Shows a datagram to the tap.
    pub(super) fn overhear(&mut self, now: Instant, host: u32, way: Way, peer: SocketAddr, packet: &Packet) {
        if let Some(tap) = self.tap.as_mut().filter(|tap| tap.is_at(host))
            && packet::kind(packet) == Kind::Datagram
        {
            tap.note(Seen { at: now, way, peer, payload: packet::payload(packet).clone() });
        }
    }
}
