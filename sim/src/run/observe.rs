//! What an observer is shown of the hosts, at every step of the runner.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::hosts;
use super::stage::Stage;
use crate::scenario::Target;

/// One host at one time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HostState {
    /// Does its program run?
    pub is_up: bool,
    /// IP bytes that its uplink and its downlink have carried so far.
    pub carried: [u64; 2],
    /// IP bytes that wait there.
    pub waiting: [u64; 2],
}

/// Looks at the hosts now and then.
pub trait Observe: Send {
    /// The tracker first, then the peers of the plan in their order.
    fn observe(&mut self, at: Duration, hosts: &[HostState]);
}

/// Who observes; shared with whoever wants to know what was seen.
pub type Observer = Arc<Mutex<dyn Observe>>;

impl Stage<'_> {
    /// Shows the hosts as they are.
    pub(super) fn show(&self, observer: &Observer) {
        let peers = (0..self.plan.peers.len()).map(Target::Peer);
        let state = |target| {
            let host = self.world.host(hosts::index(target))?;
            let (up, down) = self.world.link_counts(host);
            let carried = [up.carried, down.carried];
            Some(HostState {
                is_up: self.world.is_running(host),
                carried,
                waiting: self.world.backlogs(host),
            })
        };
        let states: Vec<_> = std::iter::once(Target::Tracker)
            .chain(peers)
            .map(|target| state(target).unwrap_or_default())
            .collect();
        // An observer that panicked fails its run anyway.
        observer.lock().unwrap_or_else(PoisonError::into_inner).observe(self.now(), &states);
    }
}
