//! The admin port: what an operator and a monitoring system read. Nothing can be changed here.
//!
//! | path | what |
//! |---|---|
//! | `/` | a status page for people |
//! | `/health` | 200 if all is well, 503 with the reasons if not; JSON |
//! | `/metrics` | for Prometheus, in its text format |
//! | `/stats` | every counter, as JSON |
//! | `/torrents?limit=` | the torrents with the most peers, as JSON |
//!
//! It is off unless asked for and belongs on loopback: info hashes and counts are nobody else's business.
//! Against pages that a browser on the same machine shows: no CORS, and a `Host` that is no address must be
//! `localhost` or configured, so that a foreign name that resolves to us (DNS rebinding) gets nothing.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;

use thiserror::Error;

use crate::seats::{SeatLimits, Seats};

mod census;
mod document;
mod health;
mod host;
mod metrics;
mod site;
#[cfg(test)]
mod tests;

pub use document::{Document, TopTorrent, Torrents};
pub use health::Health;
pub(super) use site::AdminSite;

/// Connections to the admin port: a browser's six, some scrapers, and room to look when they misbehave.
const MAX_CONNECTIONS: usize = 64;

/// How the admin port listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminConfig {
    /// Where.
    pub bind: SocketAddr,
    /// Names that may stand in `Host`, beside `localhost` and any address.
    pub hosts: Vec<String>,
}

/// Text that is no address for the admin port.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0:?} is neither IP:PORT nor a port")]
pub struct AdminError(String);

impl FromStr for AdminConfig {
    type Err = AdminError;

    /// `IP:PORT`, or a port alone, which means loopback.
    fn from_str(text: &str) -> Result<Self, AdminError> {
        let loopback = |port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
        let bind = text.parse().or_else(|_| text.parse().map(loopback));
        let bind = bind.map_err(|_| AdminError(text.to_owned()))?;
        Ok(Self { bind, hosts: Vec::new() })
    }
}

impl AdminConfig {
    /// No source is special: a stranger cannot connect to loopback, and who opened more was told so.
    pub(super) fn seats() -> Seats {
        let (total, per_source) = (MAX_CONNECTIONS, MAX_CONNECTIONS);
        Seats::new(SeatLimits { total, per_source, unlimited: Vec::new() })
    }
}
