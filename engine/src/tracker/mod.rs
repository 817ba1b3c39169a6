//! The tracker: IO around [`proto::registry`], and what it keeps in a [`Store`].
//!
//! [`start`] binds, loads and returns a handle and a root future. The root owns every task; dropping it
//! ends the tracker as a crash would, [`TrackerHandle::stop`] ends it in order, with a last flush.
//!
//! *Invariant:* no request waits for the store. Announces change the registry's memory only; once a second
//! what changed is handed to the store.

use std::io;
use std::net::SocketAddr;

use proto::registry::{RegistryConfig, RegistryStats};
use thiserror::Error;

mod access;
pub mod admin;
mod background;
mod handle;
mod http;
mod keeper;
mod limiter;
mod memory;
mod server;
mod sites;
mod sqlite;
mod store;
mod worker;

#[cfg(test)]
mod tests;

pub use access::AccessConfig;
pub use admin::AdminConfig;
pub use background::Background;
pub use handle::TrackerHandle;
pub use http::{HttpConfig, HttpStats};
pub use memory::MemoryStore;
pub use server::start;
pub use sqlite::{BackupContent, SqliteStore, Verdict};
pub use store::{Batch, Control, Store, StoreError, Stored};

/// Addresses of one tracker at the most: each costs a task and kernel buffers.
pub const MAX_SOCKETS: usize = 16;

/// Workers of one tracker at the most: beyond it they only wait for each other's turn at the registry.
pub const MAX_WORKERS: usize = 64;

/// What a tracker is started with.
#[derive(Clone, Debug)]
pub struct TrackerConfig {
    /// Where it listens, at either family.
    pub bind: Vec<SocketAddr>,
    /// Sockets for each address, each with a task of its own; 1 to [`MAX_WORKERS`]. More than one helps only
    /// on a runtime with as many threads, and only where the system can share an address (Linux).
    pub workers: usize,
    /// Announce and scrape over HTTP.
    pub http: HttpConfig,
    /// Where operators look, if anywhere.
    pub admin: Option<AdminConfig>,
    /// Rules and caps.
    pub registry: RegistryConfig,
    /// Who may use it.
    pub access: AccessConfig,
}

impl TrackerConfig {
    /// A tracker at one address with the default rules.
    pub fn at(addr: SocketAddr) -> Self {
        Self {
            bind: vec![addr],
            workers: 1,
            http: HttpConfig::default(),
            admin: None,
            registry: RegistryConfig::default(),
            access: AccessConfig::default(),
        }
    }
}

/// Why a tracker did not start.
#[derive(Debug, Error)]
pub enum TrackerError {
    /// A socket could not be bound.
    #[error("cannot listen at {addr}")]
    Bind {
        /// The address.
        addr: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// An address could not be listened at over TCP.
    #[error("cannot listen at http://{addr}")]
    Listen {
        /// The address.
        addr: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// No address to listen at, or more than [`MAX_SOCKETS`].
    #[error("{0} addresses to listen at (1 to {MAX_SOCKETS} are allowed)")]
    Sockets(usize),
    /// No worker, or more than [`MAX_WORKERS`].
    #[error("{0} workers (1 to {MAX_WORKERS} are allowed)")]
    Workers(usize),
    /// What was kept cannot be loaded, or the secret cannot be kept.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a tracker counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct TrackerStats {
    /// The registry's counters.
    #[serde(flatten)]
    pub registry: RegistryStats,
    /// Members that a restart brought back.
    pub restored: u64,
    /// Batches that were handed to the store.
    pub flushes: u64,
    /// Flushes or syncs that failed; they are tried again.
    pub store_failures: u64,
    /// Receives that failed.
    pub socket_failures: u64,
    /// Replies that the system did not take: a full buffer, a forbidden or unreachable address.
    pub unsent: u64,
    /// The HTTP side's counters; announces and scraped torrents are in the registry's as well.
    pub http: HttpStats,
}
