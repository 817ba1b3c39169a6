//! Seeds: all randomness of the core is drawn from one of these, passed in by the driver.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// 256 bits from which a machine draws all its random numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Seed(pub [u8; 32]);

impl Seed {
    /// A seed from a number, as a scenario or a test writes it.
    pub fn from_u64(number: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(number);
        let mut bytes = [0; 32];
        rng.fill_bytes(&mut bytes);
        Self(bytes)
    }

    /// The generator of this seed's stream.
    pub fn rng(self) -> Random {
        Random(ChaCha8Rng::from_seed(self.0))
    }

    /// The seed of child number `index`; children do not disturb the parent's stream or each other.
    #[must_use]
    pub fn child(self, index: u64) -> Self {
        let mut rng = ChaCha8Rng::from_seed(self.0);
        rng.set_stream(index.wrapping_add(1));
        let mut bytes = [0; 32];
        rng.fill_bytes(&mut bytes);
        Self(bytes)
    }
}

/// A deterministic stream of random numbers (`ChaCha8`).
#[derive(Clone, Debug)]
pub struct Random(ChaCha8Rng);

impl Random {
    /// A uniform 32-bit number.
    pub fn next_u32(&mut self) -> u32 {
        self.0.next_u32()
    }

    /// A uniform 64-bit number.
    pub fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Fills `bytes` with random bytes.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        self.0.fill_bytes(bytes);
    }

    /// A uniform number below `bound`; zero if `bound` is zero.
    pub fn below(&mut self, bound: u64) -> u64 {
        // Multiply-shift: the bias is below 2^-32 for any bound this project uses.
        ((u128::from(self.next_u64()) * u128::from(bound)) >> 64) as u64
    }

    /// A uniform index into a slice of `len` items; zero if it is empty.
    pub fn index(&mut self, len: usize) -> usize {
        self.below(len as u64) as usize
    }

    /// Puts `items` into uniformly random order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.index(last + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_differ_from_each_other_and_repeat() {
        let seed = Seed::from_u64(7);
        assert_ne!(seed.child(0), seed.child(1));
        assert_eq!(seed.child(3), Seed::from_u64(7).child(3));
    }

    #[test]
    fn below_stays_below() {
        let mut random = Seed::from_u64(1).rng();
        assert!((0..1000).all(|_| random.below(7) < 7));
        assert_eq!(random.below(0), 0);
    }

    #[test]
    fn the_stream_is_pinned() {
        // The digest of every scenario depends on this stream; a change is a change of every golden.
        assert_eq!(Seed::from_u64(1).rng().next_u64(), 4_161_021_452_045_807_583);
        let mut items = [1, 2, 3, 4, 5];
        Seed::from_u64(2).rng().shuffle(&mut items);
        items.sort_unstable();
        assert_eq!(items, [1, 2, 3, 4, 5]);
    }
}
