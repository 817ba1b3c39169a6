//! Groups of peers that are alike: who they are, when they come and when they go.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

use proto::torrent::policy::Policies;
use toml::Spanned;

use super::decode::plain_name;
use super::fields::{Fields, Value, nearest, text, truth, within, word};
use super::quantity::duration_text;
use super::schema::{Key, Shape, may, needs, or};
use super::source::Refusal;
use super::write::line;
use super::{
    Arrival, Behaviour, Clock, Departure, Families, IT, Link, MAX_PEERS, Nat, PeerPlan, Policy, Regions,
    TRACKER, behaviour, clock, family, link, nat, policy, region, session, spread,
};
use crate::network::Spread;

/// What a peer starts with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Everything.
    Seeder,
    /// Nothing.
    Leecher,
    /// Nothing, and it never gets anything: it only announces, for a torrent of its own, as an engine would.
    Announcer,
    /// Nothing; it is no engine but a script, and not counted among the leechers.
    Hostile(Behaviour),
}

impl Role {
    /// Its name in scenarios; a hostile peer has none, and a behaviour instead.
    const WORDS: [(&str, Self); 3] =
        [("seeder", Self::Seeder), ("leecher", Self::Leecher), ("announcer", Self::Announcer)];

    /// It is an engine that takes part in the torrent, and keeps the rules.
    pub const fn is_honest(self) -> bool {
        matches!(self, Self::Seeder | Self::Leecher)
    }

    /// How it behaves if it is hostile.
    pub const fn behaviour(self) -> Option<Behaviour> {
        match self {
            Self::Hostile(behaviour) => Some(behaviour),
            Self::Seeder | Self::Leecher | Self::Announcer => None,
        }
    }

    /// What a group is called unless its author says otherwise.
    fn default_name(self) -> String {
        let words = Self::WORDS.iter().find(|(_, role)| *role == self).map(|(word, _)| *word);
        words.or(self.behaviour().map(Behaviour::word)).unwrap_or_default().replace(' ', "-")
    }
}

/// What a peer knows of the torrent when it starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// The torrent file.
    #[default]
    File,
    /// A magnet link: the rest comes from other peers (BEP 9).
    Magnet,
}

/// How they are called.
const STARTS: [(&str, Start); 2] = [("file", Start::File), ("magnet", Start::Magnet)];

/// The keys of a group, besides those of a [`Policy`].
const KEYS: &[Key] = &[
    may(
        "name",
        Shape::Name,
        "What they are called: leecher-1 to leecher-100 for a count of 100. If left out: the role.",
    ),
    or("1", "count", Shape::Whole(1, MAX_PEERS as u32), "How many."),
    may(
        "role",
        Shape::Word(|| Role::WORDS.iter().map(|(word, _)| *word).collect()),
        "What they start with: everything, nothing; an announcer only announces, a torrent of its own.",
    ),
    may(
        "behaviour",
        behaviour::SHAPE,
        "In place of a role: a hostile script, which is no engine and not counted among the leechers.",
    ),
    needs("link", Shape::Name, "Their access links: one of [links], or adsl, cable, fibre, mobile, server."),
    may(
        "latency",
        spread::SHAPE,
        "One way over their links, in place of the link's: a time, or a distribution from which each draws its own.",
    ),
    may("region", Shape::Name, "Where they are: one of [regions]. Who has none is next door to everybody."),
    may("nat", Shape::Name, "Behind such a box, one of [nats] (IPv4 only)."),
    or(
        "\"ipv4\"",
        "family",
        Shape::Word(family::words),
        "What they speak; no packet goes from one family to the other.",
    ),
    may("clock", clock::SHAPE, "How their hosts' clocks are wrong."),
    may("twin_of", Shape::Name, "A peer whose engine has the same seed, and so the same peer id."),
    may("select", Shape::Files, "The files that these leechers want, by number. If left out: all."),
    or("\"at once\"", "arrival", session::ARRIVAL, "When they come."),
    or("\"never\"", "departure", session::DEPARTURE, "When they go, by themselves and in good order."),
    or(
        "\"file\"",
        "start",
        Shape::Word(|| STARTS.iter().map(|(word, _)| *word).collect()),
        "What a leecher knows of the torrent: its file, or a magnet link and the rest from peers (BEP 9).",
    ),
    or("false", "super_seed", Shape::Truth, "Does a seeder show each peer one piece at a time (BEP 16)?"),
];

/// A member of [[peers]].
pub(super) const MEMBER: Shape = Shape::Member(&[KEYS, policy::KEYS], &[|| vec!["role", "behaviour"]]);

/// Peers that are alike.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// The name of a group of one; otherwise its peers are `name-1` to `name-count`.
    pub name: String,
    /// How many.
    pub count: u32,
    /// What they start with.
    pub role: Role,
    /// Their access link's name.
    pub link: String,
    /// One way over their links, each its own; the link's if absent.
    pub latency: Option<Spread>,
    /// Where they are.
    pub region: Option<String>,
    /// The kind of NAT box that they stand behind, by name.
    pub nat: Option<String>,
    /// Their hosts' clocks.
    pub clock: Clock,
    /// The families that they speak.
    pub family: Families,
    /// How they play.
    pub policy: Policy,
    /// The peer whose engine theirs are the twins of: with its seed, and so under its peer id.
    pub twin_of: Option<String>,
    /// The files that they want, from the first number to the last; nothing for all.
    pub select: Option<(u32, u32)>,
    /// When they come.
    pub arrival: Arrival,
    /// When they go.
    pub departure: Departure,
    /// What they know of the torrent.
    pub start: Start,
    /// Do they show each peer one piece at a time (BEP 16)?
    pub super_seed: bool,
}

impl Group {
    /// The name of the peer numbered `index`, from 0.
    pub fn peer_name(&self, index: u32) -> String {
        if self.count == 1 { self.name.clone() } else { format!("{}-{}", self.name, index + 1) }
    }
}

/// What peers may refer to, and the file that they stand in.
pub(super) struct Places<'a> {
    pub(super) links: &'a BTreeMap<String, Link>,
    pub(super) regions: &'a Regions,
    pub(super) nats: &'a BTreeMap<String, Nat>,
    pub(super) file: &'a str,
}

/// Names that no peer can have.
const RESERVED: [&str; 2] = [TRACKER, IT];

pub(super) fn decode(
    top: &Fields<'_>,
    places: &Places<'_>,
    time_limit: Duration,
    tracker: Families,
    (base, policies): (Policy, &Policies),
) -> Result<Vec<Group>, Refusal> {
    let mut names = BTreeSet::from(RESERVED.map(str::to_owned));
    let (mut groups, mut called) = (Vec::new(), BTreeSet::new());
    for value in top.tables("peers")? {
        let group = group(value, places, (base, policies))?;
        if !group.family.meets(tracker) {
            let place = value.get_ref().get("family").unwrap_or(value).span();
            return Err(Refusal::new(place, format!("the tracker answers over {tracker} alone")));
        }
        if group.nat.is_some() && group.family != Families::V4 {
            let place = value.get_ref().get("nat").unwrap_or(value).span();
            return Err(Refusal::new(place, "NAT is for peers of family = \"ipv4\" alone"));
        }
        if group.arrival.typical_last(group.count) >= time_limit {
            let place = value.get_ref().get("arrival").unwrap_or(value).span();
            return Err(Refusal::new(place, "the run is over before all have come (`time_limit` in [run])"));
        }
        let taken =
            (0..group.count).map(|index| group.peer_name(index)).find(|name| !names.insert(name.clone()));
        let taken = taken.or_else(|| called.replace(group.name.clone()).map(|_| group.name.clone()));
        if let Some(name) = taken {
            let place = value.get_ref().get("name").unwrap_or(value).span();
            let refusal = Refusal::new(place, format!("the name `{name}` is taken"));
            return Err(refusal
                .hint(format!("give these peers another, for example: name = \"other-{}\"", group.name)));
        }
        if names.len() > MAX_PEERS + RESERVED.len() {
            return Err(Refusal::new(value.span(), format!("more than {MAX_PEERS} peers")));
        }
        groups.push(group);
    }
    for (value, twin) in top.tables("peers")?.iter().zip(&groups) {
        if let Some(other) = twin
            .twin_of
            .as_ref()
            .filter(|other| RESERVED.contains(&other.as_str()) || !names.contains(*other))
        {
            let place = value.get_ref().get("twin_of").unwrap_or(value).span();
            let refusal = Refusal::new(place, format!("there is no peer `{other}`"));
            return Err(refusal.hint(nearest(other, names.iter().map(String::as_str))));
        }
    }
    let has = |role| groups.iter().any(|group: &Group| group.role == role);
    let place = top.value("peers").map_or(0..0, Spanned::span);
    match (has(Role::Leecher), has(Role::Seeder)) {
        (true, true) => Ok(groups),
        (false, _) => Err(Refusal::new(place, "no [[peers]] with role = \"leecher\": nobody to watch")),
        (_, false) => Err(Refusal::new(place, "no [[peers]] with role = \"seeder\": nobody has the content")),
    }
}

fn group(
    value: &Value<'_>,
    places: &Places<'_>,
    (base, policies): (Policy, &Policies),
) -> Result<Group, Refusal> {
    let keys = [KEYS, policy::KEYS].concat();
    let fields = Fields::of(value, "[[peers]]", &keys)?;
    let role = role(&fields)?;
    let name = fields.optional("name", |value| plain_name(&text(value)?, value.span()))?;
    let only = |key: &str, wanted: Role, message: &str| {
        let place = fields.value(key).filter(|_| role != wanted);
        place.map_or(Ok(()), |place| Err(Refusal::new(place.span(), message)))
    };
    only("start", Role::Leecher, "only a leecher can start from a magnet link")?;
    only("super_seed", Role::Seeder, "only a seeder can super-seed")?;
    let count = fields.optional("count", |value| within(value, 1..=MAX_PEERS as u32))?.unwrap_or(1);
    let arrival = fields.optional("arrival", |value| session::arrival(value, count, places.file));
    Ok(Group {
        name: name.unwrap_or_else(|| role.default_name()),
        count,
        role,
        link: fields
            .required("link", |value| link::name(value, places.links))
            .map_err(|refusal| refusal.or_hint("write for example: link = \"cable\""))?,
        latency: fields.optional("latency", spread::decode)?,
        region: fields.optional("region", |value| region::name(value, places.regions))?,
        nat: fields.optional("nat", |value| nat::name(value, places.nats))?,
        clock: fields.optional("clock", clock::decode)?.unwrap_or_default(),
        family: fields.optional("family", family::decode)?.unwrap_or(Families::V4),
        policy: policy::decode(&fields, policies)?.over(base),
        twin_of: fields.optional("twin_of", text)?,
        select: fields.optional("select", |value| select(value, role))?,
        arrival: arrival?.unwrap_or(Arrival::At(Duration::ZERO)),
        departure: fields
            .optional("departure", |value| session::departure(value, role))?
            .unwrap_or(Departure::Never),
        start: fields.optional("start", |value| word(value, &STARTS))?.unwrap_or_default(),
        super_seed: fields.optional("super_seed", truth)?.unwrap_or(false),
    })
}

/// What a peer is: an engine in its role, or a script in its place.
fn role(fields: &Fields<'_>) -> Result<Role, Refusal> {
    match (fields.value("role"), fields.value("behaviour")) {
        (Some(_), Some(behaviour)) => {
            let refusal = Refusal::new(behaviour.span(), "a peer has a `role` or a `behaviour`, not both");
            Err(refusal.hint("who behaves is a script and no engine: leave its `role` out"))
        }
        (None, Some(value)) => behaviour::decode(value).map(Role::Hostile),
        (_, None) => fields.required("role", |value| word(value, &Role::WORDS)),
    }
}

/// Reads a range of files, such as `"0-99"`.
fn select(value: &Value<'_>, role: Role) -> Result<(u32, u32), Refusal> {
    if role != Role::Leecher {
        return Err(Refusal::new(value.span(), "only leechers choose what they want"));
    }
    let range = text(value)?;
    let bounds =
        range.split_once('-').and_then(|(first, last)| Some((first.parse().ok()?, last.parse().ok()?)));
    bounds.filter(|(first, last)| first <= last).ok_or_else(|| {
        Refusal::new(value.span(), "not a range of files").hint("write numbers from 0 on, such as \"0-99\"")
    })
}

pub(super) fn write(out: &mut String, peer: &PeerPlan) {
    out.push_str("\n[[peers]]\n");
    line(out, "name", &peer.name);
    match Role::WORDS.iter().find(|(_, role)| *role == peer.role) {
        Some((word, _)) => line(out, "role", word),
        None => peer.role.behaviour().into_iter().for_each(|behaviour| {
            let _ = writeln!(out, "behaviour = {behaviour}");
        }),
    }
    line(out, "link", &peer.link);
    peer.latency.iter().for_each(|&latency| line(out, "latency", &duration_text(latency)));
    peer.region.iter().for_each(|region| line(out, "region", region));
    peer.nat.iter().for_each(|place| line(out, "nat", &place.name));
    line(out, "family", &peer.family.to_string());
    clock::write(peer.clock).inspect(|clock| out.push_str(clock));
    policy::write(out, peer.policy);
    if peer.start == Start::Magnet {
        line(out, "start", "magnet");
    }
    if peer.super_seed {
        out.push_str("super_seed = true\n");
    }
    peer.twin_of.iter().for_each(|other| line(out, "twin_of", other));
    if let Some((first, last)) = peer.select {
        let _ = writeln!(out, "select = \"{first}-{last}\"");
    }
    let _ = writeln!(out, "arrival = {{ at = \"{}\" }}", duration_text(peer.arrival));
    session::departure_text(peer.departure).inspect(|line| out.push_str(line));
}
