//! Regions: how long it takes from one part of the world to another, beyond the access links.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use super::decode::plain_name;
use super::fields::{Fields, Value, duration, nearest, text, wrong};
use super::quantity::duration_text;
use super::source::Refusal;

/// Regions at the most: every pair has to be written down.
const MAX_REGIONS: usize = 64;

/// Regions by name, with the latency from each to each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Regions(BTreeMap<String, BTreeMap<String, Duration>>);

impl Regions {
    /// The place of a region among all, in the order of their names.
    pub fn number(&self, name: &str) -> Option<usize> {
        self.0.keys().position(|region| region == name)
    }

    /// The latencies from each region to each, one way.
    pub fn matrix(&self) -> Vec<Vec<Duration>> {
        self.0.values().map(|row| row.values().copied().collect()).collect()
    }
}

/// Reads `[regions.NAME]` tables. What is said of one way holds for the other too, unless that is said as well.
pub(super) fn decode(value: Option<&Value<'_>>) -> Result<Regions, Refusal> {
    let Some(value) = value else { return Ok(Regions::default()) };
    let table =
        value.get_ref().as_table().ok_or_else(|| wrong(value, "tables, written as [regions.NAME]"))?;
    let names: Vec<_> = table.keys().map(|name| name.get_ref().as_ref()).collect();
    if names.len() > MAX_REGIONS {
        return Err(Refusal::new(value.span(), format!("more than {MAX_REGIONS} regions")));
    }
    let mut said = BTreeMap::new();
    for (from, value) in table {
        plain_name(from.get_ref(), from.span())?;
        let fields = Fields::of(value, &format!("[regions.{}]", from.get_ref()), &names)?;
        for to in &names {
            if let Some(latency) = fields.optional(to, duration)? {
                said.insert((from.get_ref().as_ref(), *to), latency);
            }
        }
    }
    let mut regions: BTreeMap<String, BTreeMap<String, Duration>> = BTreeMap::new();
    for (from, value) in table {
        for to in &names {
            let from = from.get_ref().as_ref();
            let latency = said.get(&(from, *to)).or_else(|| said.get(&(*to, from))).ok_or_else(|| {
                let refusal = Refusal::new(value.span(), format!("[regions.{from}] lacks the way to `{to}`"));
                refusal.hint(format!("write for example: {to} = \"40 ms\""))
            })?;
            regions.entry(from.to_owned()).or_default().insert((*to).to_owned(), *latency);
        }
    }
    Ok(Regions(regions))
}

/// Reads where somebody is.
pub(super) fn name(value: &Value<'_>, regions: &Regions) -> Result<String, Refusal> {
    let name = text(value)?;
    if regions.0.contains_key(&name) {
        return Ok(name);
    }
    let refusal = Refusal::new(value.span(), format!("there is no region `{name}`"));
    Err(refusal.hint(match regions.0.len() {
        0 => format!("describe it: [regions.{name}] with {name} = \"5 ms\""),
        _ => nearest(&name, regions.0.keys().map(String::as_str)),
    }))
}

/// The tables that say it.
pub(super) fn write(out: &mut String, regions: &Regions) {
    for (from, row) in &regions.0 {
        let _ = writeln!(out, "\n[regions.{from}]");
        for (to, latency) in row {
            let _ = writeln!(out, "{to} = \"{}\"", duration_text(*latency));
        }
    }
}
