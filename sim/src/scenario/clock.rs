//! How a host's clocks are wrong: `clock = { skew = "+300 s", drift = "200 ppm" }`.

use std::time::Duration;

use super::fields::{Fields, Value, text};
use super::quantity::{self, Complaint};
use super::schema::{Key, Shape, or};
use super::source::Refusal;

/// A clock that gains or loses half of the time is no clock: parts of a million at the most.
const MAX_DRIFT: i32 = 500_000;

/// The longest skew or jump: wall time at the start of a simulation lies further from 1970 than that.
const MAX_SKEW: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// How a host's clocks differ from true time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Clock {
    /// Microseconds by which its wall time is ahead at the start; negative: behind.
    pub skew: i64,
    /// Parts of a million by which both its clocks are too fast; negative: too slow.
    pub drift: i32,
}

const KEYS: &[Key] = &[
    or("\"0 s\"", "skew", Shape::Shift, "By how much its wall time is ahead at the start, or behind."),
    or("\"0 ppm\"", "drift", Shape::Drift, "By how much both its clocks are too fast, or too slow."),
];

/// What a clock looks like.
pub(super) const SHAPE: Shape = Shape::Table(&[KEYS]);

pub(super) fn decode(value: &Value<'_>) -> Result<Clock, Refusal> {
    let fields = Fields::of(value, "clock", KEYS)?;
    Ok(Clock {
        skew: fields.optional("skew", shift)?.unwrap_or(0),
        drift: fields.optional("drift", drift)?.unwrap_or(0),
    })
}

/// Reads a time with a sign, in microseconds: `"+300 s"`, `"-2 min"`.
pub(super) fn shift(value: &Value<'_>) -> Result<i64, Refusal> {
    let read = |text: &str| -> Result<i64, Complaint> {
        let (sign, time) = signed(text);
        match quantity::duration(time)? {
            time if time <= MAX_SKEW => Ok(sign * time.as_micros() as i64),
            _ => Err(format!("`{text}` is more than ten years")),
        }
    };
    read(&text(value)?).map_err(|complaint| Refusal::new(value.span(), complaint))
}

fn drift(value: &Value<'_>) -> Result<i32, Refusal> {
    let text = text(value)?;
    let (sign, number) = signed(&text);
    let parts = number.strip_suffix("ppm").and_then(|number| number.trim().parse::<i32>().ok());
    match parts {
        Some(parts @ 0..=MAX_DRIFT) => Ok(parts * sign as i32),
        Some(_) => Err(Refusal::new(value.span(), format!("`{text}` is more than {MAX_DRIFT} ppm"))),
        None => {
            let message = format!("`{text}` is not a drift; write for example \"200 ppm\" or \"-50 ppm\"");
            Err(Refusal::new(value.span(), message))
        }
    }
}

fn signed(text: &str) -> (i64, &str) {
    let text = text.trim();
    match text.strip_prefix('-') {
        Some(rest) => (-1, rest.trim()),
        None => (1, text.strip_prefix('+').unwrap_or(text).trim()),
    }
}

/// `micros` as [`shift`] reads it back.
pub(super) fn shift_text(micros: i64) -> String {
    let sign = if micros < 0 { '-' } else { '+' };
    format!("{sign}{}", quantity::duration_text(Duration::from_micros(micros.unsigned_abs())))
}

/// The line that says `clock`, if there is anything to say.
pub(super) fn write(clock: Clock) -> Option<String> {
    let Clock { skew, drift } = clock;
    (clock != Clock::default())
        .then(|| format!("clock = {{ skew = \"{}\", drift = \"{drift} ppm\" }}\n", shift_text(skew)))
}
