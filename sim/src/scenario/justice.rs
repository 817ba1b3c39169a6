//! What must come out where hostile peers are about: the `[expect.justice]` table.

use std::time::Duration;

use super::expect::operand;
use super::fields::{Fields, Value, duration, share, wrong};
use super::quantity::duration_text;
use super::schema::{Key, Shape, may};
use super::source::Refusal;

/// What must come out of a run with hostile peers.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ExpectJustice {
    /// Whoever suffers from a poisoner refuses it at most so long after the first piece that failed by it.
    pub banned: Option<Duration>,
    /// The last completion comes at most so many times as late as in the same run without the hostile peers.
    pub slowdown: Option<f64>,
    /// The most of the content that half of the free riders have when the last honest peer completes, as a share.
    pub loot: Option<f64>,
}

/// The keys.
pub(super) const KEYS: &[Key] = &[
    may(
        "banned",
        Shape::Within,
        "Whoever suffers from a poisoner refuses it so soon after the first piece that failed by it.",
    ),
    may(
        "slowdown",
        Shape::Times,
        "Of the last completion, against the same run without the hostile peers (it is run as well).",
    ),
    may(
        "loot",
        Shape::AtMost,
        "Share of the content that half of the free riders have when the last honest peer completes.",
    ),
];

pub(super) fn decode(value: &Value<'_>) -> Result<ExpectJustice, Refusal> {
    let fields = Fields::of(value, "[expect.justice]", KEYS)?;
    Ok(ExpectJustice {
        banned: fields.optional("banned", |value| duration(&operand(value, "<=", "30 s")?))?,
        slowdown: fields.optional("slowdown", |value| factor(&operand(value, "<=", "1.5")?))?,
        loot: fields.optional("loot", |value| share(&operand(value, "<=", "50 %")?))?,
    })
}

/// Reads a number of one or more: nobody is made faster by being attacked, in expectation.
fn factor(value: &Value<'_>) -> Result<f64, Refusal> {
    let text = value.get_ref().as_str().unwrap_or_default();
    let number = text.trim_end_matches('x').trim().parse::<f64>();
    number.ok().filter(|&number| number >= 1.0 && number.is_finite()).ok_or_else(|| {
        let due = "how many times as long it may take, 1 or more";
        wrong(value, due).hint("write for example \"<= 1.5\"")
    })
}

/// The lines of `[expect]` that say `expect`: keys and values.
pub(super) fn lines(expect: &ExpectJustice) -> impl Iterator<Item = (&'static str, String)> {
    let banned = expect.banned.map(|most| ("justice.banned", format!("<= {}", duration_text(most))));
    let slowdown = expect.slowdown.map(|most| ("justice.slowdown", format!("<= {most}")));
    let loot = expect.loot.map(|most| ("justice.loot", format!("<= {most}")));
    [banned, slowdown, loot].into_iter().flatten()
}
