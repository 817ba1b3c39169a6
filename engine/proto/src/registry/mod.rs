//! The tracker server: swarms, peer choice, expiry and connection ids, as a pure machine (BEP 15).
//!
//! The driver hands over batches of datagrams and sends what [`Registry::handle`] leaves in [`Datagrams`].
//! It calls [`Registry::handle_timeout`] when [`Registry::poll_timeout`] says so, and stores what
//! [`Registry::take_completed`] gives it, never while a request waits.
//!
//! *Invariant:* a source that has not shown a connection id gets at most as many bytes as it sent.
//! *Invariant:* everything a stranger can make grow has a cap in [`RegistryConfig`].

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::id::InfoHash;
use crate::seed::{Random, Seed};
use crate::time::Instant;
use crate::torrent::AnnounceEvent;
use crate::tracker::reply::{self, ERROR_REPLY_LEN};
use crate::tracker::{
    AnnounceHead, AnnounceRequest, Family, Request, ScrapeEntry, ScrapeRequest, TransactionId,
};

mod config;
mod connection;
mod datagrams;
mod index;
mod members;
mod stats;
mod swarms;

#[cfg(test)]
mod tests;

pub use config::{MAX_REPLY_LEN, RegistryConfig};
pub use connection::Secret;
pub use datagrams::{Datagram, Datagrams};
pub use stats::RegistryStats;

use connection::ConnectionIds;
use index::HashKey;
use members::{Members, Role, Stamp};
use swarms::{Swarm, Swarms};

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
    connections: ConnectionIds,
    swarms: Swarms,
    random: Random,
    quantum: Duration,
    sweep_at: Instant,
    stats: RegistryStats,
}

impl Registry {
    /// An empty registry that issues connection ids with `secret` and draws everything else from `seed`.
    pub fn new(config: RegistryConfig, secret: Secret, seed: Seed, now: Instant) -> Self {
        let mut random = seed.rng();
        let mut key = [0; 16];
        random.fill(&mut key);
        let quantum = (config.member_life() / QUANTA_OF_LIFE).max(MIN_QUANTUM);
        Self {
            connections: ConnectionIds::new(secret, &config),
            swarms: Swarms::new(HashKey::new(&key)),
            random,
            sweep_at: now + quantum,
            quantum,
            stats: RegistryStats::default(),
            config,
        }
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

    /// Up to `max` info hashes whose `completed` count has changed, with the present count.
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
            Request::Announce(announce) => self.announce(now, from, &announce, out),
            Request::Scrape(scrape) => self.scrape(from, &scrape, out),
            Request::Connect { .. } => {}
        }
    }

    fn announce(
        &mut self,
        now: Instant,
        from: SocketAddr,
        request: &AnnounceRequest<'_>,
        out: &mut Datagrams,
    ) {
        self.stats.announces += 1;
        if request.port == 0 {
            self.stats.refused += 1;
            return out.push(from, |bytes| reply::put_error(bytes, request.transaction, "port 0"));
        }
        let port = request.port.to_be_bytes();
        match from.ip().to_canonical() {
            IpAddr::V4(ip) => self.announce_as::<6>(now, from, request, compact(&ip.octets(), port), out),
            IpAddr::V6(ip) => self.announce_as::<18>(now, from, request, compact(&ip.octets(), port), out),
        }
    }

    /// The announce of the member `addr`; the family is in its length.
    fn announce_as<const N: usize>(
        &mut self,
        now: Instant,
        from: SocketAddr,
        request: &AnnounceRequest<'_>,
        addr: [u8; N],
        out: &mut Datagrams,
    ) where
        Swarm: InFamily<N>,
    {
        let counts = self.note(now, request, addr);
        let head = self.head(request.transaction, counts);
        let (key, random) = (self.swarms.key(), &mut self.random);
        let swarm = self.swarms.find(request.info_hash);
        let wanted = self.config.peers_for(request.num_want, Swarm::FAMILY);
        out.push(from, |bytes| {
            reply::put_announce_head(bytes, &head);
            // Who leaves needs nobody.
            let members = swarm.filter(|_| request.event != Some(AnnounceEvent::Stopped));
            if let Some(members) = members.and_then(InFamily::<N>::family) {
                members.choose(&key, random, &addr, wanted, |peer| bytes.extend_from_slice(peer));
            }
        });
    }

    /// Enters the announce into the swarm; its counts afterwards.
    fn note<const N: usize>(
        &mut self,
        now: Instant,
        request: &AnnounceRequest<'_>,
        addr: [u8; N],
    ) -> ScrapeEntry
    where
        Swarm: InFamily<N>,
    {
        let (stamp, life, key) = (self.stamp(now), self.life(), self.swarms.key());
        if request.event == Some(AnnounceEvent::Stopped) {
            let Some(swarm) = self.swarms.find_mut(request.info_hash, stamp, life) else {
                return ScrapeEntry::default();
            };
            let gone = swarm.family_mut().remove(&key, &addr);
            let counts = swarm.counts();
            self.swarms.members -= usize::from(gone);
            return counts;
        }
        let is_full = self.swarms.members >= self.config.max_members_in_total;
        let Some(swarm) = self.swarms.enter(request.info_hash, stamp, life, &self.config) else {
            self.stats.refused += 1;
            return ScrapeEntry::default();
        };
        let members = swarm.family_mut();
        let was = members.role(&key, &addr);
        if was.is_none() && (is_full || members.len() >= self.config.max_members) {
            self.stats.refused += 1;
            return swarm.counts();
        }
        let role = if request.progress.left == 0 { Role::Seeder } else { Role::Leecher };
        members.put(&key, addr, role, stamp);
        //= Only a member that was seen downloading can have completed; a repeated packet counts once.
        let completes = request.event == Some(AnnounceEvent::Completed)
            && (was, role) == (Some(Role::Leecher), Role::Seeder);
        swarm.completed = swarm.completed.saturating_add(u32::from(completes));
        let counts = swarm.counts();
        self.swarms.members += usize::from(was.is_none());
        if completes {
            self.stats.completed += 1;
            self.swarms.mark_dirty(request.info_hash);
        }
        counts
    }

    fn head(&mut self, transaction: TransactionId, counts: ScrapeEntry) -> AnnounceHead {
        // 90 to 110 percent.
        let permille = 900 + self.random.below(201);
        let interval = self.config.interval.as_secs().saturating_mul(permille) / 1000;
        let interval = u32::try_from(interval).unwrap_or(u32::MAX);
        AnnounceHead { transaction, interval, leechers: counts.leechers, seeders: counts.seeders }
    }

    fn scrape(&mut self, from: SocketAddr, request: &ScrapeRequest<'_>, out: &mut Datagrams) {
        self.stats.scrapes += 1;
        let counts = request.hashes.iter().map(|hash| self.swarms.find(InfoHash(*hash)));
        let counts = counts.map(|swarm| swarm.map(Swarm::counts).unwrap_or_default());
        out.push(from, |bytes| reply::put_scrape(bytes, request.transaction, counts));
    }

    fn stamp(&self, now: Instant) -> Stamp {
        (u128::from(now.as_micros()) / self.quantum.as_micros()) as Stamp
    }

    fn life(&self) -> Stamp {
        (self.config.member_life().as_micros().div_ceil(self.quantum.as_micros())) as Stamp
    }
}

/// Address and port in one array of `N` bytes, as compact replies have them.
fn compact<const M: usize, const N: usize>(ip: &[u8; M], port: [u8; 2]) -> [u8; N] {
    let mut bytes = ip.iter().chain(&port).copied();
    std::array::from_fn(|_| bytes.next().unwrap_or_default())
}

/// The part of a swarm whose compact addresses have `N` bytes.
trait InFamily<const N: usize> {
    const FAMILY: Family;
    fn family(&self) -> Option<&Members<N>>;
    fn family_mut(&mut self) -> &mut Members<N>;
}

impl InFamily<6> for Swarm {
    const FAMILY: Family = Family::V4;

    fn family(&self) -> Option<&Members<6>> {
        Some(&self.v4)
    }

    fn family_mut(&mut self) -> &mut Members<6> {
        &mut self.v4
    }
}

impl InFamily<18> for Swarm {
    const FAMILY: Family = Family::V6;

    fn family(&self) -> Option<&Members<18>> {
        self.v6.as_deref()
    }

    fn family_mut(&mut self) -> &mut Members<18> {
        self.v6.get_or_insert_default()
    }
}
