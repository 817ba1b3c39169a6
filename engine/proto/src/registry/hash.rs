//! The keyed hashes that place torrents, members and sources: strangers choose all of these names.

use std::hash::Hasher;

use siphasher::sip::SipHasher13;

use super::page::PAGES;
use crate::id::InfoHash;
use crate::seed::Random;
use crate::time::Instant;

/// Places torrents. Its key outlives the process, for it says which page of the store a torrent is in.
#[derive(Clone, Copy, Debug)]
pub(super) struct TorrentHash(SipHasher13);

/// Where a torrent belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spot {
    /// The number of its page: 12 bits.
    pub(super) page: u16,
    /// Its order within the page: 32 bits.
    pub(super) order: u32,
    /// What tells it from most others without a look at the info hash.
    pub(super) tag: u16,
}

impl TorrentHash {
    pub(super) fn new(key: &[u8; 16]) -> Self {
        Self(SipHasher13::new_with_key(key))
    }

    pub(super) fn spot(&self, info_hash: &InfoHash) -> Spot {
        let mut hasher = self.0;
        hasher.write(&info_hash.0);
        let hash = hasher.finish();
        let page = hash as usize % PAGES;
        Spot { page: page as u16, order: (hash >> 32) as u32, tag: (hash >> 12) as u16 }
    }
}

/// Places members and sources, by folded multiplication: a few cycles. The key is drawn at the start and the
/// hash is never shown, nor is an order that would follow from it, so that collisions cannot be aimed at.
///
/// The time of the start is part of it: after a restart with the same seed members would come back from pages
/// in the order of their hashes, which fills a growing table from one end.
#[derive(Clone, Copy, Debug)]
pub(super) struct AddrHash([u64; 2]);

impl AddrHash {
    pub(super) fn new(random: &mut Random, now: Instant) -> Self {
        Self([random.next_u64(), random.next_u64() ^ now.as_micros()])
    }

    /// The hash of a compact address of 6 or 18 bytes, or of a source of 4 or 8.
    pub(super) fn hash<const N: usize>(&self, name: &[u8; N]) -> u32 {
        let Self([a, b]) = *self;
        let (words, rest) = name.as_chunks::<8>();
        let mut tail = [0; 8];
        tail.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
        let hash = words.iter().fold(a, |hash, word| fold(hash ^ u64::from_le_bytes(*word), b));
        // Twice, for one product of neighbours is a sequence of equal steps.
        (fold(fold(hash ^ u64::from_le_bytes(tail), b), a ^ N as u64) >> 32) as u32
    }
}

/// Both halves of the product, one over the other.
pub(super) const fn fold(a: u64, b: u64) -> u64 {
    let product = a as u128 * b as u128;
    product as u64 ^ (product >> 64) as u64
}

/// The part of `len` that `hash` falls into when it is spread over all hashes: order is kept.
pub(super) const fn place(hash: u32, len: usize) -> usize {
    ((hash as u64 * len as u64) >> 32) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::Seed;

    #[test]
    fn hashes_spread_neighbours() {
        let mut random = Seed::from_u64(1).rng();
        for _ in 0..20 {
            let hash = AddrHash::new(&mut random, Instant::ZERO);
            let mut v4 = [0u32; 64];
            let mut v6 = [0u32; 64];
            for n in 0..6400u32 {
                let [_, _, c, d] = n.to_be_bytes();
                v4[place(hash.hash(&[10, 0, c, d, 0x1a, 0xe1]), 64)] += 1;
                let mut name = [0; 18];
                (name[6], name[7]) = (c, d);
                v6[place(hash.hash(&name), 64)] += 1;
            }
            // 100 are due in each; chi square with 63 degrees of freedom, 150 is far beyond p = 10⁻⁶.
            for counts in [v4, v6] {
                let square: f64 = counts.iter().map(|&n| (f64::from(n) - 100.0).powi(2) / 100.0).sum();
                assert!(square < 150.0, "{square}");
            }
        }
    }
}
