//! The door: accepts connections for all torrents of a process and serves each in a task of its own, which lives
//! no longer than the door.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use proto::id::InfoHash;
use proto::torrent::PeerKey;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tracing::warn;

use crate::clock::Clock;
use crate::peer::{self, HandshakeError, TaskEnd, Terms, link};
use crate::places::Places;
use crate::queue::Happening;
use crate::routes::{Route, Routes};
use crate::transport::Listener;

/// Incoming connections whose handshake is under way. More wait in the system's backlog, so that silent
/// strangers hold at most this many sockets of ours, each for the handshake's time.
pub(crate) const MAX_KNOCKING: usize = 64;

/// After a failed accept (no free descriptor, say) the door rests this long.
const REST: Duration = Duration::from_millis(200);

/// Numbers connections, both those dialled and those accepted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Keys(Arc<AtomicU64>);

impl Keys {
    /// A number that no other connection of this process has.
    pub(crate) fn next(&self) -> PeerKey {
        PeerKey(self.0.fetch_add(1, Ordering::Relaxed))
    }
}

/// Connections that came in and were closed without a word.
#[derive(Debug, Default)]
pub(crate) struct TurnedAway {
    /// For a torrent that is not ours.
    pub(crate) foreign: AtomicU64,
    /// When every connection was taken.
    pub(crate) without_place: AtomicU64,
}

/// What the doors of a process have in common; there is one for each address at which it listens.
#[derive(Clone, Debug)]
pub(crate) struct Door<C: Clock> {
    pub(crate) clock: C,
    pub(crate) routes: Routes,
    pub(crate) keys: Keys,
    pub(crate) places: Places,
    pub(crate) turned_away: Arc<TurnedAway>,
    /// How long a stranger may take to say what it wants.
    pub(crate) patience: Duration,
    /// Permits for the handshakes under way.
    pub(crate) knocking: Arc<Semaphore>,
}

impl<C: Clock> Door<C> {
    /// Accepts until it is dropped.
    pub(crate) async fn keep<L>(self, listener: L)
    where
        L: Listener<Reader: AsyncRead + Unpin + Send + 'static, Writer: AsyncWrite + Unpin + Send + 'static>,
    {
        let mut guests = JoinSet::new();
        loop {
            let Ok(permit) = Arc::clone(&self.knocking).acquire_owned().await else { return };
            let accepted = listener.accept().await;
            while guests.try_join_next().is_some() {}
            let stream = match accepted {
                Ok(stream) => stream,
                Err(error) => {
                    warn!(%error, "cannot accept a connection");
                    self.clock.sleep_until(self.clock.now() + REST).await;
                    continue;
                }
            };
            let (clock, patience, addr) = (self.clock.clone(), self.patience, stream.peer_addr);
            let door = self.clone();
            let find = move |info_hash| door.introduce(addr, permit, info_hash);
            guests.spawn(async move { peer::receive(&clock, stream, patience, find).await });
        }
    }

    /// Tells the torrent's loop that somebody knocks, who is let in if the torrent is ours and once there is a place.
    async fn introduce(
        self,
        addr: SocketAddr,
        permit: OwnedSemaphorePermit,
        info_hash: InfoHash,
    ) -> Result<(Terms, TaskEnd), HandshakeError> {
        let Some(Route { terms, queue }) = self.routes.find(info_hash) else {
            self.turned_away.foreign.fetch_add(1, Ordering::Relaxed);
            return Err(HandshakeError::ForeignTorrent);
        };
        let key = self.keys.next();
        let Some(place) = self.places.admit(key, terms.torrent, &queue).await else {
            self.turned_away.without_place.fetch_add(1, Ordering::Relaxed);
            return Err(HandshakeError::NoPlace);
        };
        let (link, end) = link(key, queue.clone());
        let end = end.holding(permit).at(place);
        queue.send(Happening::Knock { key, addr, link }).map_err(|_| HandshakeError::NoPlace)?;
        Ok((terms, end))
    }
}
