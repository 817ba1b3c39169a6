//! The JSON that `/stats` and `/torrents` give. Fields are added over time and keep their meaning.

use std::net::SocketAddr;

use super::Health;
use crate::tracker::TrackerStats;

/// What `/stats` gives: every counter, and what they belong to.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Document {
    /// Of this program.
    pub version: &'static str,
    /// Seconds since the start.
    pub uptime_s: u64,
    /// Wall time of the answer, in milliseconds since 1970: rates are differences over it.
    pub time_ms: u64,
    /// Where announces are answered.
    pub udp: Vec<SocketAddr>,
    /// Where announces are answered over HTTP.
    pub http_at: Vec<SocketAddr>,
    /// As `/health` has it.
    pub health: Health,
    /// The counters.
    #[serde(flatten)]
    pub tracker: TrackerStats,
}

/// What `/torrents` gives.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Torrents {
    /// Seconds since they were counted.
    pub age_s: u64,
    /// Those with the most peers, the largest first.
    pub torrents: Vec<TopTorrent>,
}

/// A torrent with many peers.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct TopTorrent {
    /// In hexadecimal.
    pub info_hash: String,
    /// Peers that have everything.
    pub seeders: u32,
    /// Peers that still download.
    pub leechers: u32,
    /// Downloads that ended.
    pub completed: u32,
}
