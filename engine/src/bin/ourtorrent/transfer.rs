//! One torrent of a run: what is wanted of it, and what its events mean for the user.

use std::io::ErrorKind;
use std::sync::Arc;

use engine::storage::file::FileStorage;
use engine::{EngineEvent, TorrentHandle, TorrentOptions, TorrentSnapshot};
use indicatif::BinaryBytes;
use proto::metainfo::{Metainfo, Priority};

use crate::failure::{Failure, Status};
use crate::outlook::Outlook;
use crate::show::printable;

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

/// What an engine needs of a torrent.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) metainfo: Arc<Metainfo>,
    pub(crate) storage: FileStorage,
    pub(crate) options: TorrentOptions,
}

/// A torrent of which the engine is told, or will be.
pub(crate) struct Transfer {
    plan: Plan,
    goal: Goal,
    handle: Option<TorrentHandle>,
    pub(crate) outlook: Outlook,
    /// How it has ended; a torrent that is done goes on sharing as long as others need the program.
    pub(crate) ended: Option<Result<(), Failure>>,
}

impl Transfer {
    pub(crate) fn new(plan: Plan, goal: Goal) -> Self {
        let local = plan.options.torrent.lsd && !plan.metainfo.private();
        let hopes = local || !plan.options.peers.is_empty();
        let outlook = Outlook::new(&plan.metainfo, goal != Goal::Seed, hopes);
        Self { plan, goal, handle: None, outlook, ended: None }
    }

    /// What it calls itself, fit to be printed.
    pub(crate) fn name(&self) -> String {
        printable(self.plan.metainfo.name())
    }

    /// The engine has looked through its files and works on it.
    pub(crate) fn began(&mut self, handle: TorrentHandle) {
        self.handle = Some(handle);
    }

    /// The running torrent; nothing before it runs and after it has failed.
    pub(crate) fn handle(&self) -> Option<&TorrentHandle> {
        self.handle.as_ref()
    }

    /// As it stands, if it runs.
    pub(crate) async fn snapshot(&self) -> Option<TorrentSnapshot> {
        match &self.handle {
            Some(handle) => handle.snapshot().await,
            None => None,
        }
    }

    /// It goes no further: the engine lets it go.
    pub(crate) fn fail(&mut self, failure: Failure) {
        if let Some(handle) = self.handle.take() {
            handle.stop();
        }
        self.ended = Some(Err(failure));
    }

    /// Everything that is wanted of it is there.
    pub(crate) async fn is_complete(&self) -> bool {
        self.snapshot().await.is_some_and(|snapshot| snapshot.stats.wanted_left == 0)
    }

    /// Does the event mean that everything is there, or that it never will be?
    pub(crate) async fn heed(&mut self, event: &EngineEvent) -> Result<bool, Failure> {
        self.outlook.heed(event);
        let complete = match event {
            EngineEvent::Checked { have, pieces } if have == pieces => true,
            EngineEvent::Checked { have, pieces } if self.goal == Goal::Seed => {
                return Err(self.not_all_there(*have, *pieces));
            }
            EngineEvent::Completed | EngineEvent::SelectionCompleted => true,
            // A slow terminal may have missed the very event.
            EngineEvent::Missed(_) => self.is_complete().await,
            EngineEvent::StorageFailed { kind, error } => {
                let kept = self.snapshot().await.map_or(0, |snapshot| snapshot.stats.pieces);
                return Err(self.storage_failed(*kind, error, kept));
            }
            EngineEvent::TrackerFailed { .. } => {
                if let Some(snapshot) = self.snapshot().await {
                    self.outlook.judge(&snapshot.stats)?;
                }
                false
            }
            EngineEvent::Listening(_)
            | EngineEvent::Checked { .. }
            | EngineEvent::PieceVerified(_)
            | EngineEvent::PieceFailed(_)
            | EngineEvent::FileLost { .. }
            | EngineEvent::Banned(_)
            | EngineEvent::Announced { .. }
            | EngineEvent::WebSeedFailed { .. }
            | EngineEvent::Stopped => false,
        };
        if complete && self.goal == Goal::Complete {
            self.ended = Some(Ok(()));
        }
        Ok(complete)
    }

    /// What to say once everything is there.
    pub(crate) fn completion(&self) -> String {
        let (name, len) = (self.name(), BinaryBytes(self.wanted_len()));
        if self.goal == Goal::Seed {
            return format!("sharing {name}, {len}, until interrupted");
        }
        let what =
            if self.plan.options.priorities.is_empty() { name } else { format!("what is wanted of {name}") };
        format!("{what} is complete: {len} after {:.1} s", self.outlook.age().as_secs_f64())
    }

    /// Bytes to have in the end: of all pieces, or of those that the chosen files need.
    fn wanted_len(&self) -> u64 {
        let geometry = self.plan.metainfo.geometry();
        if self.goal == Goal::Seed {
            return geometry.len();
        }
        let levels = self.plan.metainfo.piece_priorities(&self.plan.options.priorities);
        let wanted = geometry.all_pieces().zip(levels).filter(|(_, level)| *level != Priority::Skip);
        wanted.map(|(piece, _)| u64::from(geometry.len_of(piece))).sum()
    }

    fn not_all_there(&self, have: u32, pieces: u32) -> Failure {
        let (root, name) = (self.plan.storage.root().display(), self.name());
        let what = format_args!("{root} holds {have} of the {pieces} pieces of {name}");
        Failure::new(Status::Incomplete, what).advise(
            "`ourtorrent verify` says what is missing; `ourtorrent download` fetches it into the same folder.",
        )
    }

    fn storage_failed(&self, kind: ErrorKind, error: &str, kept: u32) -> Failure {
        let is_full = matches!(kind, ErrorKind::StorageFull | ErrorKind::QuotaExceeded);
        let remedy = if is_full { "Make room" } else { "Put that right" };
        let pieces = self.plan.metainfo.geometry().pieces();
        Failure::new(Status::Storage, error).advise(format_args!(
            "{remedy}, then run the same command again. It goes on from the {kept} of {pieces} pieces that are safe."
        ))
    }
}
