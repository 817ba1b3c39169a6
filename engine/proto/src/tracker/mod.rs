//! The tracker codecs: UDP (BEP 15, with the options of BEP 41) and, in [`http`], HTTP.
//!
//! Every number is big-endian. What is longer than due is accepted, for the protocol grows at the tail
//! (BEP 15); what is shorter is refused. Nothing here knows about sockets, time or retries: see
//! [`crate::announce`] for the client and [`crate::registry`] for the server.

use std::fmt;
use std::net::SocketAddr;

use thiserror::Error;

mod exchanges;
pub mod http;
pub mod options;
pub mod reply;
pub mod request;
mod url;

pub use exchanges::Exchanges;
pub use reply::{AnnounceHead, Reply, ScrapeEntry};
pub use request::{AnnounceRequest, Request, ScrapeRequest};
pub use url::{MAX_URL_LEN, Scheme, TrackerUrl, UrlError};

#[cfg(test)]
mod tests;

/// The magic number that opens a connect request (BEP 15).
pub const PROTOCOL_ID: u64 = 0x0417_2710_1980;

/// Info hashes in one scrape; BEP 15 names about 74, which keeps the request within one MTU.
pub const MAX_SCRAPE: usize = 74;

/// The longest tracker error text that is kept, in bytes; it goes to logs and screens.
pub const MAX_ERROR_TEXT: usize = 256;

const ACTION_CONNECT: u32 = 0;
const ACTION_ANNOUNCE: u32 = 1;
const ACTION_SCRAPE: u32 = 2;
const ACTION_ERROR: u32 = 3;

/// What a tracker hands out to prove that a client's source address is real.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionId(pub u64);

/// What ties a reply to its request; drawn at random by the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TransactionId(pub u32);

/// The family of the UDP packet, which decides how long a compact peer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Peers of 6 bytes.
    V4,
    /// Peers of 18 bytes.
    V6,
}

impl Family {
    /// The family that a packet from or to `addr` has on the wire.
    pub const fn of(addr: SocketAddr) -> Self {
        match addr {
            SocketAddr::V4(_) => Self::V4,
            SocketAddr::V6(_) => Self::V6,
        }
    }

    /// Bytes of one compact peer.
    pub const fn peer_len(self) -> usize {
        match self {
            Self::V4 => 6,
            Self::V6 => 18,
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        })
    }
}

/// Bytes that are no packet of BEP 15.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// Shorter than its kind demands.
    #[error("{got} bytes, where {what} needs {want}")]
    Short {
        /// The kind of packet.
        what: &'static str,
        /// Bytes received.
        got: usize,
        /// Bytes due at the least.
        want: usize,
    },
    /// An action that this side does not know.
    #[error("unknown action {0}")]
    Action(u32),
    /// A connect request without the magic number.
    #[error("protocol id {0:#x} is not BEP 15's")]
    Protocol(u64),
}

/// Checks that `bytes` has the `want` bytes that `what` needs.
fn at_least(bytes: &[u8], want: usize, what: &'static str) -> Result<(), DecodeError> {
    if bytes.len() < want { Err(DecodeError::Short { what, got: bytes.len(), want }) } else { Ok(()) }
}
