//! How peers play: which piece they fetch next, whom they serve, through how many slots. In `[torrent]` for all, in
//! `[[peers]]` for a group.

use proto::torrent::TorrentConfig;
use proto::torrent::policy::{Named, NamedChoker, NamedPicker, Policies};

use super::fields::{Fields, Value, nearest, text, within};
use super::schema::{Key, Shape, may};
use super::source::Refusal;
use super::write::{line, number};

/// The keys, wherever they stand.
pub(super) const KEYS: &[Key] = &[
    may("picker", Shape::Word(pickers), "Which piece comes next. If left out: the engine's own."),
    may("choker", Shape::Word(chokers), "Whom a leecher serves first. If left out: the engine's own."),
    may(
        "seed_choker",
        Shape::Word(chokers),
        "Whom a complete peer serves first. If left out: the engine's own.",
    ),
    may(
        "upload_slots",
        Shape::Whole(0, MAX_SLOTS),
        "Regular upload slots at the most. If left out: the engine's default.",
    ),
    may(
        "optimistic_slots",
        Shape::Whole(0, MAX_SLOTS),
        "Optimistic upload slots. If left out: the engine's default.",
    ),
];

fn pickers() -> Vec<&'static str> {
    Policies::shipped().pickers().iter().map(|picker| picker.name).collect()
}

fn chokers() -> Vec<&'static str> {
    Policies::shipped().chokers().iter().map(|choker| choker.name).collect()
}

/// Upload slots of a peer at the most; an engine has no limit of its own.
const MAX_SLOTS: u32 = 1_000;

/// What a scenario says about it; the engine's default for the rest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Which piece comes next.
    pub picker: Option<NamedPicker>,
    /// Whom a leecher serves first.
    pub choker: Option<NamedChoker>,
    /// Whom a seeder serves first.
    pub seed_choker: Option<NamedChoker>,
    /// Regular upload slots at the most.
    pub upload_slots: Option<u32>,
    /// Optimistic upload slots.
    pub optimistic_slots: Option<u32>,
}

impl Policy {
    /// This one where it says something, else `base`.
    #[must_use]
    pub fn over(self, base: Self) -> Self {
        Self {
            picker: self.picker.or(base.picker),
            choker: self.choker.or(base.choker),
            seed_choker: self.seed_choker.or(base.seed_choker),
            upload_slots: self.upload_slots.or(base.upload_slots),
            optimistic_slots: self.optimistic_slots.or(base.optimistic_slots),
        }
    }

    /// Sets what is said.
    pub fn apply(self, config: &mut TorrentConfig) {
        config.picker = self.picker.unwrap_or(config.picker);
        config.choker = self.choker.unwrap_or(config.choker);
        config.seed_choker = self.seed_choker.unwrap_or(config.seed_choker);
        config.upload_slots = self.upload_slots.map_or(config.upload_slots, |slots| slots as usize);
        config.optimistic_slots =
            self.optimistic_slots.map_or(config.optimistic_slots, |slots| slots as usize);
    }
}

/// Reads the keys from a table that may hold them.
pub(super) fn decode(fields: &Fields<'_>, policies: &Policies) -> Result<Policy, Refusal> {
    let slots = |value: &Value<'_>| within(value, 0..=MAX_SLOTS);
    Ok(Policy {
        picker: fields.optional("picker", |value| named(value, policies.pickers()))?,
        choker: fields.optional("choker", |value| named(value, policies.chokers()))?,
        seed_choker: fields.optional("seed_choker", |value| named(value, policies.chokers()))?,
        upload_slots: fields.optional("upload_slots", slots)?,
        optimistic_slots: fields.optional("optimistic_slots", slots)?,
    })
}

fn named<P: ?Sized>(value: &Value<'_>, known: &[Named<P>]) -> Result<Named<P>, Refusal> {
    let name = text(value)?;
    known.iter().find(|policy| policy.name == name).copied().ok_or_else(|| {
        let refusal = Refusal::new(value.span(), format!("no policy here is called `{name}`"));
        refusal.hint(nearest(&name, known.iter().map(|policy| policy.name)))
    })
}

/// The lines that read as `policy`.
pub(super) fn write(out: &mut String, policy: Policy) {
    let names = [
        ("picker", policy.picker.map(|named| named.name)),
        ("choker", policy.choker.map(|named| named.name)),
        ("seed_choker", policy.seed_choker.map(|named| named.name)),
    ];
    for (key, name) in names {
        if let Some(name) = name {
            line(out, key, name);
        }
    }
    let slots = [("upload_slots", policy.upload_slots), ("optimistic_slots", policy.optimistic_slots)];
    for (key, slots) in slots {
        if let Some(slots) = slots {
            number(out, key, slots);
        }
    }
}
