//! A tap at one host's door: every datagram that reaches or leaves it, as an outsider sees it.

use std::net::SocketAddr;

use bytes::Bytes;
use proto::time::Instant;

/// Datagrams that a tap keeps until they are taken: what is more is only counted, or an endless flood would
/// fill the memory.
const MAX_KEPT: usize = 1 << 20;

/// Which way a datagram went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// It arrived and waits to be read.
    In,
    /// It arrived and found the receive buffer full.
    Refused,
    /// The host sent it.
    Out,
}

/// A datagram at the tapped host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// When.
    pub at: Instant,
    /// Which way it went.
    pub way: Way,
    /// The other end.
    pub peer: SocketAddr,
    /// Its content.
    pub payload: Bytes,
}

/// A tap at one host.
#[derive(Debug)]
pub struct Tap {
    host: u32,
    seen: Vec<Seen>,
    missed: u64,
}

impl Tap {
    /// A tap at the host numbered `host`.
    pub const fn new(host: u32) -> Self {
        Self { host, seen: Vec::new(), missed: 0 }
    }

    /// Is this the tapped host?
    pub const fn is_at(&self, host: u32) -> bool {
        self.host == host
    }

    /// Notes a datagram.
    pub fn note(&mut self, seen: Seen) {
        if self.seen.len() < MAX_KEPT {
            self.seen.push(seen);
        } else {
            self.missed += 1;
        }
    }

    /// What was seen since the last call, and how many datagrams there was no room for.
    pub fn take(&mut self) -> (Vec<Seen>, u64) {
        (std::mem::take(&mut self.seen), std::mem::take(&mut self.missed))
    }
}
