//! When peers come and when they go.

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::MAX_PEERS;
use super::fields::{Fields, Value, duration, share, text, word};
use super::group::Role;
use super::quantity::{self, duration_text};
use super::schema::{Key, Shape, may};
use super::source::Refusal;
use super::spread;
use crate::network::Spread;

/// When the peers of a group come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// All at this time.
    At(Duration),
    /// Each at a uniformly random time before this one.
    Uniform(Duration),
    /// One after the other, with exponential gaps of this mean.
    Poisson(Duration),
    /// Each at its time, in the order of a file.
    Trace(Vec<Duration>),
}

/// When a peer goes, by itself and in good order: it tells the tracker `stopped`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Departure {
    /// It stays.
    Never,
    /// So long after its last piece came in.
    AfterCompletion(Duration),
    /// So long after its arrival, complete or not.
    AfterArrival(Duration),
    /// After an exponential time with this mean, complete or not.
    Exponential(Duration),
    /// After a time of this distribution, complete or not.
    Drawn(Spread),
    /// When it is complete and has uploaded so many thousandths of the content.
    Ratio(u32),
    /// When it holds so many millionths of the pieces.
    Holding(u32),
}

/// The largest ratio: nobody waits for more.
const MAX_RATIO: f64 = 1_000.0;

/// The longest file of arrivals, in bytes: a line for each of all peers.
const MAX_TRACE: u64 = 32 * MAX_PEERS as u64;

impl Arrival {
    /// When the last of so many comes; on average, if that is random without a limit.
    pub(super) fn typical_last(&self, count: u32) -> Duration {
        match self {
            Self::At(time) | Self::Uniform(time) => *time,
            Self::Poisson(mean) => mean.saturating_mul(count),
            Self::Trace(times) => times.iter().take(count as usize).max().copied().unwrap_or_default(),
        }
    }
}

/// Ways to come.
const ARRIVALS: &[Key] = &[
    may("at", Shape::Time, "All at this time."),
    may("uniform", Shape::Time, "Each at a random time before this one."),
    may("poisson", Shape::Time, "One after the other, with random gaps of this mean."),
    may("trace", Shape::Text, "Each at its time: a line in this file, beside the scenario."),
];

/// Ways to go.
const DEPARTURES: &[Key] = &[
    may("after", Shape::Time, "So long after its arrival, complete or not."),
    may("after_completion", Shape::Time, "So long after its last piece came in."),
    may("exponential", Shape::Time, "After a random time of this mean, complete or not."),
    spread::WEIBULL,
    spread::LOGNORMAL,
    spread::PARETO,
    may(
        "ratio",
        Shape::Number(0.001, MAX_RATIO),
        "When it is complete and has uploaded so many times the content.",
    ),
    may("holding", Shape::Share, "When it has so much of the content."),
];

/// What arrivals look like.
pub(super) const ARRIVAL: Shape =
    Shape::Either(&[Shape::Word(|| vec!["at once"]), Shape::OneOf(|| ARRIVALS.to_vec())]);

/// What departures look like.
pub(super) const DEPARTURE: Shape =
    Shape::Either(&[Shape::Word(|| vec!["never", "on completion"]), Shape::OneOf(|| DEPARTURES.to_vec())]);

/// The one of these ways that a table has.
fn one_of(value: &Value<'_>, place: &str, ways: &[Key]) -> Result<&'static str, Refusal> {
    let names: Vec<_> = ways.iter().map(|way| way.name).collect();
    Fields::of(value, place, ways)?.only(&names)
}

/// Reads when `count` peers come; files are named from the folder of `file`.
pub(super) fn arrival(value: &Value<'_>, count: u32, file: &str) -> Result<Arrival, Refusal> {
    const HINT: &str = "it can be \"at once\", { at = \"5 s\" }, { uniform = \"10 s\" }, { poisson = \"500 ms\" } \
                        or { trace = \"arrivals.txt\" }";
    if value.get_ref().is_str() {
        let read = word(value, &[("at once", ())]).map(|()| Arrival::At(Duration::ZERO));
        return read.map_err(|refusal| refusal.hint(HINT));
    }
    let choice = one_of(value, "arrival", ARRIVALS).map_err(|refusal| refusal.or_hint(HINT))?;
    let Some(inner) = value.get_ref().get(choice) else { return Ok(Arrival::At(Duration::ZERO)) };
    Ok(match choice {
        "uniform" => Arrival::Uniform(duration(inner)?),
        "poisson" => Arrival::Poisson(duration(inner)?),
        "trace" => Arrival::Trace(trace(inner, count, file)?),
        _ => Arrival::At(duration(inner)?),
    })
}

/// Reads a file of arrivals: a time in each line, such as `12.5 s`; empty lines and those with `#` say nothing.
fn trace(value: &Value<'_>, count: u32, file: &str) -> Result<Vec<Duration>, Refusal> {
    let name = text(value)?;
    let path = Path::new(file).parent().unwrap_or(Path::new("")).join(&name);
    let refuse = |message: String| Refusal::new(value.span(), message);
    let len = fs::metadata(&path).map_or(0, |file| file.len());
    if len > MAX_TRACE {
        return Err(refuse(format!("{} has {len} bytes, more than {MAX_PEERS} lines", path.display())));
    }
    let lines = fs::read_to_string(&path)
        .map_err(|error| refuse(format!("cannot read {}: {error}", path.display())))?;
    let mut times = Vec::new();
    for (number, line) in lines.lines().map(str::trim).enumerate() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        times.push(
            quantity::duration(line)
                .map_err(|complaint| refuse(format!("{}:{}: {complaint}", path.display(), number + 1)))?,
        );
    }
    if times.len() < count as usize {
        let message = format!("{} has {} arrivals, and these are {count} peers", path.display(), times.len());
        return Err(refuse(message));
    }
    Ok(times)
}

/// Reads when peers go.
pub(super) fn departure(value: &Value<'_>, role: Role) -> Result<Departure, Refusal> {
    const HINT: &str = "it can be \"never\", \"on completion\", { after_completion = \"30 s\" }, \
                        { after = \"90 s\" }, { exponential = \"90 s\" }, { ratio = 1.5 } or { holding = \"50 %\" }";
    let departure = if value.get_ref().is_str() {
        let words =
            [("never", Departure::Never), ("on completion", Departure::AfterCompletion(Duration::ZERO))];
        word(value, &words).map_err(|refusal| refusal.hint(HINT))?
    } else {
        let choice = one_of(value, "departure", DEPARTURES).map_err(|refusal| refusal.or_hint(HINT))?;
        let Some(inner) = value.get_ref().get(choice) else { return Ok(Departure::Never) };
        match choice {
            "after" => Departure::AfterArrival(duration(inner)?),
            "after_completion" => Departure::AfterCompletion(duration(inner)?),
            "exponential" => Departure::Exponential(duration(inner)?),
            "ratio" => Departure::Ratio(ratio(inner)?),
            "holding" => Departure::Holding(holding(inner)?),
            kind => Departure::Drawn(spread::shaped(inner, kind)?),
        }
    };
    let watches =
        matches!(departure, Departure::AfterCompletion(_) | Departure::Ratio(_) | Departure::Holding(_));
    let message = match role {
        Role::Leecher => return Ok(departure),
        Role::Seeder if matches!(departure, Departure::Ratio(_)) => return Ok(departure),
        Role::Seeder => "a seeder is complete from the start",
        Role::Announcer => "an announcer never completes",
        Role::Hostile(_) => "nobody can say when a hostile peer is complete",
    };
    if watches {
        let refusal = Refusal::new(value.span(), message);
        return Err(refusal.hint("say when it leaves: { after = \"90 s\" }"));
    }
    Ok(departure)
}

/// Reads a ratio, in thousandths.
#[expect(clippy::cast_sign_loss, reason = "the number is within 0.001 and a thousand")]
fn ratio(value: &Value<'_>) -> Result<u32, Refusal> {
    spread::number(value, 0.001..=MAX_RATIO).map(|ratio| (ratio * 1_000.0).round() as u32)
}

/// Reads a share of the pieces, in millionths.
#[expect(clippy::cast_sign_loss, reason = "a share is within 0 and 1")]
fn holding(value: &Value<'_>) -> Result<u32, Refusal> {
    match share(value)? {
        share if share > 0.0 => Ok((share * 1e6).round() as u32),
        _ => Err(Refusal::new(value.span(), "everybody holds that much: it would leave at once")),
    }
}

/// The line that says it, of one peer; that of a drawn time says the time.
pub(super) fn departure_text(departure: Departure) -> Option<String> {
    let time = |key: &str, time| Some(format!("departure = {{ {key} = \"{}\" }}\n", duration_text(time)));
    match departure {
        Departure::Never | Departure::Drawn(_) => None,
        Departure::AfterCompletion(after) => time("after_completion", after),
        Departure::AfterArrival(after) | Departure::Exponential(after) => time("after", after),
        Departure::Ratio(ratio) => {
            Some(format!("departure = {{ ratio = {:?} }}\n", f64::from(ratio) / 1_000.0))
        }
        Departure::Holding(share) => {
            Some(format!("departure = {{ holding = {:?} }}\n", f64::from(share) / 1e6))
        }
    }
}
