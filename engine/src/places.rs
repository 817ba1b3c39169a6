//! The connections of a process: who has a place for one, as [`proto::share::Places`] decides, and how those hear
//! of it who wait.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use proto::rate::TorrentKey;
use proto::share::{PlaceLimits, PlaceOutput, Places as Machine};
use proto::torrent::PeerKey;
use tokio::sync::oneshot;

use crate::queue::{Happening, Queue};

/// Who waits for a place.
#[derive(Debug)]
enum Waiter {
    /// A torrent that wants to dial.
    Dial(Queue),
    /// The task of a connection that came in.
    Guest(oneshot::Sender<()>),
}

#[derive(Debug)]
struct State {
    machine: Machine,
    waiters: BTreeMap<PeerKey, Waiter>,
    /// How to reach a torrent that is to part with a connection.
    torrents: BTreeMap<TorrentKey, Queue>,
}

impl State {
    /// Tells everybody what was decided; returns what was decided about `asker`, if anything.
    fn tell(&mut self, asker: Option<PeerKey>) -> Option<bool> {
        let mut answer = None;
        while let Some(output) = self.machine.poll_output() {
            match output {
                PlaceOutput::Granted(peer) if Some(peer) == asker => answer = Some(true),
                PlaceOutput::Refused(peer) if Some(peer) == asker => answer = Some(false),
                // Who is gone meanwhile gives its place back when it is dropped.
                PlaceOutput::Granted(peer) => match self.waiters.remove(&peer) {
                    Some(Waiter::Dial(queue)) => drop(queue.send(Happening::Place(peer))),
                    Some(Waiter::Guest(guest)) => drop(guest.send(())),
                    None => {}
                },
                PlaceOutput::Refused(peer) => drop(self.waiters.remove(&peer)),
                PlaceOutput::Part(torrent) => {
                    if let Some(queue) = self.torrents.get(&torrent) {
                        // A torrent that ends gives up all its connections.
                        let _ = queue.send(Happening::Part);
                    }
                }
            }
        }
        answer
    }
}

/// The places of a process; clones are the same ones.
#[derive(Clone, Debug)]
pub(crate) struct Places(Arc<Mutex<State>>);

impl Places {
    /// All free.
    pub(crate) fn new(limits: PlaceLimits) -> Self {
        let (machine, waiters, torrents) = (Machine::new(limits), BTreeMap::new(), BTreeMap::new());
        Self(Arc::new(Mutex::new(State { machine, waiters, torrents })))
    }

    /// A place for a dial, and whether it may begin: if not, [`Happening::Place`] says when.
    pub(crate) fn dial(&self, peer: PeerKey, torrent: TorrentKey, queue: &Queue) -> (Place, bool) {
        let place = self.place(peer);
        let mut state = self.lock();
        state.torrents.entry(torrent).or_insert_with(|| queue.clone());
        state.machine.dial(peer, torrent);
        let may_begin = state.tell(Some(peer)).is_some();
        if !may_begin {
            state.waiters.insert(peer, Waiter::Dial(queue.clone()));
        }
        (place, may_begin)
    }

    /// A place for a connection that came in, which may have to wait for it; nothing if there is none.
    pub(crate) async fn admit(&self, peer: PeerKey, torrent: TorrentKey, queue: &Queue) -> Option<Place> {
        let place = self.place(peer);
        let waiting = {
            let mut state = self.lock();
            state.torrents.entry(torrent).or_insert_with(|| queue.clone());
            state.machine.knock(peer, torrent);
            match state.tell(Some(peer)) {
                Some(true) => None,
                Some(false) => return None,
                None => {
                    let (tell, told) = oneshot::channel();
                    state.waiters.insert(peer, Waiter::Guest(tell));
                    Some(told)
                }
            }
        };
        match waiting {
            Some(told) => told.await.ok().map(|()| place),
            None => Some(place),
        }
    }

    /// A torrent is gone, and its connections with it.
    pub(crate) fn forget_torrent(&self, torrent: TorrentKey) {
        self.lock().torrents.remove(&torrent);
    }

    /// Places that are taken, and those of them by dials under way.
    pub(crate) fn taken(&self) -> (usize, usize) {
        self.lock().machine.taken()
    }

    fn place(&self, peer: PeerKey) -> Place {
        Place { places: self.clone(), peer }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code that may panic runs under this lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection's place, or its wish for one; free again when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    places: Places,
    peer: PeerKey,
}

impl Place {
    /// A dial led to a connection.
    pub(crate) fn opened(&self) {
        let mut state = self.places.lock();
        state.machine.opened(self.peer);
        state.tell(None);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.places.lock();
        state.waiters.remove(&self.peer);
        state.machine.release(self.peer);
        state.tell(None);
    }
}
