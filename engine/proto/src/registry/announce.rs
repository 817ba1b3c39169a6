//! Announces and scrapes as typed requests, whatever they came over.
//!
//! Over UDP the connection id has shown that the source is real, over HTTP the handshake has.

use std::net::{IpAddr, SocketAddr};

use super::access::Passkey;
use super::members::{Members, Role};
use super::swarms::Swarm;
use super::{Refusal, Registry};
use crate::id::InfoHash;
use crate::time::Instant;
use crate::torrent::AnnounceEvent;
use crate::tracker::{Family, ScrapeEntry};

/// One announce.
///
/// Who announces is told by the address alone. Peer ids and keys are not asked for: they can be read by
/// other members and would let these speak for the owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Announce {
    /// The swarm.
    pub info_hash: InfoHash,
    /// The source's verified address, with the port at which it says it listens.
    pub addr: SocketAddr,
    /// Bytes left to download; zero makes a seeder.
    pub left: u64,
    /// Nothing for a regular announce.
    pub event: Option<AnnounceEvent>,
    /// Peers wanted; nothing leaves it to the tracker.
    pub num_want: Option<u32>,
    /// From the URL, if it has one.
    pub passkey: Option<Passkey>,
}

/// The answer to an announce, but for the peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Announced {
    /// Seconds until the next regular announce: as configured, 10 % more or less.
    pub interval: u32,
    /// Seconds below which the client should not fall.
    pub min_interval: u32,
    /// The swarm's counts after the announce, both families together.
    pub counts: ScrapeEntry,
}

impl Registry {
    /// Notes an announce and appends peers to `peers`, compact and in the asker's family: up to what was
    /// wanted, uniformly chosen, never the asker, only leechers for a seeder, none for who stops.
    pub fn announce(
        &mut self,
        now: Instant,
        request: &Announce,
        peers: &mut Vec<u8>,
    ) -> Result<Announced, Refusal> {
        let ip = request.addr.ip().to_canonical();
        self.stats.announces += 1;
        self.stats.announces_v6 += u64::from(ip.is_ipv6());
        let answer = self.admit(request).and_then(|()| {
            let port = request.addr.port().to_be_bytes();
            match ip {
                IpAddr::V4(ip) => self.announce_as::<6>(now, request, compact(&ip.octets(), port), peers),
                IpAddr::V6(ip) => self.announce_as::<18>(now, request, compact(&ip.octets(), port), peers),
            }
        });
        answer.inspect_err(|refusal| self.stats.refused.count(*refusal))
    }

    /// The counts of a torrent; nothing if it is unknown or not allowed here.
    pub fn scrape(&mut self, info_hash: InfoHash) -> Option<ScrapeEntry> {
        self.stats.scraped_torrents += 1;
        if !self.access.allows(info_hash) {
            return None;
        }
        self.swarms.find(info_hash).map(Swarm::counts)
    }

    fn admit(&self, request: &Announce) -> Result<(), Refusal> {
        if request.addr.port() == 0 {
            return Err(Refusal::Port0);
        }
        self.access.check(request.info_hash, request.passkey)
    }

    /// The announce of the member `addr`; the family is in its length.
    fn announce_as<const N: usize>(
        &mut self,
        now: Instant,
        request: &Announce,
        addr: [u8; N],
        peers: &mut Vec<u8>,
    ) -> Result<Announced, Refusal>
    where
        Swarm: InFamily<N>,
    {
        let counts = self.note(now, request, addr)?;
        // Who leaves needs nobody.
        if request.event != Some(AnnounceEvent::Stopped) {
            let (key, random) = (self.swarms.key(), &mut self.random);
            let wanted = self.config.peers_for(request.num_want, Swarm::FAMILY);
            let members = self.swarms.find(request.info_hash).and_then(InFamily::<N>::family);
            if let Some(members) = members {
                members.choose(&key, random, &addr, wanted, |peer| peers.extend_from_slice(peer));
            }
        }
        let (interval, min_interval) = self.intervals();
        Ok(Announced { interval, min_interval, counts })
    }

    /// Enters the announce into the swarm; its counts afterwards.
    fn note<const N: usize>(
        &mut self,
        now: Instant,
        request: &Announce,
        addr: [u8; N],
    ) -> Result<ScrapeEntry, Refusal>
    where
        Swarm: InFamily<N>,
    {
        let (stamp, life, key) = (self.stamp(now), self.life(), self.swarms.key());
        if request.event == Some(AnnounceEvent::Stopped) {
            let Some(swarm) = self.swarms.find_mut(request.info_hash, stamp, life) else {
                return Ok(ScrapeEntry::default());
            };
            let gone = swarm.family_mut().remove(&key, &addr);
            let counts = swarm.counts();
            self.swarms.members -= usize::from(gone);
            self.swarms.touch(request.info_hash);
            return Ok(counts);
        }
        let is_full = self.swarms.members >= self.config.max_members_in_total;
        let swarm = self.swarms.enter(request.info_hash, stamp, life, &self.config);
        let swarm = swarm.ok_or(Refusal::TorrentsFull)?;
        let members = swarm.family_mut();
        let was = members.role(&key, &addr);
        if was.is_none() && (is_full || members.len() >= self.config.max_members) {
            return Err(Refusal::PeersFull);
        }
        let role = if request.left == 0 { Role::Seeder } else { Role::Leecher };
        members.put(&key, addr, role, stamp);
        //= Only a member that was seen downloading can have completed; a repeated packet counts once.
        let completes = request.event == Some(AnnounceEvent::Completed)
            && (was, role) == (Some(Role::Leecher), Role::Seeder);
        swarm.completed = swarm.completed.saturating_add(u32::from(completes));
        let counts = swarm.counts();
        self.swarms.members += usize::from(was.is_none());
        self.swarms.touch(request.info_hash);
        if completes {
            self.stats.completed += 1;
            self.swarms.mark_dirty(request.info_hash);
        }
        Ok(counts)
    }

    /// Interval and least interval, in seconds.
    fn intervals(&mut self) -> (u32, u32) {
        // 90 to 110 percent.
        let permille = 900 + self.random.below(201);
        let interval = self.config.interval.as_secs().saturating_mul(permille) / 1000;
        let interval = u32::try_from(interval).unwrap_or(u32::MAX);
        let least = u32::try_from(self.config.min_interval.as_secs()).unwrap_or(u32::MAX);
        (interval, least.min(interval))
    }
}

/// Address and port in one array of `N` bytes, as compact replies have them.
fn compact<const M: usize, const N: usize>(ip: &[u8; M], port: [u8; 2]) -> [u8; N] {
    let mut bytes = ip.iter().chain(&port).copied();
    std::array::from_fn(|_| bytes.next().unwrap_or_default())
}

/// The part of a swarm whose compact addresses have `N` bytes.
pub(super) trait InFamily<const N: usize> {
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
