//! All torrents, in 4096 pages by keyed hash: the unit of lookup, growth, expiry and of what the store keeps.
//!
//! A page is a vector of records and a small index over it, so nothing ever grows, moves or is walked as a
//! whole. Every change of a swarm goes through [`Torrents::change`], which keeps the totals.

use super::RegistryConfig;
use super::hash::{AddrHash, Spot, TorrentHash, place};
use super::page::PAGES;
use super::swarm::{Size, Torrent};
use super::table::ALLOCATION;
use crate::id::InfoHash;
use crate::tracker::ScrapeEntry;

/// No position.
const VACANT: u32 = u32::MAX;

/// Records in a page at the most: positions have 16 bits. 245 million torrents in all.
const MAX_RECORDS: usize = 60_000;

/// Records and index slots of a page with its first torrent.
const MIN_RECORDS: usize = 4;

/// What there is, over all torrents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Totals {
    pub(super) torrents: usize,
    /// Torrents without members.
    pub(super) remembered: usize,
    pub(super) v4: usize,
    pub(super) v6: usize,
    /// Memory, as estimated.
    pub(super) bytes: usize,
}

impl Totals {
    pub(super) const fn members(&self) -> usize {
        self.v4 + self.v6
    }

    /// Is there a place for another member?
    pub(super) const fn has_place(&self, config: &RegistryConfig) -> bool {
        self.members() < config.max_members_in_total && self.bytes < config.max_bytes
    }

    const fn add(&mut self, before: Size, after: Size) {
        self.v4 = self.v4 + after.v4 - before.v4;
        self.v6 = self.v6 + after.v6 - before.v6;
        self.bytes = self.bytes + after.bytes - before.bytes;
        self.remembered =
            self.remembered + (after.members() == 0) as usize - (before.members() == 0) as usize;
    }
}

/// The torrents.
#[derive(Debug)]
pub(super) struct Torrents {
    pages: Box<[Page]>,
    hash: TorrentHash,
    pub(super) totals: Totals,
}

impl Torrents {
    pub(super) fn new(hash: TorrentHash) -> Self {
        let pages: Box<[Page]> = (0..PAGES).map(|_| Page::default()).collect();
        let totals = Totals { bytes: size_of_val(&*pages), ..Totals::default() };
        Self { pages, hash, totals }
    }

    pub(super) fn spot(&self, info_hash: &InfoHash) -> Spot {
        self.hash.spot(info_hash)
    }

    pub(super) fn find(&self, spot: Spot, info_hash: &InfoHash) -> Option<&Torrent> {
        let page = self.pages.get(usize::from(spot.page))?;
        page.position(spot, info_hash).and_then(|at| page.records.get(at))
    }

    /// Changes a swarm and the totals with it; nothing if the torrent is unknown.
    pub(super) fn change<R>(
        &mut self,
        spot: Spot,
        info_hash: &InfoHash,
        change: impl FnOnce(&mut Torrent) -> R,
    ) -> Option<R> {
        let page = self.pages.get_mut(usize::from(spot.page))?;
        let at = page.position(spot, info_hash)?;
        Some(page.change(at, &mut self.totals, change))
    }

    /// Adds a torrent that is unknown; false if there is no place.
    pub(super) fn add(&mut self, spot: Spot, info_hash: InfoHash, config: &RegistryConfig) -> bool {
        let Some(page) = self.pages.get_mut(usize::from(spot.page)) else { return false };
        let is_full = self.totals.torrents >= config.max_torrents || self.totals.bytes >= config.max_bytes;
        if is_full || page.records.len() >= MAX_RECORDS {
            return false;
        }
        let before = page.bytes();
        page.push(&self.hash, spot, Torrent::new(info_hash));
        self.totals.torrents += 1;
        self.totals.remembered += 1;
        self.totals.bytes += page.bytes() - before;
        true
    }

    /// Forgets a torrent without members.
    pub(super) fn remove(&mut self, spot: Spot, info_hash: &InfoHash) {
        let Some(page) = self.pages.get_mut(usize::from(spot.page)) else { return };
        let Some(at) = page.position(spot, info_hash) else { return };
        let before = page.bytes();
        page.remove(&self.hash, spot, at);
        self.totals.torrents -= 1;
        self.totals.remembered -= 1;
        self.totals.bytes = self.totals.bytes + page.bytes() - before;
    }

    /// Changes every swarm of a page; gives back how much was looked at.
    pub(super) fn change_page(&mut self, number: u16, mut change: impl FnMut(&mut Torrent)) -> usize {
        let Some(page) = self.pages.get_mut(usize::from(number)) else { return 0 };
        let was_changed = page.is_changed;
        let before = self.totals.members();
        let mut seen = page.records.len();
        for at in 0..page.records.len() {
            seen += page.records[at].size().members();
            page.change(at, &mut self.totals, &mut change);
        }
        page.is_changed = was_changed || self.totals.members() != before;
        seen
    }

    /// The torrents of a page.
    pub(super) fn page(&self, number: u16) -> &[Torrent] {
        self.pages.get(usize::from(number)).map(|page| &*page.records).unwrap_or_default()
    }

    /// The counts of `max` torrents from the `from`-th on.
    pub(super) fn slice(&self, from: usize, max: usize) -> impl Iterator<Item = (InfoHash, ScrapeEntry)> {
        let (mut number, mut skip) = (0, from);
        while let Some(page) = self.pages.get(number).filter(|page| page.records.len() <= skip) {
            skip -= page.records.len();
            number += 1;
        }
        let pages = self.pages.get(number..).unwrap_or_default();
        let records = pages.iter().flat_map(|page| &page.records).skip(skip).take(max);
        records.map(|torrent| (torrent.info_hash, torrent.counts()))
    }

    /// Has the page changed since it was last marked as unchanged?
    pub(super) fn is_changed(&self, number: u16) -> bool {
        self.pages.get(usize::from(number)).is_some_and(|page| page.is_changed)
    }

    pub(super) fn mark(&mut self, number: u16, is_changed: bool) {
        if let Some(page) = self.pages.get_mut(usize::from(number)) {
            page.is_changed = is_changed;
        }
    }

    /// Touches the memory that an announce of `addr` will need, one step at a time.
    pub(super) fn warm(&self, step: u8, spot: Spot, info_hash: &InfoHash, addr: (&AddrHash, [u8; 6])) -> u64 {
        let page = &self.pages[usize::from(spot.page)];
        match step {
            0 => u64::from(page.slots.get(place(spot.order, page.slots.len())).copied().unwrap_or_default()),
            1 => page.position(spot, info_hash).unwrap_or_default() as u64,
            _ => self.find(spot, info_hash).map_or(0, |torrent| torrent.warm(step - 2, addr.0, addr.1)),
        }
    }
}

/// Torrents whose hash begins alike.
#[derive(Debug, Default)]
struct Page {
    records: Vec<Torrent>,
    /// Open addressing: the tag of a torrent and its position in `records`, 16 bits each.
    slots: Box<[u32]>,
    /// Since the store last took it.
    is_changed: bool,
}

impl Page {
    const fn bytes(&self) -> usize {
        if self.slots.is_empty() {
            return 0;
        }
        self.records.capacity() * size_of::<Torrent>() + size_of_val(&*self.slots) + 2 * ALLOCATION
    }

    fn change<R>(&mut self, at: usize, totals: &mut Totals, change: impl FnOnce(&mut Torrent) -> R) -> R {
        let torrent = &mut self.records[at];
        let before = torrent.size();
        let result = change(torrent);
        totals.add(before, torrent.size());
        self.is_changed = true;
        result
    }

    fn position(&self, spot: Spot, info_hash: &InfoHash) -> Option<usize> {
        let slot = self.slot(spot, |at| self.records.get(at).is_some_and(|it| it.info_hash == *info_hash))?;
        Some(position_in(self.slots[slot]))
    }

    /// The slot of the torrent with this tag for which `is_it` holds.
    fn slot(&self, spot: Spot, is_it: impl Fn(usize) -> bool) -> Option<usize> {
        let mut slot = place(spot.order, self.slots.len());
        // An eighth of the slots is vacant, so this ends.
        loop {
            let entry = *self.slots.get(slot)?;
            if entry == VACANT {
                return None;
            }
            if (entry >> 16) as u16 == spot.tag && is_it(position_in(entry)) {
                return Some(slot);
            }
            slot = self.after(slot);
        }
    }

    fn push(&mut self, hash: &TorrentHash, spot: Spot, torrent: Torrent) {
        if self.records.len() == self.records.capacity() {
            // By a quarter: records are most of what a small torrent costs.
            self.records.reserve_exact((self.records.len() / 4).max(MIN_RECORDS));
        }
        if (self.records.len() + 1) * 8 > self.slots.len() * 7 {
            self.resize(hash, self.slots.len() * 5 / 4 + MIN_RECORDS);
        }
        self.put(spot, self.records.len());
        self.records.push(torrent);
    }

    fn put(&mut self, spot: Spot, at: usize) {
        let mut slot = place(spot.order, self.slots.len());
        while self.slots[slot] != VACANT {
            slot = self.after(slot);
        }
        self.slots[slot] = u32::from(spot.tag) << 16 | at as u32;
    }

    fn remove(&mut self, hash: &TorrentHash, spot: Spot, at: usize) {
        self.unlink(hash, spot, at);
        let last = self.records.len() - 1;
        if at != last {
            let spot = hash.spot(&self.records[last].info_hash);
            if let Some(slot) = self.slot(spot, |candidate| candidate == last) {
                self.slots[slot] = u32::from(spot.tag) << 16 | at as u32;
            }
        }
        self.records.swap_remove(at);
        // A flood that is over gives its memory back.
        if self.records.is_empty() {
            *self = Self { is_changed: self.is_changed, ..Self::default() };
        } else if self.records.len() * 2 < self.records.capacity() && self.records.len() > MIN_RECORDS {
            self.records.shrink_to(self.records.len() * 5 / 4);
            self.resize(hash, self.records.len() * 4 / 3 + 1);
        }
    }

    fn unlink(&mut self, hash: &TorrentHash, spot: Spot, at: usize) {
        let Some(mut hole) = self.slot(spot, |candidate| candidate == at) else { return };
        let len = self.slots.len();
        let distance = |from: usize, to: usize| if to >= from { to - from } else { to + len - from };
        let mut next = self.after(hole);
        while self.slots[next] != VACANT {
            let entry = self.slots[next];
            // An entry may move back into the hole unless its home lies behind the hole.
            let home = place(hash.spot(&self.records[position_in(entry)].info_hash).order, len);
            if distance(home, next) >= distance(hole, next) {
                self.slots[hole] = entry;
                hole = next;
            }
            next = self.after(next);
        }
        self.slots[hole] = VACANT;
    }

    fn resize(&mut self, hash: &TorrentHash, slots: usize) {
        self.slots = vec![VACANT; slots].into_boxed_slice();
        for at in 0..self.records.len() {
            self.put(hash.spot(&self.records[at].info_hash), at);
        }
    }

    const fn after(&self, slot: usize) -> usize {
        if slot + 1 == self.slots.len() { 0 } else { slot + 1 }
    }
}

const fn position_in(entry: u32) -> usize {
    entry as u16 as usize
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn name(number: u8) -> InfoHash {
        InfoHash([number; 20])
    }

    proptest! {
        /// All in one page, with few orders and tags: every probe collides.
        #[test]
        fn a_page_is_what_a_set_would_hold(steps in vec((0u8..64, any::<bool>()), 0..400), key: [u8; 16]) {
            let hash = TorrentHash::new(&key);
            let mut page = Page::default();
            let mut model = BTreeSet::new();
            for (number, remove) in steps {
                let (name, spot) = (name(number), hash.spot(&name(number)));
                match (page.position(spot, &name), remove) {
                    (None, false) => {
                        page.push(&hash, spot, Torrent::new(name));
                        model.insert(number);
                    }
                    (Some(at), true) => {
                        page.remove(&hash, spot, at);
                        model.remove(&number);
                    }
                    (None, true) | (Some(_), false) => {}
                }
                for number in 0..64 {
                    let found = page.position(hash.spot(&self::name(number)), &self::name(number));
                    prop_assert_eq!(found.is_some(), model.contains(&number));
                    let is_it = found.is_none_or(|at| page.records[at].info_hash == self::name(number));
                    prop_assert!(is_it);
                }
                prop_assert!(model.len() * 8 <= page.slots.len() * 7);
            }
        }
    }
}
