//! What goes wrong with the network for a while: `[[faults]]` that befall links and paths, not hosts.

use std::fmt::Write as _;
use std::time::Duration;

use toml::de::DeValue;

use super::fault::{self, one_target};
use super::fields::{Fields, Value, nearest, some_time, text, truth, within};
use super::moment::{self, Moment, Trigger};
use super::quantity::duration_text;
use super::schema::{Key, may};
use super::source::Refusal;
use super::{IT, Scenario, Target};

/// The keys of these faults, each with whom it befalls.
pub(super) const KINDS: &[Key] = &[
    may("partition", fault::HOSTS, "They and everybody else do not reach each other, for a while."),
    may("stall", fault::HOSTS, "Nothing goes on from or to their links for a while, then all of it at once."),
    may("black_hole", fault::HOSTS, "Their connections open, and nothing passes on them, for a while."),
    may("dns_fails", fault::HOSTS, "They cannot look up names for a while."),
    may("degrade", fault::HOSTS, "They have another link for a while, no faster than their own."),
];

/// What goes wrong; `W` is how hosts are called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NetFaultKind<W> {
    /// They and the others do not reach each other.
    Partition {
        /// Who the others are; everybody else if absent.
        from: Option<Vec<W>>,
        /// Only what they send is lost.
        one_way: bool,
    },
    /// Nothing passes their links; then all of it comes at once.
    Stall,
    /// Connections of theirs open, and nothing passes on them.
    BlackHole,
    /// They cannot look up names.
    DnsFails,
    /// They have this worse link.
    Degrade(String),
}

/// Something wrong with the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetFault {
    /// When.
    pub moment: Moment,
    /// For how long.
    pub lasts: Duration,
    /// What.
    pub kind: NetFaultKind<String>,
    /// Peers, groups, or the tracker.
    pub targets: Vec<String>,
    /// So many random ones of the group; all if absent.
    pub count: Option<u32>,
}

/// The same, drawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetFaultPlan {
    /// When; once it has come if that depends on something.
    pub at: Duration,
    /// On what.
    pub when: Option<Trigger>,
    /// For how long.
    pub lasts: Duration,
    /// What.
    pub kind: NetFaultKind<Target>,
    /// To whom.
    pub targets: Vec<Target>,
}

impl<W> NetFaultKind<W> {
    /// Its key in a scenario.
    pub const fn key(&self) -> &'static str {
        match self {
            Self::Partition { .. } => "partition",
            Self::Stall => "stall",
            Self::BlackHole => "black_hole",
            Self::DnsFails => "dns_fails",
            Self::Degrade(_) => "degrade",
        }
    }

    /// The same with hosts called otherwise.
    pub(crate) fn map<V>(&self, all: impl Fn(&[W]) -> Vec<V>) -> NetFaultKind<V> {
        match self {
            Self::Partition { from, one_way } => {
                NetFaultKind::Partition { from: from.as_deref().map(all), one_way: *one_way }
            }
            Self::Stall => NetFaultKind::Stall,
            Self::BlackHole => NetFaultKind::BlackHole,
            Self::DnsFails => NetFaultKind::DnsFails,
            Self::Degrade(link) => NetFaultKind::Degrade(link.clone()),
        }
    }
}

impl NetFaultPlan {
    /// The same where hosts have other places, if it can still come.
    pub(crate) fn moved(&self, place: impl Fn(Target) -> Option<Target>) -> Option<Self> {
        let when = match self.when {
            Some(when) => Some(when.moved(&place)?),
            None => None,
        };
        let all = |targets: &[Target]| targets.iter().filter_map(|&target| place(target)).collect::<Vec<_>>();
        Some(Self { when, kind: self.kind.map(all), targets: all(&self.targets), ..self.clone() })
    }
}

/// Is this member of `[[faults]]` one of these?
pub(super) fn is_one(value: &Value<'_>) -> bool {
    KINDS.iter().any(|key| value.get_ref().get(key.name).is_some())
}

pub(super) fn decode(value: &Value<'_>, scenario: &Scenario) -> Result<NetFault, Refusal> {
    let keys = fault::TABLES.concat();
    let fields = Fields::of(value, "[[faults]]", &keys)?;
    let key = fault::only_kind(&fields)?;
    if let Some(other) = ["by", "latency", "pieces"].into_iter().find_map(|key| fields.value(key)) {
        return Err(Refusal::new(other.span(), format!("it has nothing to do with `{key}`")));
    }
    let lasts = fields.required("for", some_time)?;
    let moment = Moment::decode(&fields, scenario, Some(lasts))?;
    let targets = fields.required(key, |value| match fault::it(value, moment)? {
        Some(it) => Ok(vec![it]),
        None => names(value, scenario),
    })?;
    let only = |key: &str, place: &str| {
        let value = fields.value(key);
        value.map_or(Ok(()), |value| Err(Refusal::new(value.span(), format!("only {place} has a `{key}`"))))
    };
    if key != "partition" {
        only("from", "a `partition`")?;
        only("one_way", "a `partition`")?;
    }
    if key != "degrade" {
        only("to", "`degrade`")?;
    }
    let kind = match key {
        "partition" => NetFaultKind::Partition {
            from: fields.optional("from", |value| names(value, scenario))?,
            one_way: fields.optional("one_way", truth)?.unwrap_or(false),
        },
        "stall" => NetFaultKind::Stall,
        "black_hole" => NetFaultKind::BlackHole,
        "dns_fails" => NetFaultKind::DnsFails,
        _ => NetFaultKind::Degrade(fields.required("to", |value| worse(value, &targets, scenario))?),
    };
    let count = fields.optional("count", |value| match &targets[..] {
        [name] => within(value, 1..=fault::size(name, moment, scenario)),
        _ => Err(Refusal::new(value.span(), "so many of which of them?")),
    })?;
    Ok(NetFault { moment, lasts, kind, targets, count })
}

/// Reads one name, or a list of them.
pub(super) fn names(value: &Value<'_>, scenario: &Scenario) -> Result<Vec<String>, Refusal> {
    match value.get_ref() {
        DeValue::Array(members) => members.iter().map(|member| one_target(member, scenario)).collect(),
        DeValue::String(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_)
        | DeValue::Integer(_)
        | DeValue::Float(_)
        | DeValue::Table(_) => Ok(vec![one_target(value, scenario)?]),
    }
}

/// Reads a link that is no faster than those which `targets` have: the lower bounds count on that.
fn worse(value: &Value<'_>, targets: &[String], scenario: &Scenario) -> Result<String, Refusal> {
    let name = text(value)?;
    let Some(link) = scenario.links.get(&name) else {
        let refusal = Refusal::new(value.span(), format!("there is no link `{name}`"));
        return Err(refusal.hint(nearest(&name, scenario.links.keys().map(String::as_str))));
    };
    for target in targets.iter().filter(|target| *target != IT) {
        let group = scenario.groups.iter().find(|group| fault::names(group).any(|name| name == *target));
        let own = group.map_or(&scenario.tracker.link, |group| &group.link);
        let is_faster = |own: &super::Link| link.up > own.up || link.down > own.down;
        if scenario.links.get(own).is_some_and(is_faster) {
            let message = format!("`{name}` is faster than the link of `{target}`, which is `{own}`");
            return Err(Refusal::new(value.span(), message));
        }
    }
    Ok(name)
}

/// The member of `[[faults]]` that says this; `name` says what hosts are called.
pub(super) fn write(fault: &NetFaultPlan, name: impl Fn(Target) -> String) -> String {
    let list = |targets: &[Target]| {
        let names: Vec<_> = targets.iter().map(|&target| format!("{:?}", name(target))).collect();
        format!("[{}]", names.join(", "))
    };
    let mut out = "\n[[faults]]\n".to_owned();
    out.push_str(&moment::text(fault.at, fault.when, &name));
    let _ = writeln!(out, "{} = {}", fault.kind.key(), list(&fault.targets));
    let _ = writeln!(out, "for = {:?}", duration_text(fault.lasts));
    match &fault.kind {
        NetFaultKind::Partition { from, one_way } => {
            if let Some(from) = from {
                let _ = writeln!(out, "from = {}", list(from));
            }
            if *one_way {
                out.push_str("one_way = true\n");
            }
        }
        NetFaultKind::Degrade(link) => {
            let _ = writeln!(out, "to = {link:?}");
        }
        NetFaultKind::Stall | NetFaultKind::BlackHole | NetFaultKind::DnsFails => {}
    }
    out
}

#[cfg(test)]
mod tests;
