//! A registry's swarms across a restart: changed pages for the store, and back.

use std::collections::BTreeSet;
use std::time::Duration;

use super::Registry;
use super::announce::InFamily;
use super::members::Role;
use super::page::{self, PAGES, PackedMember, PageError, PageVisitor, PageWriter, SwarmPage};
use super::swarms::Swarm;
use crate::id::InfoHash;
use crate::time::Instant;

/// How often a page that keeps changing is due: within a minute it has also reached the store.
const PAGE_EVERY: Duration = Duration::from_secs(55);

impl Registry {
    /// Up to `max` changed pages that are due: each page is at most once a minute, the same share of them each
    /// second. `wall` is the time since the Unix epoch.
    pub fn take_pages(&mut self, now: Instant, wall: Duration, max: usize) -> Vec<SwarmPage> {
        let passed = now.since(self.pages_at).as_micros() * PAGES as u128 / PAGE_EVERY.as_micros();
        let due = (passed as usize).min(PAGES).min(max);
        self.pages_at = now;
        let numbers: Vec<u16> = (0..due).map(|n| ((self.next_page + n) % PAGES) as u16).collect();
        self.next_page = (self.next_page + due) % PAGES;
        let numbers: Vec<u16> = numbers.into_iter().filter(|n| self.swarms.changed.remove(n)).collect();
        self.pack(now, wall, &numbers)
    }

    /// Up to `max` changed pages, due or not: for the last flush, until it gives none.
    pub fn take_all_pages(&mut self, now: Instant, wall: Duration, max: usize) -> Vec<SwarmPage> {
        let numbers: Vec<u16> = self.swarms.changed.iter().copied().take(max).collect();
        let taken: BTreeSet<u16> = numbers.iter().copied().collect();
        self.swarms.changed.retain(|number| !taken.contains(number));
        self.pack(now, wall, &numbers)
    }

    /// Gives back what [`Self::take_pages`] gave, because it could not be stored.
    pub fn keep_pages(&mut self, numbers: &[u16]) {
        self.swarms.changed.extend(numbers);
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
        let mut restoring = Restoring { registry: self, now, members: 0 };
        page::read(&page.bytes, wall, &mut restoring)?;
        Ok(restoring.members)
    }

    fn pack(&self, now: Instant, wall: Duration, numbers: &[u16]) -> Vec<SwarmPage> {
        let stamp = self.stamp(now);
        let life = self.config.member_life();
        let pack = |number: u16| {
            let mut writer = PageWriter::new(wall, life);
            for swarm in self.swarms.of_page(number) {
                let v6 = swarm.v6.as_deref();
                writer.torrent(swarm.info_hash, swarm.v4.len(), v6.map_or(0, super::members::Members::len));
                let age = |at| self.quantum * u32::from(stamp.wrapping_sub(at));
                swarm.v4.each(|addr, role, at| {
                    writer.member(&PackedMember { addr, is_seeder: role == Role::Seeder, age: age(at) });
                });
                if let Some(v6) = v6 {
                    v6.each(|addr, role, at| {
                        writer.member(&PackedMember { addr, is_seeder: role == Role::Seeder, age: age(at) });
                    });
                }
            }
            SwarmPage { number, bytes: writer.finish() }
        };
        numbers.iter().map(|number| pack(*number)).collect()
    }
}

struct Restoring<'a> {
    registry: &'a mut Registry,
    now: Instant,
    members: usize,
}

impl Restoring<'_> {
    fn member<const N: usize>(&mut self, info_hash: InfoHash, member: PackedMember<N>)
    where
        Swarm: InFamily<N>,
    {
        let registry = &mut *self.registry;
        let (now, life, key) = (registry.stamp(self.now), registry.life(), registry.swarms.key());
        let age = member.age.as_micros() / registry.quantum.as_micros();
        let is_full = registry.swarms.members >= registry.config.max_members_in_total;
        if age > u128::from(life) || is_full {
            return;
        }
        let Some(swarm) = registry.swarms.enter(info_hash, now, life, &registry.config) else { return };
        let members = swarm.family_mut();
        if members.role(&key, &member.addr).is_some() || members.len() >= registry.config.max_members {
            return;
        }
        let role = if member.is_seeder { Role::Seeder } else { Role::Leecher };
        members.put(&key, member.addr, role, now.wrapping_sub(age as u16));
        registry.swarms.members += 1;
        self.members += 1;
    }
}

impl PageVisitor for Restoring<'_> {
    fn v4(&mut self, info_hash: InfoHash, member: PackedMember<6>) {
        self.member(info_hash, member);
    }

    fn v6(&mut self, info_hash: InfoHash, member: PackedMember<18>) {
        self.member(info_hash, member);
    }
}
