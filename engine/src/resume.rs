//! Resume data as the driver keeps them: settings, the progress of a check, and the record that is written.
//!
//! What may be claimed, and when, is decided in [`proto::resume`].

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use proto::bitfield::Bitfield;
use proto::resume::{Keeper, Record, SAMPLE, Step};
use proto::time::Instant;
use proto::torrent::{Input, Torrent};

use crate::clock::Clock;
use crate::disk_jobs::Job;
use crate::handle::EngineEvent;
use crate::storage::Loss;
use crate::torrent::TorrentLoop;
use crate::transport::Transport;

/// What was verified is made safe this often: a power cut costs no more than that, and two flushes.
pub const FLUSH_EVERY: Duration = Duration::from_secs(10);

/// What a user may choose about resuming.
#[derive(Clone, Debug)]
pub struct ResumeConfig {
    /// Hash everything at the start, whatever the resume data say.
    pub check: bool,
    /// Pieces that are hashed although the resume data vouch for them.
    pub sample: usize,
    /// How often what was verified is made safe.
    pub flush_every: Duration,
    /// Tells how far the check at the start is.
    pub progress: CheckProgress,
}

impl Default for ResumeConfig {
    fn default() -> Self {
        Self { check: false, sample: SAMPLE, flush_every: FLUSH_EVERY, progress: CheckProgress::default() }
    }
}

/// How far a check is. Clones show the same check.
#[derive(Clone, Debug, Default)]
pub struct CheckProgress(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    done: AtomicU64,
    total: AtomicU64,
}

impl CheckProgress {
    /// Bytes that were hashed, and bytes to hash; none before the check has begun.
    pub fn bytes(&self) -> (u64, u64) {
        (self.0.done.load(Ordering::Relaxed), self.0.total.load(Ordering::Relaxed))
    }

    pub(crate) fn expect(&self, bytes: u64) {
        self.0.total.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn add(&self, bytes: u64) {
        self.0.done.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// What earlier runs have left besides content.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Past {
    pub(crate) uploaded: u64,
    pub(crate) downloaded: u64,
}

impl Past {
    pub(crate) fn of(record: Option<&Record>) -> Self {
        let sums = |record: &Record| Self { uploaded: record.uploaded, downloaded: record.downloaded };
        record.map(sums).unwrap_or_default()
    }

    /// The record of what may be claimed now. What else was written in this run may be whole in files that look
    /// as the record says, so the next start hashes it.
    pub(crate) fn record(self, keeper: &Keeper, torrent: &Torrent) -> Record {
        let progress = torrent.progress();
        let mut unchecked = Bitfield::empty(keeper.claimed().pieces());
        for piece in keeper.unclaimed().chain(torrent.started_pieces()) {
            if !keeper.claimed().has(piece) {
                unchecked.set(piece);
            }
        }
        Record {
            info_hash: torrent.handshake().info_hash,
            claimed: keeper.claimed().clone(),
            unchecked,
            files: keeper.files().to_vec(),
            uploaded: self.uploaded.saturating_add(progress.uploaded),
            downloaded: self.downloaded.saturating_add(progress.downloaded),
            peers: torrent.connected_peers(),
        }
    }
}

/// The record as bytes; none at all could not be encoded, and nobody would believe them.
pub(crate) fn encoded(record: &Record) -> Bytes {
    record.encode().unwrap_or_default().into()
}

impl<T: Transport, C: Clock> TorrentLoop<T, C> {
    /// Carries out what the keeper asks for.
    pub(crate) fn keep(&mut self, now: Instant) {
        match self.keeper.poll_step() {
            Some(Step::Flush) => self.submit(now, Job::Flush),
            Some(Step::Keep) => {
                let record = self.past.record(&self.keeper, &self.torrent);
                self.submit(now, Job::Keep(encoded(&record)));
            }
            None => {}
        }
    }

    /// Files are not what they were. The keeper hears of it at once, for a torrent that was stopped has no doubts.
    pub(crate) fn lost(&mut self, now: Instant, losses: Vec<Loss>) {
        for Loss { path, what, pieces } in losses {
            self.tell(&EngineEvent::FileLost { path, what });
            for &piece in &pieces {
                self.keeper.lost(now, piece);
            }
            self.torrent.handle_input(now, Input::Doubt(pieces));
        }
    }
}
