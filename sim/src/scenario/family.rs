//! The address families that a host speaks.

use std::fmt;

use proto::tracker::Family;

use super::fields::{Value, word};
use super::source::Refusal;

/// IPv4, IPv6, or both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Families {
    /// IPv4 alone.
    V4,
    /// IPv6 alone.
    V6,
    /// Both, over one access link.
    Dual,
}

impl Families {
    /// All there are.
    pub const ALL: [Self; 3] = [Self::V4, Self::V6, Self::Dual];

    /// The words that scenarios use.
    const WORDS: [(&str, Self); 3] = [("ipv4", Self::V4), ("ipv6", Self::V6), ("dual", Self::Dual)];

    /// The families, IPv4 first.
    pub const fn list(self) -> &'static [Family] {
        match self {
            Self::V4 => &[Family::V4],
            Self::V6 => &[Family::V6],
            Self::Dual => &[Family::V4, Family::V6],
        }
    }

    /// Can packets go between two such hosts?
    pub fn meets(self, other: Self) -> bool {
        self == Self::Dual || other == Self::Dual || self == other
    }
}

impl fmt::Display for Families {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = Self::WORDS.iter().find(|(_, families)| families == self);
        f.write_str(word.map_or("", |(word, _)| word))
    }
}

/// What they are called.
pub(super) fn words() -> Vec<&'static str> {
    Families::WORDS.iter().map(|(word, _)| *word).collect()
}

pub(super) fn decode(value: &Value<'_>) -> Result<Families, Refusal> {
    word(value, &Families::WORDS)
}
