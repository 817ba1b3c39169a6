//! The door: accepts connections and serves each in a task of its own, which lives no longer than the door.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use proto::torrent::{Direction, PeerKey};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tracing::warn;

use crate::clock::Clock;
use crate::environment::Environment;
use crate::peer::{self, Terms, link};
use crate::queue::{Happening, Queue};
use crate::transport::{Listener, Transport};

/// Incoming connections whose handshake is under way. More wait in the system's backlog, so that silent
/// strangers hold at most this many sockets of ours, each for the handshake's time.
const MAX_KNOCKING: usize = 64;

/// After a failed accept (no free descriptor, say) the door rests this long.
const REST: Duration = Duration::from_millis(200);

/// Numbers connections, both those dialled and those accepted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Keys(Arc<AtomicU64>);

impl Keys {
    /// A number that no other connection of this engine has.
    pub(crate) fn next(&self) -> PeerKey {
        PeerKey(self.0.fetch_add(1, Ordering::Relaxed))
    }
}

/// What the doors of an engine have in common; there is one for each address at which it listens.
#[derive(Clone, Debug)]
pub(crate) struct Door<T: Transport, C: Clock> {
    environment: Environment<T, C>,
    terms: Terms,
    keys: Keys,
    queue: Queue,
    knocking: Arc<Semaphore>,
}

impl<T: Transport, C: Clock> Door<T, C> {
    /// A door that is not open yet.
    pub(crate) fn new(environment: Environment<T, C>, terms: Terms, keys: Keys, queue: Queue) -> Self {
        Self { environment, terms, keys, queue, knocking: Arc::new(Semaphore::new(MAX_KNOCKING)) }
    }

    /// Accepts until it is dropped.
    pub(crate) async fn keep(self, listener: T::Listener) {
        let Self { environment, terms, keys, queue, knocking } = self;
        let mut guests = JoinSet::new();
        loop {
            let Ok(permit) = Arc::clone(&knocking).acquire_owned().await else { return };
            let accepted = listener.accept().await;
            while guests.try_join_next().is_some() {}
            let stream = match accepted {
                Ok(stream) => stream,
                Err(error) => {
                    warn!(%error, "cannot accept a connection");
                    environment.clock.sleep_until(environment.clock.now() + REST).await;
                    continue;
                }
            };
            let key = keys.next();
            let (link, end) = link(key, queue.clone());
            let end = end.holding(permit);
            let knock = Happening::Knock { key, addr: stream.peer_addr, link };
            if queue.send(knock).is_err() {
                return;
            }
            let clock = environment.clock.clone();
            let terms = terms.clone();
            guests.spawn(async move { peer::serve(&clock, stream, Direction::Incoming, terms, end).await });
        }
    }
}
