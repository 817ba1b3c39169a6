//! What the tracker's oracle counted: how often it was exercised, and how near to the truth the tracker was.

use serde::Serialize;

/// Counts of one run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Figures {
    /// Announces at the tracker's door that showed a connection id of its own making.
    pub announces: u64,
    /// Of these, how many were answered with counts and peers.
    pub answered: u64,
    /// Datagrams that found its receive buffer full.
    pub refused: u64,
    /// Answers that asked for a longer interval than is usual, jitter included.
    pub slowed: u64,
    /// Peers named in replies.
    pub named: u64,
    /// Of these, how many were there and of use to whoever asked.
    pub useful: u64,
    /// Peers in the counts of replies to peers of the torrent, or that should have been.
    pub told: u64,
    /// Of these, how many were wrong.
    pub wrong: u64,
    /// Regular announces.
    pub regular: u64,
    /// Of these, how many came when the last reply had asked for them.
    pub punctual: u64,
    /// Downloads that it counted in the end, if it was there to be asked.
    pub counted: Option<u32>,
    /// Downloads that ended.
    pub downloads: u64,
}

impl Figures {
    /// Share of announces that were answered.
    pub fn answered_share(&self) -> Option<f64> {
        share(self.answered, self.announces)
    }

    /// Share of named peers that were there and of use.
    pub fn useful_share(&self) -> Option<f64> {
        share(self.useful, self.named)
    }

    /// Share of the counted peers that were rightly counted.
    pub fn counts_share(&self) -> Option<f64> {
        share(self.told.saturating_sub(self.wrong), self.told)
    }

    /// Share of regular announces that came when they were due.
    pub fn punctual_share(&self) -> Option<f64> {
        share(self.punctual, self.regular)
    }

    /// Share of the downloads that it counted.
    pub fn counted_share(&self) -> Option<f64> {
        self.counted.and_then(|counted| share(counted.into(), self.downloads))
    }
}

/// `part / whole`; nothing if there was no occasion.
fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}
