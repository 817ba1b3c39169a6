//! A running engine and its user: waits for the goal, a failure or Ctrl-C, whichever is first.

use std::collections::{BTreeMap, BTreeSet};
use std::future::pending;
use std::io::ErrorKind;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use engine::clock::{Clock, OsClock};
use engine::resume::CheckProgress;
use engine::storage::file::FileStorage;
use engine::{Engine, EngineConfig, EngineEvent, Environment, TorrentHandle};
use indicatif::BinaryBytes;
use proto::announce::MAX_TRACKERS;
use proto::metainfo::{Metainfo, Priority};
use proto::seed::Seed;
use proto::time::Instant;
use proto::torrent::{Stats, WebSeedState, WebSeedStats};

use crate::failure::{Failure, Status};
use crate::report::Report;
use crate::show::printable;

/// The engine gives `stopped` five seconds and then saves; more than this means that it hangs.
const STOP_LIMIT: Duration = Duration::from_secs(30);

/// A peer that was named on the command line may start a little later than we.
const NAMED_PEER_PATIENCE: Duration = Duration::from_secs(30);

/// A lost datagram looks like a tracker that does not answer: it gets its first retry of 30 s (BEP 15).
const SILENT_TRACKER_PATIENCE: Duration = Duration::from_secs(35);

/// What the user wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Goal {
    /// Everything, then leave.
    Complete,
    /// Everything, then share it.
    CompleteThenSeed,
    /// Share what must be complete.
    Seed,
}

/// All that a transfer needs.
pub(crate) struct Transfer {
    pub(crate) metainfo: Arc<Metainfo>,
    pub(crate) storage: FileStorage,
    pub(crate) config: EngineConfig,
    pub(crate) goal: Goal,
    pub(crate) report: Report,
    pub(crate) seed: Seed,
}

/// Runs `work` on a single-threaded runtime: one core moves the bytes, disk jobs have threads of their own.
pub(crate) fn on_runtime<V>(work: impl Future<Output = Result<V, Failure>>) -> Result<V, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::new(Status::Incomplete, error))?;
    let outcome = runtime.block_on(work);
    // A name lookup that hangs must not keep the program from ending.
    runtime.shutdown_background();
    outcome
}

impl Transfer {
    /// Runs until the goal is reached; the engine has stopped in order when this returns.
    pub(crate) async fn run(self) -> Result<Status, Failure> {
        let environment = Environment::os_at(&self.config.listen);
        if self.metainfo.private() && !self.config.peers.is_empty() {
            self.report
                .say("the torrent is private: its peers come from its trackers, and --peer is not used");
        }
        let (metainfo, config) = (Arc::clone(&self.metainfo), self.config.clone());
        let progress = config.resume.progress.clone();
        let started = Engine::start(environment, metainfo, self.storage.clone(), config, self.seed);
        let Some(started) = self.checking(started, &progress).await else { return Ok(Status::Interrupted) };
        let (mut handle, root) = started?;
        let mut root = tokio::spawn(root);
        let clock = OsClock::new();
        let outcome = self.watch(&mut handle).await;
        if let Some(snapshot) = handle.snapshot().await {
            self.report.summary(&snapshot, Duration::from_micros(clock.now().as_micros()));
        }
        handle.stop();
        let ended = tokio::select! {
            biased;
            ended = tokio::time::timeout(STOP_LIMIT, &mut root) => ended,
            // Whoever presses Ctrl-C twice does not want to wait.
            () = interrupted() => Ok(Ok(())),
        };
        self.report.close();
        match ended {
            Ok(Err(panic)) => {
                Err(Failure::new(Status::Incomplete, format_args!("the engine failed: {panic}")))
            }
            Ok(Ok(())) | Err(_) => outcome,
        }
    }

    /// Waits for the check at the start and shows how far it is; nothing if the user would rather not wait.
    /// What was hashed by then is kept.
    async fn checking<V>(&self, started: impl Future<Output = V>, progress: &CheckProgress) -> Option<V> {
        let mut tick = tokio::time::interval(self.report.period());
        tick.tick().await;
        let (mut started, mut interrupt) = (pin!(started), pin!(interrupted()));
        loop {
            tokio::select! {
                biased;
                started = started.as_mut() => return Some(started),
                () = interrupt.as_mut() => {
                    self.report.close();
                    self.report.say("interrupted; run the same command again, and the check goes on");
                    return None;
                }
                _ = tick.tick() => {
                    let (done, total) = progress.bytes();
                    self.report.checking(done, total);
                }
            }
        }
    }

    async fn watch(&self, handle: &mut TorrentHandle) -> Result<Status, Failure> {
        let mut tick = tokio::time::interval(self.report.period());
        // The first tick is immediate and has nothing to show.
        tick.tick().await;
        let mut interrupt = pin!(interrupted());
        let mut outlook = Outlook::new(self);
        loop {
            tokio::select! {
                biased;
                () = interrupt.as_mut() => return Ok(self.interrupted(handle).await),
                event = handle.next_event() => {
                    let event = event.ok_or_else(|| Failure::new(Status::Incomplete, "the engine failed"))?;
                    self.report.event(&event);
                    if let Some(status) = self.heed(&event, handle, &outlook).await? {
                        return Ok(status);
                    }
                    outlook.heed(&event);
                    if matches!(event, EngineEvent::TrackerFailed { .. })
                        && let Some(stats) = handle.stats().await
                    {
                        outlook.judge(&stats)?;
                    }
                }
                _ = tick.tick() => {
                    if let Some(snapshot) = handle.snapshot().await {
                        self.report.progress(std::slice::from_ref(&snapshot));
                        outlook.judge(&snapshot.stats)?;
                    }
                }
            }
        }
    }

    /// Is the goal reached, or out of reach?
    async fn heed(
        &self,
        event: &EngineEvent,
        handle: &TorrentHandle,
        outlook: &Outlook,
    ) -> Result<Option<Status>, Failure> {
        let complete = match event {
            EngineEvent::Checked { have, pieces } if have == pieces => true,
            EngineEvent::Checked { have, pieces } if self.goal == Goal::Seed => {
                return Err(self.not_all_there(*have, *pieces));
            }
            EngineEvent::Completed | EngineEvent::SelectionCompleted => true,
            // A slow terminal may have missed the very event.
            EngineEvent::Missed(_) => handle.stats().await.is_some_and(|stats| stats.wanted_left == 0),
            EngineEvent::StorageFailed { kind, error } => {
                return Err(self.storage_failed(*kind, error, handle.stats().await.as_ref()));
            }
            EngineEvent::Listening(_)
            | EngineEvent::Checked { .. }
            | EngineEvent::PieceVerified(_)
            | EngineEvent::PieceFailed(_)
            | EngineEvent::FileLost { .. }
            | EngineEvent::Banned(_)
            | EngineEvent::Announced { .. }
            | EngineEvent::TrackerFailed { .. }
            | EngineEvent::WebSeedFailed { .. }
            | EngineEvent::Stopped => false,
        };
        if !complete {
            return Ok(None);
        }
        let (name, len) = (printable(self.metainfo.name()), BinaryBytes(self.wanted_len()));
        let what = if self.config.priorities.is_empty() {
            name.clone()
        } else {
            format!("what is wanted of {name}")
        };
        self.report.complete(&match self.goal {
            Goal::Seed => format!("sharing {name}, {len}, until interrupted"),
            Goal::Complete | Goal::CompleteThenSeed => {
                format!("{what} is complete: {len} after {:.1} s", outlook.clock.now().as_secs_f64())
            }
        });
        Ok((self.goal == Goal::Complete).then_some(Status::Done))
    }

    /// Bytes to have in the end: of all pieces, or of those that the chosen files need.
    fn wanted_len(&self) -> u64 {
        let geometry = self.metainfo.geometry();
        if self.goal == Goal::Seed {
            return geometry.len();
        }
        let levels = self.metainfo.piece_priorities(&self.config.priorities);
        let wanted = geometry.all_pieces().zip(levels).filter(|(_, level)| *level != Priority::Skip);
        wanted.map(|(piece, _)| u64::from(geometry.len_of(piece))).sum()
    }

    fn not_all_there(&self, have: u32, pieces: u32) -> Failure {
        let (root, name) = (self.storage.root().display(), printable(self.metainfo.name()));
        let what = format_args!("{root} holds {have} of the {pieces} pieces of {name}");
        Failure::new(Status::Incomplete, what).advise(
            "`ourtorrent verify` says what is missing; `ourtorrent download` fetches it into the same folder.",
        )
    }

    fn storage_failed(&self, kind: ErrorKind, error: &str, stats: Option<&Stats>) -> Failure {
        let kept = stats.map_or(0, |stats| stats.pieces);
        let is_full = matches!(kind, ErrorKind::StorageFull | ErrorKind::QuotaExceeded);
        let remedy = if is_full { "Make room" } else { "Put that right" };
        let pieces = self.metainfo.geometry().pieces();
        Failure::new(Status::Storage, error).advise(format_args!(
            "{remedy}, then run the same command again. It goes on from the {kept} of {pieces} pieces that are safe."
        ))
    }

    async fn interrupted(&self, handle: &TorrentHandle) -> Status {
        let complete = handle.stats().await.is_some_and(|stats| stats.wanted_left == 0);
        if complete {
            return Status::Done;
        }
        self.report.say("interrupted; run the same command again to go on");
        Status::Interrupted
    }
}

/// Whether a download can still hope for a peer.
struct Outlook {
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
    fn new(transfer: &Transfer) -> Self {
        let trackers: BTreeSet<&String> = transfer.metainfo.trackers().iter().flatten().collect();
        let named = !transfer.config.peers.is_empty();
        Self {
            clock: OsClock::new(),
            trackers: trackers.len().min(MAX_TRACKERS),
            failed: BTreeMap::new(),
            answered: false,
            downloads: transfer.goal != Goal::Seed,
            patience: if named { NAMED_PEER_PATIENCE } else { Duration::ZERO },
            alone_since: None,
        }
    }

    fn heed(&mut self, event: &EngineEvent) {
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
    fn judge(&mut self, stats: &Stats) -> Result<(), Failure> {
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

pub(crate) fn random_seed() -> Result<Seed, Failure> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| Failure::new(Status::Incomplete, error))?;
    Ok(Seed(bytes))
}

/// Ends when the user presses Ctrl-C or the system asks the program to end.
pub(crate) async fn interrupted() {
    let pressed = async {
        if tokio::signal::ctrl_c().await.is_err() {
            pending::<()>().await;
        }
    };
    tokio::select! {
        biased;
        () = pressed => {}
        () = terminated() => {}
    }
}

#[cfg(unix)]
async fn terminated() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut signals) => drop(signals.recv().await),
        Err(_) => pending().await,
    }
}

#[cfg(not(unix))]
async fn terminated() {
    pending().await
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
