//! The states of an announcer, apart from what it does in them: one [`Talk`] for each family.

use std::net::SocketAddr;
use std::time::Duration;

use super::{AnnounceError, FIRST_WAIT, MAX_RETRY, Timer};
use crate::time::Instant;
use crate::torrent::AnnounceEvent;
use crate::tracker::{Family, TransactionId};

/// Where a conversation stands.
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
    /// The tracker failed over this family; whether to go on depends on the other one.
    Failed,
    /// Nothing is out.
    Waiting { until: Instant, timer: Timer },
    /// Stopped for good.
    Done,
}

/// `completed` is said at most once, over one family, and never if the torrent was complete at the start (BEP 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Completion {
    /// Pieces are missing.
    Incomplete,
    /// The last piece came in; the tracker does not know.
    Owed,
    /// The tracker knows, or need not.
    Said,
}

/// The conversation over one family: its own place in the tiers, its own retries and interval.
#[derive(Debug)]
pub(super) struct Talk {
    pub(super) family: Family,
    /// Where we listen, in this family.
    pub(super) port: u16,
    pub(super) step: Step,
    /// The tracker whose turn it is, by number; nothing once all have been tried.
    pub(super) at: Option<usize>,
    /// The tracker that answered last, unless it failed since.
    pub(super) answered_by: Option<usize>,
    pub(super) answered_at: Instant,
    /// The shortest time between two announces that the tracker asked for.
    pub(super) min_interval: Duration,
    /// Why the present tracker failed; nothing if it merely has no address in this family.
    pub(super) failure: Option<AnnounceError>,
    /// n of 15·2ⁿ: rounds over all trackers since one answered.
    pub(super) round: u32,
    pub(super) round_began: Instant,
    /// `started` was answered.
    pub(super) started: bool,
    /// An announce that left nothing to download was sent.
    pub(super) told_complete: bool,
    /// The tracker that may hold us as a member.
    pub(super) member_of: Option<usize>,
}

impl Talk {
    /// A silent one.
    pub(super) const fn new(family: Family, port: u16) -> Self {
        Self {
            family,
            port,
            step: Step::Idle,
            at: None,
            answered_by: None,
            answered_at: Instant::ZERO,
            min_interval: Duration::ZERO,
            failure: None,
            round: 0,
            round_began: Instant::ZERO,
            started: false,
            told_complete: false,
            member_of: None,
        }
    }

    /// Is an answer due, of the resolver or the tracker?
    pub(super) const fn is_asking(&self) -> bool {
        matches!(self.step, Step::Resolving { .. } | Step::Connecting { .. } | Step::Announcing { .. })
    }

    /// When something is due, and what.
    pub(super) const fn deadline(&self) -> Option<(Instant, Timer)> {
        match self.step {
            Step::Idle | Step::Failed | Step::Done => None,
            Step::Resolving { until } | Step::Connecting { until, .. } | Step::Announcing { until, .. } => {
                Some((until, Timer::Answer))
            }
            Step::Waiting { until, timer } => Some((until, timer)),
        }
    }

    //= BEP 15: if no response to a request is received within 15·2ⁿ seconds, resend the request; n is
    //= increased up to 8 after every retransmission.
    pub(super) fn patience(&self) -> Duration {
        FIRST_WAIT * (1 << self.round.min(MAX_RETRY))
    }

    /// Nobody else is left to ask. A round lasts 15·2ⁿ seconds even if everybody failed at once.
    pub(super) fn end_round(&mut self, now: Instant) {
        let until = now.max(self.round_began + self.patience());
        self.round = (self.round + 1).min(MAX_RETRY);
        self.step = Step::Waiting { until, timer: Timer::Retry };
    }
}
