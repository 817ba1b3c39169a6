//! From TOML to a [`Scenario`]: every key known, every value possible, no contradiction.

use std::path::Path;

use proto::torrent::policy::Policies;
use toml::Spanned;
use toml::de::DeTable;

use super::fields::{Fields, Value, text, whole};
use super::layers::{self, Layer};
use super::schema::{Key, Shape, may, needs, or};
use super::source::{Refusal, Source};
use super::{
    MAX_HOLDINGS, Scenario, ScenarioError, expect, fault, group, inherit, link, nat, net_fault, overrides,
    policy, region, roughness, run, torrent, tracker,
};

pub(super) const VERSION: u64 = 1;

/// The keys of a scenario.
pub(super) const TOP: &[Key] = &[
    needs("version", Shape::Whole(1, 1), "The version of this language: 1."),
    may("extends", Shape::Text, "A scenario beside this one: what is not said here is as it is there."),
    may(
        "without",
        Shape::List(&Shape::Text),
        "What the other scenario has and this one has not, such as \"expect.efficiency\", \"peers.visitor\" or \"faults.2\".",
    ),
    may("name", Shape::Text, "What the report calls it. If left out: the file's name."),
    or("1", "seed", Shape::Natural, "What is drawn is drawn from this, unless `--seed` says another."),
    needs("torrent", Shape::Table(&[torrent::KEYS, policy::KEYS]), "What is shared, and how all peers play."),
    may("tracker", Shape::Table(&[tracker::KEYS]), "The tracker and its host."),
    may(
        "links",
        Shape::Named(&Shape::Table(&[link::KEYS, roughness::KEYS]), || {
            link::builtin_links().into_keys().collect()
        }),
        "Access links. Of a built-in one's name, only what differs has to be said.",
    ),
    may(
        "regions",
        Shape::Named(&Shape::Named(&Shape::Time, Vec::new), Vec::new),
        "Parts of the world: how long it takes one way from each to each, beyond the links. One way said is both said.",
    ),
    may(
        "nats",
        Shape::Named(&Shape::Table(&[nat::KEYS]), Vec::new),
        "NAT boxes that peers may stand behind.",
    ),
    needs("peers", Shape::List(&group::MEMBER), "Groups of peers that are alike."),
    may("faults", Shape::List(&fault::MEMBER), "What goes wrong."),
    may("run", Shape::Table(&[run::KEYS]), "How it is run."),
    may("expect", Shape::Table(&[expect::KEYS]), "What must come out."),
];

impl Scenario {
    /// Reads a scenario: `text` from `file`, then `sets` (`key=value`) over it.
    pub fn parse(file: &str, text: &str, sets: &[String]) -> Result<Self, ScenarioError> {
        Self::parse_with(file, text, sets, &Policies::shipped())
    }

    /// The same, where these policies can be named.
    pub fn parse_with(
        file: &str,
        text: &str,
        sets: &[String],
        policies: &Policies,
    ) -> Result<Self, ScenarioError> {
        let mut source = Source::new(file, text);
        let extends = inherit::collect(&mut source, file).map_err(|refusal| source.locate(refusal))?;
        for set in sets {
            source.append(&overrides::as_toml(set));
        }
        let scenario = decode(&source, file, policies).map_err(|refusal| source.locate(refusal))?;
        Ok(Self { extends, ..scenario })
    }
}

fn decode(source: &Source, file: &str, policies: &Policies) -> Result<Scenario, Refusal> {
    let claim = claim(source)?;
    let mut table = inherit::merged(source, versioned)?;
    for set in source.sets() {
        let over = DeTable::parse(set).map_err(|error| {
            Refusal::syntax(&error).hint("write for example: --set torrent.size=\"4 MiB\"")
        })?;
        layers::lay(&mut table, over.into_inner(), Layer::Set)?;
    }
    let top = Fields::open(&table, 0..0, "the scenario", TOP)?;
    let links = link::decode(top.value("links"))?;
    let regions = region::decode(top.value("regions"))?;
    let nats = nat::decode(top.value("nats"))?;
    let run = top.optional("run", run::decode)?.unwrap_or_default();
    link::fit(top.value("links"), &links, run.mtu)?;
    let tracker = tracker::decode(top.value("tracker"), &links, &regions)?;
    let torrent = top.required("torrent", |value| torrent::decode(value, policies));
    let (torrent, policy) = torrent.map_err(|refusal| match top.value("torrent") {
        Some(value) if value.get_ref().is_table() => refusal,
        Some(_) | None => refusal.or_hint(torrent::EXAMPLE),
    })?;
    let places = group::Places { links: &links, regions: &regions, nats: &nats, file };
    let scenario = Scenario {
        name: top.optional("name", text)?.unwrap_or_else(|| stem(file)),
        claim,
        extends: Vec::new(),
        seed: top.optional("seed", whole)?.unwrap_or(1),
        torrent,
        groups: group::decode(&top, &places, run.time_limit, tracker.family, (policy, policies))?,
        tracker,
        faults: Vec::new(),
        net_faults: Vec::new(),
        run,
        expect: expect::decode(top.value("expect"))?,
        links,
        regions,
        nats,
    };
    holdings(&top, &scenario)?;
    let faults = top.tables("faults")?;
    let (net, hosts): (Vec<_>, Vec<_>) = faults.into_iter().partition(|value| net_fault::is_one(value));
    let faults = hosts.into_iter().map(|value| fault::decode(value, &scenario)).collect::<Result<_, _>>()?;
    let net_faults = net.into_iter().map(|value| net_fault::decode(value, &scenario));
    let net_faults = net_faults.collect::<Result<_, _>>()?;
    Ok(Scenario { faults, net_faults, ..scenario })
}

/// Each of the files says which version of the language it is written in.
fn versioned(table: &DeTable<'_>, start: std::ops::Range<usize>) -> Result<(), Refusal> {
    let lacks = || Refusal::new(start, "the scenario lacks its `version`").hint("write: version = 1");
    version(table.get("version").ok_or_else(lacks)?)
}

/// The first line, which must be a comment: one file makes one claim.
fn claim(source: &Source) -> Result<String, Refusal> {
    // What is written for editors, such as `#:schema ./schema.json`, says nothing.
    let mut lines = source.text().lines();
    let first = lines.find(|line| !line.starts_with("#:")).unwrap_or_default();
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
        )
        .hint("write: version = 1")),
    }
}

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

/// Names stand in host names, TOML keys and file names.
pub(super) fn plain_name(name: &str, span: std::ops::Range<usize>) -> Result<String, Refusal> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if !name.is_empty() && name.len() <= 40 && name.chars().all(plain) {
        Ok(name.to_owned())
    } else {
        let refusal = Refusal::new(span, "a name is 1 to 40 letters, digits, `-` and `_`");
        let meant: String = name.chars().map(|c| if plain(c) { c } else { '-' }).take(40).collect();
        Err(if meant.is_empty() { refusal } else { refusal.hint(format!("write for example \"{meant}\"")) })
    }
}
