//! Distributions of times as scenarios write them: `{ uniform = ["5 ms", "20 ms"] }` and its like.

use std::ops::RangeInclusive;
use std::time::Duration;

use toml::de::DeValue;

use super::fields::{Fields, Value, duration, some_time, wrong};
use super::quantity::duration_text;
use super::schema::{Key, Shape, may, needs};
use super::source::Refusal;
use crate::network::Spread;

/// What a distribution is called, and what it needs to say.
pub(super) const KINDS: &[Key] = &[
    may("uniform", Shape::Two(&Shape::Time), "Anything between these two, each as likely."),
    may("normal", Shape::Table(&[NORMAL]), "Around a mean; never less than nothing."),
    LOGNORMAL,
    PARETO,
    WEIBULL,
];

/// Those that times of sessions may have, too.
pub(super) const LOGNORMAL: Key = may(
    "lognormal",
    Shape::Table(&[LOGNORMAL_KEYS]),
    "Its logarithm is normal: half are below the median, some far above.",
);
/// As above.
pub(super) const PARETO: Key = may("pareto", Shape::Table(&[PARETO_KEYS]), "Few, and those very long.");
/// As above.
pub(super) const WEIBULL: Key =
    may("weibull", Shape::Table(&[WEIBULL_KEYS]), "With a shape below one: many short, some very long.");

const NORMAL: &[Key] =
    &[needs("mean", Shape::Time, "The mean."), needs("deviation", Shape::Time, "The standard deviation.")];
const LOGNORMAL_KEYS: &[Key] = &[
    needs("median", Shape::Time, "Half are below it."),
    needs("sigma", SHAPES_SHAPE, "The standard deviation of the logarithm."),
];
const PARETO_KEYS: &[Key] = &[
    needs("least", Shape::Time, "None is below it."),
    needs("shape", SHAPES_SHAPE, "The smaller, the longer the long ones."),
];
const WEIBULL_KEYS: &[Key] = &[
    needs("scale", Shape::Time, "63 % are below it."),
    needs(
        "shape",
        SHAPES_SHAPE,
        "Below one the many short and few long ones of measured sessions; one is exponential.",
    ),
];

/// What a distribution looks like; a bare time is always that time.
pub(super) const SHAPE: Shape = Shape::Either(&[Shape::Time, Shape::OneOf(|| KINDS.to_vec())]);

/// Shapes and sigmas beyond these make times that are all alike, or all without end.
const SHAPES: RangeInclusive<f64> = 0.05..=100.0;
const SHAPES_SHAPE: Shape = Shape::Number(0.05, 100.0);

/// Reads a distribution; a bare time is always that time.
pub(super) fn decode(value: &Value<'_>) -> Result<Spread, Refusal> {
    if value.get_ref().is_str() {
        return duration(value).map(Spread::Fixed);
    }
    let fields = Fields::of(value, "a distribution", KINDS)?;
    let kind = fields.only(&KINDS.iter().map(|kind| kind.name).collect::<Vec<_>>())?;
    fields.required(kind, |value| shaped(value, kind))
}

/// Reads how late packets may be: a bare time means anything up to it.
pub(super) fn jitter(value: &Value<'_>) -> Result<Spread, Refusal> {
    let spread = decode(value)?;
    Ok(if let Spread::Fixed(most) = spread { Spread::Uniform(Duration::ZERO, most) } else { spread })
}

/// Reads what is said of a distribution of this kind.
pub(super) fn shaped(value: &Value<'_>, kind: &str) -> Result<Spread, Refusal> {
    let two = |keys: &'static [Key], time: &str| -> Result<(Duration, Fields<'_>), Refusal> {
        let fields = Fields::of(value, kind, keys)?;
        Ok((fields.required(time, some_time)?, fields))
    };
    Ok(match kind {
        "uniform" => {
            let (from, to) = bounds(value)?;
            Spread::Uniform(from, to)
        }
        "normal" => {
            let (mean, fields) = two(NORMAL, "mean")?;
            Spread::Normal { mean, deviation: fields.required("deviation", duration)? }
        }
        "lognormal" => {
            let (median, fields) = two(LOGNORMAL_KEYS, "median")?;
            Spread::Lognormal { median, sigma: fields.required("sigma", shape)? }
        }
        "pareto" => {
            let (least, fields) = two(PARETO_KEYS, "least")?;
            Spread::Pareto { least, shape: fields.required("shape", shape)? }
        }
        _ => {
            let (scale, fields) = two(WEIBULL_KEYS, "scale")?;
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
