//! The mailbox between one connection's task and the torrent's loop.
//!
//! A connection is announced to the loop at most once until the loop has looked, however much arrives in the
//! meantime; so the ready queue never holds more entries than there are connections, the loop serves them in
//! turn, and a burst costs one wake-up. Both directions are bounded: inbound by [`INBOUND_MESSAGES`] and
//! [`INBOUND_BYTES`], where the task stops reading until the loop has emptied the box; outbound by
//! [`OUTBOUND_MESSAGES`], beyond which the connection is given up, because the core's send credit should have
//! stopped it long before.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use bytes::BytesMut;
use proto::id::PeerId;
use proto::torrent::PeerKey;
use proto::wire::Message;

use crate::door::Knocking;
use crate::places::Place;
use crate::queue::{Happening, Queue};

/// Messages that wait for the loop: a deep pipeline of requests at once.
pub(super) const INBOUND_MESSAGES: usize = 2048;

/// Wire bytes that wait for the loop: sixteen blocks.
pub(super) const INBOUND_BYTES: usize = 256 * 1024;

/// Messages that wait for the socket. The core stops at its send credit; what it says beyond (haves, rejects
/// of a dropped queue) must fit here.
const OUTBOUND_MESSAGES: usize = 16 * 1024;

/// What a handshake told us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Opened {
    /// The other side's name.
    pub id: PeerId,
    /// Its reserved bytes.
    pub reserved: [u8; 8],
}

/// What came from a connection since the loop last looked.
#[derive(Debug, Default)]
pub(crate) struct Delivery {
    /// The handshake has ended well.
    pub opened: Option<Opened>,
    /// Messages in order.
    pub messages: Vec<Message>,
    /// Wire bytes that the socket took.
    pub sent: usize,
    /// The connection is over; nothing will follow.
    pub ended: bool,
}

#[derive(Debug, Default)]
struct State {
    delivery: Delivery,
    inbound_bytes: usize,
    announced: bool,
    /// The task waits for the box to be emptied before it reads on.
    stalled: bool,
    outbound: VecDeque<Message>,
    closing: bool,
    task: Option<Waker>,
}

#[derive(Debug)]
struct Shared {
    key: PeerKey,
    queue: Queue,
    state: Mutex<State>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // No code that may panic runs under this lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn announce(&self, state: &mut State) {
        if !state.announced {
            state.announced = true;
            // The loop is gone only while everything is being dropped.
            let _ = self.queue.send(Happening::Ready(self.key));
        }
    }
}

/// Makes both ends of a mailbox; `queue` hears of `key` whenever there is something new for the loop.
pub(crate) fn link(key: PeerKey, queue: Queue) -> (Link, TaskEnd) {
    let shared = Arc::new(Shared { key, queue, state: Mutex::default() });
    (Link { shared: Arc::clone(&shared) }, TaskEnd { shared, knocking: None, place: None })
}

/// The loop's end.
#[derive(Debug)]
pub(crate) struct Link {
    shared: Arc<Shared>,
}

impl Link {
    /// Queues a message for the socket. If the queue is full the connection is closed instead.
    pub(crate) fn send(&self, message: Message) {
        let mut state = self.shared.lock();
        if state.outbound.len() < OUTBOUND_MESSAGES {
            state.outbound.push_back(message);
        } else {
            state.closing = true;
        }
        let waker = state.task.take();
        drop(state);
        waker.into_iter().for_each(Waker::wake);
    }

    /// Asks the task to close the connection; its end is reported like any other.
    pub(crate) fn close(&self) {
        let mut state = self.shared.lock();
        state.closing = true;
        let waker = state.task.take();
        drop(state);
        waker.into_iter().for_each(Waker::wake);
    }

    /// Takes what has come in. `spare` becomes the box's next list of messages, so that none is allocated.
    pub(crate) fn take(&self, spare: Vec<Message>) -> Delivery {
        debug_assert!(spare.is_empty(), "messages would come twice");
        let mut state = self.shared.lock();
        state.announced = false;
        state.inbound_bytes = 0;
        let next = Delivery { messages: spare, ..Delivery::default() };
        let delivery = std::mem::replace(&mut state.delivery, next);
        let waker = if std::mem::take(&mut state.stalled) { state.task.take() } else { None };
        drop(state);
        waker.into_iter().for_each(Waker::wake);
        delivery
    }
}

/// A loop that is gone wants no connections.
impl Drop for Link {
    fn drop(&mut self) {
        self.close();
    }
}

/// What a connection's task is to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Orders {
    /// The loop wants the connection closed.
    pub closing: bool,
    /// Messages that may be delivered before the box is full; zero stops the reading.
    pub room: usize,
}

/// What a connection has for the loop besides messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Catch {
    /// Bytes read.
    pub received: usize,
    /// Bytes that the socket took.
    pub sent: usize,
    /// Reading stopped at a limit of the box; wake the task once the box is emptied.
    pub stalled: bool,
}

/// The task's end. Dropping it reports the connection's end, also after a panic.
#[derive(Debug)]
pub(crate) struct TaskEnd {
    shared: Arc<Shared>,
    knocking: Option<Knocking>,
    place: Option<Place>,
}

impl TaskEnd {
    /// Counts as one who knocks until the handshake is done.
    pub(crate) fn holding(self, knocking: Knocking) -> Self {
        let mut held = self;
        held.knocking = Some(knocking);
        held
    }

    /// Holds `place` to the end.
    pub(crate) fn at(self, place: Place) -> Self {
        let mut held = self;
        held.place = Some(place);
        held
    }

    /// The connection.
    pub(super) fn key(&self) -> PeerKey {
        self.shared.key
    }

    /// Reports the handshake.
    pub(super) fn opened(&mut self, opened: Opened) {
        self.knocking = None;
        self.place.iter().for_each(Place::opened);
        let mut state = self.shared.lock();
        state.delivery.opened = Some(opened);
        self.shared.announce(&mut state);
    }

    /// Registers `waker` for the next order, and encodes queued messages until `output` holds `limit` bytes.
    pub(super) fn orders(&self, waker: &Waker, output: &mut BytesMut, limit: usize) -> Orders {
        let mut state = self.shared.lock();
        if !state.task.as_ref().is_some_and(|known| known.will_wake(waker)) {
            state.task = Some(waker.clone());
        }
        while output.len() < limit
            && let Some(message) = state.outbound.pop_front()
        {
            message.encode(output);
        }
        let taken = if state.inbound_bytes < INBOUND_BYTES {
            state.delivery.messages.len()
        } else {
            INBOUND_MESSAGES
        };
        state.stalled = taken >= INBOUND_MESSAGES;
        Orders { closing: state.closing, room: INBOUND_MESSAGES.saturating_sub(taken) }
    }

    /// Delivers what was caught. `messages` is left empty.
    pub(super) fn deliver(&self, messages: &mut Vec<Message>, catch: Catch) {
        let mut state = self.shared.lock();
        state.stalled |= catch.stalled;
        if state.delivery.messages.is_empty() {
            std::mem::swap(&mut state.delivery.messages, messages);
        } else {
            state.delivery.messages.append(messages);
        }
        state.inbound_bytes += catch.received;
        state.delivery.sent += catch.sent;
        self.shared.announce(&mut state);
    }
}

impl Drop for TaskEnd {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.delivery.ended = true;
        state.task = None;
        state.outbound.clear();
        self.shared.announce(&mut state);
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc::unbounded_channel;

    use super::*;

    fn heard(happenings: &mut crate::queue::Happenings) -> Option<PeerKey> {
        match happenings.try_recv() {
            Ok(Happening::Ready(key)) => Some(key),
            _ => None,
        }
    }

    #[test]
    fn a_burst_is_announced_once() {
        let (ready, mut announced) = unbounded_channel();
        let (link, task) = link(PeerKey(7), ready);
        task.deliver(&mut vec![Message::Choke], Catch::default());
        task.deliver(&mut vec![Message::Unchoke], Catch { sent: 100, ..Catch::default() });
        assert_eq!((heard(&mut announced), heard(&mut announced)), (Some(PeerKey(7)), None));
        let delivery = link.take(Vec::new());
        assert_eq!((delivery.messages, delivery.sent), (vec![Message::Choke, Message::Unchoke], 100));
        drop(task);
        assert_eq!(heard(&mut announced), Some(PeerKey(7)));
        assert!(link.take(Vec::new()).ended);
    }

    #[test]
    fn a_full_box_stops_the_reading_until_it_is_emptied() {
        let (ready, _announced) = unbounded_channel();
        let (link, task) = link(PeerKey(7), ready);
        let orders = || task.orders(Waker::noop(), &mut BytesMut::new(), 1);
        assert_eq!(orders().room, INBOUND_MESSAGES);
        let catch = Catch { received: INBOUND_BYTES, ..Catch::default() };
        task.deliver(&mut vec![Message::KeepAlive], catch);
        assert_eq!(orders().room, 0);
        link.take(Vec::new());
        assert_eq!(orders().room, INBOUND_MESSAGES);
    }

    #[test]
    fn an_overflowing_outbound_queue_closes_the_connection() {
        let (ready, _announced) = unbounded_channel();
        let (link, task) = link(PeerKey(7), ready);
        for piece in 0..OUTBOUND_MESSAGES as u32 {
            link.send(Message::Have { piece });
        }
        let mut output = BytesMut::new();
        assert!(!task.orders(Waker::noop(), &mut output, 1).closing);
        assert_eq!(output.len(), 9);
        link.send(Message::KeepAlive);
        link.send(Message::KeepAlive);
        assert!(task.orders(Waker::noop(), &mut output, 1).closing);
    }
}
