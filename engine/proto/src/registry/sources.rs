//! How many places each source has, in a fixed quarter of a megabyte.
//!
//! A count-min sketch: two rows of counters, each source has one in each, and the lesser of the two is the
//! estimate. It is never too low. It is too high by what else falls into both counters: about the number of
//! members over [`CELLS`], so some dozens in a full registry, where a cap is tens of thousands. Exact counts
//! would take a map entry for each of a million addresses, which is what floods are made of.

use super::hash::{AddrHash, place};
use crate::seed::Random;
use crate::time::Instant;

/// Counters of a row.
const CELLS: usize = 1 << 15;

/// The counters.
#[derive(Debug)]
pub(super) struct Sources {
    rows: [(AddrHash, Box<[u32]>); 2],
}

impl Sources {
    pub(super) fn new(random: &mut Random) -> Self {
        let mut row = || (AddrHash::new(random, Instant::ZERO), vec![0; CELLS].into_boxed_slice());
        Self { rows: [row(), row()] }
    }

    pub(super) const BYTES: usize = 2 * CELLS * size_of::<u32>();

    /// Places that the source of `addr` has, or a few more.
    pub(super) fn count<const N: usize>(&self, addr: &[u8; N]) -> usize {
        let source = source_of(addr);
        let counts = self
            .rows
            .iter()
            .map(|(hash, cells)| cells.get(place(hash.hash(&source), CELLS)).copied().unwrap_or_default());
        counts.min().unwrap_or_default() as usize
    }

    pub(super) fn enter<const N: usize>(&mut self, addr: &[u8; N]) {
        self.change(addr, |count| count.saturating_add(1));
    }

    pub(super) fn leave<const N: usize>(&mut self, addr: &[u8; N]) {
        self.change(addr, |count| count.saturating_sub(1));
    }

    fn change<const N: usize>(&mut self, addr: &[u8; N], change: impl Fn(u32) -> u32) {
        let source = source_of(addr);
        for (hash, cells) in &mut self.rows {
            if let Some(cell) = cells.get_mut(place(hash.hash(&source), CELLS)) {
                *cell = change(*cell);
            }
        }
    }
}

/// An IPv4 address, or the /64 of an IPv6 address, which is what one customer has at the least.
fn source_of<const N: usize>(addr: &[u8; N]) -> [u8; 8] {
    let len = if N == 18 { 8 } else { 4 };
    let mut source = [0; 8];
    source.iter_mut().zip(addr.iter().take(len)).for_each(|(to, from)| *to = *from);
    source
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::Seed;

    #[test]
    fn counts_are_never_too_low_and_hardly_too_high() {
        let mut sources = Sources::new(&mut Seed::from_u64(1).rng());
        let addr = |n: u32, port: u8| {
            let [a, b, c, d] = n.to_be_bytes();
            [a, b, c, d, 0, port]
        };
        for n in 0..200_000 {
            sources.enter(&addr(n, 1));
        }
        (0..100).for_each(|port| sources.enter(&addr(7, port)));
        assert!((101..150).contains(&sources.count(&addr(7, 9))), "ports of one address are one source");
        let worst = (100..200_000).map(|n| sources.count(&addr(n, 1))).max().expect("some");
        assert!(worst < 150, "{worst}");
        (0..200_000).for_each(|n| sources.leave(&addr(n, 1)));
        assert_eq!(sources.count(&addr(7, 9)), 100);
    }

    #[test]
    fn a_network_of_64_bits_is_one_source() {
        let mut sources = Sources::new(&mut Seed::from_u64(1).rng());
        let addr = |network: u8, host: u8| {
            let mut addr = [0x20; 18];
            (addr[7], addr[15]) = (network, host);
            addr
        };
        (0..9).for_each(|host| sources.enter(&addr(1, host)));
        assert_eq!((sources.count(&addr(1, 99)), sources.count(&addr(2, 0))), (9, 0));
    }
}
