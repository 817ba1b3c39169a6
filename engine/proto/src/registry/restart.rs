//! A registry's swarms across a restart: changed pages for the store, and back.

use std::collections::BTreeSet;
use std::time::Duration;

use super::hash::Spot;
use super::page::{self, PAGES, PackedMember, PageError, PageVisitor, PageWriter, SwarmPage};
use super::roles::Role;
use super::swarm::{InFamily, Torrent};
use super::table::{Clock, Slot};
use super::{QUANTUM, Registry, quanta};
use crate::id::InfoHash;
use crate::time::Instant;

/// How often a page that keeps changing is due: within a minute it has also reached the store.
const PAGE_EVERY: Duration = Duration::from_secs(55);

/// Bytes that one call packs before it ends: a millisecond of work. The page that passes it is whole.
const SLICE_BYTES: usize = 1 << 20;

/// Which pages come next.
#[derive(Debug)]
pub(super) struct Schedule {
    /// When page `next` was due.
    at: Instant,
    next: u16,
    /// Due at once, whether or not they changed: taken and not stored, or a download was counted in them.
    again: BTreeSet<u16>,
}

impl Schedule {
    pub(super) const fn new(now: Instant) -> Self {
        Self { at: now, next: 0, again: BTreeSet::new() }
    }

    /// This page is due at once.
    pub(super) fn hurry(&mut self, page: u16) {
        self.again.insert(page);
    }

    /// The next page whose turn has come: each has it once a minute.
    fn due(&mut self, now: Instant) -> Option<u16> {
        // Who was late for a whole round owes each page once.
        if now.since(self.at) > PAGE_EVERY {
            self.at = Instant::from_micros(now.as_micros() - PAGE_EVERY.as_micros() as u64);
        }
        let step = PAGE_EVERY / PAGES as u32;
        if now.since(self.at) < step {
            return None;
        }
        self.at += step;
        let after = (self.next + 1) % PAGES as u16;
        Some(std::mem::replace(&mut self.next, after))
    }
}

impl Registry {
    /// Up to `max` changed pages that are due: each page is at most once a minute, the same share of them
    /// each second. `wall` is the time since the Unix epoch. It ends early after a millisecond of work; what was
    /// due then comes with the next call.
    pub fn take_pages(&mut self, now: Instant, wall: Duration, max: usize) -> Vec<SwarmPage> {
        self.pack_some(now, wall, max, |registry| {
            loop {
                let number = registry.schedule.due(now)?;
                if registry.torrents.is_changed(number) {
                    return Some(number);
                }
            }
        })
    }

    /// Up to `max` changed pages, due or not: for the last flush, until it gives none.
    pub fn take_all_pages(&mut self, now: Instant, wall: Duration, max: usize) -> Vec<SwarmPage> {
        let mut numbers = 0..PAGES as u16;
        self.pack_some(now, wall, max, |registry| {
            numbers.find(|number| registry.torrents.is_changed(*number))
        })
    }

    /// Gives back what [`Self::take_pages`] gave, because it could not be stored.
    pub fn keep_pages(&mut self, numbers: &[u16]) {
        self.schedule.again.extend(numbers.iter().filter(|number| usize::from(**number) < PAGES));
    }

    /// Puts back the members of a page from the store; how many. Left out are those that are too old by
    /// now, those that are here already, and what exceeds a cap. After an error nothing was put back.
    pub fn restore_page(
        &mut self,
        now: Instant,
        wall: Duration,
        page: &SwarmPage,
    ) -> Result<usize, PageError> {
        if usize::from(page.number) >= PAGES {
            return Err(PageError::Number(page.number));
        }
        page::read(&page.bytes, wall, &mut ())?;
        let was_changed = self.torrents.is_changed(page.number);
        let clock = self.clock(now);
        let number = page.number;
        let mut restoring =
            Restoring { registry: self, clock, number, spot: None, members: 0, is_strange: false };
        page::read(&page.bytes, wall, &mut restoring)?;
        let (members, is_strange) = (restoring.members, restoring.is_strange);
        // What the store has need not be stored again, unless another secret files it elsewhere.
        self.torrents.mark(number, was_changed || is_strange);
        Ok(members)
    }

    fn pack_some(
        &mut self,
        now: Instant,
        wall: Duration,
        max: usize,
        mut next: impl FnMut(&mut Self) -> Option<u16>,
    ) -> Vec<SwarmPage> {
        let (mut pages, mut bytes) = (Vec::new(), 0);
        while pages.len() < max && bytes < SLICE_BYTES {
            let Some(number) = self.schedule.again.pop_first().or_else(|| next(self)) else { break };
            self.torrents.mark(number, false);
            let page = self.pack(self.clock(now), wall, number);
            bytes += page.bytes.len();
            pages.push(page);
        }
        pages
    }

    fn pack(&self, clock: Clock, wall: Duration, number: u16) -> SwarmPage {
        let mut writer = PageWriter::new(wall, self.config.member_life());
        for torrent in self.torrents.page(number) {
            let size = torrent.size();
            if size.members() > 0 {
                writer.torrent(torrent.info_hash, size.v4, size.v6);
                InFamily::<6>::each(torrent, |slot, role| writer.member(&packed(clock, slot, role)));
                InFamily::<18>::each(torrent, |slot, role| writer.member(&packed(clock, slot, role)));
            }
        }
        SwarmPage { number, bytes: writer.finish() }
    }
}

fn packed<const N: usize>(clock: Clock, slot: Slot<N>, role: Role) -> PackedMember<N> {
    let age = QUANTUM * u32::from(clock.now.wrapping_sub(slot.stamp));
    PackedMember { addr: slot.addr, is_seeder: role == Role::Seeder, age }
}

struct Restoring<'a> {
    registry: &'a mut Registry,
    clock: Clock,
    number: u16,
    /// The last torrent's, for members come one by one.
    spot: Option<(InfoHash, Spot)>,
    members: usize,
    /// Something belongs to another page.
    is_strange: bool,
}

impl Restoring<'_> {
    fn spot(&mut self, info_hash: InfoHash) -> Spot {
        match self.spot {
            Some((last, spot)) if last == info_hash => spot,
            Some(_) | None => {
                let spot = self.registry.torrents.spot(&info_hash);
                self.spot = Some((info_hash, spot));
                self.is_strange |= spot.page != self.number;
                spot
            }
        }
    }

    fn member<const N: usize>(&mut self, info_hash: InfoHash, member: &PackedMember<N>)
    where
        Torrent: InFamily<N>,
    {
        let spot = self.spot(info_hash);
        let age = quanta(member.age);
        if age > u64::from(self.clock.life) {
            return;
        }
        let registry = &mut *self.registry;
        let is_here = registry
            .torrents
            .find(spot, &info_hash)
            .is_some_and(|torrent| InFamily::<N>::holds(torrent, &registry.key, &member.addr));
        let role = if member.is_seeder { Role::Seeder } else { Role::Leecher };
        let slot = Slot { addr: member.addr, stamp: self.clock.now.wrapping_sub(age as u16) };
        if !is_here && registry.enter(spot, info_hash, slot, role).is_ok() {
            self.members += 1;
        }
    }
}

impl PageVisitor for Restoring<'_> {
    fn v4(&mut self, info_hash: InfoHash, member: PackedMember<6>) {
        self.member(info_hash, &member);
    }

    fn v6(&mut self, info_hash: InfoHash, member: PackedMember<18>) {
        self.member(info_hash, &member);
    }
}
