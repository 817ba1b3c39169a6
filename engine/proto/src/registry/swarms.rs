//! All swarms: found by info hash, swept a slice at a time, remembered for their `completed` count.

use std::collections::BTreeSet;

use super::RegistryConfig;
use super::index::{HashKey, Index};
use super::members::{Members, Stamp};
use crate::id::InfoHash;
use crate::tracker::ScrapeEntry;

/// Torrents that one slice of a sweep looks at, at the most.
const SLICE_TORRENTS: usize = 1024;

/// Members that one slice looks at before it ends: well below a millisecond of work.
const SLICE_MEMBERS: usize = 64 * 1024;

/// One torrent's members in both families.
#[derive(Debug, Default)]
pub(super) struct Swarm {
    pub(super) info_hash: InfoHash,
    pub(super) v4: Members<6>,
    /// Boxed, for few torrents have any, and the others save a third of their bytes.
    pub(super) v6: Option<Box<Members<18>>>,
    /// Downloads that ever ended.
    pub(super) completed: u32,
    /// `completed` has changed since it was last taken for the store.
    dirty: bool,
    /// When stale members were last let go.
    swept: Stamp,
}

impl Swarm {
    /// The counts, both families together.
    pub(super) fn counts(&self) -> ScrapeEntry {
        let (seeders, leechers) = self.v6.as_ref().map_or((0, 0), |v6| (v6.seeders(), v6.leechers()));
        ScrapeEntry {
            seeders: (self.v4.seeders() + seeders) as u32,
            completed: self.completed,
            leechers: (self.v4.leechers() + leechers) as u32,
        }
    }

    fn members(&self) -> usize {
        self.v4.len() + self.v6.as_ref().map_or(0, |v6| v6.len())
    }
}

/// The torrents by info hash.
#[derive(Debug)]
pub(super) struct Swarms {
    list: Vec<Swarm>,
    index: Index,
    key: HashKey,
    /// Info hashes of dirty swarms, each once.
    dirty: Vec<InfoHash>,
    /// Pages that changed since they were last taken.
    pub(super) changed: BTreeSet<u16>,
    /// Where the sweep goes on.
    cursor: usize,
    /// Members in all swarms.
    pub(super) members: usize,
}

impl Swarms {
    pub(super) fn new(key: HashKey) -> Self {
        Self {
            list: Vec::new(),
            index: Index::default(),
            key,
            dirty: Vec::new(),
            changed: BTreeSet::new(),
            cursor: 0,
            members: 0,
        }
    }

    pub(super) const fn len(&self) -> usize {
        self.list.len()
    }

    /// The counts of `max` swarms from the `from`-th on.
    pub(super) fn slice(&self, from: usize, max: usize) -> impl Iterator<Item = (InfoHash, ScrapeEntry)> {
        self.list.iter().skip(from).take(max).map(|swarm| (swarm.info_hash, swarm.counts()))
    }

    pub(super) const fn key(&self) -> HashKey {
        self.key
    }

    pub(super) fn find(&self, info_hash: InfoHash) -> Option<&Swarm> {
        self.position(info_hash).and_then(|position| self.list.get(position))
    }

    /// The swarm, rid of members that are stale at `now`.
    pub(super) fn find_mut(&mut self, info_hash: InfoHash, now: Stamp, life: Stamp) -> Option<&mut Swarm> {
        let position = self.position(info_hash)?;
        self.expire(position, now, life);
        self.list.get_mut(position)
    }

    /// The swarm as [`Self::find_mut`] gives it, a new one if need be; nothing if there are too many.
    pub(super) fn enter(
        &mut self,
        info_hash: InfoHash,
        now: Stamp,
        life: Stamp,
        config: &RegistryConfig,
    ) -> Option<&mut Swarm> {
        if self.position(info_hash).is_none() {
            if self.list.len() >= config.max_torrents {
                return None;
            }
            self.list.push(Swarm { info_hash, swept: now, ..Swarm::default() });
            let (list, key) = (&self.list, self.key);
            let hash_of = |position: usize| key.hash(&list[position].info_hash.0);
            self.index.insert(key.hash(&info_hash.0), list.len() - 1, hash_of);
        }
        self.find_mut(info_hash, now, life)
    }

    /// Notes that the swarm's `completed` count is to be stored.
    pub(super) fn mark_dirty(&mut self, info_hash: InfoHash) {
        let Some(position) = self.position(info_hash) else { return };
        if !std::mem::replace(&mut self.list[position].dirty, true) {
            self.dirty.push(info_hash);
        }
    }

    /// Is there something for [`Self::take_dirty`] to take?
    pub(super) const fn is_dirty(&self) -> bool {
        !self.dirty.is_empty()
    }

    /// Up to `max` counts that changed, the last changed first; they are clean from now on.
    pub(super) fn take_dirty(&mut self, max: usize) -> Vec<(InfoHash, u32)> {
        let taken = self.dirty.split_off(self.dirty.len().saturating_sub(max));
        let mut counts = Vec::with_capacity(taken.len());
        for info_hash in taken {
            if let Some(position) = self.position(info_hash) {
                let swarm = &mut self.list[position];
                swarm.dirty = false;
                counts.push((info_hash, swarm.completed));
            }
        }
        counts
    }

    /// Sweeps one slice. Returns the members that went and whether the sweep has come round.
    pub(super) fn sweep(&mut self, now: Stamp, life: Stamp, config: &RegistryConfig) -> (usize, bool) {
        let (mut gone, mut looked_at) = (0, 0);
        for _ in 0..SLICE_TORRENTS {
            if self.cursor >= self.list.len() || looked_at >= SLICE_MEMBERS {
                break;
            }
            looked_at += self.list[self.cursor].members();
            gone += self.expire(self.cursor, now, life);
            if self.is_forgettable(self.cursor, config) {
                // Another swarm takes its position and is next.
                self.forget(self.cursor);
            } else {
                self.cursor += 1;
            }
        }
        let is_round = self.cursor >= self.list.len();
        if is_round {
            self.cursor = 0;
        }
        (gone, is_round)
    }

    /// An empty swarm is kept for its count, unless such swarms take up more than half of the places: then
    /// the counts of dead torrents, which anybody can make up, would keep new torrents out.
    fn is_forgettable(&self, position: usize, config: &RegistryConfig) -> bool {
        let swarm = &self.list[position];
        let is_crowded = self.list.len() > config.max_torrents / 2;
        swarm.members() == 0 && !swarm.dirty && (swarm.completed == 0 || is_crowded)
    }

    fn forget(&mut self, position: usize) {
        let last = self.list.len() - 1;
        let (list, key) = (&self.list, self.key);
        let hash_of = |position: usize| key.hash(&list[position].info_hash.0);
        self.index.remove(hash_of(position), position, hash_of);
        if position != last {
            self.index.moved(hash_of(last), last, position);
        }
        self.list.swap_remove(position);
    }

    /// Lets stale members go, at most once in a quantum; how many went.
    fn expire(&mut self, position: usize, now: Stamp, life: Stamp) -> usize {
        let swarm = &mut self.list[position];
        if swarm.swept == now {
            return 0;
        }
        swarm.swept = now;
        let mut gone = swarm.v4.expire(&self.key, now, life);
        if let Some(v6) = &mut swarm.v6 {
            gone += v6.expire(&self.key, now, life);
        }
        swarm.v6 = swarm.v6.take().filter(|v6| v6.len() > 0);
        self.members -= gone;
        gone
    }

    /// Notes that the torrent's page has changed.
    pub(super) fn touch(&mut self, info_hash: InfoHash) {
        self.changed.insert(self.page_of(info_hash));
    }

    /// The torrents of a page that have members.
    pub(super) fn of_page(&self, number: u16) -> impl Iterator<Item = &Swarm> {
        self.list.iter().filter(move |swarm| swarm.members() > 0 && self.page_of(swarm.info_hash) == number)
    }

    fn page_of(&self, info_hash: InfoHash) -> u16 {
        (self.key.hash(&info_hash.0) >> 52) as u16
    }

    fn position(&self, info_hash: InfoHash) -> Option<usize> {
        let is_it = |position: usize| self.list[position].info_hash == info_hash;
        self.index.find(self.key.hash(&info_hash.0), is_it)
    }
}
