//! Dials for one torrent: each waits for a place among the process's connections, without a task, then runs in one
//! of its own.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use proto::torrent::{Direction, PeerKey};
use tokio::task::JoinSet;

use crate::clock::Clock;
use crate::door::Keys;
use crate::environment::Environment;
use crate::peer::{self, Peer, TaskEnd, Terms, link};
use crate::places::Places;
use crate::queue::Queue;
use crate::transport::Transport;

/// What it takes to dial, and the connections that came of it.
pub(crate) struct Dialler<T: Transport, C: Clock> {
    environment: Environment<T, C>,
    terms: Terms,
    keys: Keys,
    places: Places,
    queue: Queue,
    /// Dials without a place yet: as many as the core has under way at the most.
    waiting: BTreeMap<PeerKey, (SocketAddr, TaskEnd)>,
    tasks: JoinSet<()>,
}

impl<T: Transport, C: Clock> Dialler<T, C> {
    /// Nothing dialled yet; news of connections will come through `queue`.
    pub(crate) fn new(
        environment: Environment<T, C>,
        terms: Terms,
        keys: Keys,
        places: Places,
        queue: Queue,
    ) -> Self {
        Self { environment, terms, keys, places, queue, waiting: BTreeMap::new(), tasks: JoinSet::new() }
    }

    /// Dials `addr` as soon as there is a place for the connection.
    pub(crate) fn dial(&mut self, addr: SocketAddr) -> (PeerKey, Peer) {
        while self.tasks.try_join_next().is_some() {}
        let key = self.keys.next();
        let (link, end) = link(key, self.queue.clone());
        let (place, may_begin) = self.places.dial(key, self.terms.torrent, &self.queue);
        self.waiting.insert(key, (addr, end.at(place)));
        if may_begin {
            self.begin(key);
        }
        (key, Peer { link, addr, direction: Direction::Outgoing, opened: false })
    }

    /// A dial has its place.
    pub(crate) fn begin(&mut self, key: PeerKey) {
        if let Some((addr, end)) = self.waiting.remove(&key) {
            self.tasks.spawn(peer::dial(self.environment.clone(), addr, self.terms.clone(), end));
        }
    }

    /// Gives up the dials that wait, and ends all others with their connections.
    pub(crate) async fn end(&mut self) {
        self.waiting.clear();
        self.tasks.shutdown().await;
    }
}
