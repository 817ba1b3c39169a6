//! The tracker of a scenario: its settings, its host and what that host can do.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use super::fields::{Fields, Value, size, some_time, truth, within};
use super::link::{self, SERVER};
use super::quantity::{duration_text, size_text};
use super::schema::{Key, Shape, may, or};
use super::source::Refusal;
use super::{Clock, Families, Link, Regions, clock, family, region};

/// The tracker's settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tracker {
    /// The announce interval that it asks for; its own default if absent.
    pub interval: Option<Duration>,
    /// Peers of one reply at the most; its own default if absent.
    pub peers: Option<u32>,
    /// Its access link's name.
    pub link: String,
    /// Where it is.
    pub region: Option<String>,
    /// The families over which it answers.
    pub family: Families,
    /// What its host takes for a datagram and the reply; no time if absent.
    pub service_time: Option<Duration>,
    /// Bytes that its sockets hold unread, overhead included; without limit if absent.
    pub socket_buffer: Option<u64>,
    /// Its host's clocks.
    pub clock: Clock,
    /// Does it shed load when it cannot keep up?
    pub shedding: bool,
}

/// The keys.
pub(super) const KEYS: &[Key] = &[
    may(
        "interval",
        Shape::Time,
        "How often peers are asked to announce. If left out: the tracker's default.",
    ),
    may(
        "peers",
        Shape::Whole(1, MAX_NAMED),
        "Peers of one reply at the most. If left out: the tracker's default.",
    ),
    or("\"server\"", "link", Shape::Name, "Its access link: one of [links], or built in."),
    may("region", Shape::Name, "Where it is: one of [regions]."),
    or(
        "\"dual\"",
        "family",
        Shape::Word(family::words),
        "Over which it answers, and which addresses its name has.",
    ),
    may(
        "service_time",
        Shape::Time,
        "What its host takes for a datagram and the reply, half each. If left out: no time at all.",
    ),
    may(
        "socket_buffer",
        Shape::Size,
        "Bytes of datagrams that may wait to be read; each costs its payload and 670 bytes. If left out: no limit.",
    ),
    may("clock", clock::SHAPE, "How its host's clocks are wrong."),
    or("true", "shedding", Shape::Truth, "Does it shed load when it cannot keep up?"),
];

/// Peers of one reply at the most: more do not fit into a datagram.
const MAX_NAMED: u32 = 1_000;

pub(super) fn decode(
    value: Option<&Value<'_>>,
    links: &BTreeMap<String, Link>,
    regions: &Regions,
) -> Result<Tracker, Refusal> {
    let default = Tracker {
        interval: None,
        peers: None,
        link: SERVER.to_owned(),
        region: None,
        family: Families::Dual,
        service_time: None,
        socket_buffer: None,
        clock: Clock::default(),
        shedding: true,
    };
    let Some(value) = value else { return Ok(default) };
    let fields = Fields::of(value, "[tracker]", KEYS)?;
    Ok(Tracker {
        interval: fields.optional("interval", some_time)?,
        peers: fields.optional("peers", |value| within(value, 1..=MAX_NAMED))?,
        link: fields.optional("link", |value| link::name(value, links))?.unwrap_or(default.link),
        region: fields.optional("region", |value| region::name(value, regions))?,
        family: fields.optional("family", family::decode)?.unwrap_or(default.family),
        service_time: fields.optional("service_time", some_time)?,
        socket_buffer: fields.optional("socket_buffer", size)?,
        clock: fields.optional("clock", clock::decode)?.unwrap_or_default(),
        shedding: fields.optional("shedding", truth)?.unwrap_or(default.shedding),
    })
}

/// The `[tracker]` table that says `tracker`.
pub(super) fn write(tracker: &Tracker) -> String {
    let mut out = "\n[tracker]\n".to_owned();
    let mut line = |key: &str, value: String| {
        let _ = writeln!(out, "{key} = {value}");
    };
    let quoted = |text: String| format!("{text:?}");
    tracker.interval.inspect(|&interval| line("interval", quoted(duration_text(interval))));
    tracker.peers.inspect(|&peers| line("peers", peers.to_string()));
    line("link", quoted(tracker.link.clone()));
    tracker.region.iter().for_each(|region| line("region", quoted(region.clone())));
    line("family", quoted(tracker.family.to_string()));
    tracker.service_time.inspect(|&time| line("service_time", quoted(duration_text(time))));
    tracker.socket_buffer.inspect(|&bytes| line("socket_buffer", quoted(size_text(bytes))));
    if !tracker.shedding {
        line("shedding", "false".to_owned());
    }
    out + &clock::write(tracker.clock).unwrap_or_default()
}
