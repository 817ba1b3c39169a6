//! Announces and scrapes as typed requests, whatever they came over.
//!
//! Over UDP the connection id has shown that the source is real, over HTTP the handshake has.

use std::net::{IpAddr, SocketAddr};

use super::access::Passkey;
use super::choice::{Draws, Wish};
use super::hash::Spot;
use super::roles::Role;
use super::swarm::{InFamily, Torrent};
use super::table::{Clock, Slot};
use super::{Refusal, Registry};
use crate::id::InfoHash;
use crate::time::Instant;
use crate::torrent::AnnounceEvent;
use crate::tracker::ScrapeEntry;

/// Seeders that a seeder is shown when it starts and there is no leecher. aria2 with a magnet link does not know yet
/// what there is, says that nothing is left, and would never find the metadata; a true seeder hangs up on these few.
pub(super) const SEEDERS_FOR_A_SEEDER: usize = 8;

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
    /// wanted, uniformly chosen, never the asker, none for who stops; only leechers for a seeder, but for a few
    /// seeders if it has just started and there is no leecher.
    pub fn announce(
        &mut self,
        now: Instant,
        request: &Announce,
        peers: &mut Vec<u8>,
    ) -> Result<Announced, Refusal> {
        self.announce_at(now, self.torrents.spot(&request.info_hash), request, peers)
    }

    /// The same for who knows the torrent's spot.
    pub(super) fn announce_at(
        &mut self,
        now: Instant,
        spot: Spot,
        request: &Announce,
        peers: &mut Vec<u8>,
    ) -> Result<Announced, Refusal> {
        let ip = request.addr.ip().to_canonical();
        self.stats.announces += 1;
        self.stats.announces_v6 += u64::from(ip.is_ipv6());
        let answer = self.admit(request).and_then(|()| {
            let (clock, port) = (self.clock(now), request.addr.port().to_be_bytes());
            match ip {
                IpAddr::V4(ip) => {
                    self.announce_as::<6>(clock, spot, request, &compact(&ip.octets(), port), peers)
                }
                IpAddr::V6(ip) => {
                    self.announce_as::<18>(clock, spot, request, &compact(&ip.octets(), port), peers)
                }
            }
        });
        answer.inspect_err(|refusal| self.stats.refused.count(*refusal))
    }

    /// Refuses the scrapes of whoever is not let into a private tracker. A UDP scrape has no place for a
    /// passkey (BEP 41 extends announces only), so there it is always refused.
    pub fn admit_scrape(&mut self, passkey: Option<Passkey>) -> Result<(), Refusal> {
        self.access.admit(passkey).inspect_err(|refusal| self.stats.refused.count(*refusal))
    }

    /// The counts of a torrent; nothing if it is unknown or not allowed here.
    pub fn scrape(&mut self, info_hash: InfoHash) -> Option<ScrapeEntry> {
        self.stats.scraped_torrents += 1;
        if !self.access.allows(info_hash) {
            return None;
        }
        self.torrents.find(self.torrents.spot(&info_hash), &info_hash).map(Torrent::counts)
    }

    fn admit(&mut self, request: &Announce) -> Result<(), Refusal> {
        if request.addr.port() == 0 {
            return Err(Refusal::Port0);
        }
        self.access.check(request.info_hash, request.passkey)?;
        // A membership that changes matters more than one that is renewed.
        if request.event.is_none() && self.is_dropped() { Err(Refusal::Busy) } else { Ok(()) }
    }

    /// The announce of the member `addr`; the family is in its length.
    fn announce_as<const N: usize>(
        &mut self,
        clock: Clock,
        spot: Spot,
        request: &Announce,
        addr: &[u8; N],
        peers: &mut Vec<u8>,
    ) -> Result<Announced, Refusal>
    where
        Torrent: InFamily<N>,
    {
        let mut draws = Draws::new(&mut self.random);
        let (interval, min_interval) = self.intervals(&mut draws);
        let answer = |counts| Announced { interval, min_interval, counts };
        if request.event == Some(AnnounceEvent::Stopped) {
            // Who leaves needs nobody.
            return Ok(answer(self.leave(spot, &request.info_hash, addr)));
        }
        let counts = self.note(clock, spot, request, addr)?;
        let count = self.config.peers_for(request.num_want, Torrent::FAMILY);
        if let Some(torrent) = self.torrents.find(spot, &request.info_hash) {
            let (role, before) = (Role::of(request.left), peers.len());
            torrent.choose(role, &Wish { asker: addr, count, clock }, &mut draws, peers);
            let lonely = role == Role::Seeder && peers.len() == before;
            if lonely && request.event == Some(AnnounceEvent::Started) {
                let count = count.min(SEEDERS_FOR_A_SEEDER);
                torrent.choose(Role::Leecher, &Wish { asker: addr, count, clock }, &mut draws, peers);
            }
        }
        Ok(answer(counts))
    }

    /// Lets a member go at once; the counts afterwards.
    fn leave<const N: usize>(&mut self, spot: Spot, info_hash: &InfoHash, addr: &[u8; N]) -> ScrapeEntry
    where
        Torrent: InFamily<N>,
    {
        let key = &self.key;
        let left = self.torrents.change(spot, info_hash, |torrent| {
            (torrent.leave(key, addr), torrent.counts(), torrent.size().members())
        });
        let Some((was_member, counts, members)) = left else { return ScrapeEntry::default() };
        if was_member {
            self.sources.leave(addr);
        }
        if members == 0 && counts.completed == 0 {
            self.torrents.remove(spot, info_hash);
        }
        counts
    }

    /// Enters the announce into the swarm; its counts afterwards.
    fn note<const N: usize>(
        &mut self,
        clock: Clock,
        spot: Spot,
        request: &Announce,
        addr: &[u8; N],
    ) -> Result<ScrapeEntry, Refusal>
    where
        Torrent: InFamily<N>,
    {
        let (key, role) = (&self.key, Role::of(request.left));
        let member = Slot { addr: *addr, stamp: clock.now };
        let known = self.torrents.change(spot, &request.info_hash, |torrent| {
            let was = torrent.refresh(key, member, role);
            //= Only a member that was seen downloading can have completed; a repeated packet counts once.
            let completes = request.event == Some(AnnounceEvent::Completed)
                && (was, role) == (Some(Role::Leecher), Role::Seeder);
            torrent.completed = torrent.completed.saturating_add(u32::from(completes));
            (was, completes, torrent.counts())
        });
        match known {
            Some((Some(_), completes, counts)) => {
                if completes {
                    self.stats.completed += 1;
                    self.counted.insert(request.info_hash);
                }
                Ok(counts)
            }
            Some((None, _, counts)) if self.shedding.is_closed() => {
                self.stats.shed.not_entered += 1;
                Ok(counts)
            }
            None if self.shedding.is_closed() => {
                self.stats.shed.not_entered += 1;
                Ok(ScrapeEntry::default())
            }
            Some((None, ..)) | None => self.enter(spot, request.info_hash, member, role),
        }
    }

    /// Enters who is no member, if there is a place; the counts afterwards.
    pub(super) fn enter<const N: usize>(
        &mut self,
        spot: Spot,
        info_hash: InfoHash,
        member: Slot<N>,
        role: Role,
    ) -> Result<ScrapeEntry, Refusal>
    where
        Torrent: InFamily<N>,
    {
        if !self.torrents.totals.has_place(&self.config) {
            return Err(Refusal::PeersFull);
        }
        if self.sources.count(&member.addr) >= self.config.max_members_per_source {
            return Err(Refusal::SourceFull);
        }
        let members = self.torrents.find(spot, &info_hash).map(InFamily::<N>::len);
        if members.is_some_and(|members| members >= self.config.max_members) {
            return Err(Refusal::PeersFull);
        }
        if members.is_none() && !self.torrents.add(spot, info_hash, &self.config) {
            return Err(Refusal::TorrentsFull);
        }
        self.sources.enter(&member.addr);
        let key = &self.key;
        let entered = self.torrents.change(spot, &info_hash, |torrent| {
            torrent.enter(key, member, role);
            torrent.counts()
        });
        Ok(entered.unwrap_or_default())
    }

    /// Interval and least interval, in seconds.
    fn intervals(&mut self, draws: &mut Draws) -> (u32, u32) {
        self.stats.shed.slowed += u64::from(self.shedding.level() >= 2);
        // 90 to 110 percent.
        let permille = 900 + draws.below(201) as u64;
        let interval = self.shedding.interval(self.config.interval).as_secs().saturating_mul(permille) / 1000;
        let interval = u32::try_from(interval).unwrap_or(u32::MAX);
        let least = u32::try_from(self.config.min_interval.as_secs()).unwrap_or(u32::MAX);
        (interval, least.min(interval))
    }
}

/// Address and port in one array of `N` bytes, as compact replies have them.
pub(super) fn compact<const M: usize, const N: usize>(ip: &[u8; M], port: [u8; 2]) -> [u8; N] {
    let mut bytes = ip.iter().chain(&port).copied();
    std::array::from_fn(|_| bytes.next().unwrap_or_default())
}
