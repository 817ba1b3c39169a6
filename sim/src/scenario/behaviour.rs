//! How hostile peers behave: `behaviour = "poisoner"`, or with its settings
//! `behaviour = { poisoner = { share = "10 %" } }`. What each of them does stands in [`crate::hostile`].

use std::fmt;
use std::time::Duration;

use super::fields::{Fields, Value, nearest, share, some_time, within, word, wrong};
use super::quantity::duration_text;
use super::schema::{Key, Shape, may, or};
use super::source::Refusal;

/// A million: shares are kept as whole parts of it.
const MILLION: f64 = 1_000_000.0;

/// Ports that one host may announce: what a tracker's default lets one address have, and far more than tells.
const MAX_PORTS: u32 = 50_000;

const PORTS: Shape = Shape::Whole(1, MAX_PORTS);

/// What a behaviour looks like: its name, or a table with its name alone.
pub(super) const SHAPE: Shape = Shape::Either(&[
    Shape::Word(|| WORDS.iter().map(|(word, _)| *word).collect()),
    Shape::OneOf(|| {
        WORDS.iter().map(|(word, usual)| may(word, Shape::Table(usual.keys()), "Its settings.")).collect()
    }),
]);

/// What a hostile peer does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// Takes what it can get and never gives anything.
    FreeRider,
    /// Says that it has everything and serves wrong bytes.
    Poisoner {
        /// Of the blocks that it serves, the share that is wrong, in parts of a million.
        share: u32,
    },
    /// Says that it has everything, unchokes, and serves nothing.
    LyingBitfield {
        /// It rejects each request at once instead of leaving it unanswered.
        rejects: bool,
    },
    /// Says again and again that it has one more piece, and serves none.
    FalseHave,
    /// Asks for more than anybody could serve, choked or not.
    RequestFlood,
    /// Opens many connections and never comes to the end of a handshake.
    SlowLoris,
    /// Has everything and serves right bytes, one block in a long while.
    Trickler {
        /// Between two blocks.
        every: Duration,
    },
    /// Has everything, chokes and unchokes each second, and serves nothing.
    ChokeOscillator,
    /// Tells the tracker that it has everything and gave away a thousand times as much; a free rider otherwise.
    FakeCounters,
    /// Announces many peers that do not exist; who dials them is refused.
    SybilAnnouncers {
        /// How many.
        count: u32,
    },
    /// Sends what is no protocol, or breaks it.
    Garbage,
    /// Accepts connections and says nothing.
    Silent,
    /// Announces, then is gone without a word; who dials it hears nothing.
    Dead {
        /// Ports that it announces.
        count: u32,
    },
    /// Calls itself by the names of those whom it has met, and serves nothing.
    Impostor,
    /// Tells peers of their own addresses, and of each other's other ones, as if they were strangers'.
    Gossip,
}

/// All of them with the settings that they have unless a scenario says otherwise.
const WORDS: [(&str, Behaviour); 15] = [
    ("free rider", Behaviour::FreeRider),
    ("poisoner", Behaviour::Poisoner { share: 1_000_000 }),
    ("lying bitfield", Behaviour::LyingBitfield { rejects: false }),
    ("false have", Behaviour::FalseHave),
    ("request flood", Behaviour::RequestFlood),
    ("slow loris", Behaviour::SlowLoris),
    ("trickler", Behaviour::Trickler { every: Duration::from_secs(50) }),
    ("choke oscillator", Behaviour::ChokeOscillator),
    ("fake counters", Behaviour::FakeCounters),
    ("sybil announcers", Behaviour::SybilAnnouncers { count: 50 }),
    ("garbage", Behaviour::Garbage),
    ("silent", Behaviour::Silent),
    ("dead", Behaviour::Dead { count: 1 }),
    ("impostor", Behaviour::Impostor),
    ("gossip", Behaviour::Gossip),
];

impl Behaviour {
    /// Its name in scenarios.
    pub fn word(self) -> &'static str {
        let same = |other: Self| std::mem::discriminant(&other) == std::mem::discriminant(&self);
        WORDS.iter().find(|(_, behaviour)| same(*behaviour)).map_or("", |(word, _)| word)
    }

    /// Some bytes that it serves are right: its uplink helps, and a bound must count it.
    pub const fn serves(self) -> bool {
        match self {
            Self::Poisoner { share } => share < 1_000_000,
            Self::Trickler { .. } => true,
            Self::FreeRider
            | Self::LyingBitfield { .. }
            | Self::FalseHave
            | Self::RequestFlood
            | Self::SlowLoris
            | Self::ChokeOscillator
            | Self::FakeCounters
            | Self::SybilAnnouncers { .. }
            | Self::Garbage
            | Self::Silent
            | Self::Dead { .. }
            | Self::Impostor
            | Self::Gossip => false,
        }
    }

    /// It wants the content.
    pub const fn takes(self) -> bool {
        matches!(self, Self::FreeRider | Self::FakeCounters)
    }

    /// The keys of its settings.
    const fn keys(self) -> &'static [&'static [Key]] {
        const POISONER: &[Key] =
            &[or("1", "share", Shape::Share, "Of the blocks that it serves, the share that is wrong.")];
        const LYING: &[Key] = &[or("false", "rejects", Shape::Truth, "It rejects each request at once.")];
        const TRICKLER: &[Key] = &[or("\"50 s\"", "every", Shape::Time, "It serves a right block so often.")];
        const SYBIL: &[Key] = &[or("50", "count", PORTS, "Ports that it announces.")];
        const DEAD: &[Key] = &[or("1", "count", PORTS, "Ports that it announces.")];
        match self {
            Self::Poisoner { .. } => &[POISONER],
            Self::LyingBitfield { .. } => &[LYING],
            Self::Trickler { .. } => &[TRICKLER],
            Self::SybilAnnouncers { .. } => &[SYBIL],
            Self::Dead { .. } => &[DEAD],
            Self::FreeRider
            | Self::FalseHave
            | Self::RequestFlood
            | Self::SlowLoris
            | Self::ChokeOscillator
            | Self::FakeCounters
            | Self::Garbage
            | Self::Silent
            | Self::Impostor
            | Self::Gossip => &[&[]],
        }
    }

    /// With what `fields` say.
    fn with(self, fields: &Fields<'_>) -> Result<Self, Refusal> {
        let count =
            |count| Ok(fields.optional("count", |value| within(value, 1..=MAX_PORTS))?.unwrap_or(count));
        Ok(match self {
            Self::Poisoner { share } => {
                Self::Poisoner { share: fields.optional("share", parts)?.unwrap_or(share) }
            }
            Self::LyingBitfield { rejects } => {
                Self::LyingBitfield { rejects: fields.optional("rejects", flag)?.unwrap_or(rejects) }
            }
            Self::Trickler { every } => {
                Self::Trickler { every: fields.optional("every", some_time)?.unwrap_or(every) }
            }
            Self::SybilAnnouncers { count: usual } => Self::SybilAnnouncers { count: count(usual)? },
            Self::Dead { count: usual } => Self::Dead { count: count(usual)? },
            Self::FreeRider
            | Self::FalseHave
            | Self::RequestFlood
            | Self::SlowLoris
            | Self::ChokeOscillator
            | Self::FakeCounters
            | Self::Garbage
            | Self::Silent
            | Self::Impostor
            | Self::Gossip => self,
        })
    }
}

impl fmt::Display for Behaviour {
    /// As a scenario writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = self.word();
        match self {
            Self::Poisoner { share } => {
                write!(f, "{{ {word} = {{ share = {:?} }} }}", f64::from(*share) / MILLION)
            }
            Self::LyingBitfield { rejects } => write!(f, "{{ {word:?} = {{ rejects = {rejects} }} }}"),
            Self::Trickler { every } => {
                write!(f, "{{ {word} = {{ every = \"{}\" }} }}", duration_text(*every))
            }
            Self::SybilAnnouncers { count } | Self::Dead { count } => {
                write!(f, "{{ {word:?} = {{ count = {count} }} }}")
            }
            Self::FreeRider
            | Self::FalseHave
            | Self::RequestFlood
            | Self::SlowLoris
            | Self::ChokeOscillator
            | Self::FakeCounters
            | Self::Garbage
            | Self::Silent
            | Self::Impostor
            | Self::Gossip => write!(f, "{word:?}"),
        }
    }
}

/// Reads a behaviour: its name, or a table with its name alone.
pub(super) fn decode(value: &Value<'_>) -> Result<Behaviour, Refusal> {
    if value.get_ref().is_str() {
        return word(value, &WORDS);
    }
    let due = "a text such as \"poisoner\", or { poisoner = { share = \"10 %\" } }";
    let table = value.get_ref().as_table().ok_or_else(|| wrong(value, due))?;
    let mut entries = table.iter();
    let (Some((name, settings)), None) = (entries.next(), entries.next()) else {
        return Err(Refusal::new(value.span(), "a peer behaves in one way: a table with one name"));
    };
    let name_text = name.get_ref().as_ref();
    let Some((_, usual)) = WORDS.iter().find(|(word, _)| *word == name_text) else {
        let refusal = Refusal::new(name.span(), format!("`{name_text}` is not known here"));
        return Err(refusal.hint(nearest(name_text, WORDS.iter().map(|(word, _)| *word))));
    };
    let keys = usual.keys().concat();
    usual.with(&Fields::of(settings, &format!("`{name_text}`"), &keys)?)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share lies between 0 and 1")]
fn parts(value: &Value<'_>) -> Result<u32, Refusal> {
    Ok((share(value)? * MILLION).round() as u32)
}

fn flag(value: &Value<'_>) -> Result<bool, Refusal> {
    value.get_ref().as_bool().ok_or_else(|| wrong(value, "true or false"))
}
