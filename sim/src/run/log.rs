//! What one peer has told the runner, across crashes and restarts.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use proto::torrent::{Banned, Giver, Stats};

use crate::record::{Ban, Departed, Presence};

/// Sums of one or more lives of an engine, in bytes of payload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sums {
    pub(super) uploaded: u64,
    pub(super) downloaded: u64,
    pub(super) duplicate: u64,
}

impl Sums {
    fn of(stats: &Stats) -> Self {
        let Stats { progress, duplicate, wasted, .. } = stats;
        let duplicate = duplicate + wasted;
        Self { uploaded: progress.uploaded, downloaded: progress.downloaded, duplicate }
    }

    fn plus(self, other: Self) -> Self {
        Self {
            uploaded: self.uploaded + other.uploaded,
            downloaded: self.downloaded + other.downloaded,
            duplicate: self.duplicate + other.duplicate,
        }
    }
}

/// One peer's log.
#[derive(Debug, Default)]
pub(super) struct Log {
    pub(super) completed: Option<Duration>,
    pub(super) gone: Option<Departed>,
    pub(super) pieces: Vec<Option<Duration>>,
    pub(super) failure: Option<String>,
    pub(super) failed: Vec<(Duration, u32)>,
    pub(super) bans: Vec<Ban>,
    lives: Vec<Presence>,
    past: Sums,
    present: Sums,
}

impl Log {
    /// The engine found so many pieces on its disk.
    pub(super) fn checked(&mut self, now: Duration, have: u32) {
        if have as usize == self.pieces.len() {
            self.completed.get_or_insert(now);
            for piece in &mut self.pieces {
                piece.get_or_insert(now);
            }
        }
    }

    /// A piece came in, its hash is right.
    pub(super) fn verified(&mut self, now: Duration, piece: u32) {
        if let Some(place) = self.pieces.get_mut(piece as usize) {
            place.get_or_insert(now);
        }
    }

    /// Somebody is refused from now on. Web seeds have no address to be known by.
    pub(super) fn banned(&mut self, now: Duration, banned: &Banned) {
        if let Giver::Peer(who) = banned.who {
            self.bans.push(Ban { at: now, who, reason: banned.reason.to_string() });
        }
    }

    /// A new life begins.
    pub(super) fn reborn(&mut self, now: Duration) {
        self.lives.push(Presence { from: now, until: None });
        self.past = self.sums();
        self.present = Sums::default();
    }

    /// The present life is over: the host died, or began to leave.
    pub(super) fn ended(&mut self, now: Duration) {
        if let Some(life) = self.lives.last_mut() {
            life.until.get_or_insert(now);
        }
    }

    /// It leaves in good order.
    pub(super) fn leaves(&mut self, now: Duration) {
        self.ended(now);
        self.gone.get_or_insert(Departed { at: now, how: "left".to_owned() });
    }

    /// When it was there.
    pub(super) fn lives(&self) -> Vec<Presence> {
        self.lives.clone()
    }

    /// The engine's own count of this life.
    pub(super) fn count(&mut self, stats: &Stats) {
        self.present = Sums::of(stats);
    }

    /// Of all lives; a crash takes with it what was not counted before.
    pub(super) fn sums(&self) -> Sums {
        self.past.plus(self.present)
    }

    pub(super) fn held(&self) -> u64 {
        self.pieces.iter().flatten().count() as u64
    }
}

/// A log that the peer writes and the runner reads.
#[derive(Clone, Debug)]
pub(super) struct SharedLog(Arc<Mutex<Log>>);

impl SharedLog {
    pub(super) fn new(pieces: u32) -> Self {
        let log = Log { pieces: vec![None; pieces as usize], ..Log::default() };
        Self(Arc::new(Mutex::new(log)))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Log> {
        // Nothing is left half done in a log.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
