//! When something goes wrong: at a time, again and again, or once the swarm is in some state.

use std::time::Duration;

use super::fields::{Fields, Value, duration, share, some_time, within};
use super::quantity::duration_text;
use super::schema::{Key, Shape, may};
use super::source::Refusal;
use super::{MAX_FAULTS, MAX_PEERS, Role, Scenario, TRACKER, Target, fault, net_fault};

/// The keys.
pub(super) const KEYS: &[Key] = &[
    may("at", Shape::Time, "When it comes, for the first time."),
    may("when", Shape::OneOf(|| STATES.to_vec()), "Once this is the case, instead of at a time."),
    may("every", Shape::Time, "And again after so long."),
    may("times", Shape::Whole(1, MAX_FAULTS as u32), "So often at the most. If left out: to the end."),
];

/// States of the swarm that a fault may wait for.
const STATES: &[Key] = &[
    may("completed", Shape::Whole(1, MAX_PEERS as u32), "So many leechers are complete."),
    may("progress", Shape::Share, "Leechers hold so much of what all of them want."),
    may("copies", Shape::Whole(1, MAX_PEERS as u32), "So many leechers that are there hold each piece."),
    may("endgame", fault::HOSTS, "One of these leechers is in its endgame: all that it lacks is on order."),
    may(
        "before_have",
        fault::HOSTS,
        "At one of these leechers a piece has the right hash, and no `have` of it has gone out.",
    ),
    may("announcing", fault::HOSTS, "One of these peers has sent an announce and has no answer yet."),
];

/// A state of the swarm, or of some peers in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// So many leechers are complete.
    Completed(u32),
    /// Leechers hold so many millionths of all the pieces that they will hold.
    Progress(u32),
    /// So many leechers that are there hold each piece.
    Copies(u32),
    /// One of these is in its endgame: all that it lacks is on order.
    Endgame(Who),
    /// At one of these a piece has the right hash, and no `have` of it has gone out.
    BeforeHave(Who),
    /// One of these has sent an announce and has no answer yet.
    Announcing(Who),
}

/// Peers that follow each other in [`Plan::peers`](super::Plan::peers), by their places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Who {
    /// The first one.
    pub first: usize,
    /// The last one.
    pub last: usize,
}

impl Trigger {
    /// Of whom it speaks; nobody if of the swarm.
    pub fn who(&self) -> impl Iterator<Item = Target> + use<> {
        let places = match self {
            Self::Completed(_) | Self::Progress(_) | Self::Copies(_) => 0..0,
            Self::Endgame(who) | Self::BeforeHave(who) | Self::Announcing(who) => who.first..who.last + 1,
        };
        places.map(Target::Peer)
    }

    /// Is it known from the disks of those of whom it speaks?
    pub(crate) const fn holds_disks(&self) -> bool {
        matches!(self, Self::BeforeHave(_))
    }

    /// The same of these peers, if it speaks of any.
    const fn of(self, who: Who) -> Self {
        match self {
            Self::Completed(_) | Self::Progress(_) | Self::Copies(_) => self,
            Self::Endgame(_) => Self::Endgame(who),
            Self::BeforeHave(_) => Self::BeforeHave(who),
            Self::Announcing(_) => Self::Announcing(who),
        }
    }

    /// The same of this one alone.
    pub(super) const fn only(self, target: Target) -> Self {
        match target {
            Target::Peer(place) => self.of(Who { first: place, last: place }),
            Target::Tracker => self,
        }
    }

    /// The same where peers have other places, in the same order; nothing if it spoke of some and none is left.
    pub(crate) fn moved(self, place: impl Fn(Target) -> Option<Target>) -> Option<Self> {
        if self.who().next().is_none() {
            return Some(self);
        }
        let mut left = self.who().filter_map(|target| match place(target)? {
            Target::Peer(place) => Some(place),
            Target::Tracker => None,
        });
        let first = left.next()?;
        Some(self.of(Who { first, last: left.last().unwrap_or(first) }))
    }

    /// As a scenario writes it.
    pub(crate) fn text(&self, name: impl Fn(Target) -> String) -> String {
        let names: Vec<_> = self.who().map(name).collect();
        let names = match &names[..] {
            [one] => format!("{one:?}"),
            several => format!("{several:?}"),
        };
        match self {
            Self::Completed(count) => format!("{{ completed = {count} }}"),
            Self::Progress(share) => format!("{{ progress = {:?} }}", f64::from(*share) / 1e6),
            Self::Copies(count) => format!("{{ copies = {count} }}"),
            Self::Endgame(_) => format!("{{ endgame = {names} }}"),
            Self::BeforeHave(_) => format!("{{ before_have = {names} }}"),
            Self::Announcing(_) => format!("{{ announcing = {names} }}"),
        }
    }
}

/// When.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// At this time, for the first time.
    pub at: Duration,
    /// And again after so long.
    pub every: Option<Duration>,
    /// So often at the most.
    pub times: Option<u32>,
    /// Or once this is the case.
    pub when: Option<Trigger>,
}

impl Moment {
    /// Reads it; what goes wrong lasts for `lasts`.
    pub(super) fn decode(
        fields: &Fields<'_>,
        scenario: &Scenario,
        lasts: Option<Duration>,
    ) -> Result<Self, Refusal> {
        let when = fields.optional("when", |value| trigger(value, scenario))?;
        let before = |value: &Value<'_>| match duration(value)? {
            at if at < scenario.run.time_limit => Ok(at),
            _ => Err(Refusal::new(value.span(), "the run is over by then (`time_limit` in [run])")),
        };
        if when.is_some() {
            if let Some(other) = ["at", "every", "times"].into_iter().find_map(|key| fields.value(key)) {
                let message = "it comes at a time or `when` something is the case, not both";
                return Err(Refusal::new(other.span(), message));
            }
            return Ok(Self { at: Duration::ZERO, every: None, times: None, when });
        }
        let every = fields.optional("every", |value| match some_time(value)? {
            every if lasts.is_none_or(|lasts| lasts < every) => Ok(every),
            _ => Err(Refusal::new(value.span(), "it is not over by then (`for`)")),
        })?;
        let times = fields.optional("times", |value| match every {
            Some(_) => within(value, 1..=MAX_FAULTS as u32),
            None => Err(Refusal::new(value.span(), "after how long each time? say `every`")),
        })?;
        let at = fields.optional("at", before)?.ok_or_else(|| {
            let refusal = Refusal::new(fields.span(), "[[faults]] lacks its `at`");
            refusal.hint("write for example: at = \"60 s\", or when = { progress = \"50 %\" }")
        })?;
        Ok(Self { at, every, times, when })
    }

    /// All its times before `limit`.
    pub(super) fn times(self, limit: Duration) -> impl Iterator<Item = Duration> {
        let next = move |at: &Duration| self.every.map(|every| *at + every);
        let most = self.times.map_or(MAX_FAULTS, |times| times as usize);
        std::iter::successors(Some(self.at), next).take_while(move |at| *at < limit).take(most)
    }
}

#[expect(clippy::cast_sign_loss, reason = "a share is within 0 and 1")]
fn trigger(value: &Value<'_>, scenario: &Scenario) -> Result<Trigger, Refusal> {
    const HINT: &str = "write for example: when = { copies = 1 } or when = { endgame = \"leecher\" }";
    let fields = Fields::of(value, "`when`", STATES).map_err(|refusal| refusal.or_hint(HINT))?;
    let state = fields.only(&STATES.iter().map(|state| state.name).collect::<Vec<_>>())?;
    let count = |value: &Value<'_>| within(value, 1..=MAX_PEERS as u32);
    let who = |value: &Value<'_>| who(value, scenario, state == "announcing");
    fields.required(state, |value| {
        Ok(match state {
            "completed" => Trigger::Completed(count(value)?),
            "copies" => Trigger::Copies(count(value)?),
            "progress" => Trigger::Progress((share(value)? * 1e6).round() as u32),
            "endgame" => Trigger::Endgame(who(value)?),
            "before_have" => Trigger::BeforeHave(who(value)?),
            _ => Trigger::Announcing(who(value)?),
        })
    })
}

/// Reads of which leechers a state speaks, or of which engines `seeders_too`.
fn who(value: &Value<'_>, scenario: &Scenario, seeders_too: bool) -> Result<Who, Refusal> {
    let names = net_fault::names(value, scenario)?;
    let peers = scenario.groups.iter().flat_map(|group| (0..group.count).map(move |index| (group, index)));
    let meant = peers.enumerate().filter(|(_, (group, index))| {
        names.iter().any(|name| *name == group.name || *name == group.peer_name(*index))
    });
    let meant: Vec<_> = meant.collect();
    let suits = |role| role == Role::Leecher || seeders_too && role == Role::Seeder;
    if names.iter().any(|name| name == TRACKER) || !meant.iter().all(|(_, (group, _))| suits(group.role)) {
        let only = if seeders_too { "seeders and leechers" } else { "leechers" };
        return Err(Refusal::new(value.span(), format!("only {only} are watched for that")));
    }
    match (meant.first(), meant.last()) {
        (Some(&(first, _)), Some(&(last, _))) if last - first + 1 == meant.len() => Ok(Who { first, last }),
        _ => {
            let refusal = Refusal::new(value.span(), "these do not follow each other in the file");
            Err(refusal.hint("write a fault for each of them"))
        }
    }
}

/// The line that says it, of one occurrence; `name` says what hosts are called.
pub(super) fn text(at: Duration, when: Option<Trigger>, name: impl Fn(Target) -> String) -> String {
    match when {
        Some(when) => format!("when = {}\n", when.text(name)),
        None => format!("at = {:?}\n", duration_text(at)),
    }
}
