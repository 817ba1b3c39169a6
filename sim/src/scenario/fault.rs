//! Faults: what goes wrong, when, and with whom.

use std::fmt::Write as _;
use std::time::Duration;

use super::fields::{Fields, Value, nearest, some_time, text, within};
use super::moment::{self, Moment};
use super::quantity::duration_text;
use super::schema::{Key, Shape, may};
use super::source::Refusal;
use super::{DiskFault, Group, IT, MAX_PEERS, Scenario, TRACKER, clock, disk_fault, net_fault};

/// Something that goes wrong at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// When.
    pub moment: Moment,
    /// What.
    pub kind: FaultKind,
    /// A peer, a group, or [`TRACKER`].
    pub target: String,
    /// So many random peers of the group; all if absent.
    pub count: Option<u32>,
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// The host dies without a word; it keeps its disk and may be started again after a while.
    Crash {
        /// How long it stays away; for ever if absent.
        back_after: Option<Duration>,
    },
    /// As a crash, and what the tracker's store or the peer's disk has not made safe is lost as well.
    PowerCut {
        /// How long it stays away; for ever if absent.
        back_after: Option<Duration>,
    },
    /// As a crash, and the tracker comes back with an empty store.
    LoseDatabase {
        /// How long it stays away; for ever if absent.
        back_after: Option<Duration>,
    },
    /// The process is asked to stop: it tells the tracker and closes.
    Leave,
    /// The host's programs stand still for so long, while its kernel goes on.
    Pause(Duration),
    /// The host's wall clock is set forward by so many microseconds, or back.
    ClockJump(i64),
    /// The tracker's disk is full for so long.
    StoreFails(Duration),
    /// Something is wrong with a peer's disk.
    Disk(DiskFault),
}

/// What befalls hosts, each with whom.
const KINDS: &[Key] = &[
    may(
        "crash",
        Shape::Name,
        "A peer, a group, \"tracker\" or \"it\" (of whom `when` speaks): it dies without a word, and is back after `for`, if that is said.",
    ),
    may("power_cut", Shape::Name, "As a crash; what its disk had not made safe is lost or torn as well."),
    may(
        "lose_database",
        Shape::Word(|| vec![TRACKER]),
        "As a crash, and the tracker's whole database is lost.",
    ),
    may("leave", Shape::Name, "A peer or a group: it leaves in good order."),
    may("pause", Shape::Name, "Its programs stand still for a while, its kernel goes on."),
    may("clock_jump", Shape::Name, "Its wall clock is set forward or back, `by` so much."),
    may("store_fails", Shape::Word(|| vec![TRACKER]), "The tracker's disk is full for a while."),
];

/// When and how.
const DETAILS: &[Key] = &[
    may("for", Shape::Time, "A crashed host starts again after so long; how long anything else lasts."),
    may("by", Shape::Shift, "Of a `clock_jump`: by how much."),
    may("latency", Shape::Time, "Of a `slow_disk`: how much longer everything takes."),
    may(
        "pieces",
        Shape::Whole(1, disk_fault::MAX_ROTTEN),
        "Of `bit_rot`: in how many pieces. If left out: one.",
    ),
    may(
        "count",
        Shape::Whole(1, MAX_PEERS as u32),
        "So many random ones of the group, others each time. If left out: all.",
    ),
    may(
        "from",
        HOSTS,
        "Of a `partition`: they and only these do not reach each other. If left out: everybody else.",
    ),
    may("one_way", Shape::Truth, "Of a `partition`: only what they send is lost."),
    may("to", Shape::Name, "Of `degrade`: the link that they have meanwhile."),
];

/// One host or group, or a list of them.
pub(super) const HOSTS: Shape = Shape::Either(&[Shape::Name, Shape::List(&Shape::Name)]);

/// What a fault may say: what it is, then when and how.
pub(super) const TABLES: &[&[Key]] = &[KINDS, disk_fault::KINDS, net_fault::KINDS, moment::KEYS, DETAILS];

/// The kinds by their keys.
fn kinds() -> Vec<&'static str> {
    [KINDS, disk_fault::KINDS, net_fault::KINDS].iter().copied().flatten().map(|kind| kind.name).collect()
}

/// A member of [[faults]].
pub(super) const MEMBER: Shape = Shape::Member(TABLES, &[kinds, || vec!["at", "when"]]);

impl FaultKind {
    /// Its key in a scenario.
    pub const fn key(self) -> &'static str {
        match self {
            Self::Crash { .. } => "crash",
            Self::PowerCut { .. } => "power_cut",
            Self::LoseDatabase { .. } => "lose_database",
            Self::Leave => "leave",
            Self::Pause(_) => "pause",
            Self::ClockJump(_) => "clock_jump",
            Self::StoreFails(_) => "store_fails",
            Self::Disk(fault) => fault.key(),
        }
    }

    /// Does the host die?
    pub const fn is_crash(self) -> bool {
        matches!(self, Self::Crash { .. } | Self::PowerCut { .. } | Self::LoseDatabase { .. })
    }

    /// For how long the host, or its disk, stands still.
    pub const fn lasts(self) -> Option<Duration> {
        match self {
            Self::Pause(time) | Self::StoreFails(time) => Some(time),
            Self::Disk(fault) => fault.lasts(),
            Self::Crash { .. }
            | Self::PowerCut { .. }
            | Self::LoseDatabase { .. }
            | Self::Leave
            | Self::ClockJump(_) => None,
        }
    }

    /// How long a host stays away that dies.
    pub const fn back_after(self) -> Option<Duration> {
        match self {
            Self::Crash { back_after }
            | Self::PowerCut { back_after }
            | Self::LoseDatabase { back_after } => back_after,
            Self::Leave | Self::Pause(_) | Self::ClockJump(_) | Self::StoreFails(_) | Self::Disk(_) => None,
        }
    }

    /// Whom it can befall.
    const fn suits(self, is_tracker: bool) -> bool {
        match self {
            Self::Crash { .. } | Self::PowerCut { .. } | Self::Pause(_) | Self::ClockJump(_) => true,
            Self::LoseDatabase { .. } | Self::StoreFails(_) => is_tracker,
            Self::Leave | Self::Disk(_) => !is_tracker,
        }
    }
}

/// What the one kind is that a fault says.
pub(super) fn only_kind(fields: &Fields<'_>) -> Result<&'static str, Refusal> {
    fields.only(&kinds())
}

pub(super) fn decode(value: &Value<'_>, scenario: &Scenario) -> Result<Fault, Refusal> {
    let keys = TABLES.concat();
    let fields = Fields::of(value, "[[faults]]", &keys)?;
    let key = only_kind(&fields)?;
    if let Some(other) = ["from", "one_way", "to"].into_iter().find_map(|key| fields.value(key)) {
        return Err(Refusal::new(other.span(), format!("it has nothing to do with `{key}`")));
    }
    let kind = kind(&fields, key)?;
    let moment = Moment::decode(&fields, scenario, kind.lasts().or(kind.back_after()))?;
    let name = fields.required(key, |value| match it(value, moment)? {
        Some(it) if kind.suits(false) => Ok(it),
        _ => target(value, kind, scenario),
    })?;
    let size = size(&name, moment, scenario);
    let count = fields.optional("count", |value| within(value, 1..=size));
    let count = count.map_err(|refusal| refusal.or_hint(format!("`{name}` stands for {size} in all")))?;
    Ok(Fault { moment, kind, target: name, count })
}

/// How many hosts this name stands for.
pub(super) fn size(name: &str, moment: Moment, scenario: &Scenario) -> u32 {
    if name == IT {
        return moment.when.map_or(0, |when| when.who().count()) as u32;
    }
    scenario.groups.iter().find(|group| group.name == name).map_or(1, |group| group.count)
}

/// Reads [`IT`], if that is what stands there.
pub(super) fn it(value: &Value<'_>, moment: Moment) -> Result<Option<String>, Refusal> {
    if value.get_ref().as_str() != Some(IT) {
        return Ok(None);
    }
    if moment.when.is_none_or(|when| when.who().next().is_none()) {
        let refusal =
            Refusal::new(value.span(), "`it` is the peer of whom `when` speaks, and it speaks of none");
        return Err(refusal.hint("write for example: when = { endgame = \"leecher\" }"));
    }
    Ok(Some(IT.to_owned()))
}

/// The kind called `key`, with its `for` or `by`.
fn kind(fields: &Fields<'_>, key: &str) -> Result<FaultKind, Refusal> {
    let time = fields.optional("for", some_time)?;
    let by = fields.optional("by", clock::shift)?;
    let lacks = |what| Refusal::new(fields.span(), format!("`{key}` needs a `{what}`"));
    let refuse = |why: &str| Err(Refusal::new(fields.span(), why));
    if by.is_some() && key != "clock_jump" {
        return refuse("only a `clock_jump` has a `by`");
    }
    if let Some(fault) = disk_fault::decode(fields, key, time)? {
        return Ok(FaultKind::Disk(fault));
    }
    match key {
        "crash" => Ok(FaultKind::Crash { back_after: time }),
        "power_cut" => Ok(FaultKind::PowerCut { back_after: time }),
        "lose_database" => Ok(FaultKind::LoseDatabase { back_after: time }),
        "pause" => time.map(FaultKind::Pause).ok_or_else(|| lacks("for")),
        "store_fails" => time.map(FaultKind::StoreFails).ok_or_else(|| lacks("for")),
        "clock_jump" if time.is_some() => refuse("a clock jumps at once: no `for`"),
        "clock_jump" => by.map(FaultKind::ClockJump).ok_or_else(|| lacks("by")),
        _ if time.is_some() => refuse("who leaves does not come back: no `for`"),
        _ => Ok(FaultKind::Leave),
    }
}

fn target(value: &Value<'_>, kind: FaultKind, scenario: &Scenario) -> Result<String, Refusal> {
    let name = one_target(value, scenario)?;
    if name == TRACKER && kind == FaultKind::Leave {
        return Err(Refusal::new(value.span(), "the tracker cannot leave; it can crash"));
    }
    if kind.suits(name == TRACKER) {
        return Ok(name);
    }
    let whom = if matches!(kind, FaultKind::Disk(_)) { "a peer" } else { "the tracker" };
    Err(Refusal::new(value.span(), format!("`{}` can only befall {whom}", kind.key())))
}

/// Reads the name of a peer, a group or the tracker.
pub(super) fn one_target(value: &Value<'_>, scenario: &Scenario) -> Result<String, Refusal> {
    let name = text(value)?;
    if name == TRACKER || scenario.groups.iter().flat_map(names).any(|known| known == name) {
        return Ok(name);
    }
    let refusal = Refusal::new(value.span(), format!("there is no peer or group `{name}`"));
    let groups = scenario.groups.iter().map(|group| group.name.as_str());
    Err(refusal.hint(nearest(&name, groups.chain([TRACKER]))))
}

/// What a fault may call the peers of `group`: all together, or each by its name.
pub(super) fn names(group: &Group) -> impl Iterator<Item = String> + '_ {
    (0..group.count).map(|index| group.peer_name(index)).chain([group.name.clone()])
}

/// The member of `[[faults]]` that says this; `moment` is the line that says when.
pub(super) fn write(moment: &str, kind: FaultKind, target: &str) -> String {
    let mut out = format!("\n[[faults]]\n{moment}{} = {target:?}\n", kind.key());
    match kind {
        FaultKind::Crash { back_after }
        | FaultKind::PowerCut { back_after }
        | FaultKind::LoseDatabase { back_after } => {
            back_after.inspect(|&time| {
                let _ = writeln!(out, "for = {:?}", duration_text(time));
            });
        }
        FaultKind::Pause(time) | FaultKind::StoreFails(time) => {
            let _ = writeln!(out, "for = {:?}", duration_text(time));
        }
        FaultKind::ClockJump(micros) => {
            let _ = writeln!(out, "by = {:?}", clock::shift_text(micros));
        }
        FaultKind::Disk(fault) => disk_fault::write(&mut out, fault),
        FaultKind::Leave => {}
    }
    out
}
