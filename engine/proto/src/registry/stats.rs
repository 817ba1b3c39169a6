//! What a registry counts.

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
    /// Announces that showed a good connection id.
    pub announces: u64,
    /// Scrapes that showed a good connection id.
    pub scrapes: u64,
    /// Announces that entered nothing: port 0, or a cap was reached.
    pub refused: u64,
    /// Downloads that ended.
    pub completed: u64,
    /// Members that fell silent and were let go by the sweep.
    pub expired: u64,
    /// Torrents now, those included that are only remembered for their count.
    pub torrents: u64,
    /// Members now.
    pub members: u64,
}
