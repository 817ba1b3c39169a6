//! Rate limits: which connection may move how many bytes now, in one direction.
//!
//! Three levels of token buckets, for everything, for a torrent and for a peer; a grant is paid from each. A
//! bucket that may be overdrawn by one grant and holds a tenth of a second's worth stays within two percent of
//! its rate over any ten seconds. Who waits is served in the order of asking, and each connection asks for one
//! grant at a time: that is round robin, so those who share a bucket get equal parts of it. Whoever waits for
//! its own bucket does not keep others waiting.
//!
//! Pure: the driver claims, hands out what [`Shaper::poll_grant`] says, and comes back at
//! [`Shaper::poll_timeout`]. Bytes are those on the line: messages of every kind, and the [`Headers`] of the
//! segments that carry them, because it is a line's rate that a user knows.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::time::Duration;

use crate::time::Instant;
use crate::torrent::PeerKey;

/// A rate in bytes a second; nothing for no limit.
pub type Rate = Option<NonZeroU64>;

/// The rates of one direction, for each level.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Of all torrents together.
    pub global: Rate,
    /// Of each torrent.
    pub torrent: Rate,
    /// Of each peer.
    pub peer: Rate,
}

impl Limits {
    /// Is there any limit?
    pub const fn is_any(&self) -> bool {
        self.global.is_some() || self.torrent.is_some() || self.peer.is_some()
    }

    /// What one torrent may have, all its peers together.
    pub fn of_torrent(&self) -> Rate {
        self.global.into_iter().chain(self.torrent).min()
    }
}

/// What a connection's headers add to its bytes on the line: those of IP and TCP, of one full segment after the
/// other. Short segments, options, acknowledgements and what is sent anew are not seen from here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Headers(u64);

impl Headers {
    /// The headers of a connection to this address: 20 bytes of TCP (RFC 9293), and 20 of IPv4 (RFC 791) or 40
    /// of IPv6 (RFC 8200).
    pub const fn to(addr: &SocketAddr) -> Self {
        Self(if addr.is_ipv4() { 40 } else { 60 })
    }

    /// Bytes on the line for so many of the connection's, rounded up.
    pub const fn with(self, payload: u64) -> u64 {
        payload + payload.saturating_mul(self.0).div_ceil(SEGMENT)
    }

    /// Bytes of the connection in so many on the line, rounded down; at least one in two.
    pub const fn without(self, line: u64) -> u64 {
        line.saturating_mul(SEGMENT) / (SEGMENT + self.0)
    }
}

/// A torrent, as the driver numbers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TorrentKey(pub u32);

/// What a full bucket holds, as a fraction of a second: one percent of ten seconds.
const BURST: u64 = 10;

/// A grant at the most, as a fraction of a second: half a percent of ten seconds.
const GRANTS_A_SECOND: u64 = 20;

/// Payload of a full segment, in bytes: a packet of 1500 without the headers of IPv4.
const SEGMENT: u64 = 1460;

/// Bytes of a grant at the least, a full packet: less would cost more headers than are counted. Below 30 kB/s
/// ten seconds are as exact as one packet.
const MIN_GRANT: u64 = 1500;

/// Bytes of a grant at the most: what one read or write moves.
const MAX_GRANT: u64 = 64 * 1024;

const MICROS: i128 = 1_000_000;

/// One bucket. Its level is counted in millionths of a byte, so that nothing is lost to rounding.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    level: i128,
    at: Instant,
}

impl Bucket {
    /// Lets in what has come since.
    fn fill(&mut self, now: Instant, rate: NonZeroU64) {
        let micros = now.since(self.at).as_micros().cast_signed();
        let full = i128::from(rate.get() / BURST) * MICROS;
        self.level = (self.level + micros * i128::from(rate.get())).min(full.max(1));
        self.at = self.at.max(now);
    }

    /// When it holds something.
    fn opens(&self, rate: NonZeroU64) -> Instant {
        let missing = (1 - self.level).max(0).unsigned_abs();
        self.at + Duration::from_micros(missing.div_ceil(u128::from(rate.get())) as u64)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Scope {
    Global,
    Torrent(TorrentKey),
    Peer(PeerKey),
}

#[derive(Clone, Copy, Debug)]
struct Claim {
    peer: PeerKey,
    torrent: TorrentKey,
    want: u64,
}

/// One direction's limits, and who waits.
#[derive(Debug, Default)]
pub struct Shaper {
    limits: Limits,
    buckets: BTreeMap<Scope, Bucket>,
    /// In the order of asking; one entry for each connection at the most.
    waiting: VecDeque<Claim>,
}

impl Shaper {
    /// A shaper with these limits.
    pub fn new(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Changes the limits; who waits has to ask again. What was overdrawn under the old limits is forgiven
    /// beyond one new grant.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
        self.waiting.clear();
        for (scope, bucket) in &mut self.buckets {
            if let Some(rate) = rate_of(&limits, *scope) {
                bucket.level = bucket.level.max(-i128::from(grant(rate)) * MICROS);
            }
        }
        self.buckets.retain(|scope, _| rate_of(&limits, *scope).is_some());
    }

    /// A connection wants to move up to `want` bytes; a second wish before the grant changes nothing.
    pub fn claim(&mut self, peer: PeerKey, torrent: TorrentKey, want: u64) {
        if !self.waiting.iter().any(|claim| claim.peer == peer) {
            self.waiting.push_back(Claim { peer, torrent, want });
        }
    }

    /// The next connection that may move bytes, and how many.
    pub fn poll_grant(&mut self, now: Instant) -> Option<(PeerKey, u64)> {
        let mut index = 0;
        while let Some(&claim) = self.waiting.get(index) {
            if self.opens(now, claim) <= now {
                self.waiting.remove(index);
                let path = self.path(claim.peer, claim.torrent);
                let least = path.into_iter().flatten().map(|(_, rate)| grant(rate)).min();
                let bytes = claim.want.min(least.unwrap_or(MAX_GRANT));
                self.pay(claim.peer, claim.torrent, -i128::from(bytes));
                return Some((claim.peer, bytes));
            }
            if self.limits.global.is_some() && self.is_shut(now) {
                return None;
            }
            index += 1;
        }
        None
    }

    /// When there may be a grant for somebody who waits.
    pub fn poll_timeout(&mut self, now: Instant) -> Option<Instant> {
        (0..self.waiting.len()).filter_map(|index| Some(self.opens(now, *self.waiting.get(index)?))).min()
    }

    /// Bytes of a grant that were not moved.
    pub fn refund(&mut self, peer: PeerKey, torrent: TorrentKey, bytes: u64) {
        self.pay(peer, torrent, i128::from(bytes));
    }

    /// A connection is gone.
    pub fn forget(&mut self, peer: PeerKey) {
        self.waiting.retain(|claim| claim.peer != peer);
        self.buckets.remove(&Scope::Peer(peer));
    }

    /// The levels that limit a connection.
    fn path(&self, peer: PeerKey, torrent: TorrentKey) -> [Option<(Scope, NonZeroU64)>; 3] {
        [Scope::Global, Scope::Torrent(torrent), Scope::Peer(peer)]
            .map(|scope| rate_of(&self.limits, scope).map(|rate| (scope, rate)))
    }

    /// When all levels of a claim have something.
    fn opens(&mut self, now: Instant, claim: Claim) -> Instant {
        let path = self.path(claim.peer, claim.torrent);
        let opens = path.into_iter().flatten().map(|(scope, rate)| {
            let bucket = self.buckets.entry(scope).or_insert(Bucket { level: 1, at: now });
            bucket.fill(now, rate);
            bucket.opens(rate)
        });
        opens.max().unwrap_or(now)
    }

    /// Is the bucket empty that everybody shares?
    fn is_shut(&self, now: Instant) -> bool {
        let bucket = self.buckets.get(&Scope::Global).zip(self.limits.global);
        bucket.is_some_and(|(bucket, rate)| bucket.opens(rate) > now)
    }

    fn pay(&mut self, peer: PeerKey, torrent: TorrentKey, bytes: i128) {
        for (scope, _) in self.path(peer, torrent).into_iter().flatten() {
            if let Some(bucket) = self.buckets.get_mut(&scope) {
                bucket.level += bytes * MICROS;
            }
        }
    }
}

const fn rate_of(limits: &Limits, scope: Scope) -> Rate {
    match scope {
        Scope::Global => limits.global,
        Scope::Torrent(_) => limits.torrent,
        Scope::Peer(_) => limits.peer,
    }
}

/// Bytes of one grant under this rate.
fn grant(rate: NonZeroU64) -> u64 {
    (rate.get() / GRANTS_A_SECOND).clamp(MIN_GRANT, MAX_GRANT)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ONE: TorrentKey = TorrentKey(1);

    fn rate(bytes: u64) -> Rate {
        NonZeroU64::new(bytes)
    }

    fn global(bytes: u64) -> Limits {
        Limits { global: rate(bytes), ..Limits::default() }
    }

    /// Peers that always want more, for so many seconds; bytes for each.
    fn greedy(shaper: &mut Shaper, peers: &[(u64, TorrentKey)], from: u64, to: u64) -> BTreeMap<u64, u64> {
        let mut moved = BTreeMap::new();
        let mut now = Instant::from_micros(from * 1_000_000);
        let end = Instant::from_micros(to * 1_000_000);
        for &(peer, torrent) in peers {
            shaper.claim(PeerKey(peer), torrent, 1 << 20);
        }
        while now < end {
            while let Some((peer, bytes)) = shaper.poll_grant(now) {
                *moved.entry(peer.0).or_default() += bytes;
                let torrent = peers.iter().find(|(key, _)| *key == peer.0).map_or(ONE, |found| found.1);
                shaper.claim(peer, torrent, 1 << 20);
            }
            let due = shaper.poll_timeout(now).expect("somebody waits");
            assert!(due > now, "no grant, and yet nothing to wait for");
            // A runtime's timers are late by up to a millisecond.
            now = due + Duration::from_micros(900);
        }
        moved
    }

    fn within_two_percent(bytes: u64, expected: u64) -> bool {
        bytes.abs_diff(expected) * 50 <= expected
    }

    #[test]
    fn a_limit_is_exact_and_shared_equally_among_one_ten_and_a_hundred() {
        for peers in [1, 10, 100] {
            for bytes in [30_000, 125_000, 1_000_000, 12_500_000] {
                let mut shaper = Shaper::new(global(bytes));
                let keys: Vec<_> = (0..peers).map(|peer| (peer, ONE)).collect();
                let moved = greedy(&mut shaper, &keys, 0, 10);
                let total: u64 = moved.values().sum();
                assert!(within_two_percent(total, bytes * 10), "{total} of {} for {peers}", bytes * 10);
                assert_eq!(moved.len() as u64, peers);
                let (least, most) = (moved.values().min(), moved.values().max());
                let apart = most.zip(least).map(|(most, least)| most - least);
                assert!(apart <= Some((bytes / GRANTS_A_SECOND).clamp(MIN_GRANT, MAX_GRANT)), "{moved:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn headers_are_added_and_taken_off(payload in 1u64..1 << 40, six: bool) {
            let addr: SocketAddr = if six { "[::1]:1" } else { "1.1.1.1:1" }.parse().expect("an address");
            let headers = Headers::to(&addr);
            prop_assert_eq!(headers.without(headers.with(payload)), payload);
            prop_assert!(headers.with(headers.without(payload)) <= payload);
            prop_assert!(headers.without(payload) >= payload / 2);
        }

        #[test]
        fn whatever_is_asked_nobody_waits_without_an_end(
            limits in prop::array::uniform3(prop::option::of(1u64..1 << 40)),
            wants in prop::collection::vec((0u64..5, 0u32..2, 1u64..1 << 20), 1..20),
        ) {
            let [all, torrent, peer] = limits.map(|limit| limit.and_then(rate));
            let mut shaper = Shaper::new(Limits { global: all, torrent, peer });
            for &(peer, torrent, want) in &wants {
                shaper.claim(PeerKey(peer), TorrentKey(torrent), want);
            }
            let (mut now, mut granted) = (Instant::ZERO, 0);
            while let Some(due) = shaper.poll_timeout(now) {
                now = due.max(now);
                let (_, bytes) = shaper.poll_grant(now).expect("it is time");
                prop_assert!(bytes > 0 && bytes <= MAX_GRANT);
                granted += 1;
            }
            let askers: std::collections::BTreeSet<_> = wants.iter().map(|want| want.0).collect();
            prop_assert_eq!(granted, askers.len());
        }
    }

    #[test]
    fn a_full_segment_has_forty_bytes_of_headers_or_sixty() {
        let [four, six] = ["192.0.2.1:6881", "[2001:db8::1]:6881"].map(|addr| addr.parse().expect("valid"));
        assert_eq!((Headers::to(&four).with(1460), Headers::to(&six).with(1460)), (1500, 1520));
        assert_eq!((Headers::to(&four).without(1500), Headers::to(&four).with(0)), (1460, 0));
    }

    #[test]
    fn every_level_limits_and_a_slow_one_keeps_nobody_else_waiting() {
        let limits = Limits { global: rate(1_000_000), torrent: rate(300_000), peer: rate(100_000) };
        let mut shaper = Shaper::new(limits);
        // Five peers of one torrent share what it may have; one of another is held by its own limit.
        let peers: Vec<_> = (0..5).map(|peer| (peer, ONE)).chain([(9, TorrentKey(2))]).collect();
        let moved = greedy(&mut shaper, &peers, 0, 10);
        let first: u64 = (0..5).map(|peer| moved[&peer]).sum();
        assert!(within_two_percent(first, 3_000_000), "{first}");
        assert!(within_two_percent(moved[&9], 1_000_000), "{moved:?}");
    }

    #[test]
    fn a_new_limit_holds_at_once() {
        let mut shaper = Shaper::new(global(10_000));
        let peers: Vec<_> = (0..50).map(|peer| (peer, ONE)).collect();
        greedy(&mut shaper, &peers, 0, 10);
        for (second, bytes) in [(10, 5_000_000), (20, 30_000)] {
            shaper.set_limits(global(bytes));
            let total: u64 = greedy(&mut shaper, &peers, second, second + 10).values().sum();
            assert!(within_two_percent(total, bytes * 10), "{total} of {}", bytes * 10);
        }
        shaper.set_limits(Limits::default());
        assert_eq!(shaper.poll_timeout(Instant::ZERO), None, "who waited asks again");
        shaper.claim(PeerKey(1), ONE, 1 << 20);
        assert_eq!(shaper.poll_grant(Instant::from_micros(30_000_000)).map(|grant| grant.1), Some(MAX_GRANT));
    }

    #[test]
    fn an_idle_minute_is_worth_a_tenth_of_a_second() {
        let mut shaper = Shaper::new(global(100_000));
        greedy(&mut shaper, &[(1, ONE)], 0, 1);
        let total: u64 = greedy(&mut shaper, &[(1, ONE)], 60, 70).values().sum();
        assert!(within_two_percent(total, 1_000_000), "{total}");
    }

    #[test]
    fn what_was_not_moved_is_there_for_the_next() {
        let mut shaper = Shaper::new(global(1_000));
        let now = Instant::ZERO;
        shaper.claim(PeerKey(1), ONE, 10);
        assert_eq!(shaper.poll_grant(now), Some((PeerKey(1), 10)));
        shaper.claim(PeerKey(2), ONE, 10);
        assert_eq!(shaper.poll_grant(now), None);
        shaper.refund(PeerKey(1), ONE, 10);
        assert_eq!(shaper.poll_grant(now), Some((PeerKey(2), 10)));
        shaper.claim(PeerKey(3), ONE, 10);
        shaper.forget(PeerKey(3));
        assert_eq!(shaper.poll_timeout(now), None);
    }
}
