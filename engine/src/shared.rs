//! What all torrents of a process share: the limits as a user names them, and each torrent's part of the upload
//! slots.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use proto::rate::TorrentKey;
use proto::share::{PlaceLimits, SlotShare};

/// Limits for all torrents of a process together. Those of a torrent ([`proto::torrent::TorrentConfig`]) hold below
/// them, and rates have limits of their own ([`crate::RateLimits`]).
///
/// A torrent that is added when everything is taken gets its share: torrents with more connections part with some,
/// one by one, and upload slots move at the next choke rounds. An idle torrent holds nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SharedLimits {
    /// Connections, those that are being dialled among them.
    pub connections: usize,
    /// Dials under way at once (home routers lose track of many half-open connections).
    pub half_open: usize,
    /// Peers that are served at once.
    pub upload_slots: usize,
}

impl Default for SharedLimits {
    /// Eight torrents with all the connections that one may have, below the 1024 files that most systems let a
    /// process open; half of a small router's table for connections under way; slots for them all to be served fast.
    fn default() -> Self {
        Self { connections: 400, half_open: 64, upload_slots: 200 }
    }
}

impl SharedLimits {
    /// Those of connections.
    pub(crate) const fn places(self) -> PlaceLimits {
        PlaceLimits { connections: self.connections, half_open: self.half_open }
    }
}

/// The upload slots of a process.
pub(crate) type SlotPool = Arc<Mutex<SlotShare>>;

/// One torrent's part of the upload slots, given up when dropped.
#[derive(Debug)]
pub(crate) struct Slots {
    pool: SlotPool,
    torrent: TorrentKey,
    held: usize,
}

impl Slots {
    /// None at first.
    pub(crate) const fn new(pool: SlotPool, torrent: TorrentKey) -> Self {
        Self { pool, torrent, held: 0 }
    }

    /// What may be used from this choke round to the next.
    pub(crate) fn round(&mut self, wanted: usize) -> usize {
        let held = self.lock().round(self.torrent, wanted);
        self.held = held;
        held
    }

    /// What may be used from now on, if that changes between two rounds.
    pub(crate) fn follow(&mut self, wanted: usize) -> Option<usize> {
        let is_content = wanted == self.held || (0 < wanted && wanted < self.held);
        if is_content {
            return None;
        }
        let held = self.lock().more(self.torrent, wanted);
        let before = std::mem::replace(&mut self.held, held);
        (held != before).then_some(held)
    }

    fn lock(&self) -> MutexGuard<'_, SlotShare> {
        // No code that may panic runs under this lock.
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Slots {
    fn drop(&mut self) {
        self.lock().forget(self.torrent);
    }
}
