//! The members of one family of a swarm, leechers and seeders apart.

use super::choice::{Draws, Wish, choose};
use super::hash::AddrHash;
use super::table::{Clock, Slot, Table};

/// What a member is or was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Leecher,
    Seeder,
}

impl Role {
    /// Who has nothing left to download seeds.
    pub(super) const fn of(left: u64) -> Self {
        if left == 0 { Self::Seeder } else { Self::Leecher }
    }
}

/// The members of one family: a seeder is shown leechers only, so the two stand apart.
#[derive(Debug, Default)]
pub(super) struct Roles<const N: usize> {
    leechers: Table<N>,
    seeders: Table<N>,
}

impl<const N: usize> Roles<N> {
    pub(super) const fn len(&self) -> usize {
        self.leechers.len() + self.seeders.len()
    }

    pub(super) const fn seeders(&self) -> usize {
        self.seeders.len()
    }

    pub(super) const fn bytes(&self) -> usize {
        self.leechers.bytes() + self.seeders.bytes()
    }

    /// Touches the memory in which a search for `addr` begins.
    pub(super) fn warm(&self, key: &AddrHash, addr: &[u8; N]) -> u64 {
        let stamp = |table: &Table<N>| table.home(key, addr).map_or(0, |slot| u64::from(slot.stamp));
        stamp(&self.leechers) ^ stamp(&self.seeders)
    }

    /// The table of `role` and the other one.
    const fn tables(&mut self, role: Role) -> (&mut Table<N>, &mut Table<N>) {
        match role {
            Role::Leecher => (&mut self.leechers, &mut self.seeders),
            Role::Seeder => (&mut self.seeders, &mut self.leechers),
        }
    }

    pub(super) fn refresh(&mut self, key: &AddrHash, member: Slot<N>, role: Role) -> Option<Role> {
        let (table, other) = self.tables(role);
        if let Some(slot) = table.find(key, &member.addr) {
            slot.stamp = member.stamp;
            return Some(role);
        }
        if !other.remove(key, &member.addr) {
            return None;
        }
        table.insert(key, member);
        Some(match role {
            Role::Leecher => Role::Seeder,
            Role::Seeder => Role::Leecher,
        })
    }

    pub(super) fn enter(&mut self, key: &AddrHash, member: Slot<N>, role: Role) {
        self.tables(role).0.insert(key, member);
    }

    pub(super) fn holds(&self, key: &AddrHash, addr: &[u8; N]) -> bool {
        self.leechers.holds(key, addr) || self.seeders.holds(key, addr)
    }

    pub(super) fn leave(&mut self, key: &AddrHash, addr: &[u8; N]) -> bool {
        self.leechers.remove(key, addr) || self.seeders.remove(key, addr)
    }

    pub(super) fn expire(&mut self, key: &AddrHash, clock: Clock, mut gone: impl FnMut(&[u8; N])) {
        self.leechers.expire(key, clock, &mut gone);
        self.seeders.expire(key, clock, &mut gone);
    }

    //= BEP 3 leaves the choice to the tracker. A seeder is shown leechers only: two seeders have nothing
    //= to say to each other.
    pub(super) fn choose(&self, role: Role, wish: &Wish<'_, N>, draws: &mut Draws, out: &mut Vec<u8>) {
        let leechers = self.leechers.slots();
        match role {
            Role::Leecher => choose([leechers, self.seeders.slots()], self.len(), wish, draws, out),
            Role::Seeder => choose([leechers, &[]], self.leechers.len(), wish, draws, out),
        }
    }

    pub(super) fn each(&self, mut each: impl FnMut(Slot<N>, Role)) {
        for (table, role) in [(&self.leechers, Role::Leecher), (&self.seeders, Role::Seeder)] {
            table.slots().iter().filter(|slot| !slot.is_vacant()).for_each(|slot| each(*slot, role));
        }
    }
}
