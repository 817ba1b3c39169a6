//! Announce and scrape over HTTP (BEP 3, 7, 23, 48), on the same registry as UDP.
//!
//! TCP has verified the source, so a request needs no connection id and a reply may be longer than it.
//! TLS is left to a reverse proxy, which operators of HTTP trackers run anyway for their certificates;
//! its `X-Forwarded-For` is believed if its address is among [`HttpConfig::trusted_proxies`].

use std::net::SocketAddr;

use ipnet::IpNet;

use crate::seats::{SeatLimits, Seats};

mod forwarded;
#[cfg(test)]
pub(super) mod lab;
mod server;
mod site;
#[cfg(test)]
mod tests;
mod time;

pub(super) use server::{Answer, Event, Site, serve};
pub(super) use site::{TrackerSite, only_get};

/// How a tracker listens over HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpConfig {
    /// Where it listens: one listener each, of either family; none by default.
    pub bind: Vec<SocketAddr>,
    /// Connections that are kept at all of these together. Each takes a descriptor.
    pub max_connections: usize,
    /// Connections of one source: an IPv4 address, or an IPv6 network of 64 bits.
    pub max_connections_per_source: usize,
    /// Reverse proxies, whose `X-Forwarded-For` says who asks.
    pub trusted_proxies: Vec<IpNet>,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            bind: Vec::new(),
            // Below the 1024 descriptors that a process has where nobody raised the limit.
            max_connections: 800,
            // A household, or a few clients behind one address of a provider.
            max_connections_per_source: 40,
            trusted_proxies: Vec::new(),
        }
    }
}

impl HttpConfig {
    pub(super) fn seats(&self) -> Seats {
        Seats::new(SeatLimits {
            total: self.max_connections,
            per_source: self.max_connections_per_source,
            unlimited: self.trusted_proxies.clone(),
        })
    }
}

/// What the HTTP side of a tracker counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct HttpStats {
    /// Connections that were accepted.
    pub connections: u64,
    /// Connections that are open now.
    pub open: u64,
    /// Connections that were closed at once, because their source or all together have enough.
    pub full: u64,
    /// Connections that were cut: the client was too slow, sent no HTTP, or vanished.
    pub cut: u64,
    /// Accepts that failed; they are tried again.
    pub accept_failures: u64,
    /// Requests.
    pub requests: u64,
    /// Announces that could be read.
    pub announces: u64,
    /// Scrapes that could be read.
    pub scrapes: u64,
    /// Requests for other paths, or with other methods.
    pub strays: u64,
    /// Announces and scrapes that could not be read.
    pub malformed: u64,
    /// Announces that were read and refused.
    pub refused: u64,
    /// Bytes of bodies.
    pub bytes_out: u64,
}

impl HttpStats {
    fn note(&mut self, event: Event) {
        match event {
            Event::Opened => {
                self.connections += 1;
                self.open += 1;
            }
            Event::Closed => self.open = self.open.saturating_sub(1),
            Event::Full => self.full += 1,
            Event::Cut => self.cut += 1,
            Event::Failed => self.accept_failures += 1,
        }
    }
}
