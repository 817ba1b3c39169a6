//! Whether a download can still hope for a peer: where every tracker has failed and nobody is there, waiting on is
//! not better than saying so.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use engine::EngineEvent;
use engine::clock::{Clock, OsClock};
use proto::announce::MAX_TRACKERS;
use proto::metainfo::Metainfo;
use proto::time::Instant;
use proto::torrent::{Stats, WebSeedState, WebSeedStats};

use crate::failure::{Failure, Status};
use crate::show::printable;

/// A peer that was named on the command line may start a little later than we, and one in the local network, too.
const PEER_PATIENCE: Duration = Duration::from_secs(30);

/// A lost datagram looks like a tracker that does not answer: it gets its first retry of 30 s (BEP 15).
const SILENT_TRACKER_PATIENCE: Duration = Duration::from_secs(35);

/// Whether a download can still hope for a peer.
pub(crate) struct Outlook {
    clock: OsClock,
    trackers: usize,
    failed: BTreeMap<String, String>,
    /// Some tracker has answered; then the swarm may just be empty for now.
    answered: bool,
    downloads: bool,
    /// How long to do without any peer after every tracker has failed.
    patience: Duration,
    alone_since: Option<Instant>,
}

impl Outlook {
    /// Of a torrent that is to be downloaded, or only shared; `hopes` if the user has named peers, or some may be in
    /// the local network.
    pub(crate) fn new(metainfo: &Metainfo, downloads: bool, hopes: bool) -> Self {
        let trackers: BTreeSet<&String> = metainfo.trackers().iter().flatten().collect();
        Self {
            clock: OsClock::new(),
            trackers: trackers.len().min(MAX_TRACKERS),
            failed: BTreeMap::new(),
            answered: false,
            downloads,
            patience: if hopes { PEER_PATIENCE } else { Duration::ZERO },
            alone_since: None,
        }
    }

    /// How long it has been looked after.
    pub(crate) fn age(&self) -> Duration {
        Duration::from_micros(self.clock.now().as_micros())
    }

    /// Something has happened.
    pub(crate) fn heed(&mut self, event: &EngineEvent) {
        match event {
            EngineEvent::Announced { .. } => self.answered = true,
            EngineEvent::TrackerFailed { url, error, silent } => {
                self.failed.insert(url.clone(), error.clone());
                if *silent {
                    self.patience = self.patience.max(SILENT_TRACKER_PATIENCE);
                }
            }
            EngineEvent::Listening(_)
            | EngineEvent::Checked { .. }
            | EngineEvent::PieceVerified(_)
            | EngineEvent::PieceFailed(_)
            | EngineEvent::FileLost { .. }
            | EngineEvent::Banned(_)
            | EngineEvent::Completed
            | EngineEvent::SelectionCompleted
            | EngineEvent::StorageFailed { .. }
            | EngineEvent::WebSeedFailed { .. }
            | EngineEvent::Stopped
            | EngineEvent::Missed(_) => {}
        }
    }

    /// Fails if no tracker has ever answered, all were tried, and there is no peer.
    pub(crate) fn judge(&mut self, stats: &Stats) -> Result<(), Failure> {
        let serves = |seed: &WebSeedStats| seed.state != WebSeedState::GivenUp;
        let no_source = stats.peers.is_empty() && !stats.web_seeds.iter().any(serves);
        let no_peer = no_source && stats.dialling == 0 && stats.wanted_left > 0;
        if !(self.downloads && no_peer && !self.answered && self.failed.len() >= self.trackers) {
            self.alone_since = None;
            return Ok(());
        }
        let now = self.clock.now();
        if now.since(*self.alone_since.get_or_insert(now)) < self.patience {
            return Ok(());
        }
        let failed =
            self.failed.iter().map(|(url, error)| format!("{}: {}", printable(url), printable(error)));
        let what = ["no tracker answers and no peer can be reached".to_owned()].into_iter().chain(failed);
        let what = what.collect::<Vec<_>>().join("\n  ");
        let advice = "Check the addresses and your network, or name a peer with --peer IP:PORT.";
        Err(Failure::new(Status::Incomplete, what).advise(advice))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A download without peers and with one tracker.
    fn outlook() -> (Outlook, Stats) {
        let outlook = Outlook {
            clock: OsClock::new(),
            trackers: 1,
            failed: BTreeMap::new(),
            answered: false,
            downloads: true,
            patience: Duration::ZERO,
            alone_since: None,
        };
        let progress = proto::torrent::Progress { left: 1, ..Default::default() };
        let stats = Stats { progress, wanted_left: 1, ..Stats::default() };
        (outlook, stats)
    }

    fn failure(silent: bool) -> EngineEvent {
        EngineEvent::TrackerFailed { url: "udp://tracker:1".to_owned(), error: String::new(), silent }
    }

    #[test]
    fn a_lost_datagram_does_not_end_a_download_and_a_refusal_does() {
        let (mut outlook, stats) = outlook();
        outlook.heed(&failure(true));
        assert!(outlook.judge(&stats).is_ok(), "its first retry may be answered");
        let (mut outlook, stats) = self::outlook();
        outlook.heed(&failure(false));
        assert!(outlook.judge(&stats).is_err());
    }
}
