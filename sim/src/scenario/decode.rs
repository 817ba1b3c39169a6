//! From TOML to a [`Scenario`]: every key known, every value possible, no contradiction.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use proto::piece::{BLOCK_LEN, Geometry};
use toml::Spanned;
use toml::de::DeTable;

use super::fields::{
    Fields, Value, duration, nearest, rate, share, size, some_time, text, whole, within, word, wrong,
};
use super::quantity::size_text;
use super::source::{Refusal, Source};
use super::{
    Arrival, Departure, Families, Group, Link, MAX_CONTENT, MAX_HOLDINGS, MAX_PEERS, Role, Run, Scenario,
    ScenarioError, TRACKER, Torrent, clock, expect, fault, overrides, tracker,
};

const VERSION: u64 = 1;
const TOP: &[&str] =
    &["version", "name", "seed", "torrent", "tracker", "links", "peers", "faults", "run", "expect"];

impl Scenario {
    /// Reads a scenario: `text` from `file`, then `sets` (`key=value`) over it.
    pub fn parse(file: &str, text: &str, sets: &[String]) -> Result<Self, ScenarioError> {
        let mut source = Source::new(file, text);
        for set in sets {
            source.append(&overrides::as_toml(set));
        }
        decode(&source, file).map_err(|refusal| source.locate(refusal))
    }
}

fn decode(source: &Source, file: &str) -> Result<Scenario, Refusal> {
    let claim = claim(source)?;
    let mut table = DeTable::parse(source.file_text()).map_err(|error| Refusal::syntax(&error))?.into_inner();
    for set in source.sets() {
        let over = DeTable::parse(set).map_err(|error| {
            Refusal::syntax(&error).hint("write for example: --set torrent.size=\"4 MiB\"")
        })?;
        overrides::merge(&mut table, over.into_inner())?;
    }
    let top = Fields::open(&table, 0..0, "the scenario", TOP)?;
    top.required("version", version)?;
    let links = links(top.value("links"))?;
    let run = top.optional("run", run)?.unwrap_or_default();
    let tracker = tracker::decode(top.value("tracker"), &links)?;
    let scenario = Scenario {
        name: top.optional("name", text)?.unwrap_or_else(|| stem(file)),
        claim,
        seed: top.optional("seed", whole)?.unwrap_or(1),
        torrent: top.required("torrent", torrent)?,
        groups: groups(&top, &links, run.time_limit, tracker.family)?,
        tracker,
        faults: Vec::new(),
        run,
        expect: expect::decode(top.value("expect"))?,
        links,
    };
    holdings(&top, &scenario)?;
    let faults = top.tables("faults")?;
    let faults = faults.into_iter().map(|value| fault::decode(value, &scenario));
    let faults = faults.collect::<Result<_, _>>()?;
    Ok(Scenario { faults, ..scenario })
}

/// The first line, which must be a comment: one file makes one claim.
fn claim(source: &Source) -> Result<String, Refusal> {
    let first = source.text().lines().next().unwrap_or_default();
    match first.strip_prefix('#').map(str::trim) {
        Some(claim) if !claim.is_empty() => Ok(claim.to_owned()),
        Some(_) | None => {
            Err(Refusal::new(0..first.len(), "the first line must say what the scenario claims")
                .hint("write for example: # A hundred peers finish within twice the time of the bound."))
        }
    }
}

fn stem(file: &str) -> String {
    Path::new(file).file_stem().map_or_else(|| file.to_owned(), |stem| stem.to_string_lossy().into_owned())
}

fn version(value: &Value<'_>) -> Result<(), Refusal> {
    match whole(value)? {
        VERSION => Ok(()),
        other => Err(Refusal::new(
            value.span(),
            format!("version {other} is not known; this is version {VERSION}"),
        )),
    }
}

fn torrent(value: &Value<'_>) -> Result<Torrent, Refusal> {
    let fields = Fields::of(value, "[torrent]", &["size", "piece_length"])?;
    let bytes = fields.required("size", |value| match size(value)? {
        bytes if bytes <= MAX_CONTENT => Ok(bytes),
        _ => Err(Refusal::new(value.span(), format!("content is at most {}", size_text(MAX_CONTENT)))),
    })?;
    let piece_length = fields.required("piece_length", |value| {
        let piece_length = size(value)?;
        if !piece_length.is_power_of_two() || piece_length < u64::from(BLOCK_LEN) {
            return Err(Refusal::new(value.span(), "a piece length is a power of two, 16 KiB or more"));
        }
        let geometry = Geometry::new(bytes, piece_length);
        geometry.map_err(|error| Refusal::new(value.span(), error.to_string()))
    })?;
    Ok(Torrent { size: bytes, piece_length: piece_length.piece_len() })
}

/// The built-in link that a tracker has unless its scenario says otherwise.
pub(super) const SERVER: &str = "server";

/// Refuses swarms that would not fit into memory.
fn holdings(top: &Fields<'_>, scenario: &Scenario) -> Result<(), Refusal> {
    let pieces = scenario.torrent.size.div_ceil(u64::from(scenario.torrent.piece_length));
    let peers: u64 = scenario.groups.iter().map(|group| u64::from(group.count)).sum();
    if pieces * peers <= MAX_HOLDINGS {
        return Ok(());
    }
    let place = top.value("torrent").map_or(0..0, Spanned::span);
    let message = format!("{peers} peers with {pieces} pieces each are more than fit into memory");
    Err(Refusal::new(place, message).hint("make the pieces longer, or take fewer peers"))
}

/// Links that every scenario may use without describing them: what homes and servers typically have.
pub(super) fn builtin_links() -> BTreeMap<String, Link> {
    // Name, kbit/s up, kbit/s down, latency in ms, queue in kB, loss.
    const LINKS: [(&str, u64, u64, u64, u64, f64); 5] = [
        ("adsl", 1_000, 16_000, 25, 200, 0.0),
        ("cable", 20_000, 200_000, 10, 500, 0.0),
        ("fibre", 500_000, 500_000, 3, 2_000, 0.0),
        ("mobile", 10_000, 40_000, 40, 1_000, 0.005),
        (SERVER, 1_000_000, 1_000_000, 10, 4_000, 0.0),
    ];
    let link = |(name, up, down, latency, queue, loss): (&str, u64, u64, u64, u64, f64)| {
        let latency = Duration::from_millis(latency);
        (name.to_owned(), Link { up: up * 125, down: down * 125, latency, queue: queue * 1000, loss })
    };
    LINKS.into_iter().map(link).collect()
}

fn links(value: Option<&Value<'_>>) -> Result<BTreeMap<String, Link>, Refusal> {
    let mut links = builtin_links();
    let Some(value) = value else { return Ok(links) };
    let table = value.get_ref().as_table().ok_or_else(|| wrong(value, "tables, written as [links.NAME]"))?;
    for (name, value) in table {
        let place = format!("[links.{}]", name.get_ref());
        let fields = Fields::of(value, &place, &["up", "down", "latency", "queue", "loss"])?;
        // One of a built-in link's name begins as that; any other has to say all of it.
        let link = match links.get(name.get_ref().as_ref()) {
            Some(base) => Link {
                up: fields.optional("up", rate)?.unwrap_or(base.up),
                down: fields.optional("down", rate)?.unwrap_or(base.down),
                latency: fields.optional("latency", duration)?.unwrap_or(base.latency),
                queue: fields.optional("queue", size)?.unwrap_or(base.queue),
                loss: fields.optional("loss", loss)?.unwrap_or(base.loss),
            },
            None => Link {
                up: fields.required("up", rate)?,
                down: fields.required("down", rate)?,
                latency: fields.required("latency", duration)?,
                queue: fields.required("queue", size)?,
                loss: fields.optional("loss", loss)?.unwrap_or(0.0),
            },
        };
        links.insert(plain_name(name.get_ref(), name.span())?, link);
    }
    Ok(links)
}

fn loss(value: &Value<'_>) -> Result<f64, Refusal> {
    match share(value)? {
        loss if loss < 1.0 => Ok(loss),
        _ => Err(Refusal::new(value.span(), "a link that loses every packet is no link")),
    }
}

pub(super) fn family(value: &Value<'_>) -> Result<Families, Refusal> {
    word(value, &Families::WORDS)
}

pub(super) fn link_name(value: &Value<'_>, links: &BTreeMap<String, Link>) -> Result<String, Refusal> {
    let name = text(value)?;
    if links.contains_key(&name) {
        return Ok(name);
    }
    let refusal = Refusal::new(value.span(), format!("there is no link `{name}`"));
    Err(refusal.hint(nearest(&name, links.keys().map(String::as_str))))
}

/// Names stand in host names, TOML keys and file names.
fn plain_name(name: &str, span: std::ops::Range<usize>) -> Result<String, Refusal> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if !name.is_empty() && name.len() <= 40 && name.chars().all(plain) {
        Ok(name.to_owned())
    } else {
        Err(Refusal::new(span, "a name is 1 to 40 letters, digits, `-` and `_`"))
    }
}

fn groups(
    top: &Fields<'_>,
    links: &BTreeMap<String, Link>,
    time_limit: Duration,
    tracker: Families,
) -> Result<Vec<Group>, Refusal> {
    let mut names = BTreeSet::from([TRACKER.to_owned()]);
    let mut groups = Vec::new();
    for value in top.tables("peers")? {
        let group = group(value, links)?;
        if !group.family.meets(tracker) {
            let place = value.get_ref().get("family").unwrap_or(value).span();
            return Err(Refusal::new(place, format!("the tracker answers over {tracker} alone")));
        }
        if group.typical_last_arrival() >= time_limit {
            let place = value.get_ref().get("arrival").unwrap_or(value).span();
            return Err(Refusal::new(place, "the run is over before all have come (`time_limit` in [run])"));
        }
        let taken =
            (0..group.count).map(|index| group.peer_name(index)).find(|name| !names.insert(name.clone()));
        if let Some(name) = taken {
            return Err(Refusal::new(value.span(), format!("the name `{name}` is taken")));
        }
        if names.len() > MAX_PEERS + 1 {
            return Err(Refusal::new(value.span(), format!("more than {MAX_PEERS} peers")));
        }
        groups.push(group);
    }
    let has = |role| groups.iter().any(|group: &Group| group.role == role);
    let place = top.value("peers").map_or(0..0, Spanned::span);
    match (has(Role::Leecher), has(Role::Seeder)) {
        (true, true) => Ok(groups),
        (false, _) => Err(Refusal::new(place, "no [[peers]] with role = \"leecher\": nobody to watch")),
        (_, false) => Err(Refusal::new(place, "no [[peers]] with role = \"seeder\": nobody has the content")),
    }
}

fn group(value: &Value<'_>, links: &BTreeMap<String, Link>) -> Result<Group, Refusal> {
    const KEYS: &[&str] = &["name", "count", "role", "link", "family", "clock", "arrival", "departure"];
    const ROLES: [(&str, Role); 3] =
        [("seeder", Role::Seeder), ("leecher", Role::Leecher), ("announcer", Role::Announcer)];
    let fields = Fields::of(value, "[[peers]]", KEYS)?;
    let role = fields.required("role", |value| word(value, &ROLES))?;
    let default = match role {
        Role::Seeder => "seeder",
        Role::Leecher => "leecher",
        Role::Announcer => "announcer",
    };
    let name = fields.optional("name", |value| plain_name(&text(value)?, value.span()))?;
    Ok(Group {
        name: name.unwrap_or_else(|| default.to_owned()),
        count: fields.optional("count", |value| within(value, 1..=MAX_PEERS as u32))?.unwrap_or(1),
        role,
        link: fields.required("link", |value| link_name(value, links))?,
        clock: fields.optional("clock", clock::decode)?.unwrap_or_default(),
        family: fields.optional("family", family)?.unwrap_or(Families::V4),
        arrival: fields.optional("arrival", arrival)?.unwrap_or(Arrival::At(Duration::ZERO)),
        departure: fields.optional("departure", |value| departure(value, role))?.unwrap_or(Departure::Never),
    })
}

/// Reads a table with exactly one of `choices`.
fn choice<'a, T>(
    value: &'a Value<'a>,
    place: &str,
    choices: &'a [&'a str],
    make: impl Fn(&str, Duration) -> T,
) -> Result<T, Refusal> {
    let fields = Fields::of(value, place, choices)?;
    let present: Vec<_> = choices.iter().filter(|choice| fields.value(choice).is_some()).collect();
    match present[..] {
        [choice] => Ok(make(choice, fields.required(choice, duration)?)),
        _ => {
            Err(Refusal::new(fields.span(), format!("{place} needs exactly one of: {}", choices.join(", "))))
        }
    }
}

fn arrival(value: &Value<'_>) -> Result<Arrival, Refusal> {
    if value.get_ref().is_str() {
        return word(value, &[("at once", Arrival::At(Duration::ZERO))]).map_err(|refusal| {
            refusal.hint(
                "it can be \"at once\", { at = \"5 s\" }, { uniform = \"10 s\" } or { poisson = \"500 ms\" }",
            )
        });
    }
    choice(value, "arrival", &["at", "uniform", "poisson"], |choice, time| match choice {
        "uniform" => Arrival::Uniform(time),
        "poisson" => Arrival::Poisson(time),
        _ => Arrival::At(time),
    })
}

fn departure(value: &Value<'_>, role: Role) -> Result<Departure, Refusal> {
    const HINT: &str = "it can be \"never\", \"on completion\", { after_completion = \"30 s\" }, \
                        { after = \"90 s\" } or { exponential = \"90 s\" }";
    let departure = if value.get_ref().is_str() {
        let words =
            [("never", Departure::Never), ("on completion", Departure::AfterCompletion(Duration::ZERO))];
        word(value, &words).map_err(|refusal| refusal.hint(HINT))?
    } else {
        let choices = &["after", "after_completion", "exponential"];
        choice(value, "departure", choices, |choice, time| match choice {
            "after_completion" => Departure::AfterCompletion(time),
            "exponential" => Departure::Exponential(time),
            _ => Departure::AfterArrival(time),
        })?
    };
    match (departure, role) {
        (Departure::AfterCompletion(_), Role::Seeder | Role::Announcer) => {
            let message = match role {
                Role::Seeder | Role::Leecher => "a seeder is complete from the start",
                Role::Announcer => "an announcer never completes",
            };
            let refusal = Refusal::new(value.span(), message);
            Err(refusal.hint("say when it leaves: { after = \"90 s\" }"))
        }
        _ => Ok(departure),
    }
}

fn run(value: &Value<'_>) -> Result<Run, Refusal> {
    const KEYS: &[&str] = &["time_limit", "at_least", "tick", "mtu", "max_connections"];
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
        mtu: fields.optional("mtu", |value| within(value, 576..=65_535))?.unwrap_or(default.mtu),
        max_connections: fields.optional("max_connections", |value| within(value, 1..=1_000))?,
    })
}

/// tokio's timers have a resolution of 1 ms; beyond 100 ms no TCP behaves like itself.
fn tick(value: &Value<'_>) -> Result<Duration, Refusal> {
    match duration(value)? {
        tick if (1..=100).contains(&tick.as_millis()) && tick.subsec_nanos() % 1_000_000 == 0 => Ok(tick),
        _ => Err(Refusal::new(value.span(), "the tick is 1 to 100 whole milliseconds")),
    }
}
