//! How a scenario is run: the `[run]` table.

use std::time::Duration;

use toml::de::DeValue;

use super::fields::{Fields, Value, duration, some_time, truth, within, wrong};
use super::quantity::duration_text;
use super::schema::{Key, Shape, may, or};
use super::source::Refusal;
use super::write::{line, number};

/// What every host of the Internet takes in one piece (RFC 791).
const LEAST_MTU: u32 = 576;

/// What the 16 bits of an IPv4 packet's length can say. A connection has a window of 64 KiB, so such a packet is all
/// that it has under way.
const MOST_MTU: u32 = 65_535;

/// How a scenario is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// Simulated time after which a peer that could have completed counts as stuck.
    pub time_limit: Duration,
    /// The run goes on at least until then, though everybody be complete.
    pub at_least: Duration,
    /// The simulated network's step.
    pub tick: Duration,
    /// Largest IP packet, in bytes.
    pub mtu: u32,
    /// What it takes in wall time.
    pub cost: Cost,
    /// Connections that a peer keeps; the engine's default if absent.
    pub max_connections: Option<u32>,
}

/// What a run takes in wall time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cost {
    /// Seconds: CI runs it with every change.
    Short,
    /// Minutes, it is not said how many: for whoever asks for it.
    Long,
    /// The same, and it takes about so long on one core.
    About(Duration),
}

impl Cost {
    /// Does CI leave it to whoever asks for it?
    pub fn is_long(self) -> bool {
        self != Self::Short
    }

    /// How long it takes, if that is said.
    pub fn time(self) -> Option<Duration> {
        match self {
            Self::About(time) => Some(time),
            Self::Short | Self::Long => None,
        }
    }
}

impl Default for Run {
    fn default() -> Self {
        Self {
            time_limit: Duration::from_secs(3600),
            at_least: Duration::ZERO,
            tick: Duration::from_millis(1),
            mtu: 1500,
            cost: Cost::Short,
            max_connections: None,
        }
    }
}

/// The keys.
pub(super) const KEYS: &[Key] = &[
    or("\"1 h\"", "time_limit", Shape::Time, "Whoever could have completed by then and has not, is stuck."),
    or("\"0 s\"", "at_least", Shape::Time, "The run goes on until then although everybody is complete."),
    or(
        "\"1 ms\"",
        "tick",
        Shape::Time,
        "The network's step: 1 to 100 whole milliseconds. Longer is faster to run, and adds to round trips.",
    ),
    or("1500", "mtu", Shape::Whole(LEAST_MTU, MOST_MTU), "Bytes of the largest packet."),
    or(
        "false",
        "long",
        Shape::Either(&[Shape::Truth, Shape::Time]),
        "It takes minutes, about so many on one core, and CI leaves it to whoever asks for it.",
    ),
    may(
        "max_connections",
        Shape::Whole(1, 1_000),
        "Connections that a peer keeps. If left out: the engine's default.",
    ),
];

pub(super) fn decode(value: &Value<'_>) -> Result<Run, Refusal> {
    let fields = Fields::of(value, "[run]", KEYS)?;
    let default = Run::default();
    let time_limit = fields.optional("time_limit", some_time)?.unwrap_or(default.time_limit);
    let at_least = fields.optional("at_least", |value| match duration(value)? {
        at_least if at_least <= time_limit => Ok(at_least),
        _ => Err(Refusal::new(value.span(), "the run is over by then (`time_limit`)")),
    });
    Ok(Run {
        time_limit,
        at_least: at_least?.unwrap_or(default.at_least),
        tick: fields.optional("tick", tick)?.unwrap_or(default.tick),
        mtu: fields.optional("mtu", |value| within(value, LEAST_MTU..=MOST_MTU))?.unwrap_or(default.mtu),
        cost: fields.optional("long", cost)?.unwrap_or(default.cost),
        max_connections: fields.optional("max_connections", |value| within(value, 1..=1_000))?,
    })
}

fn cost(value: &Value<'_>) -> Result<Cost, Refusal> {
    match value.get_ref() {
        DeValue::Boolean(_) => Ok(if truth(value)? { Cost::Long } else { Cost::Short }),
        DeValue::String(_) => some_time(value).map(Cost::About),
        DeValue::Integer(_)
        | DeValue::Float(_)
        | DeValue::Datetime(_)
        | DeValue::Array(_)
        | DeValue::Table(_) => Err(wrong(value, "true, or about how long it takes, such as \"5 min\"")),
    }
}

/// tokio's timers have a resolution of 1 ms; beyond 100 ms no TCP behaves like itself.
fn tick(value: &Value<'_>) -> Result<Duration, Refusal> {
    match duration(value)? {
        tick if (1..=100).contains(&tick.as_millis()) && tick.subsec_nanos() % 1_000_000 == 0 => Ok(tick),
        _ => Err(Refusal::new(value.span(), "the tick is 1 to 100 whole milliseconds")
            .hint("write for example \"5 ms\"")),
    }
}

/// The `[run]` table that says `run`.
pub(super) fn write(out: &mut String, run: Run) {
    out.push_str("\n[run]\n");
    line(out, "time_limit", &duration_text(run.time_limit));
    line(out, "at_least", &duration_text(run.at_least));
    line(out, "tick", &duration_text(run.tick));
    number(out, "mtu", run.mtu);
    match run.cost {
        Cost::Short => {}
        Cost::Long => out.push_str("long = true\n"),
        Cost::About(time) => line(out, "long", &duration_text(time)),
    }
    run.max_connections.inspect(|&connections| number(out, "max_connections", connections));
}
