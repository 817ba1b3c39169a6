//! The conditions under which a host works: its clocks, its pace, its pauses, and who listens at its door.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::Ordering;
use std::time::Duration;

use proto::time::Instant;

use super::clock::ClockError;
use super::{HostId, World};
use crate::network::{CutId, LinkProfile, NatId, NatProfile, Roughness, Seen, Watcher};
use crate::wiretap::{Asking, Listener, Wiretap};

impl World {
    /// Sets a host's clocks wrong. Best before its programs start: a drift of later counts from the start.
    pub fn set_clock(&mut self, host: HostId, error: ClockError) {
        let host = self.core.host(host);
        host.clock_skew.store(error.skew, Ordering::Relaxed);
        host.clock_drift.store(error.drift, Ordering::Relaxed);
    }

    /// A host's wall clock is set forward by so many microseconds, or back.
    pub fn jump_clock(&mut self, host: HostId, micros: i64) {
        self.core.host(host).clock_skew.fetch_add(micros, Ordering::Relaxed);
    }

    /// Nothing that waits for the network or for time goes on at this host, until [`Self::resume`].
    pub fn pause(&mut self, host: HostId) {
        self.core.host(host).gate.shut();
    }

    /// A paused host goes on.
    pub fn resume(&mut self, host: HostId) {
        self.core.host(host).gate.open();
    }

    /// Makes a host's link rough, from now on.
    pub fn roughen(&mut self, host: HostId, roughness: Roughness) {
        self.core.network.roughen(host.0, roughness);
    }

    /// How long it takes from each region to each, beyond the links.
    pub fn set_regions(&mut self, latencies: Vec<Vec<Duration>>) {
        self.core.network.set_regions(latencies);
    }

    /// Puts a host into a region.
    pub fn place_in(&mut self, host: HostId, region: usize) {
        self.core.network.place_in(host.0, region);
    }

    /// Cuts `from` off from `to`, or from everybody else; see [`crate::network::Network::cut`].
    pub fn cut(&mut self, from: &[HostId], to: Option<&[HostId]>, one_way: bool) -> CutId {
        let numbers = |hosts: &[HostId]| hosts.iter().map(|host| host.0).collect::<Vec<_>>();
        self.core.network.cut(&numbers(from), to.map(numbers).as_deref(), one_way)
    }

    /// Mends a cut.
    pub fn heal(&mut self, cut: CutId) {
        self.core.network.heal(cut);
    }

    /// Nothing goes on to a host or from its link until then.
    pub fn stall(&mut self, host: HostId, until: Instant) {
        self.core.network.stall(host.0, until);
    }

    /// A stall is over.
    pub fn end_stall(&mut self, host: HostId) {
        self.core.network.end_stall(host.0);
    }

    /// Connections of this host open and nothing passes on them; or all is well again.
    pub fn set_black_hole(&mut self, host: HostId, is_one: bool) {
        self.core.network.set_black_hole(host.0, is_one);
    }

    /// Gives a host another access link.
    pub fn relink(&mut self, host: HostId, profile: LinkProfile, roughness: Roughness) {
        let now = self.now();
        self.core.network.relink(now, host.0, profile, roughness);
    }

    /// Can programs on this host look up names?
    pub fn set_resolving(&mut self, host: HostId, resolves: bool) {
        self.core.host(host).is_lost.store(!resolves, Ordering::Relaxed);
    }

    /// Puts up a NAT box with this public address, which is no host's.
    pub fn add_nat(&mut self, public: IpAddr, profile: NatProfile) -> NatId {
        self.core.network.add_nat(public, profile)
    }

    /// Puts a host behind a NAT box.
    pub fn place_behind(&mut self, host: HostId, nat: NatId) {
        self.core.network.place_behind(host.0, nat);
    }

    /// Lets everybody in at this port of a host behind a NAT box.
    pub fn forward(&mut self, inside: SocketAddr) {
        let now = self.now();
        self.core.network.forward(now, inside);
    }

    /// A host's programs take so long over each datagram and its reply.
    pub fn set_service_time(&mut self, host: HostId, time: Duration) {
        self.core.host(host).service.set(time);
    }

    /// A host's datagram sockets hold at most so many unread bytes, overhead included.
    pub fn limit_inbox(&mut self, host: HostId, bytes: u64) {
        self.core.network.limit_inbox(host.0, bytes);
        self.core.bounded.push(host);
    }

    /// Datagrams that found a host's receive buffer full.
    pub fn refused(&self, host: HostId) -> u64 {
        self.core.network.refused(host.0)
    }

    /// Listens to every datagram that reaches or leaves a host, from now on. There is one tap.
    pub fn tap(&mut self, host: HostId) {
        self.core.network.tap(host.0);
    }

    /// Listens to all streams of all hosts that are opened from now on. There is one wiretap.
    pub fn overhear(&mut self, listener: Listener) {
        let wiretap = Wiretap::new(self.core.start, listener);
        for host in &self.core.hosts {
            // A second listener finds the place taken.
            let _ = host.wiretap.set(wiretap.clone());
        }
    }

    /// What a host asks trackers from now on, until it is answered.
    pub fn listen_for_announces(&self, host: HostId) -> Asking {
        self.core.host(host).asking.get_or_init(Asking::default).clone()
    }

    /// Shows every packet's end and every note to `watcher` from now on. There is one watcher.
    pub fn watch(&mut self, watcher: Watcher) {
        self.core.network.watch(watcher);
    }

    /// The digest after each second so far, the present one included.
    pub fn seconds(&self) -> Vec<u32> {
        self.core.network.seconds()
    }

    /// Bytes that wait at a host's uplink and at its downlink.
    pub fn backlogs(&self, host: HostId) -> [u64; 2] {
        self.core.network.backlogs(self.now(), host.0).unwrap_or_default()
    }

    /// What the tap saw since the last call, and how many datagrams it had no room for.
    pub fn take_seen(&mut self) -> (Vec<Seen>, u64) {
        self.core.network.take_seen()
    }
}
