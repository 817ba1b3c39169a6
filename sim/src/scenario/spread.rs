//! Distributions of times as scenarios write them: `{ uniform = ["5 ms", "20 ms"] }` and its like.

use std::ops::RangeInclusive;
use std::time::Duration;

use toml::de::DeValue;

use super::fields::{Fields, Value, duration, some_time, wrong};
use super::quantity::duration_text;
use super::source::Refusal;
use crate::network::Spread;

/// What a distribution is called.
const KINDS: &[&str] = &["uniform", "normal", "lognormal", "pareto", "weibull"];

/// Shapes and sigmas beyond these make times that are all alike, or all without end.
const SHAPES: RangeInclusive<f64> = 0.05..=100.0;

/// Reads a distribution; a bare time is always that time.
pub(super) fn decode(value: &Value<'_>) -> Result<Spread, Refusal> {
    if value.get_ref().is_str() {
        return duration(value).map(Spread::Fixed);
    }
    let fields = Fields::of(value, "a distribution", KINDS)?;
    let named: Vec<_> = KINDS.iter().copied().filter(|kind| fields.value(kind).is_some()).collect();
    let [kind] = named[..] else {
        let message = format!("a distribution needs exactly one of: {}", KINDS.join(", "));
        return Err(Refusal::new(fields.span(), message));
    };
    fields.required(kind, |value| shaped(value, kind))
}

/// Reads how late packets may be: a bare time means anything up to it.
pub(super) fn jitter(value: &Value<'_>) -> Result<Spread, Refusal> {
    let spread = decode(value)?;
    Ok(if let Spread::Fixed(most) = spread { Spread::Uniform(Duration::ZERO, most) } else { spread })
}

/// Reads what is said of a distribution of this kind.
pub(super) fn shaped(value: &Value<'_>, kind: &str) -> Result<Spread, Refusal> {
    let two = |time: &'static str, other: &'static str| -> Result<(Duration, Fields<'_>), Refusal> {
        let keys: &'static [&'static str] = match (time, other) {
            ("mean", _) => &["mean", "deviation"],
            ("median", _) => &["median", "sigma"],
            ("least", _) => &["least", "shape"],
            _ => &["scale", "shape"],
        };
        let fields = Fields::of(value, kind, keys)?;
        Ok((fields.required(time, some_time)?, fields))
    };
    Ok(match kind {
        "uniform" => {
            let (from, to) = bounds(value)?;
            Spread::Uniform(from, to)
        }
        "normal" => {
            let (mean, fields) = two("mean", "deviation")?;
            Spread::Normal { mean, deviation: fields.required("deviation", duration)? }
        }
        "lognormal" => {
            let (median, fields) = two("median", "sigma")?;
            Spread::Lognormal { median, sigma: fields.required("sigma", shape)? }
        }
        "pareto" => {
            let (least, fields) = two("least", "shape")?;
            Spread::Pareto { least, shape: fields.required("shape", shape)? }
        }
        _ => {
            let (scale, fields) = two("scale", "shape")?;
            Spread::Weibull { scale, shape: fields.required("shape", shape)? }
        }
    })
}

/// Reads `["5 ms", "20 ms"]`.
fn bounds(value: &Value<'_>) -> Result<(Duration, Duration), Refusal> {
    let due = || wrong(value, "two times such as [\"5 ms\", \"20 ms\"]");
    let [from, to] =
        value.get_ref().as_array().map(|array| array.iter().collect::<Vec<_>>()).ok_or_else(due)?[..]
    else {
        return Err(due());
    };
    match (duration(from)?, duration(to)?) {
        (from, to) if from <= to => Ok((from, to)),
        _ => Err(Refusal::new(value.span(), "the first time is longer than the second")),
    }
}

fn shape(value: &Value<'_>) -> Result<f64, Refusal> {
    number(value, SHAPES)
}

/// Reads a number within `range`.
pub(super) fn number(value: &Value<'_>, range: RangeInclusive<f64>) -> Result<f64, Refusal> {
    let number = match value.get_ref() {
        DeValue::Float(float) => float.as_str().parse::<f64>().ok(),
        DeValue::Integer(whole) => whole.as_str().parse::<f64>().ok(),
        DeValue::String(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_)
        | DeValue::Array(_)
        | DeValue::Table(_) => None,
    };
    let number = number.ok_or_else(|| wrong(value, "a number such as 1.5"))?;
    if range.contains(&number) {
        return Ok(number);
    }
    let (least, most) = (range.start(), range.end());
    Err(Refusal::new(value.span(), format!("{number} is not within {least} to {most}")))
}

/// `spread` as [`decode`] reads it back.
pub(super) fn text(spread: Spread) -> String {
    let quoted = |time| format!("\"{}\"", duration_text(time));
    match spread {
        Spread::Fixed(time) => quoted(time),
        Spread::Uniform(from, to) => format!("{{ uniform = [{}, {}] }}", quoted(from), quoted(to)),
        Spread::Normal { mean, deviation } => {
            format!("{{ normal = {{ mean = {}, deviation = {} }} }}", quoted(mean), quoted(deviation))
        }
        Spread::Lognormal { median, sigma } => {
            format!("{{ lognormal = {{ median = {}, sigma = {sigma:?} }} }}", quoted(median))
        }
        Spread::Pareto { least, shape } => {
            format!("{{ pareto = {{ least = {}, shape = {shape:?} }} }}", quoted(least))
        }
        Spread::Weibull { scale, shape } => {
            format!("{{ weibull = {{ scale = {}, shape = {shape:?} }} }}", quoted(scale))
        }
    }
}
