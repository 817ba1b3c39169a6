//! Which torrents a process has, and how what arrives finds its torrent: connections by their info hash.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use proto::id::InfoHash;
use proto::rate::TorrentKey;

use crate::peer::Terms;
use crate::queue::{Happening, Queue};

/// A torrent as connections see it.
#[derive(Clone, Debug)]
pub(crate) struct Route {
    /// What its connections have in common.
    pub(crate) terms: Terms,
    /// To its loop.
    pub(crate) queue: Queue,
}

#[derive(Debug, Default)]
struct State {
    /// No route while a torrent looks through its storage.
    torrents: BTreeMap<InfoHash, Option<Route>>,
    next: u32,
}

/// The torrents of a process; clones are the same ones.
#[derive(Clone, Debug, Default)]
pub(crate) struct Routes(Arc<Mutex<State>>);

impl Routes {
    /// A seat for a torrent; nothing if it has one already.
    pub(crate) fn reserve(&self, info_hash: InfoHash) -> Option<Seat> {
        let mut state = self.lock();
        if state.torrents.contains_key(&info_hash) {
            return None;
        }
        let key = TorrentKey(state.next);
        state.next = state.next.wrapping_add(1);
        state.torrents.insert(info_hash, None);
        Some(Seat { routes: self.clone(), info_hash, key })
    }

    /// Where a connection for this torrent belongs; nothing if the torrent is not ours.
    pub(crate) fn find(&self, info_hash: InfoHash) -> Option<Route> {
        self.lock().torrents.get(&info_hash)?.clone()
    }

    /// Torrents, those among them that look through their storage.
    pub(crate) fn count(&self) -> usize {
        self.lock().torrents.len()
    }

    /// Tells every torrent the same.
    pub(crate) fn tell_all(&self, happening: impl Fn() -> Happening) {
        for route in self.lock().torrents.values().flatten() {
            // A torrent that ends needs to hear nothing more.
            let _ = route.queue.send(happening());
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code that may panic runs under this lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A torrent's place among the others, given up when dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    routes: Routes,
    info_hash: InfoHash,
    key: TorrentKey,
}

impl Seat {
    /// The torrent's number in this process, never used twice.
    pub(crate) const fn key(&self) -> TorrentKey {
        self.key
    }

    /// From now on, connections for this torrent come this way.
    pub(crate) fn open(&self, route: Route) {
        self.routes.lock().torrents.insert(self.info_hash, Some(route));
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.routes.lock().torrents.remove(&self.info_hash);
    }
}
