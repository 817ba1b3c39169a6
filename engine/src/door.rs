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
use crate::seats::{Seat, SeatLimits, Seats};
use crate::transport::Listener;

/// Incoming connections whose handshake is under way. More wait in the system's backlog, so that silent
/// strangers hold at most this many sockets of ours, each for the handshake's time.
const MAX_KNOCKING: usize = 64;

/// The same for one source, so that no few of them can shut the door: as many as a torrent accepts of one address.
const MAX_KNOCKING_PER_SOURCE: usize = 8;

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
    /// From a source with too many handshakes under way.
    pub(crate) crowding: AtomicU64,
}

/// Where those stand whose handshake is under way; clones are the same one.
#[derive(Clone, Debug)]
pub(crate) struct Doorstep {
    permits: Arc<Semaphore>,
    seats: Seats,
}

/// A handshake under way.
#[derive(Debug)]
pub(crate) struct Knocking {
    _permit: OwnedSemaphorePermit,
    _seat: Seat,
}

impl Default for Doorstep {
    fn default() -> Self {
        let (total, per_source) = (MAX_KNOCKING, MAX_KNOCKING_PER_SOURCE);
        let limits = SeatLimits { total, per_source, unlimited: Vec::new() };
        Self { permits: Arc::new(Semaphore::new(total)), seats: Seats::new(limits) }
    }
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
    pub(crate) doorstep: Doorstep,
}

impl<C: Clock> Door<C> {
    /// Accepts until it is dropped.
    pub(crate) async fn keep<L>(self, listener: L)
    where
        L: Listener<Reader: AsyncRead + Unpin + Send + 'static, Writer: AsyncWrite + Unpin + Send + 'static>,
    {
        let mut guests = JoinSet::new();
        loop {
            let Ok(permit) = Arc::clone(&self.doorstep.permits).acquire_owned().await else { return };
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
            let Some(seat) = self.doorstep.seats.take(addr.ip()) else {
                // Closed at once: the door is there for others too.
                self.turned_away.crowding.fetch_add(1, Ordering::Relaxed);
                continue;
            };
            let (door, knocking) = (self.clone(), Knocking { _permit: permit, _seat: seat });
            let find = move |info_hash| door.introduce(addr, knocking, info_hash);
            guests.spawn(async move { peer::receive(&clock, stream, patience, find).await });
        }
    }

    /// Tells the torrent's loop that somebody knocks, who is let in if the torrent is ours and once there is a place.
    async fn introduce(
        self,
        addr: SocketAddr,
        knocking: Knocking,
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
        let end = end.holding(knocking).at(place);
        queue.send(Happening::Knock { key, addr, link }).map_err(|_| HandshakeError::NoPlace)?;
        Ok((terms, end))
    }
}

#[cfg(test)]
mod tests {
    use proto::wire::Handshake;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf};
    use tokio::sync::{Mutex, mpsc};

    use super::*;
    use crate::clock::OsClock;
    use crate::shared::SharedLimits;
    use crate::transport::Stream;

    /// A listener whose streams are made by the test.
    struct Street(Mutex<mpsc::UnboundedReceiver<(DuplexStream, SocketAddr)>>);

    impl Listener for Street {
        type Reader = ReadHalf<DuplexStream>;
        type Writer = WriteHalf<DuplexStream>;

        async fn accept(&self) -> std::io::Result<Stream<Self::Reader, Self::Writer>> {
            let Some((stream, peer_addr)) = self.0.lock().await.recv().await else {
                std::future::pending().await
            };
            let (reader, writer) = tokio::io::split(stream);
            Ok(Stream { reader, writer, peer_addr })
        }

        fn local_addr(&self) -> std::io::Result<SocketAddr> {
            Ok(SocketAddr::from(([127, 0, 0, 1], 6881)))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_few_silent_addresses_do_not_shut_the_door() {
        let turned_away = Arc::new(TurnedAway::default());
        let door = Door {
            clock: OsClock::new(),
            routes: Routes::default(),
            keys: Keys::default(),
            places: Places::new(SharedLimits::default().places()),
            turned_away: Arc::clone(&turned_away),
            patience: Duration::from_secs(3600),
            doorstep: Doorstep::default(),
        };
        let (bell, street) = mpsc::unbounded_channel();
        let _keeper = tokio::spawn(door.keep(Street(Mutex::new(street))));
        let knock = |ip: &str| {
            let (ours, theirs) = tokio::io::duplex(1024);
            bell.send((theirs, SocketAddr::new(ip.parse().expect("an address"), 4711))).expect("open");
            ours
        };
        let is_closed = async |stream: &mut DuplexStream| {
            tokio::time::timeout(Duration::from_secs(1), stream.read(&mut [0])).await.is_ok()
        };
        // One customer's IPv6 network is one source.
        let silent = |host| [format!("192.0.2.{}", host % 2), format!("2001:db8::{host:x}")];
        let mut guests: Vec<_> = (0..MAX_KNOCKING).flat_map(silent).map(|ip| knock(&ip)).collect();
        let mut waiting = 0;
        for guest in &mut guests {
            waiting += usize::from(!is_closed(guest).await);
        }
        assert_eq!(waiting, 3 * MAX_KNOCKING_PER_SOURCE);
        assert_eq!(turned_away.crowding.load(Ordering::Relaxed) as usize, 2 * MAX_KNOCKING - waiting);
        // Somebody else is heard meanwhile.
        let mut stranger = knock("192.0.2.7");
        let info_hash = InfoHash([7; 20]);
        let hello = Handshake { reserved: [0; 8], info_hash, peer_id: proto::id::PeerId([7; 20]) };
        stranger.write_all(&hello.encode()).await.expect("sent");
        assert!(is_closed(&mut stranger).await);
        assert_eq!(turned_away.foreign.load(Ordering::Relaxed), 1);
        // And whoever was many is let in again once the others are gone.
        drop(guests);
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(!is_closed(&mut knock("192.0.2.1")).await);
    }
}
