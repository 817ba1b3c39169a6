//! The registry's settings and caps.

use std::time::Duration;

use super::BATCH;
use crate::tracker::Family;
use crate::tracker::reply::ANNOUNCE_REPLY_LEN;

/// The longest reply, in bytes: within one MTU on any path (IPv6 promises 1280 with headers).
pub const MAX_REPLY_LEN: usize = 1200;

/// Settings of a [`Registry`](super::Registry); the default is for a public tracker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistryConfig {
    /// What clients are told to wait between announces; each is told up to 10 % more or less, so that they
    /// do not come in step. Members are forgotten after twice this long.
    pub interval: Duration,
    /// What clients are told not to fall below when they announce on their own account.
    pub min_interval: Duration,
    /// Peers of a reply to a client that leaves the number open.
    pub default_peers: usize,
    /// Peers of a reply at the most; what fits [`MAX_REPLY_LEN`] bounds it as well.
    pub max_peers_in_reply: usize,
    /// Torrents at the most, those included that are only remembered for their `completed` count.
    pub max_torrents: usize,
    /// Torrents without members at the most, remembered for their `completed` count.
    pub max_remembered: usize,
    /// Members of one torrent at the most, each family by itself.
    pub max_members: usize,
    /// Members of all torrents together at the most.
    pub max_members_in_total: usize,
    /// Memory at the most, in bytes, as the registry estimates it.
    pub max_bytes: usize,
    /// Places of one source at the most, over all torrents: an IPv4 address or an IPv6 /64. A seedbox has
    /// tens of thousands, and so has a provider's NAT; a flood from one address wants millions.
    pub max_members_per_source: usize,
    /// How long a connection id is good (BEP 15: two minutes).
    pub connection_window: Duration,
    /// What is added to that window, because clients in use keep an id for five minutes.
    pub connection_grace: Duration,
    /// How long the load must last before each of the four levels of [`Shed`](super::Shed) sets in.
    pub shed_after: [Duration; 4],
    /// Datagrams of a batch that did not empty its socket: a driver's batches are never longer.
    pub full_batch: usize,
}

impl Default for RegistryConfig {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(30 * 60),
            min_interval: Duration::from_secs(5 * 60),
            default_peers: 50,
            max_peers_in_reply: 196,
            max_torrents: 1 << 20,
            max_remembered: 1 << 19,
            max_members: 200_000,
            max_members_in_total: 4 << 20,
            max_bytes: 512 << 20,
            max_members_per_source: 50_000,
            connection_window: Duration::from_secs(120),
            connection_grace: Duration::from_secs(180),
            shed_after: [1, 10, 45 * 60, 60 * 60].map(Duration::from_secs),
            full_batch: BATCH,
        }
    }
}

impl RegistryConfig {
    /// Peers for a client that asks for `num_want` over `family`.
    pub(super) fn peers_for(&self, num_want: Option<u32>, family: Family) -> usize {
        let fits = (MAX_REPLY_LEN - ANNOUNCE_REPLY_LEN) / family.peer_len();
        let wanted = num_want.map_or(self.default_peers, |n| n as usize);
        wanted.min(self.max_peers_in_reply).min(fits)
    }

    /// How long a connection id is accepted.
    pub fn id_life(&self) -> Duration {
        self.connection_window + self.connection_grace
    }

    /// How long a member lives after its last announce.
    pub(super) fn member_life(&self) -> Duration {
        self.interval * 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_hold_what_is_wanted_allowed_and_fits() {
        let config = RegistryConfig::default();
        assert_eq!(config.peers_for(None, Family::V4), 50);
        assert_eq!(config.peers_for(Some(0), Family::V4), 0);
        assert_eq!(config.peers_for(Some(u32::MAX), Family::V4), 196);
        assert_eq!(config.peers_for(Some(u32::MAX), Family::V6), 65);
    }
}
