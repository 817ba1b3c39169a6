//! What a registry counts.

use super::Refusals;

/// Counters since the start, and present sizes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct RegistryStats {
    /// Datagrams that arrived.
    pub requests: u64,
    /// Their bytes.
    pub bytes_in: u64,
    /// Bytes of replies.
    pub bytes_out: u64,
    /// Datagrams that were no request; they got no answer.
    pub malformed: u64,
    /// Requests without a good connection id.
    pub unverified: u64,
    /// Connects.
    pub connects: u64,
    /// Announces from verified sources, over UDP or HTTP.
    pub announces: u64,
    /// Of these, over IPv6.
    pub announces_v6: u64,
    /// UDP scrapes that showed a good connection id.
    pub scrapes: u64,
    /// Info hashes looked up by scrapes, over UDP or HTTP.
    pub scraped_torrents: u64,
    /// Announces refused, by reason.
    pub refused: Refusals,
    /// What load shedding did.
    pub shed: Shed,
    /// Downloads that ended.
    pub completed: u64,
    /// Members that fell silent and were let go by the sweep.
    pub expired: u64,
    /// Torrents now, those included that are only remembered for their count.
    pub torrents: u64,
    /// Torrents without members now, remembered for their count.
    pub remembered: u64,
    /// Counts of such torrents that gave way to others.
    pub forgotten: u64,
    /// Members now.
    pub members: u64,
    /// Of these, over IPv6.
    pub members_v6: u64,
    /// Bytes of memory now, as estimated: what `max_bytes` bounds.
    pub memory_bytes: u64,
}

/// What load shedding did since the start, in the order in which it sets in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Shed {
    /// The level now: 0 sheds nothing, 4 does all of the below.
    pub level: u8,
    /// Level 1: unverified scrapes that got no error reply.
    pub unanswered: u64,
    /// Level 2: announces that were told a longer interval.
    pub slowed: u64,
    /// Level 3: newcomers that got peers and were not entered.
    pub not_entered: u64,
    /// Level 4: requests that were dropped (over HTTP refused).
    pub dropped: u64,
}
