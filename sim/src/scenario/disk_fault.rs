//! What goes wrong with a peer's disk.

use std::fmt::Write as _;
use std::time::Duration;

use super::fields::{Fields, some_time, within};
use super::quantity::duration_text;
use super::schema::{Key, Shape, may};
use super::source::Refusal;

/// Pieces that may rot at once: more than any disk loses in silence.
pub(super) const MAX_ROTTEN: u32 = 10_000;

/// Something wrong with a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskFault {
    /// Everything asked of it fails, for so long.
    Error(Duration),
    /// It takes nothing more, for so long; then there is room again.
    Full(Duration),
    /// Everything asked of it takes longer.
    Slow {
        /// By so much.
        latency: Duration,
        /// For so long.
        lasts: Duration,
    },
    /// A bit flips in each of so many stored pieces, and nothing tells.
    Rot {
        /// How many; all that there are if they are fewer.
        pieces: u32,
    },
}

/// The keys of [`DiskFault`]s, each with whom it befalls.
pub(super) const KINDS: &[Key] = &[
    may("disk_error", Shape::Name, "Peers whose disks fail in all that is asked of them, for a while."),
    may("disk_full", Shape::Name, "Peers whose disks take nothing more, for a while."),
    may("slow_disk", Shape::Name, "Peers whose disks take `latency` longer for everything, for a while."),
    may(
        "bit_rot",
        Shape::Name,
        "Peers on whose disks a bit flips in each of so many `pieces`, and nothing tells.",
    ),
];

impl DiskFault {
    /// Its key in a scenario.
    pub const fn key(self) -> &'static str {
        match self {
            Self::Error(_) => "disk_error",
            Self::Full(_) => "disk_full",
            Self::Slow { .. } => "slow_disk",
            Self::Rot { .. } => "bit_rot",
        }
    }

    /// For how long, unless it is done at once.
    pub const fn lasts(self) -> Option<Duration> {
        match self {
            Self::Error(lasts) | Self::Full(lasts) | Self::Slow { lasts, .. } => Some(lasts),
            Self::Rot { .. } => None,
        }
    }
}

/// The disk fault called `key`; `time` is its `for`.
pub(super) fn decode(
    fields: &Fields<'_>,
    key: &str,
    time: Option<Duration>,
) -> Result<Option<DiskFault>, Refusal> {
    let refuse = |why: String| Refusal::new(fields.span(), why);
    let latency = fields.optional("latency", some_time)?;
    let pieces = fields.optional("pieces", |value| within(value, 1..=MAX_ROTTEN))?;
    if latency.is_some() && key != "slow_disk" {
        return Err(refuse("only a `slow_disk` has a `latency`".to_owned()));
    }
    if pieces.is_some() && key != "bit_rot" {
        return Err(refuse("only `bit_rot` has `pieces`".to_owned()));
    }
    let lasts = || time.ok_or_else(|| refuse(format!("`{key}` needs a `for`")));
    Ok(Some(match key {
        "disk_error" => DiskFault::Error(lasts()?),
        "disk_full" => DiskFault::Full(lasts()?),
        "slow_disk" => {
            let latency = latency.ok_or_else(|| refuse("`slow_disk` needs a `latency`".to_owned()))?;
            DiskFault::Slow { latency, lasts: lasts()? }
        }
        "bit_rot" if time.is_some() => return Err(refuse("what rots stays so: no `for`".to_owned())),
        "bit_rot" => DiskFault::Rot { pieces: pieces.unwrap_or(1) },
        _ => return Ok(None),
    }))
}

/// The lines that say this, besides the key's.
pub(super) fn write(out: &mut String, fault: DiskFault) {
    fault.lasts().inspect(|&time| {
        let _ = writeln!(out, "for = {:?}", duration_text(time));
    });
    match fault {
        DiskFault::Slow { latency, .. } => {
            let _ = writeln!(out, "latency = {:?}", duration_text(latency));
        }
        DiskFault::Rot { pieces } => {
            let _ = writeln!(out, "pieces = {pieces}");
        }
        DiskFault::Error(_) | DiskFault::Full(_) => {}
    }
}
