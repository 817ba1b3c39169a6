//! Is the tracker well? What an orchestrator or a person asks first.

use std::time::Duration;

/// A store that has failed for this long is told of; a single busy moment is not.
const STORE_GRACE: Duration = Duration::from_secs(10);

/// The answer, and why not if not.
///
/// A tracker that does not serve yet, or whose sockets are dead, does not answer at all: the port opens
/// with the sockets, and the process ends with them.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Health {
    /// Is all well?
    pub ok: bool,
    /// One sentence for each thing that is not.
    pub reasons: Vec<String>,
}

impl Health {
    /// Judges by how long the store has failed without a success, and what load shedding does.
    pub(super) fn of(store_failing_for: Option<Duration>, shed_level: u8) -> Self {
        let mut reasons = Vec::new();
        if let Some(time) = store_failing_for.filter(|time| *time >= STORE_GRACE) {
            let seconds = time.as_secs();
            reasons
                .push(format!("the store has been failing for {seconds} s: what changes is in memory only"));
        }
        if shed_level >= DROPPING {
            reasons.push("overloaded: requests are dropped".to_owned());
        }
        Self { ok: reasons.is_empty(), reasons }
    }
}

/// The level of load shedding at which requests are lost.
const DROPPING: u8 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_that_keeps_failing_and_lost_requests_are_told_of() {
        assert!(Health::of(None, 3).ok);
        assert!(Health::of(Some(Duration::from_secs(9)), 0).ok);
        let health = Health::of(Some(Duration::from_secs(75)), 4);
        assert!(!health.ok);
        assert_eq!(health.reasons.len(), 2);
        assert!(health.reasons[0].contains("for 75 s"), "{health:?}");
    }
}
