//! How much a program may still write into its connections, and what their stack need not hear yet.
//!
//! The network takes a stack's bytes over and tells the stack at once that they have arrived (see
//! `network::connection`), so the stack's own buffer is always nearly empty. What an operating system does, to make a
//! writer wait while a buffer full of its bytes is unacknowledged, is done here, with the true acknowledgements. For
//! the stack itself they are no news but for the window, and that it needs only when there is something to send.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use rustc_hash::FxHashMap;
use turmoil_net::Packet;

use super::SOCKET_BUFFER;
use crate::network::Delivery;

/// A connection of one host: the ports, and the far address as a number, which is compared quickly.
type Key = (u16, u16, u128);

/// The send buffer of one connection.
#[derive(Debug)]
pub(super) struct Room {
    /// Bytes that the stack may have at most before the network takes them over, at the next tick. What the line does
    /// not carry in a tick need not be there, and the stack's buffers never shrink.
    ahead: usize,
    state: Mutex<State>,
}

/// A writer may always be so many bytes ahead of the network: a block, roughly.
const LEAST_AHEAD: usize = 16 * 1024;

/// A writer that filled its buffer goes on when so much of it is free, not for every segment, as on Linux
/// (`sk_stream_is_writeable`: as much free as half of what is used).
const WORTH_WAKING: usize = SOCKET_BUFFER / 3;

#[derive(Debug, Default)]
struct State {
    /// Bytes written that the far end has not acknowledged.
    unacknowledged: usize,
    /// They filled the buffer, and not enough of it is free again.
    full: bool,
    /// Those of them that the network has not taken over.
    backlog: usize,
    /// The newest acknowledgement, if the stack has not heard it.
    held: Option<Packet>,
    /// The stack wants to hear everything: it closes.
    closing: bool,
    writer: Option<Waker>,
}

/// The send buffers of one host: only looked up, never gone through.
#[derive(Debug, Default)]
pub(super) struct Rooms(Mutex<FxHashMap<Key, Arc<Room>>>);

impl Room {
    /// Bytes that may be written, of which there are some.
    pub(super) fn poll_free(&self, context: &Context<'_>) -> Poll<usize> {
        self.with(|state| {
            let unsent = self.ahead.saturating_sub(state.backlog);
            let free = unsent.min(SOCKET_BUFFER.saturating_sub(state.unacknowledged));
            if free > 0 && !state.full {
                return Poll::Ready(free);
            }
            if !state.writer.as_ref().is_some_and(|writer| writer.will_wake(context.waker())) {
                state.writer = Some(context.waker().clone());
            }
            Poll::Pending
        })
    }

    /// So many bytes were written: does the stack lack an acknowledgement?
    pub(super) fn fill(&self, bytes: usize) -> bool {
        self.with(|state| {
            state.unacknowledged += bytes;
            state.backlog += bytes;
            state.full |= state.unacknowledged >= SOCKET_BUFFER;
            state.held.is_some()
        })
    }

    /// The stack closes from now on: does it lack an acknowledgement?
    pub(super) fn close(&self) -> bool {
        self.with(|state| {
            state.closing = true;
            state.held.is_some()
        })
    }

    /// What the stack has not heard.
    pub(super) fn take_held(&self) -> Option<Packet> {
        self.with(|state| state.held.take())
    }

    /// Something arrives: returns what the stack must hear now.
    fn hear(&self, Delivery { packet, freed, bare, .. }: Delivery) -> Option<Packet> {
        let (heard, writer) = self.with(|state| {
            state.unacknowledged = state.unacknowledged.saturating_sub(freed as usize);
            state.full &= state.unacknowledged > SOCKET_BUFFER - WORTH_WAKING;
            let heard = if bare && state.backlog == 0 && !state.closing {
                state.held = Some(packet);
                None
            } else {
                state.held = None;
                Some(packet)
            };
            (heard, state.wake())
        });
        writer.into_iter().for_each(Waker::wake);
        heard
    }

    fn with<R>(&self, act: impl FnOnce(&mut State) -> R) -> R {
        act(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl State {
    /// The writer, if it need not wait any longer.
    fn wake(&mut self) -> Option<Waker> {
        if self.full { None } else { self.writer.take() }
    }
}

impl Rooms {
    /// Makes room for a connection of a host whose line carries so many bytes in a tick.
    pub(super) fn open(&self, local: SocketAddr, peer: SocketAddr, a_tick: usize) -> Arc<Room> {
        let ahead = a_tick.clamp(LEAST_AHEAD, SOCKET_BUFFER);
        let room = Arc::new(Room { ahead, state: Mutex::default() });
        self.with(|rooms| rooms.insert(key(local, peer), Arc::clone(&room)));
        room
    }

    /// The connection is closed, unless its addresses are another's already.
    pub(super) fn close(&self, local: SocketAddr, peer: SocketAddr, room: &Arc<Room>) {
        let key = key(local, peer);
        self.with(|rooms| {
            if rooms.get(&key).is_some_and(|other| Arc::ptr_eq(other, room)) {
                rooms.remove(&key);
            }
        });
    }

    /// A segment arrives at `local` from `peer`: returns what the stack must hear now.
    pub(super) fn hear(&self, local: SocketAddr, peer: SocketAddr, delivery: Delivery) -> Option<Packet> {
        match self.find(local, peer) {
            Some(room) => room.hear(delivery),
            None => Some(delivery.packet),
        }
    }

    /// The network has taken so many bytes over, and the stack hears so.
    pub(super) fn taken(&self, local: SocketAddr, peer: SocketAddr, bytes: usize) {
        if let Some(room) = self.find(local, peer) {
            let writer = room.with(|state| {
                state.backlog = state.backlog.saturating_sub(bytes);
                state.held = None;
                state.wake()
            });
            writer.into_iter().for_each(Waker::wake);
        }
    }

    fn find(&self, local: SocketAddr, peer: SocketAddr) -> Option<Arc<Room>> {
        self.with(|rooms| rooms.get(&key(local, peer)).cloned())
    }

    fn with<R>(&self, act: impl FnOnce(&mut FxHashMap<Key, Arc<Room>>) -> R) -> R {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn key(local: SocketAddr, peer: SocketAddr) -> Key {
    let ip = match peer.ip() {
        IpAddr::V4(ip) => u128::from(ip.to_ipv6_mapped()),
        IpAddr::V6(ip) => u128::from(ip),
    };
    (local.port(), peer.port(), ip)
}

#[cfg(test)]
mod tests {
    use std::task::Wake;

    use super::*;
    use crate::network::reset;

    /// Counts how often a writer is woken.
    struct Bell(std::sync::atomic::AtomicUsize);

    impl Wake for Bell {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
    }

    const HERE: ([u8; 4], u16) = ([10, 0, 0, 1], 1);
    const THERE: ([u8; 4], u16) = ([10, 0, 0, 2], 2);

    fn arrival(freed: u32, bare: bool) -> Delivery {
        Delivery::new(reset(THERE.into(), HERE.into()), 0, freed, bare)
    }

    #[test]
    fn a_writer_waits_for_the_true_acknowledgement_and_for_the_network() {
        let (rooms, bell) = (Rooms::default(), Arc::new(Bell(0.into())));
        let waker = Waker::from(Arc::clone(&bell));
        let context = Context::from_waker(&waker);
        let room = rooms.open(HERE.into(), THERE.into(), 0);
        assert_eq!(room.poll_free(&context), Poll::Ready(LEAST_AHEAD));
        room.fill(LEAST_AHEAD);
        assert_eq!(room.poll_free(&context), Poll::Pending, "the network has not taken any of it");
        rooms.taken(HERE.into(), THERE.into(), LEAST_AHEAD);
        for _ in 1..SOCKET_BUFFER / LEAST_AHEAD {
            assert_eq!(room.poll_free(&context), Poll::Ready(LEAST_AHEAD));
            room.fill(LEAST_AHEAD);
            rooms.taken(HERE.into(), THERE.into(), LEAST_AHEAD);
        }
        assert_eq!(room.poll_free(&context), Poll::Pending, "the network has all of it, the far end nothing");
        let rings = || bell.0.load(std::sync::atomic::Ordering::Relaxed);
        rooms.hear(HERE.into(), THERE.into(), arrival(1_460, true));
        assert_eq!((room.poll_free(&context), rings()), (Poll::Pending, 1), "that is not worth a wake-up");
        rooms.hear(HERE.into(), THERE.into(), arrival(WORTH_WAKING as u32 - 1_460, true));
        assert_eq!((room.poll_free(&context), rings()), (Poll::Ready(LEAST_AHEAD), 2));
    }

    #[test]
    fn a_stack_hears_an_acknowledgement_when_it_has_something_to_send_or_closes() {
        let rooms = Rooms::default();
        let room = rooms.open(HERE.into(), THERE.into(), SOCKET_BUFFER);
        let hear = |bare| rooms.hear(HERE.into(), THERE.into(), arrival(0, bare)).is_some();
        assert!(!hear(true) && hear(false), "data is always heard");
        assert!(!hear(true) && room.fill(100), "it fell behind");
        assert!(room.take_held().is_some() && hear(true));
        rooms.taken(HERE.into(), THERE.into(), 100);
        assert!(!hear(true) && room.close() && hear(true));
        rooms.close(HERE.into(), THERE.into(), &room);
        assert!(hear(true), "the stack closes by itself");
    }
}
