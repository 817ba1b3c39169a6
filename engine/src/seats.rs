//! How many connections listeners keep open, in total and for one source. It stands alone because the tracker's sites
//! and the peers' door limit both.
//!
//! A [`Seat`] is given back when its connection ends, however it ends.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ipnet::IpNet;

/// How many connections are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SeatLimits {
    /// Altogether.
    pub(crate) total: usize,
    /// Of one source: an IPv4 address, or an IPv6 network of 64 bits, which is what one subscriber has.
    pub(crate) per_source: usize,
    /// Sources that are limited by `total` only: proxies, which speak for many.
    pub(crate) unlimited: Vec<IpNet>,
}

/// The connections of all listeners that share it.
#[derive(Clone, Debug)]
pub(crate) struct Seats(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    limits: SeatLimits,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    total: usize,
    by_source: BTreeMap<IpAddr, usize>,
}

/// A place for one connection.
#[derive(Debug)]
pub(crate) struct Seat {
    seats: Seats,
    source: IpAddr,
}

impl Seats {
    /// All are free.
    pub(crate) fn new(limits: SeatLimits) -> Self {
        Self(Arc::new(Inner { limits, taken: Mutex::default() }))
    }

    /// A seat for a connection from `addr`, if its source has one left.
    pub(crate) fn take(&self, addr: IpAddr) -> Option<Seat> {
        let (limits, source) = (&self.0.limits, source_of(addr));
        let mut taken = self.lock();
        let mine = taken.by_source.get(&source).copied().unwrap_or(0);
        let is_limited = !limits.unlimited.iter().any(|network| network.contains(&addr.to_canonical()));
        if taken.total >= limits.total || (is_limited && mine >= limits.per_source) {
            return None;
        }
        taken.total += 1;
        taken.by_source.insert(source, mine + 1);
        Some(Seat { seats: self.clone(), source })
    }

    /// Are three quarters taken? Then connections are not kept for a next request.
    pub(crate) fn are_scarce(&self) -> bool {
        self.lock().total > self.0.limits.total / 4 * 3
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        // Counts are whole after every statement.
        self.0.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.lock();
        taken.total = taken.total.saturating_sub(1);
        if let Some(mine) = taken.by_source.get_mut(&self.source) {
            *mine = mine.saturating_sub(1);
            if *mine == 0 {
                taken.by_source.remove(&self.source);
            }
        }
    }
}

/// What counts as one source.
fn source_of(addr: IpAddr) -> IpAddr {
    match addr.to_canonical() {
        IpAddr::V6(addr) => {
            let [a, b, c, d, ..] = addr.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn a_source_and_all_together_have_their_caps_and_seats_come_back() {
        let unlimited = vec!["10.0.0.0/8".parse().expect("a network")];
        let seats = Seats::new(SeatLimits { total: 8, per_source: 2, unlimited });
        let mut held: Vec<_> = (0..2).map(|_| seats.take(addr("192.0.2.1")).expect("a seat")).collect();
        assert!(seats.take(addr("192.0.2.1")).is_none());
        assert!(seats.take(addr("::ffff:192.0.2.1")).is_none(), "the same source");
        held.extend(seats.take(addr("2001:db8::1")));
        held.extend(seats.take(addr("2001:db8::2")));
        assert!(seats.take(addr("2001:db8::3")).is_none(), "one subscriber's network");
        held.extend(seats.take(addr("2001:db8:0:1::1")));
        assert_eq!(held.len(), 5);
        assert!(!seats.are_scarce());
        held.extend((0..9).filter_map(|_| seats.take(addr("10.1.2.3"))));
        assert_eq!(held.len(), 8, "a proxy has all that are left");
        assert!(seats.are_scarce());
        assert!(seats.take(addr("192.0.2.9")).is_none());
        held.clear();
        assert!(seats.lock().by_source.is_empty());
        assert_eq!(seats.lock().total, 0);
        assert!(seats.take(addr("192.0.2.1")).is_some());
    }
}
