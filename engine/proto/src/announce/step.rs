//! The states of an announcer, apart from what it does in them.

use std::net::SocketAddr;

use super::Timer;
use crate::time::Instant;
use crate::torrent::AnnounceEvent;
use crate::tracker::TransactionId;

/// Where the conversation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Not started, or without a tracker to talk to.
    Idle,
    /// The resolver has the word.
    Resolving { until: Instant },
    /// A connect request is out.
    Connecting { until: Instant, addr: SocketAddr, transaction: TransactionId },
    /// An announce is out.
    Announcing { until: Instant, addr: SocketAddr, transaction: TransactionId, event: Option<AnnounceEvent> },
    /// Nothing is out.
    Waiting { until: Instant, timer: Timer },
    /// Stopped for good.
    Done,
}

/// `completed` is said at most once, and never if the torrent was complete at the start (BEP 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Completion {
    /// Pieces are missing.
    Incomplete,
    /// The last piece came in; the tracker does not know.
    Owed,
    /// The tracker knows, or need not.
    Said,
}
