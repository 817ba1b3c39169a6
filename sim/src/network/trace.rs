//! What the network has carried, as counts and as one digest.
//!
//! The digest covers every delivered packet (time, endpoints, length, payload), every drop, and every note
//! of the world (faults, completions). Two runs with equal digests did the same things at the same times.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use proto::time::Instant;

use super::watch::{Passage, Sight, Watcher, show};
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

/// Why a packet did not arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drop {
    /// The sender's uplink queue was full.
    UplinkFull,
    /// The receiver's downlink queue was full.
    DownlinkFull,
    /// Lost at random.
    Loss,
    /// The host at either end is down.
    HostDown,
    /// Nobody has the address.
    NoRoute,
    /// The receiving program's socket buffer was full.
    SocketFull,
    /// A NAT box did not let it out or in.
    Nat,
    /// The network is cut between the two.
    Cut,
    /// The connection is open, and nothing passes on it.
    BlackHole,
}

impl fmt::Display for Drop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UplinkFull => "the sender's queue was full",
            Self::DownlinkFull => "the receiver's queue was full",
            Self::Loss => "lost at random",
            Self::HostDown => "a host was down",
            Self::NoRoute => "nobody has the address",
            Self::SocketFull => "the socket's buffer was full",
            Self::Nat => "a NAT box did not let it pass",
            Self::Cut => "the network was cut",
            Self::BlackHole => "it fell into a black hole",
        })
    }
}

/// Packets since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Packets put on a line, repeats included.
    pub sent: u64,
    /// Packets that came out at the far end.
    pub delivered: u64,
    /// Packets that did not.
    pub dropped: u64,
    /// IP bytes put on a line.
    pub sent_bytes: u64,
    /// IP bytes that came out.
    pub delivered_bytes: u64,
    /// Segments that a flow sent again, needed or not.
    pub repeated: u64,
}

/// Counts and digest.
pub struct Trace {
    totals: Totals,
    hasher: Xxh3,
    /// The digest at the end of each second that is over.
    seconds: Vec<u32>,
    watcher: Option<Watcher>,
}

/// Microseconds of a second.
const SECOND: u64 = 1_000_000;

impl Trace {
    /// Nothing has happened.
    pub fn new() -> Self {
        Self { totals: Totals::default(), hasher: Xxh3::new(), seconds: Vec::new(), watcher: None }
    }

    /// A packet was put on a line.
    pub fn sent(&mut self, bytes: u32) {
        self.totals.sent += 1;
        self.totals.sent_bytes += u64::from(bytes);
    }

    /// The same, for whoever watches.
    pub fn leaves(&self, now: Instant, passage: Passage<'_>) {
        if let Some(watcher) = &self.watcher {
            show(watcher, now, Sight::Sent(passage));
        }
    }

    /// Shows everything to `watcher` from now on.
    pub fn watch(&mut self, watcher: Watcher) {
        self.watcher = Some(watcher);
    }

    /// A flow sends a segment, perhaps again.
    pub fn repeated(&mut self, again: bool) {
        self.totals.repeated += u64::from(again);
    }

    /// A packet came out.
    pub fn delivered(&mut self, now: Instant, passage: Passage<'_>) {
        let Passage { from, to, bytes, .. } = passage;
        self.totals.delivered += 1;
        self.totals.delivered_bytes += u64::from(bytes);
        self.record(b'+', now, &[key(from), key(to)], [u64::from(bytes), xxh3_64(passage.content())]);
        if let Some(watcher) = &self.watcher {
            show(watcher, now, Sight::Delivered(passage));
        }
    }

    /// A packet was dropped.
    pub fn dropped(&mut self, now: Instant, passage: Passage<'_>, why: Drop) {
        let Passage { from, to, bytes, .. } = passage;
        self.totals.dropped += 1;
        self.record(b'-', now, &[key(from), key(to)], [u64::from(bytes), why as u64]);
        if let Some(watcher) = &self.watcher {
            show(watcher, now, Sight::Dropped(passage, why));
        }
    }

    /// The world says that something happened.
    pub fn note(&mut self, now: Instant, what: &str) {
        self.record(b'!', now, &[], [what.len() as u64, xxh3_64(what.as_bytes())]);
        if let Some(watcher) = &self.watcher {
            show(watcher, now, Sight::Noted(what));
        }
    }

    /// Counts so far.
    pub const fn totals(&self) -> Totals {
        self.totals
    }

    /// The digest of all that has happened so far, as 32 hexadecimal digits.
    pub fn digest(&self) -> String {
        format!("{:032x}", self.hasher.digest128())
    }

    /// What the digest was after each second so far, the present one included: two runs that did the same up to
    /// then have the same there.
    pub fn seconds(&self) -> Vec<u32> {
        let mut seconds = self.seconds.clone();
        seconds.push(self.rolling());
        seconds
    }

    fn rolling(&self) -> u32 {
        self.hasher.digest() as u32
    }

    fn record(&mut self, tag: u8, now: Instant, ends: &[[u8; 18]], numbers: [u64; 2]) {
        let over = (now.as_micros() / SECOND) as usize;
        if over > self.seconds.len() {
            self.seconds.resize(over, self.rolling());
        }
        let mut line = [0; 61];
        line[0] = tag;
        line[1..9].copy_from_slice(&now.as_micros().to_le_bytes());
        line[9..17].copy_from_slice(&numbers[0].to_le_bytes());
        line[17..25].copy_from_slice(&numbers[1].to_le_bytes());
        for (place, end) in line[25..].chunks_exact_mut(18).zip(ends) {
            place.copy_from_slice(end);
        }
        self.hasher.update(&line);
    }
}

impl Default for Trace {
    fn default() -> Self {
        Self::new()
    }
}

/// Address and port in a fixed number of bytes.
fn key(addr: SocketAddr) -> [u8; 18] {
    let mut bytes = [0; 18];
    let ip = match addr.ip() {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    };
    bytes[..16].copy_from_slice(&ip.octets());
    bytes[16..].copy_from_slice(&addr.port().to_le_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use turmoil_net::Transport;

    use super::super::{Cargo, reset};
    use super::*;

    #[test]
    fn every_detail_changes_the_digest() {
        let (a, b) = (SocketAddr::from(([10, 0, 0, 1], 1)), SocketAddr::from(([10, 0, 0, 2], 2)));
        let digest = |micros, from, to, bytes, payload: &'static [u8]| {
            let mut trace = Trace::new();
            let mut packet = reset(from, to);
            let Transport::Tcp(segment) = &mut packet.payload else { panic!("it is TCP") };
            segment.payload = Bytes::from_static(payload);
            let cargo = Cargo::Raw(packet);
            trace.delivered(Instant::from_micros(micros), Passage::of(&cargo, [from, to], [None; 2], bytes));
            trace.digest()
        };
        let plain = digest(1, a, b, 50, b"x");
        assert_eq!(plain, digest(1, a, b, 50, b"x"));
        for other in [digest(2, a, b, 50, b"x"), digest(1, b, a, 50, b"x"), digest(1, a, b, 50, b"y")] {
            assert_ne!(plain, other);
        }
        let mut trace = Trace::new();
        let lost = Passage { from: a, to: b, hosts: [None; 2], bytes: 50, cargo: None };
        trace.dropped(Instant::from_micros(1), lost, Drop::Loss);
        assert_ne!(plain, trace.digest());
    }

    #[test]
    fn the_first_second_that_differs_is_where_something_else_happened() {
        let seconds = |what: [&str; 3]| {
            let mut trace = Trace::new();
            for (at, what) in [200_000, 2_100_000, 4_000_000].into_iter().zip(what) {
                trace.note(Instant::from_micros(at), what);
            }
            trace.seconds()
        };
        let (plain, other) = (seconds(["a", "b", "c"]), seconds(["a", "x", "c"]));
        assert_eq!((plain.len(), plain[0], plain[2]), (5, plain[1], plain[3]), "quiet seconds repeat");
        assert_eq!(plain[..2], other[..2]);
        assert!(plain.iter().zip(&other).skip(2).all(|(one, two)| one != two), "it never heals");
    }
}
