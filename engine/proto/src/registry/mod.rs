//! The tracker server: swarms, peer choice, expiry and connection ids, as a pure machine (BEP 15).
//!
//! The driver hands over batches of datagrams and sends what [`Registry::handle`] leaves in [`Datagrams`].
//! It calls [`Registry::handle_timeout`] when [`Registry::poll_timeout`] says so, and stores what
//! [`Registry::take_completed`] gives it, never while a request waits.
//!
//! *Invariant:* a source that has not shown a connection id gets at most as many bytes as it sent.
//! *Invariant:* everything a stranger can make grow has a cap in [`RegistryConfig`].

use std::net::SocketAddr;
use std::time::Duration;

use crate::id::InfoHash;
use crate::seed::{Random, Seed};
use crate::time::Instant;
use crate::tracker::options::url_data;
use crate::tracker::reply::{self, ERROR_REPLY_LEN};
use crate::tracker::{AnnounceHead, AnnounceRequest, Request, ScrapeEntry, ScrapeRequest};

mod access;
mod announce;
mod config;
mod connection;
mod datagrams;
mod index;
mod members;
mod page;
mod refusal;
mod restart;
mod stats;
mod swarms;

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
use index::HashKey;
use members::Stamp;
use swarms::Swarms;

/// Datagrams that a driver hands over at once at the most. A batch of so many did not empty its socket, which
/// is how the registry learns that requests come faster than they are answered.
pub const BATCH: usize = 64;

/// The shortest unit in which the age of a member is told.
const MIN_QUANTUM: Duration = Duration::from_secs(1);

/// Quanta of a member's life: how exactly expiry is timed.
const QUANTA_OF_LIFE: u32 = 64;

/// The pause between two slices of a sweep, in which requests are served.
const SLICE_PAUSE: Duration = Duration::from_millis(10);

/// Told to who shows no good connection id, where it fits; clients then connect again.
const CONNECTION_REFUSED: &str = "Connection ID mismatch.";

/// The tracker's memory and rules.
#[derive(Debug)]
pub struct Registry {
    config: RegistryConfig,
    access: Access,
    connections: ConnectionIds,
    swarms: Swarms,
    random: Random,
    quantum: Duration,
    sweep_at: Instant,
    pages_at: Instant,
    next_page: usize,
    stats: RegistryStats,
}

impl Registry {
    /// An empty registry, open to all. What must be the same after a restart comes from `secrets` (a bare
    /// [`Secret`] will do), everything else is drawn from `seed`.
    pub fn new(config: RegistryConfig, secrets: impl Into<Secrets>, seed: Seed, now: Instant) -> Self {
        let secrets = secrets.into();
        let quantum = (config.member_life() / QUANTA_OF_LIFE).max(MIN_QUANTUM);
        Self {
            access: Access::default(),
            connections: ConnectionIds::new(&secrets, &config),
            swarms: Swarms::new(HashKey::new(&secrets.current.derive("pages"))),
            random: seed.rng(),
            sweep_at: now + quantum,
            pages_at: now,
            next_page: 0,
            quantum,
            stats: RegistryStats::default(),
            config,
        }
    }

    /// New settings from now on. Members live on by the new interval, and what exceeds a lower cap stays until
    /// it expires.
    pub fn set_config(&mut self, config: RegistryConfig) {
        self.connections.set_window(&config);
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
    pub fn restore(&mut self, now: Instant, info_hash: InfoHash, completed: u32) -> bool {
        let (stamp, life) = (self.stamp(now), self.life());
        let swarm = self.swarms.enter(info_hash, stamp, life, &self.config);
        swarm.map(|swarm| swarm.completed = completed).is_some()
    }

    /// Answers a batch. `wall` is the time since the Unix epoch: connection ids outlive the process.
    pub fn handle<'a>(
        &mut self,
        now: Instant,
        wall: Duration,
        batch: impl IntoIterator<Item = Datagram<'a>>,
        out: &mut Datagrams,
    ) {
        let before = out.byte_len();
        for datagram in batch {
            self.stats.requests += 1;
            self.stats.bytes_in += datagram.payload.len() as u64;
            self.handle_one(now, wall, datagram, out);
        }
        self.stats.bytes_out += (out.byte_len() - before) as u64;
    }

    /// Lets members go that have not announced for two intervals: one slice of the work.
    pub fn handle_timeout(&mut self, now: Instant) {
        if now < self.sweep_at {
            return;
        }
        let (stamp, life) = (self.stamp(now), self.life());
        let (gone, is_round) = self.swarms.sweep(stamp, life, &self.config);
        self.stats.expired += gone as u64;
        self.sweep_at = now + if is_round { self.quantum } else { SLICE_PAUSE };
    }

    /// When [`Self::handle_timeout`] is due; never while there is no torrent.
    pub fn poll_timeout(&self) -> Option<Instant> {
        (self.swarms.len() > 0).then_some(self.sweep_at)
    }

    /// Up to `max` info hashes whose `completed` count has changed, with the present count. Zero means that the
    /// torrent had to give way to others: its row goes as well, or strangers could make the store grow.
    pub fn take_completed(&mut self, max: usize) -> Vec<(InfoHash, u32)> {
        self.swarms.take_dirty(max)
    }

    /// Gives back what [`Self::take_completed`] gave, because it could not be stored.
    pub fn keep_completed(&mut self, counts: &[(InfoHash, u32)]) {
        for (info_hash, _) in counts {
            self.swarms.mark_dirty(*info_hash);
        }
    }

    /// Is there something for [`Self::take_completed`] to take?
    pub fn has_completed(&self) -> bool {
        self.swarms.is_dirty()
    }

    /// Torrents with their counts, `max` from the `from`-th on: a slice of a census. Torrents that come and
    /// go meanwhile change places, so one may be missed or met twice.
    pub fn torrents(&self, from: usize, max: usize) -> impl Iterator<Item = (InfoHash, ScrapeEntry)> {
        self.swarms.slice(from, max)
    }

    /// Counters since the start, and present sizes.
    pub fn stats(&self) -> RegistryStats {
        let (torrents, members) = (self.swarms.len() as u64, self.swarms.members as u64);
        RegistryStats { torrents, members, ..self.stats }
    }

    fn handle_one(&mut self, now: Instant, wall: Duration, datagram: Datagram<'_>, out: &mut Datagrams) {
        let Datagram { from, payload } = datagram;
        let Ok(request) = Request::decode(payload).inspect_err(|_| self.stats.malformed += 1) else { return };
        let ip = from.ip().to_canonical();
        let (connection, transaction) = match &request {
            Request::Connect { transaction } => {
                self.stats.connects += 1;
                let connection = self.connections.issue(wall, ip);
                return out.push(from, |bytes| reply::put_connect(bytes, *transaction, connection));
            }
            Request::Announce(announce) => (announce.connection, announce.transaction),
            Request::Scrape(scrape) => (scrape.connection, scrape.transaction),
        };
        if !self.connections.check(wall, ip, connection) {
            self.stats.unverified += 1;
            if ERROR_REPLY_LEN + CONNECTION_REFUSED.len() <= payload.len() {
                out.push(from, |bytes| reply::put_error(bytes, transaction, CONNECTION_REFUSED));
            }
            return;
        }
        match request {
            Request::Announce(announce) => self.answer(now, from, &announce, out),
            Request::Scrape(scrape) => self.answer_scrape(from, &scrape, out),
            Request::Connect { .. } => {}
        }
    }

    fn answer(&mut self, now: Instant, from: SocketAddr, request: &AnnounceRequest<'_>, out: &mut Datagrams) {
        let announce = self.typed(from, request);
        out.push(from, |bytes| {
            let start = bytes.len();
            let transaction = request.transaction;
            let blank = AnnounceHead { transaction, interval: 0, leechers: 0, seeders: 0 };
            reply::put_announce_head(bytes, &blank);
            match self.announce(now, &announce, bytes) {
                Ok(Announced { interval, counts, .. }) => {
                    let ScrapeEntry { leechers, seeders, .. } = counts;
                    let head = AnnounceHead { transaction, interval, leechers, seeders };
                    if let Some(mut place) = bytes.get_mut(start..) {
                        reply::put_announce_head(&mut place, &head);
                    }
                }
                Err(refusal) => {
                    bytes.truncate(start);
                    reply::put_error(bytes, transaction, &refusal.to_string());
                }
            }
        });
    }

    /// What a UDP announce says, its source being verified.
    fn typed(&self, from: SocketAddr, request: &AnnounceRequest<'_>) -> Announce {
        // Only a private tracker reads the options.
        let url = self.access.is_private().then(|| url_data(request.options));
        Announce {
            info_hash: request.info_hash,
            addr: SocketAddr::new(from.ip().to_canonical(), request.port),
            left: request.progress.left,
            event: request.event,
            num_want: request.num_want,
            passkey: url.and_then(Result::ok).and_then(|url| Passkey::find_in(&url)),
        }
    }

    fn answer_scrape(&mut self, from: SocketAddr, request: &ScrapeRequest<'_>, out: &mut Datagrams) {
        self.stats.scrapes += 1;
        let counts = request.hashes.iter().map(|hash| self.scrape(InfoHash(*hash)).unwrap_or_default());
        out.push(from, |bytes| reply::put_scrape(bytes, request.transaction, counts));
    }

    fn stamp(&self, now: Instant) -> Stamp {
        (u128::from(now.as_micros()) / self.quantum.as_micros()) as Stamp
    }

    fn life(&self) -> Stamp {
        (self.config.member_life().as_micros().div_ceil(self.quantum.as_micros())) as Stamp
    }
}
