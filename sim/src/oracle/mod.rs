//! Oracles: what must hold in every run, whatever its scenario expects. One checker a file.

use std::fmt;

use crate::record::Record;

mod bounds;
mod conservation;
mod integrity;
mod justice;
mod ledger;
mod liveness;
mod occasions;
mod protocol;
mod resume;
mod tracker;

pub use justice::{Figures as JusticeFigures, figures as justice_figures};
pub use ledger::{Account, Holder, Ledger, Provenance, Statement};
pub use occasions::{Occasions, occasions};
pub use protocol::{Conduct, Court, Holdings, Rule, Suspect, conduct};
pub use tracker::{Figures as TrackerFigures, figures as tracker_figures};

/// Something that must never be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Who says so.
    pub oracle: Oracle,
    /// What was seen, for a person.
    pub message: String,
}

/// The oracles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Oracle {
    /// What a peer calls complete is byte-identical to the source.
    Integrity,
    /// Nothing is received that was not sent, and what is counted is what was.
    Conservation,
    /// Nothing is faster than it can be.
    Bounds,
    /// After a crash a peer claims what it holds, and fetches none of it again.
    Resume,
    /// Whoever can complete, does.
    Liveness,
    /// No honest peer is refused, and who spoils pieces is.
    Justice,
    /// The tracker says nothing that contradicts what it was told.
    Tracker,
    /// Peers keep the rules of the protocol.
    Protocol,
}

/// How bad a violation is: it decides the exit status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Something wrong was done.
    Safety,
    /// Something due was not done.
    Liveness,
}

impl Oracle {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Integrity,
        Self::Conservation,
        Self::Bounds,
        Self::Resume,
        Self::Liveness,
        Self::Justice,
        Self::Tracker,
        Self::Protocol,
    ];

    /// Its name, for people and for `--json`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Integrity => "integrity",
            Self::Conservation => "conservation",
            Self::Bounds => "bounds",
            Self::Resume => "resume",
            Self::Liveness => "liveness",
            Self::Justice => "justice",
            Self::Tracker => "tracker",
            Self::Protocol => "protocol",
        }
    }

    /// How bad its violations are.
    pub const fn severity(self) -> Severity {
        match self {
            Self::Integrity
            | Self::Conservation
            | Self::Bounds
            | Self::Resume
            | Self::Justice
            | Self::Tracker
            | Self::Protocol => Severity::Safety,
            Self::Liveness => Severity::Liveness,
        }
    }
}

impl fmt::Display for Oracle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.oracle, self.message)
    }
}

/// Asks every oracle.
pub fn judge(record: &Record) -> Vec<Violation> {
    let mut violations = integrity::check(record);
    violations.extend(conservation::check(record));
    violations.extend(bounds::check(record));
    violations.extend(resume::check(record));
    violations.extend(liveness::check(record));
    violations.extend(justice::check(record));
    violations.extend(tracker::check(record));
    violations.extend(protocol::check(record));
    violations
}

/// Pieces that nobody will ever hold again, or that are out of reach, for those who ask why somebody is not complete.
pub fn extinct_pieces(record: &Record) -> Vec<String> {
    liveness::extinct(record).iter().map(ToString::to_string).chain(liveness::islands(record)).collect()
}

/// Is there nobody left who is, or will be, able to complete?
pub fn nobody_can_complete(record: &Record) -> bool {
    liveness::nobody_can_complete(record)
}
