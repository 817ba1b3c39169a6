//! Keyed random draws: a hash of seed, purpose, link, flow and sequence number.
//!
//! No draw comes from one shared generator, so that changing one link or adding a peer does not reshuffle what
//! befalls the others. That is what makes two runs comparable pair by pair, and a failing scenario shrinkable.

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::nat::Protocol;

/// What a draw is for; each purpose is a stream of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Loss on an uplink.
    UplinkLoss,
    /// Loss on a downlink.
    DownlinkLoss,
    /// How long a link stays good or bad.
    Fading,
    /// Loss on an uplink that is bad.
    UplinkBurst,
    /// Loss on a downlink that is bad.
    DownlinkBurst,
    /// How much a packet is delayed.
    Jitter,
    /// Whether a datagram is held back.
    Reorder,
    /// Whether a datagram comes twice.
    Duplicate,
    /// Whether a bit of a datagram flips.
    Corrupt,
    /// Which bit.
    Bit,
}

/// Which packet a draw is about: the one so numbered of what one host sends another by one protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lot {
    /// Sender and receiver.
    pub hosts: [u32; 2],
    /// By what.
    pub protocol: Protocol,
    /// Counts from 1.
    pub number: u64,
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

    /// The uniform number that belongs to one packet's draw of `stream` on `link`.
    pub fn draw_for(self, lot: Lot, stream: Stream, link: u32) -> u64 {
        let mut key = [0; 22];
        key[0] = stream as u8;
        key[1] = lot.protocol as u8;
        key[2..6].copy_from_slice(&link.to_le_bytes());
        key[6..10].copy_from_slice(&lot.hosts[0].to_le_bytes());
        key[10..14].copy_from_slice(&lot.hosts[1].to_le_bytes());
        key[14..].copy_from_slice(&lot.number.to_le_bytes());
        xxh3_64_with_seed(&key, self.0)
    }

    /// Does an event of the given probability befall this packet?
    pub fn befalls(self, chance: Chance, lot: Lot, stream: Stream, link: u32) -> bool {
        chance.0 != 0 && self.draw_for(lot, stream, link) < chance.0
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

    /// Can it come true at all?
    pub const fn is_possible(self) -> bool {
        self.0 != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lot(to: u32, number: u64) -> Lot {
        Lot { hosts: [0, to], protocol: Protocol::Udp, number }
    }

    #[test]
    fn one_link_does_not_reshuffle_another() {
        let keyed = Keyed::new(1);
        let alone: Vec<u64> = (0..4).map(|n| keyed.draw(Stream::Fading, 7, n)).collect();
        let beside: Vec<u64> = (0..4)
            .map(|n| {
                keyed.draw(Stream::Fading, 8, n);
                keyed.draw(Stream::Fading, 7, n)
            })
            .collect();
        assert_eq!(alone, beside);
        let draw = |stream, to, number| keyed.draw_for(lot(to, number), stream, 0);
        let first = draw(Stream::UplinkLoss, 1, 1);
        assert_ne!(first, draw(Stream::DownlinkLoss, 1, 1));
        assert_ne!(first, draw(Stream::UplinkLoss, 2, 1));
        assert_ne!(first, draw(Stream::UplinkLoss, 1, 2));
    }

    #[test]
    fn a_chance_comes_true_that_often() {
        let keyed = Keyed::new(2);
        let befalls =
            |chance, number| keyed.befalls(Chance::new(chance), lot(1, number), Stream::UplinkLoss, 0);
        let hits = (0..100_000).filter(|&number| befalls(0.05, number)).count();
        assert!((4_700..5_300).contains(&hits), "{hits} of 100000 at 5 %");
        assert!(!befalls(0.0, 0) && !Chance::new(0.0).is_possible());
    }
}
