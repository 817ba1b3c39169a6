//! When something goes wrong: at a time, again and again, or once the swarm is in some state.

use std::fmt;
use std::time::Duration;

use super::fields::{Fields, Value, duration, share, some_time, within};
use super::quantity::duration_text;
use super::schema::{Key, Shape, may};
use super::source::Refusal;
use super::{MAX_FAULTS, MAX_PEERS};

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
];

/// A state of the swarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// So many leechers are complete.
    Completed(u32),
    /// Leechers hold so many millionths of all the pieces that they will hold.
    Progress(u32),
    /// So many leechers that are there hold each piece.
    Copies(u32),
}

impl fmt::Display for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Completed(count) => write!(f, "{{ completed = {count} }}"),
            Self::Progress(share) => write!(f, "{{ progress = {:?} }}", f64::from(*share) / 1e6),
            Self::Copies(count) => write!(f, "{{ copies = {count} }}"),
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
        time_limit: Duration,
        lasts: Option<Duration>,
    ) -> Result<Self, Refusal> {
        let when = fields.optional("when", trigger)?;
        let before = |value: &Value<'_>| match duration(value)? {
            at if at < time_limit => Ok(at),
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
        Ok(Self { at: fields.required("at", before)?, every, times, when })
    }

    /// All its times before `limit`.
    pub(super) fn times(self, limit: Duration) -> impl Iterator<Item = Duration> {
        let next = move |at: &Duration| self.every.map(|every| *at + every);
        let most = self.times.map_or(MAX_FAULTS, |times| times as usize);
        std::iter::successors(Some(self.at), next).take_while(move |at| *at < limit).take(most)
    }
}

#[expect(clippy::cast_sign_loss, reason = "a share is within 0 and 1")]
fn trigger(value: &Value<'_>) -> Result<Trigger, Refusal> {
    let fields = Fields::of(value, "when", STATES)?;
    let count = |value: &Value<'_>| within(value, 1..=MAX_PEERS as u32);
    let completed = fields.optional("completed", count)?.map(Trigger::Completed);
    let copies = fields.optional("copies", count)?.map(Trigger::Copies);
    let progress = fields.optional("progress", share)?;
    let progress = progress.map(|share| Trigger::Progress((share * 1e6).round() as u32));
    match [completed, progress, copies].into_iter().flatten().collect::<Vec<_>>()[..] {
        [trigger] => Ok(trigger),
        _ => Err(Refusal::new(fields.span(), "`when` needs exactly one of: completed, progress, copies")),
    }
}

/// The line that says it, of one occurrence.
pub(super) fn text(at: Duration, when: Option<Trigger>) -> String {
    when.map_or_else(|| format!("at = {:?}\n", duration_text(at)), |when| format!("when = {when}\n"))
}
