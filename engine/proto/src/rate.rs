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

#[cfg(test)]
mod tests;

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
}

/// The rates of one torrent in one direction, in place of what [`Limits`] says for all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OwnLimits {
    /// Of the torrent.
    pub torrent: Rate,
    /// Of each of its peers.
    pub peer: Rate,
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
    /// Of a torrent.
    Peer(TorrentKey, PeerKey),
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
    /// Torrents with limits of their own.
    own: BTreeMap<TorrentKey, OwnLimits>,
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
        self.limits_changed();
    }

    /// Gives a torrent limits of its own, or none, in the same way.
    pub fn set_own_limits(&mut self, torrent: TorrentKey, own: Option<OwnLimits>) {
        match own {
            Some(own) => drop(self.own.insert(torrent, own)),
            None => drop(self.own.remove(&torrent)),
        }
        self.limits_changed();
    }

    fn limits_changed(&mut self) {
        self.waiting.clear();
        let (limits, own) = (&self.limits, &self.own);
        self.buckets.retain(|scope, bucket| {
            let rate = rate_of(limits, own, *scope);
            if let Some(rate) = rate {
                bucket.level = bucket.level.max(-i128::from(grant(rate)) * MICROS);
            }
            rate.is_some()
        });
    }

    /// Is there any limit, for anybody?
    pub fn is_limited(&self) -> bool {
        let any = |own: &OwnLimits| own.torrent.or(own.peer).is_some();
        self.limits.is_any() || self.own.values().any(any)
    }

    /// What a torrent may have, all its peers together.
    pub fn rate_of_torrent(&self, torrent: TorrentKey) -> Rate {
        let torrent = rate_of(&self.limits, &self.own, Scope::Torrent(torrent));
        self.limits.global.into_iter().chain(torrent).min()
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
    pub fn forget(&mut self, peer: PeerKey, torrent: TorrentKey) {
        self.waiting.retain(|claim| claim.peer != peer);
        self.buckets.remove(&Scope::Peer(torrent, peer));
    }

    /// A torrent is gone, and its connections before it.
    pub fn forget_torrent(&mut self, torrent: TorrentKey) {
        self.own.remove(&torrent);
        self.buckets.remove(&Scope::Torrent(torrent));
    }

    /// The levels that limit a connection.
    fn path(&self, peer: PeerKey, torrent: TorrentKey) -> [Option<(Scope, NonZeroU64)>; 3] {
        [Scope::Global, Scope::Torrent(torrent), Scope::Peer(torrent, peer)]
            .map(|scope| rate_of(&self.limits, &self.own, scope).map(|rate| (scope, rate)))
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

fn rate_of(limits: &Limits, own: &BTreeMap<TorrentKey, OwnLimits>, scope: Scope) -> Rate {
    match scope {
        Scope::Global => limits.global,
        Scope::Torrent(torrent) => own.get(&torrent).map_or(limits.torrent, |own| own.torrent),
        Scope::Peer(torrent, _) => own.get(&torrent).map_or(limits.peer, |own| own.peer),
    }
}

/// Bytes of one grant under this rate.
fn grant(rate: NonZeroU64) -> u64 {
    (rate.get() / GRANTS_A_SECOND).clamp(MIN_GRANT, MAX_GRANT)
}
