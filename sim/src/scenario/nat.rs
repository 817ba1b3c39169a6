//! NAT boxes: `[nats.NAME]`, and which peers stand behind which of them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use super::MAX_PEERS;
use super::decode::plain_name;
use super::fields::{Fields, Value, nearest, some_time, text, truth, within, word, wrong};
use super::quantity::duration_text;
use super::schema::{Key, Shape, needs, or};
use super::source::Refusal;
use super::write::{line, number};
use crate::network::NatKind;

/// How long a silent UDP mapping lives: no box may end it sooner (RFC 4787, REQ-5), and many end it then.
const MAPPING_TIMEOUT: Duration = Duration::from_secs(120);

const KINDS: [(&str, NatKind); 4] = [
    ("full cone", NatKind::FullCone),
    ("restricted", NatKind::Restricted),
    ("port-restricted", NatKind::PortRestricted),
    ("symmetric", NatKind::Symmetric),
];

/// The keys.
pub(super) const KEYS: &[Key] = &[
    needs("kind", Shape::Word(kinds), "How it maps and filters (RFC 3489's names)."),
    or("\"2 min\"", "timeout", Shape::Time, "A UDP mapping ends after so long without a packet from inside."),
    or(
        "false",
        "hairpin",
        Shape::Truth,
        "Do those behind one box reach each other through its public address?",
    ),
    or(
        "false",
        "forward",
        Shape::Truth,
        "Does it let everybody in at the port where a peer listens (as UPnP asks for)?",
    ),
    or(
        "1",
        "peers",
        Shape::Whole(1, MAX_PEERS as u32),
        "How many share one box and its address, in the order of the file.",
    ),
];

fn kinds() -> Vec<&'static str> {
    KINDS.iter().map(|(word, _)| *word).collect()
}

/// A kind of NAT box.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nat {
    /// How it maps and filters.
    pub kind: NatKind,
    /// A UDP mapping ends after so long without a packet from inside.
    pub timeout: Duration,
    /// Do those behind one box reach each other through its public address?
    pub hairpin: bool,
    /// Does it let everybody in at the port where a peer listens, as if `UPnP` had asked for it?
    pub forward: bool,
    /// Peers behind one box, in the order of the file: they share its address.
    pub peers: u32,
}

/// Where a peer stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NatPlace {
    /// The box's kind, by name.
    pub name: String,
    /// Which of all boxes, from 0.
    pub number: u32,
    /// Which of the peers behind it, from 0.
    pub seat: u32,
}

/// Gives out places behind boxes, in the order of the peers.
pub(super) struct Places<'a> {
    nats: &'a BTreeMap<String, Nat>,
    boxes: u32,
    /// For each kind its last box, and how many stand behind that.
    last: BTreeMap<&'a str, (u32, u32)>,
}

impl<'a> Places<'a> {
    pub(super) const fn new(nats: &'a BTreeMap<String, Nat>) -> Self {
        Self { nats, boxes: 0, last: BTreeMap::new() }
    }

    /// The next place behind a box of this kind.
    pub(super) fn next(&mut self, name: &str) -> Option<NatPlace> {
        let (name, nat) = self.nats.get_key_value(name)?;
        let (number, seat) = match self.last.get(name.as_str()) {
            Some(&(number, filled)) if filled < nat.peers => (number, filled),
            Some(_) | None => {
                self.boxes += 1;
                (self.boxes - 1, 0)
            }
        };
        self.last.insert(name, (number, seat + 1));
        Some(NatPlace { name: name.clone(), number, seat })
    }
}

pub(super) fn decode(value: Option<&Value<'_>>) -> Result<BTreeMap<String, Nat>, Refusal> {
    let mut nats = BTreeMap::new();
    let Some(value) = value else { return Ok(nats) };
    let table = value.get_ref().as_table().ok_or_else(|| wrong(value, "tables, written as [nats.NAME]"))?;
    for (name, value) in table {
        let fields = Fields::of(value, &format!("[nats.{}]", name.get_ref()), KEYS)?;
        let nat = Nat {
            kind: fields.required("kind", |value| word(value, &KINDS))?,
            timeout: fields.optional("timeout", some_time)?.unwrap_or(MAPPING_TIMEOUT),
            hairpin: fields.optional("hairpin", truth)?.unwrap_or(false),
            forward: fields.optional("forward", truth)?.unwrap_or(false),
            peers: fields.optional("peers", |value| within(value, 1..=MAX_PEERS as u32))?.unwrap_or(1),
        };
        nats.insert(plain_name(name.get_ref(), name.span())?, nat);
    }
    Ok(nats)
}

pub(super) fn name(value: &Value<'_>, nats: &BTreeMap<String, Nat>) -> Result<String, Refusal> {
    let name = text(value)?;
    if nats.contains_key(&name) {
        return Ok(name);
    }
    let refusal = Refusal::new(value.span(), format!("there is no NAT box `{name}`"));
    Err(refusal.hint(match nats.len() {
        0 => format!("describe it: [nats.{name}] with kind = \"port-restricted\""),
        _ => nearest(&name, nats.keys().map(String::as_str)),
    }))
}

pub(super) fn write(out: &mut String, name: &str, nat: &Nat) {
    let _ = writeln!(out, "\n[nats.{name}]");
    let kind = KINDS.iter().find(|(_, kind)| *kind == nat.kind).map_or("", |(word, _)| word);
    line(out, "kind", kind);
    line(out, "timeout", &duration_text(nat.timeout));
    let _ = writeln!(out, "hairpin = {}\nforward = {}", nat.hairpin, nat.forward);
    number(out, "peers", nat.peers);
}

#[cfg(test)]
mod tests {
    use super::super::Scenario;

    const HOMES: &str = "# Six homes fetch from one.
version = 1
[torrent]
size = \"1 MiB\"
piece_length = \"256 KiB\"
[nats.flat]
kind = \"port-restricted\"
timeout = \"30 s\"
peers = 2
[nats.carrier]
kind = \"symmetric\"
hairpin = true
forward = true
[[peers]]
role = \"seeder\"
link = \"server\"
[[peers]]
name = \"home\"
count = 3
role = \"leecher\"
link = \"adsl\"
nat = \"flat\"
[[peers]]
name = \"mobile\"
role = \"leecher\"
link = \"mobile\"
nat = \"carrier\"
[[peers]]
name = \"late\"
role = \"leecher\"
link = \"adsl\"
nat = \"flat\"
";

    fn parse(text: &str) -> Result<Scenario, String> {
        Scenario::parse("homes.toml", text, &[]).map_err(|error| error.to_string())
    }

    #[test]
    fn boxes_fill_in_the_order_of_the_file() {
        let plan = parse(HOMES).expect("valid").expand(1);
        let place = |peer: &super::super::PeerPlan| {
            let place = peer.nat.as_ref()?;
            Some((place.number, place.seat))
        };
        let places: Vec<_> = plan.peers.iter().map(place).collect();
        let both = [None, Some((0, 0)), Some((0, 1)), Some((1, 0)), Some((2, 0)), Some((1, 1))];
        assert_eq!(places, both);
        let open: Vec<_> = plan.peers.iter().map(|peer| plan.is_open(peer)).collect();
        assert_eq!(open, [true, false, false, false, true, false], "a forwarded port is an open one");
        let again = parse(&plan.to_toml()).expect("the plan is a valid scenario");
        assert_eq!(again.expand(1), plan);
    }

    #[test]
    fn a_box_that_is_not_there_and_a_family_without_boxes_are_refused() {
        let wrong = parse(&HOMES.replace("nat = \"carrier\"", "nat = \"carier\"")).unwrap_err();
        assert!(wrong.contains("there is no NAT box `carier`"), "{wrong}");
        assert!(wrong.contains("did you mean \"carrier\"?"), "{wrong}");
        let wrong = parse(&HOMES.replace("name = \"late\"", "family = \"dual\"")).unwrap_err();
        assert!(wrong.contains("NAT is for peers of family = \"ipv4\" alone"), "{wrong}");
        let wrong = parse(&HOMES.replace("\"symmetric\"", "\"symetric\"")).unwrap_err();
        assert!(wrong.contains("did you mean \"symmetric\"?"), "{wrong}");
    }
}
