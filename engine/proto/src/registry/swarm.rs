//! One torrent's record: a cache line that holds up to four IPv4 members itself.
//!
//! Most torrents of a public tracker have one to three members; these cost nothing beside the record. A fifth
//! member, or the first over IPv6, moves everybody into tables of their own.

use super::choice::{Draws, Wish};
use super::few::{FEW, Few};
use super::hash::AddrHash;
use super::roles::{Role, Roles};
use super::sources::Sources;
use super::table::{ALLOCATION, Clock, Slot};
use crate::id::InfoHash;
use crate::tracker::{Family, ScrapeEntry};

/// The record of one torrent.
#[derive(Debug)]
#[repr(align(64))]
pub(super) struct Torrent {
    pub(super) info_hash: InfoHash,
    /// Downloads that ever ended.
    pub(super) completed: u32,
    peers: Peers,
}

#[derive(Debug)]
enum Peers {
    Few(Few),
    Many(Box<Many>),
}

/// Members in tables; boxed for IPv6, because many swarms have none.
#[derive(Debug, Default)]
struct Many {
    v4: Roles<6>,
    v6: Option<Box<Roles<18>>>,
}

/// What a swarm adds to the registry's totals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) v4: usize,
    pub(super) v6: usize,
    /// Memory beside the record, as estimated.
    pub(super) bytes: usize,
}

impl Size {
    pub(super) const fn members(&self) -> usize {
        self.v4 + self.v6
    }
}

impl Torrent {
    pub(super) const fn new(info_hash: InfoHash) -> Self {
        Self { info_hash, completed: 0, peers: Peers::Few(Few::NOBODY) }
    }

    /// The counts, both families together.
    pub(super) fn counts(&self) -> ScrapeEntry {
        let (seeders, members) = match &self.peers {
            Peers::Few(few) => (few.seeders(), few.len()),
            Peers::Many(many) => {
                let (seeders, members) = many.v6.as_ref().map_or((0, 0), |v6| (v6.seeders(), v6.len()));
                (many.v4.seeders() + seeders, many.v4.len() + members)
            }
        };
        let leechers = (members - seeders) as u32;
        ScrapeEntry { seeders: seeders as u32, completed: self.completed, leechers }
    }

    pub(super) fn size(&self) -> Size {
        match &self.peers {
            Peers::Few(few) => Size { v4: few.len(), v6: 0, bytes: 0 },
            Peers::Many(many) => {
                let v6 = many.v6.as_deref();
                let boxed = |v6: &Roles<18>| v6.bytes() + size_of::<Roles<18>>() + ALLOCATION;
                let bytes = size_of::<Many>() + ALLOCATION + many.v4.bytes() + v6.map_or(0, boxed);
                Size { v4: many.v4.len(), v6: v6.map_or(0, Roles::len), bytes }
            }
        }
    }

    /// Lets those go whose time is over, and their sources' places with them. Few members come back into the
    /// record.
    pub(super) fn expire(&mut self, key: &AddrHash, clock: Clock, sources: &mut Sources) {
        match &mut self.peers {
            Peers::Few(few) => few.expire(clock, |addr| sources.leave(addr)),
            Peers::Many(many) => {
                many.v4.expire(key, clock, |addr| sources.leave(addr));
                if let Some(v6) = &mut many.v6 {
                    v6.expire(key, clock, |addr| sources.leave(addr));
                }
                many.v6 = many.v6.take().filter(|v6| v6.len() > 0);
                // Not at four: a swarm about that size would move to and fro.
                if many.v6.is_none() && many.v4.len() < FEW {
                    self.peers = Peers::Few(Few::from_roles(&many.v4));
                }
            }
        }
    }

    /// Changes the tables, which are made if they are not there yet.
    fn with_many(&mut self, key: &AddrHash, change: impl FnOnce(&mut Many)) {
        match &mut self.peers {
            Peers::Many(many) => change(many),
            Peers::Few(few) => {
                let mut many = Box::<Many>::default();
                few.each(|member, role| many.v4.enter(key, member, role));
                change(&mut many);
                self.peers = Peers::Many(many);
            }
        }
    }

    fn v6(&self) -> Option<&Roles<18>> {
        match &self.peers {
            Peers::Few(_) => None,
            Peers::Many(many) => many.v6.as_deref(),
        }
    }

    fn v6_mut(&mut self) -> Option<&mut Roles<18>> {
        match &mut self.peers {
            Peers::Few(_) => None,
            Peers::Many(many) => many.v6.as_deref_mut(),
        }
    }

    /// Touches the memory that an announce of `addr` will need, one step at a time.
    pub(super) fn warm(&self, step: u8, key: &AddrHash, addr: [u8; 6]) -> u64 {
        match &self.peers {
            Peers::Few(few) => few.seeders() as u64,
            Peers::Many(many) if step == 0 => many.v4.len() as u64,
            Peers::Many(many) => many.v4.warm(key, &addr),
        }
    }
}

/// What can be done with the members of the family whose compact addresses have `N` bytes.
pub(super) trait InFamily<const N: usize> {
    /// The family.
    const FAMILY: Family;

    /// Notes an announce of a member, and what it was; nothing if `addr` is none.
    fn refresh(&mut self, key: &AddrHash, member: Slot<N>, role: Role) -> Option<Role>;

    /// Enters who is no member.
    fn enter(&mut self, key: &AddrHash, member: Slot<N>, role: Role);

    /// Is `addr` a member?
    fn holds(&self, key: &AddrHash, addr: &[u8; N]) -> bool;

    /// Lets a member go; true if it was one.
    fn leave(&mut self, key: &AddrHash, addr: &[u8; N]) -> bool;

    /// Members of the family.
    fn len(&self) -> usize;

    /// Appends members' addresses for an asker in this role.
    fn choose(&self, role: Role, wish: &Wish<'_, N>, draws: &mut Draws, out: &mut Vec<u8>);

    /// Shows everybody.
    fn each(&self, each: impl FnMut(Slot<N>, Role));
}

impl InFamily<6> for Torrent {
    const FAMILY: Family = Family::V4;

    fn refresh(&mut self, key: &AddrHash, member: Slot<6>, role: Role) -> Option<Role> {
        match &mut self.peers {
            Peers::Many(many) => many.v4.refresh(key, member, role),
            Peers::Few(few) => few.refresh(member, role),
        }
    }

    fn enter(&mut self, key: &AddrHash, member: Slot<6>, role: Role) {
        if let Peers::Few(few) = &mut self.peers
            && few.enter(member, role)
        {
            return;
        }
        self.with_many(key, |many| many.v4.enter(key, member, role));
    }

    fn holds(&self, key: &AddrHash, addr: &[u8; 6]) -> bool {
        match &self.peers {
            Peers::Few(few) => few.holds(*addr),
            Peers::Many(many) => many.v4.holds(key, addr),
        }
    }

    fn leave(&mut self, key: &AddrHash, addr: &[u8; 6]) -> bool {
        match &mut self.peers {
            Peers::Many(many) => many.v4.leave(key, addr),
            Peers::Few(few) => few.leave(*addr),
        }
    }

    fn len(&self) -> usize {
        match &self.peers {
            Peers::Few(few) => few.len(),
            Peers::Many(many) => many.v4.len(),
        }
    }

    fn choose(&self, role: Role, wish: &Wish<'_, 6>, draws: &mut Draws, out: &mut Vec<u8>) {
        match &self.peers {
            Peers::Few(few) => few.choose(role, wish, draws, out),
            Peers::Many(many) => many.v4.choose(role, wish, draws, out),
        }
    }

    fn each(&self, each: impl FnMut(Slot<6>, Role)) {
        match &self.peers {
            Peers::Few(few) => few.each(each),
            Peers::Many(many) => many.v4.each(each),
        }
    }
}

impl InFamily<18> for Torrent {
    const FAMILY: Family = Family::V6;

    fn refresh(&mut self, key: &AddrHash, member: Slot<18>, role: Role) -> Option<Role> {
        self.v6_mut()?.refresh(key, member, role)
    }

    fn enter(&mut self, key: &AddrHash, member: Slot<18>, role: Role) {
        self.with_many(key, |many| many.v6.get_or_insert_default().enter(key, member, role));
    }

    fn holds(&self, key: &AddrHash, addr: &[u8; 18]) -> bool {
        self.v6().is_some_and(|v6| v6.holds(key, addr))
    }

    fn leave(&mut self, key: &AddrHash, addr: &[u8; 18]) -> bool {
        self.v6_mut().is_some_and(|v6| v6.leave(key, addr))
    }

    fn len(&self) -> usize {
        self.v6().map_or(0, Roles::len)
    }

    fn choose(&self, role: Role, wish: &Wish<'_, 18>, draws: &mut Draws, out: &mut Vec<u8>) {
        if let Some(v6) = self.v6() {
            v6.choose(role, wish, draws, out);
        }
    }

    fn each(&self, each: impl FnMut(Slot<18>, Role)) {
        if let Some(v6) = self.v6() {
            v6.each(each);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_one_cache_line() {
        assert_eq!(size_of::<Torrent>(), 64);
        assert_eq!(size_of::<Slot<6>>(), 8);
    }
}
