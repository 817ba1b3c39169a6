//! What one peer has told the runner, across crashes and restarts.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use proto::torrent::{Banned, Giver, Stats};

use crate::oracle::Holdings;
use crate::record::{Ban, Departed, Presence};
use crate::storage::Loss;

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
    /// Pieces that are on the disk, as far as the engine may know.
    stored: BTreeSet<u32>,
    /// Pieces that came in although they were there.
    pub(super) needless: u32,
    /// Pieces that the engine found on its disk at a start and that are not there.
    pub(super) false_claims: u32,
    /// How often it was complete and lost that.
    pub(super) undone: u32,
    /// The present life's sums are written down up to now.
    counted: bool,
    /// This life's engine has looked at its disk.
    pub(super) is_checked: bool,
    /// A life has ended and nobody knows its sums.
    pub(super) uncounted: bool,
    /// The most addresses that the engine knew whenever it was asked.
    pub(super) known: Option<usize>,
}

impl Log {
    /// The engine found so many pieces on its disk, which holds these.
    pub(super) fn checked(&mut self, now: Duration, have: u32, sound: &[u32]) {
        self.is_checked = true;
        self.false_claims += have.saturating_sub(sound.len() as u32);
        if have as usize == sound.len() {
            // Also what it had not known to be right when it died.
            for &piece in sound {
                self.stored.insert(piece);
                self.pieces.get_mut(piece as usize).into_iter().for_each(|place| {
                    place.get_or_insert(now);
                });
            }
        }
        if have as usize == self.pieces.len() {
            self.completed.get_or_insert(now);
            for piece in &mut self.pieces {
                piece.get_or_insert(now);
            }
        } else {
            // It was complete, and has noticed that it is not.
            self.undone += u32::from(self.completed.take().is_some());
        }
    }

    /// A piece came in, its hash is right.
    pub(super) fn verified(&mut self, now: Duration, piece: u32) {
        self.needless += u32::from(!self.stored.insert(piece));
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

    /// Bits have rotted on the disk, and nobody knows.
    pub(super) fn rotted(&mut self, pieces: &[u32]) {
        for piece in pieces {
            self.stored.remove(piece);
        }
    }

    /// The power went, and with it what was not flushed. Who was complete may not be any more.
    pub(super) fn lost(&mut self, loss: &Loss) {
        self.rotted(&loss.unsafe_ones);
        for &piece in &loss.gone {
            self.pieces.get_mut(piece as usize).map(Option::take);
        }
        if !loss.gone.is_empty() {
            self.undone += u32::from(self.completed.take().is_some());
        }
    }

    /// A new life begins.
    pub(super) fn reborn(&mut self, now: Duration) {
        self.lives.push(Presence { from: now, until: None });
        self.past = self.sums();
        self.present = Sums::default();
        (self.counted, self.is_checked) = (false, false);
    }

    /// The present life is over: the host died, or began to leave.
    pub(super) fn ended(&mut self, now: Duration) {
        if let Some(life) = self.lives.last_mut() {
            life.until.get_or_insert(now);
        }
        self.uncounted |= !self.counted;
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
        self.knows(stats.known);
        self.counted = true;
    }

    /// So many addresses are in the engine's book.
    pub(super) fn knows(&mut self, addresses: usize) {
        self.known = self.known.max(Some(addresses));
    }

    /// Of all lives; a crash takes with it what was not counted before.
    pub(super) fn sums(&self) -> Sums {
        self.past.plus(self.present)
    }

    pub(super) fn held(&self) -> u64 {
        self.pieces.iter().flatten().count() as u64
    }
}

impl Holdings for SharedLog {
    fn look(&self, see: &mut dyn FnMut(&[Option<Duration>])) {
        see(&self.lock().pieces);
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
