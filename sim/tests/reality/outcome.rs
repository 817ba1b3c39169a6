//! What a run came to, simulated or real.

use std::time::Duration;

use proto::tracker::Request;
use sim::network::Way;
use sim::record::Record;

/// A run as both worlds can tell it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Run {
    /// When leechers completed, the first one first.
    pub(crate) times: Vec<Duration>,
    /// What came of it.
    pub(crate) outcome: Outcome,
}

/// What depends on nobody's speed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// Leechers whose content is identical to the original.
    pub(crate) identical: usize,
    /// Payload that leechers received and had use for, in bytes.
    pub(crate) payload: u64,
    /// Announces that the tracker got.
    pub(crate) announces: u64,
    /// Downloads that it counts.
    pub(crate) completed: u64,
}

impl Run {
    /// A simulated run.
    pub(crate) fn of_record(record: &Record) -> Self {
        let pieces = record.piece_count();
        let announces = record.tracker.seen.iter().filter(|seen| {
            seen.way == Way::In && matches!(Request::decode(&seen.payload), Ok(Request::Announce(_)))
        });
        let outcome = Outcome {
            identical: record.leechers().filter(|(_, peer)| peer.identical == pieces).count(),
            payload: record.leechers().map(|(_, peer)| peer.downloaded - peer.duplicate).sum(),
            announces: announces.count() as u64,
            completed: record.tracker.in_the_end.map_or(0, |entry| u64::from(entry.completed)),
        };
        Self { times: record.completions(), outcome }
    }
}
