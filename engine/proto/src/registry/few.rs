//! Up to four IPv4 members inside a torrent's record: searched one by one, without a hash.

use super::choice::{Draws, Wish, keep_some};
use super::roles::{Role, Roles};
use super::table::{Clock, Slot};

/// Members that fit the record.
pub(super) const FEW: usize = 4;

/// Up to four IPv4 members, in any places.
#[derive(Debug)]
pub(super) struct Few {
    members: [Slot<6>; FEW],
    /// A bit for each place that a seeder holds.
    seeders: u8,
}

impl Few {
    /// No member.
    pub(super) const NOBODY: Self = Self { members: [Slot::VACANT; FEW], seeders: 0 };

    pub(super) const fn seeders(&self) -> usize {
        self.seeders.count_ones() as usize
    }

    /// Notes an announce of a member, and what it was; nothing if it is none.
    pub(super) fn refresh(&mut self, member: Slot<6>, role: Role) -> Option<Role> {
        let place = self.place_of(member.addr)?;
        let was = self.role_at(place);
        self.set(place, member, role);
        Some(was)
    }

    /// Enters who is no member; false if there is no place.
    pub(super) fn enter(&mut self, member: Slot<6>, role: Role) -> bool {
        let place = self.members.iter().position(Slot::is_vacant);
        place.map(|place| self.set(place, member, role)).is_some()
    }

    pub(super) fn holds(&self, addr: [u8; 6]) -> bool {
        self.place_of(addr).is_some()
    }

    pub(super) fn leave(&mut self, addr: [u8; 6]) -> bool {
        self.place_of(addr).map(|place| self.set(place, Slot::VACANT, Role::Leecher)).is_some()
    }

    pub(super) fn expire(&mut self, clock: Clock, mut gone: impl FnMut(&[u8; 6])) {
        for place in 0..FEW {
            let member = self.members[place];
            if !member.is_vacant() && clock.is_over(member.stamp) {
                gone(&member.addr);
                self.set(place, Slot::VACANT, Role::Leecher);
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        self.members.iter().filter(|member| !member.is_vacant()).count()
    }

    pub(super) fn from_roles(roles: &Roles<6>) -> Self {
        let mut few = Self::NOBODY;
        roles.each(|member, role| {
            few.enter(member, role);
        });
        few
    }

    fn place_of(&self, addr: [u8; 6]) -> Option<usize> {
        self.members.iter().position(|member| member.addr == addr)
    }

    fn role_at(&self, place: usize) -> Role {
        if self.seeders & (1 << place) == 0 { Role::Leecher } else { Role::Seeder }
    }

    fn set(&mut self, place: usize, member: Slot<6>, role: Role) {
        if let Some(slot) = self.members.get_mut(place) {
            *slot = member;
            self.seeders = self.seeders & !(1 << place) | u8::from(role == Role::Seeder) << place;
        }
    }

    pub(super) fn each(&self, mut each: impl FnMut(Slot<6>, Role)) {
        for (place, member) in self.members.iter().enumerate().filter(|(_, member)| !member.is_vacant()) {
            each(*member, self.role_at(place));
        }
    }

    pub(super) fn choose(&self, role: Role, wish: &Wish<'_, 6>, draws: &mut Draws, out: &mut Vec<u8>) {
        let start = out.len();
        self.each(|member, its_role| {
            if (role, its_role) != (Role::Seeder, Role::Seeder) && wish.fits(&member) {
                out.extend_from_slice(&member.addr);
            }
        });
        keep_some::<6>(out, start, wish.count, draws);
    }
}
