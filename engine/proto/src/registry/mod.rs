//! The tracker server: swarms, peer choice, expiry and connection ids, as a pure machine (BEP 15).
//!
//! The driver hands over batches of datagrams and sends what [`Registry::handle`] leaves in [`Datagrams`].
//! It calls [`Registry::handle_timeout`] when [`Registry::poll_timeout`] says so, and stores what
//! [`Registry::take_completed`] gives it, never while a request waits.
//!
//! *Invariant:* a source that has not shown a connection id gets at most as many bytes as it sent.
//! *Invariant:* everything a stranger can make grow has a cap in [`RegistryConfig`].

use std::collections::BTreeSet;
use std::time::Duration;

use crate::id::InfoHash;
use crate::seed::{Random, Seed};
use crate::time::Instant;
use crate::tracker::ScrapeEntry;

mod access;
mod announce;
mod choice;
mod config;
mod connection;
mod datagrams;
mod few;
mod hash;
mod page;
mod refusal;
mod restart;
mod roles;
mod shedding;
mod sources;
mod stats;
mod swarm;
mod sweep;
mod table;
mod torrents;
mod udp;

#[cfg(test)]
mod tests;

pub use access::{Access, AccessMode, Passkey, PasskeyError};
pub use announce::{Announce, Announced};
pub use config::{MAX_REPLY_LEN, RegistryConfig};
pub use connection::{Secret, Secrets};
pub use datagrams::{Datagram, Datagrams};
pub use page::{PAGES, PageError, SwarmPage};
pub use refusal::{Refusal, Refusals};
pub use stats::{RegistryStats, Shed};

use connection::ConnectionIds;
use hash::{AddrHash, TorrentHash};
use restart::Schedule;
use shedding::Shedding;
use sources::Sources;
use sweep::Sweep;
use table::{Clock, Stamp};
use torrents::Torrents;

/// Datagrams that a driver hands over at once at the most. A batch of so many did not empty its socket, which
/// is how the registry learns that requests come faster than they are answered.
pub const BATCH: usize = 64;

/// The unit in which announces are dated. 2¹⁶ of them are three days.
const QUANTUM: Duration = Duration::from_secs(4);

/// The longest life of a member, in quanta: two days, well below the circle of stamps.
const MAX_LIFE: u64 = 43_200;

/// The tracker's memory and rules.
#[derive(Debug)]
pub struct Registry {
    config: RegistryConfig,
    access: Access,
    connections: ConnectionIds,
    torrents: Torrents,
    /// Info hashes whose `completed` count the store does not have.
    counted: BTreeSet<InfoHash>,
    sources: Sources,
    key: AddrHash,
    random: Random,
    shedding: Shedding,
    sweep: Sweep,
    schedule: Schedule,
    stats: RegistryStats,
}

impl Registry {
    /// An empty registry, open to all. What must be the same after a restart comes from `secrets` (a bare
    /// [`Secret`] will do), everything else is drawn from `seed`.
    pub fn new(config: RegistryConfig, secrets: impl Into<Secrets>, seed: Seed, now: Instant) -> Self {
        let secrets = secrets.into();
        let mut random = seed.rng();
        Self {
            access: Access::default(),
            connections: ConnectionIds::new(&secrets, &config),
            torrents: Torrents::new(TorrentHash::new(&secrets.current.derive("pages"))),
            counted: BTreeSet::new(),
            sources: Sources::new(&mut random),
            key: AddrHash::new(&mut random, now),
            random,
            shedding: Shedding::default(),
            sweep: Sweep::new(now),
            schedule: Schedule::new(now),
            stats: RegistryStats::default(),
            config,
        }
    }

    /// New settings from now on. Members live on by the new interval, and what exceeds a lower cap stays until
    /// it expires.
    pub fn set_config(&mut self, config: RegistryConfig) {
        self.connections.set_window(&config);
        self.sweep.hasten();
        self.config = config;
    }

    /// Issues connection ids with other secrets from now on. Swarms stay in their pages until a restart.
    pub fn set_secrets(&mut self, secrets: &Secrets) {
        self.connections = ConnectionIds::new(secrets, &self.config);
    }

    /// New lists from now on. Members of a torrent that is no longer allowed are not named any more, and go
    /// when their time is over.
    pub fn set_access(&mut self, access: Access) {
        self.access = access.sorted();
    }

    /// Puts back a `completed` count from the store; false once there are too many torrents.
    pub fn restore(&mut self, info_hash: InfoHash, completed: u32) -> bool {
        let spot = self.torrents.spot(&info_hash);
        let is_known = self.torrents.find(spot, &info_hash).is_some();
        if !is_known && !self.torrents.add(spot, info_hash, &self.config) {
            return false;
        }
        let was_changed = self.torrents.is_changed(spot.page);
        self.torrents.change(spot, &info_hash, |torrent| torrent.completed = completed);
        self.torrents.mark(spot.page, was_changed);
        true
    }

    /// Up to `max` info hashes whose `completed` count has changed, in their order, with the present count. Zero
    /// means that the torrent had to give way to others: its row goes as well, or strangers could make the
    /// store grow.
    ///
    /// Their pages are due at once, for the same flush: a tracker that comes back with a count and takes whoever
    /// was counted for a leecher still would count a repeated `completed` again.
    pub fn take_completed(&mut self, max: usize) -> Vec<(InfoHash, u32)> {
        let mut counts = Vec::with_capacity(max.min(self.counted.len()));
        while counts.len() < max
            && let Some(info_hash) = self.counted.pop_first()
        {
            let spot = self.torrents.spot(&info_hash);
            self.schedule.hurry(spot.page);
            let torrent = self.torrents.find(spot, &info_hash);
            counts.push((info_hash, torrent.map_or(0, |torrent| torrent.completed)));
        }
        counts
    }

    /// Gives back what [`Self::take_completed`] gave, because it could not be stored.
    pub fn keep_completed(&mut self, counts: &[(InfoHash, u32)]) {
        self.counted.extend(counts.iter().map(|(info_hash, _)| *info_hash));
    }

    /// Is there something for [`Self::take_completed`] to take?
    pub fn has_completed(&self) -> bool {
        !self.counted.is_empty()
    }

    /// Torrents with their counts, `max` from the `from`-th on: a slice of a census. Torrents that come and
    /// go meanwhile change places, so one may be missed or met twice.
    pub fn torrents(&self, from: usize, max: usize) -> impl Iterator<Item = (InfoHash, ScrapeEntry)> {
        self.torrents.slice(from, max)
    }

    /// Counters since the start, and present sizes.
    pub fn stats(&self) -> RegistryStats {
        let totals = self.torrents.totals;
        let shed = Shed { level: self.shedding.level(), ..self.stats.shed };
        RegistryStats {
            shed,
            torrents: totals.torrents as u64,
            remembered: totals.remembered as u64,
            members: totals.members() as u64,
            members_v6: totals.v6 as u64,
            memory_bytes: (totals.bytes + Sources::BYTES) as u64,
            ..self.stats
        }
    }

    fn clock(&self, now: Instant) -> Clock {
        let stamp = now.as_micros() / QUANTUM.as_micros() as u64;
        let life = quanta(self.config.member_life()).clamp(1, MAX_LIFE);
        Clock { now: stamp as Stamp, life: life as Stamp }
    }
}

/// Whole quanta.
const fn quanta(time: Duration) -> u64 {
    time.as_secs() / QUANTUM.as_secs()
}
