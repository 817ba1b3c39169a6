//! What a tracker says to a client (BEP 15): connect, announce, scrape, error.
//!
//! [`Reply`] is the client's view. The server writes with the free functions, straight into its send
//! buffer.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use bytes::{Buf, BufMut};

use super::{
    ACTION_ANNOUNCE, ACTION_CONNECT, ACTION_ERROR, ACTION_SCRAPE, ConnectionId, DecodeError, Family,
    MAX_ERROR_TEXT, MAX_SCRAPE, TransactionId, at_least,
};

/// Bytes of an announce reply before its peers.
pub const ANNOUNCE_REPLY_LEN: usize = 20;

/// Bytes of an error reply before its text.
pub const ERROR_REPLY_LEN: usize = 8;

/// Bytes of one swarm's counts in a scrape reply.
const SCRAPE_ENTRY_LEN: usize = 12;

/// A reply, decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// A connection id, good for 60 seconds.
    Connect {
        /// The request's.
        transaction: TransactionId,
        /// To be shown with announces and scrapes.
        connection: ConnectionId,
    },
    /// The answer to an announce.
    Announce {
        /// Everything but the peers.
        head: AnnounceHead,
        /// Peers, as the tracker names them: port 0 and nonsense included.
        peers: Vec<SocketAddr>,
    },
    /// The answer to a scrape, in the request's order.
    Scrape {
        /// The request's.
        transaction: TransactionId,
        /// One entry for each info hash of the request.
        swarms: Vec<ScrapeEntry>,
    },
    /// The tracker refuses.
    Error {
        /// The request's.
        transaction: TransactionId,
        /// Why, in the tracker's words: at most [`MAX_ERROR_TEXT`] bytes, control characters removed.
        message: String,
    },
}

/// The fixed part of an announce reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnnounceHead {
    /// The request's.
    pub transaction: TransactionId,
    /// Seconds until the next regular announce.
    pub interval: u32,
    /// Peers that still download.
    pub leechers: u32,
    /// Peers that have everything.
    pub seeders: u32,
}

/// One swarm's counts, in the order of the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScrapeEntry {
    /// Peers that have everything.
    pub seeders: u32,
    /// Downloads that ever ended with `completed`.
    pub completed: u32,
    /// Peers that still download.
    pub leechers: u32,
}

impl Reply {
    /// Reads one datagram that came over `family`.
    pub fn decode(bytes: &[u8], family: Family) -> Result<Self, DecodeError> {
        at_least(bytes, 8, "a reply")?;
        let mut rest = bytes;
        let action = rest.get_u32();
        let transaction = TransactionId(rest.get_u32());
        match action {
            ACTION_CONNECT => {
                at_least(bytes, 16, "a connect reply")?;
                Ok(Self::Connect { transaction, connection: ConnectionId(rest.get_u64()) })
            }
            ACTION_ANNOUNCE => {
                at_least(bytes, ANNOUNCE_REPLY_LEN, "an announce reply")?;
                let (interval, leechers, seeders) = (rest.get_u32(), rest.get_u32(), rest.get_u32());
                let head = AnnounceHead { transaction, interval, leechers, seeders };
                Ok(Self::Announce { head, peers: compact_peers(rest, family) })
            }
            ACTION_SCRAPE => {
                let (entries, _tail) = rest.as_chunks::<SCRAPE_ENTRY_LEN>();
                let swarms = entries.iter().take(MAX_SCRAPE).map(ScrapeEntry::from_wire).collect();
                Ok(Self::Scrape { transaction, swarms })
            }
            ACTION_ERROR => Ok(Self::Error { transaction, message: printable(rest) }),
            other => Err(DecodeError::Action(other)),
        }
    }

    /// The request that it answers.
    pub const fn transaction(&self) -> TransactionId {
        match self {
            Self::Connect { transaction, .. }
            | Self::Scrape { transaction, .. }
            | Self::Error { transaction, .. } => *transaction,
            Self::Announce { head, .. } => head.transaction,
        }
    }

    /// Appends the packet to `out`; its peers must be of one family.
    pub fn encode(&self, out: &mut impl BufMut) {
        match self {
            Self::Connect { transaction, connection } => put_connect(out, *transaction, *connection),
            Self::Announce { head, peers } => {
                put_announce_head(out, head);
                for peer in peers {
                    put_peer(out, *peer);
                }
            }
            Self::Scrape { transaction, swarms } => put_scrape(out, *transaction, swarms.iter().copied()),
            Self::Error { transaction, message } => put_error(out, *transaction, message),
        }
    }
}

impl ScrapeEntry {
    fn from_wire(bytes: &[u8; SCRAPE_ENTRY_LEN]) -> Self {
        let mut rest = &bytes[..];
        Self { seeders: rest.get_u32(), completed: rest.get_u32(), leechers: rest.get_u32() }
    }
}

/// Appends a connect reply.
pub fn put_connect(out: &mut impl BufMut, transaction: TransactionId, connection: ConnectionId) {
    put_head(out, ACTION_CONNECT, transaction);
    out.put_u64(connection.0);
}

/// Appends an announce reply's fixed part; the peers follow with [`put_peer`].
pub fn put_announce_head(out: &mut impl BufMut, head: &AnnounceHead) {
    put_head(out, ACTION_ANNOUNCE, head.transaction);
    out.put_u32(head.interval);
    //= BEP 15: an announce reply says leechers, then seeders; a scrape reply the reverse.
    out.put_u32(head.leechers);
    out.put_u32(head.seeders);
}

/// Appends one compact peer: 6 or 18 bytes (BEP 15, 23, 7).
pub fn put_peer(out: &mut impl BufMut, peer: SocketAddr) {
    match peer.ip() {
        IpAddr::V4(ip) => out.put_slice(&ip.octets()),
        IpAddr::V6(ip) => out.put_slice(&ip.octets()),
    }
    out.put_u16(peer.port());
}

/// Appends a scrape reply.
pub fn put_scrape(
    out: &mut impl BufMut,
    transaction: TransactionId,
    swarms: impl IntoIterator<Item = ScrapeEntry>,
) {
    put_head(out, ACTION_SCRAPE, transaction);
    for swarm in swarms {
        out.put_u32(swarm.seeders);
        out.put_u32(swarm.completed);
        out.put_u32(swarm.leechers);
    }
}

/// Appends an error reply.
pub fn put_error(out: &mut impl BufMut, transaction: TransactionId, message: &str) {
    put_head(out, ACTION_ERROR, transaction);
    out.put_slice(message.as_bytes());
}

fn put_head(out: &mut impl BufMut, action: u32, transaction: TransactionId) {
    out.put_u32(action);
    out.put_u32(transaction.0);
}

/// The peers of an announce reply; a cut one at the end is dropped.
pub(crate) fn compact_peers(bytes: &[u8], family: Family) -> Vec<SocketAddr> {
    match family {
        Family::V4 => bytes.as_chunks::<6>().0.iter().map(|peer| compact_v4(*peer)).collect(),
        Family::V6 => bytes.as_chunks::<18>().0.iter().map(|peer| compact_v6(&peer[..])).collect(),
    }
}

fn compact_v4([a, b, c, d, high, low]: [u8; 6]) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::new(a, b, c, d), u16::from_be_bytes([high, low])))
}

fn compact_v6(mut peer: &[u8]) -> SocketAddr {
    SocketAddr::from((Ipv6Addr::from_bits(peer.get_u128()), peer.get_u16()))
}

/// Text of a stranger, safe to print.
fn printable(bytes: &[u8]) -> String {
    let bytes = bytes.get(..MAX_ERROR_TEXT).unwrap_or(bytes);
    let text = String::from_utf8_lossy(bytes);
    text.chars().filter(|c| !c.is_control()).collect()
}
