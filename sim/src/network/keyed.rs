//! Keyed random draws: a hash of seed, stream, link and sequence number.
//!
//! No draw comes from one shared generator, so that changing one link does not reshuffle the others. That
//! is what makes two runs comparable pair by pair, and a failing scenario shrinkable.

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// What a draw is for; each purpose is a stream of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Loss on an uplink.
    UplinkLoss,
    /// Loss on a downlink.
    DownlinkLoss,
}

/// A source of keyed draws.
#[derive(Clone, Copy, Debug)]
pub struct Keyed(u64);

impl Keyed {
    /// All draws follow from `seed`.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The uniform number that belongs to draw `count` of `stream` on `link`.
    pub fn draw(self, stream: Stream, link: u32, count: u64) -> u64 {
        let mut key = [0; 13];
        key[0] = stream as u8;
        key[1..5].copy_from_slice(&link.to_le_bytes());
        key[5..].copy_from_slice(&count.to_le_bytes());
        xxh3_64_with_seed(&key, self.0)
    }

    /// Does an event of the given probability happen at this draw?
    pub fn happens(self, chance: Chance, stream: Stream, link: u32, count: u64) -> bool {
        chance.0 != 0 && self.draw(stream, link, count) < chance.0
    }
}

/// A probability as a threshold on a 64-bit draw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Chance(u64);

impl Chance {
    /// From a probability; below 0 is never, 1 and above is (all but) always.
    #[expect(clippy::cast_sign_loss, reason = "clamped to 0 and above")]
    pub fn new(probability: f64) -> Self {
        // A float is scaled once, when a scenario is read; decisions compare integers.
        Self((probability.clamp(0.0, 1.0) * u64::MAX as f64) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_link_does_not_reshuffle_another() {
        let keyed = Keyed::new(1);
        let alone: Vec<u64> = (0..4).map(|n| keyed.draw(Stream::UplinkLoss, 7, n)).collect();
        let beside: Vec<u64> = (0..4)
            .map(|n| {
                keyed.draw(Stream::UplinkLoss, 8, n);
                keyed.draw(Stream::UplinkLoss, 7, n)
            })
            .collect();
        assert_eq!(alone, beside);
        assert_ne!(keyed.draw(Stream::UplinkLoss, 7, 0), keyed.draw(Stream::DownlinkLoss, 7, 0));
    }

    #[test]
    fn a_chance_comes_true_that_often() {
        let keyed = Keyed::new(2);
        let chance = Chance::new(0.05);
        let hits = (0..100_000).filter(|&n| keyed.happens(chance, Stream::UplinkLoss, 0, n)).count();
        assert!((4_700..5_300).contains(&hits), "{hits} of 100000 at 5 %");
        assert!(!keyed.happens(Chance::new(0.0), Stream::UplinkLoss, 0, 0));
    }
}
