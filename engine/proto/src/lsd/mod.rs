//! Local service discovery (BEP 14): peers of the same network find each other without a tracker, by multicast.
//!
//! [`Announcement`] is the message, [`LocalDiscovery`] the pure machine that says which torrents are announced when,
//! and which of the peers that it hears are passed on. One serves all torrents of a process. Private torrents take no
//! part (BEP 27): whoever joins them here must have asked
//! [`Torrent::admits`](crate::torrent::Torrent::admits) first.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use crate::tracker::Family;

mod machine;
mod message;
#[cfg(test)]
mod tests;

pub use machine::{Input, LocalDiscovery, Output};
pub use message::{Announcement, MessageError};

/// The port of both groups.
const PORT: u16 = 6771;

/// The longest announcement that is sent, in bytes (BEP 14: "the packet length should not exceed 1400 bytes").
pub const MAX_SENT: usize = 1400;

/// The longest that is read: as much as a datagram socket of ours takes in.
pub const MAX_READ: usize = 2048;

/// Torrents in one announcement: with every other header this stays within [`MAX_SENT`].
pub const MAX_HASHES: usize = 24;

/// Headers that are read; what a longer message says beyond them is of no use.
pub const MAX_HEADERS: usize = 64;

/// The longest cookie that is compared, in bytes; who has a longer one is not us.
pub const MAX_COOKIE: usize = 64;

/// A torrent is announced this often (BEP 14).
pub const ANNOUNCE_EVERY: Duration = Duration::from_secs(5 * 60);

/// "A client should send no more than 1 announce per minute" (BEP 14).
pub const MIN_GAP: Duration = Duration::from_secs(60);

/// A torrent that joins waits this long, so that others that join with it share its announcement.
pub const GATHER: Duration = Duration::from_secs(1);

/// Peers that are passed on in a minute, whoever they say they are: a hostile network may name any number, and no
/// home has more.
pub const MAX_FOUND: usize = 100;

/// The same from one address: it may have some clients, and some torrents in each.
pub const MAX_FOUND_FROM: usize = 30;

/// Where a family's announcements go (BEP 14).
pub const fn group(family: Family) -> SocketAddr {
    let ip = match family {
        Family::V4 => IpAddr::V4(Ipv4Addr::new(239, 192, 152, 143)),
        Family::V6 => IpAddr::V6(Ipv6Addr::new(0xff15, 0, 0, 0, 0, 0, 0xefc0, 0x988f)),
    };
    SocketAddr::new(ip, PORT)
}
