//! The socket buffers of a host's connections: what its programs have written and not read.
//!
//! The bytes go past the host's stack (see `network::streams`), so what an operating system does for them is done here:
//! a writer waits while a buffer full of its bytes is unacknowledged, a reader while there is nothing.

use std::collections::VecDeque;
use std::io::{self, Error, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::{Buf, Bytes};
use rustc_hash::FxHashMap;
use tokio::io::ReadBuf;
use turmoil_net::{Packet, Transport};

use crate::network::{StreamId, WINDOW, endpoints};

/// What a program may write ahead of the acknowledgements: half as much again as can be on its way, so that there is a
/// window's worth even when the writer is woken again.
const SEND_BUFFER: usize = WINDOW as usize * 3 / 2;

/// A writer that filled its buffer goes on when so much of it is free, not for every segment, as on Linux
/// (`sk_stream_is_writeable`: as much free as half of what is used).
const WORTH_WAKING: usize = SEND_BUFFER / 3;

/// The buffers of one connection at one of its ends.
#[derive(Debug)]
pub(super) struct Buffers {
    /// The host's own address, and the other end's.
    pub(super) ends: [SocketAddr; 2],
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// How many of its two halves the program still has; nothing until it accepted the connection.
    halves: Option<u8>,
    errand: Errand,
    /// The world was told that there is an errand.
    is_called: bool,
    /// Bytes written that the far end has not acknowledged.
    unacknowledged: usize,
    /// They filled the buffer, and not enough of it is free again.
    is_full: bool,
    is_shut: bool,
    inbox: VecDeque<Bytes>,
    unread: usize,
    ending: Option<Ending>,
    writer: Option<Waker>,
    reader: Option<Waker>,
}

/// What the network has to do for a connection.
#[derive(Debug, Default)]
pub(super) struct Errand {
    /// Where, if it was there before.
    pub(super) stream: Option<StreamId>,
    /// To carry what was written.
    pub(super) written: Vec<Bytes>,
    /// To know that there is room again for so many bytes.
    pub(super) read: u32,
    /// To know that nothing more will be read, and whether something is left.
    pub(super) abandoned: Option<bool>,
}

/// How a connection ended, for its reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// The far end closed it.
    Closed,
    /// It was reset.
    Reset,
}

/// Is there an errand that nobody was told of?
pub(super) type IsNew = bool;

impl Buffers {
    /// Takes what fits of `bytes`, if anything does.
    pub(super) fn poll_write(&self, context: &Context<'_>, bytes: &[u8]) -> Poll<io::Result<(usize, IsNew)>> {
        self.with(|state| {
            if state.ending == Some(Ending::Reset) {
                return Poll::Ready(Err(Error::from(ErrorKind::ConnectionReset)));
            }
            if state.is_shut {
                return Poll::Ready(Err(Error::from(ErrorKind::BrokenPipe)));
            }
            let free = SEND_BUFFER.saturating_sub(state.unacknowledged);
            if free == 0 || state.is_full {
                park(&mut state.writer, context);
                return Poll::Pending;
            }
            let taken = bytes.get(..free).unwrap_or(bytes);
            state.unacknowledged += taken.len();
            state.is_full = state.unacknowledged >= SEND_BUFFER;
            state.errand.written.push(Bytes::copy_from_slice(taken));
            Poll::Ready(Ok((taken.len(), state.call())))
        })
    }

    /// Nothing more will be written.
    pub(super) fn shut(&self) {
        self.with(|state| state.is_shut = true);
    }

    /// Reads what is there, if anything is. Says too whether the far end may be waiting for the room.
    pub(super) fn poll_read(
        &self,
        context: &Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<(IsNew, bool)>> {
        self.with(|state| {
            let (before, unread) = (buf.remaining(), state.unread);
            while let Some(front) = state.inbox.front_mut()
                && buf.remaining() > 0
            {
                let taken = front.len().min(buf.remaining());
                buf.put_slice(front.get(..taken).unwrap_or_default());
                front.advance(taken);
                if front.is_empty() {
                    state.inbox.pop_front();
                }
            }
            let read = before - buf.remaining();
            if read > 0 || before == 0 {
                state.unread -= read;
                state.errand.read += read as u32;
                return Poll::Ready(Ok((state.call(), unread > WINDOW as usize / 2)));
            }
            match state.ending {
                Some(Ending::Reset) => Poll::Ready(Err(Error::from(ErrorKind::ConnectionReset))),
                Some(Ending::Closed) => Poll::Ready(Ok((false, false))),
                None => {
                    park(&mut state.reader, context);
                    Poll::Pending
                }
            }
        })
    }

    /// The program lets go of one half; true for the last one, of which the network has to hear.
    pub(super) fn let_go(&self) -> bool {
        self.with(|state| {
            state.halves = state.halves.map(|halves| halves.saturating_sub(1));
            state.halves == Some(0) && state.call()
        })
    }

    /// It is over: whoever waits need not any longer.
    pub(super) fn end(&self, ending: Ending) {
        let woken = self.with(|state| {
            state.ending = Some(ending);
            let writer = if ending == Ending::Reset { state.writer.take() } else { None };
            [state.reader.take(), writer]
        });
        woken.into_iter().flatten().for_each(Waker::wake);
    }

    /// What the network has to do.
    pub(super) fn take_errand(&self) -> Errand {
        self.with(|state| {
            state.is_called = false;
            if state.halves == Some(0) {
                state.errand.abandoned = Some(state.unread > 0);
            }
            let next = Errand { stream: state.errand.stream, ..Errand::default() };
            std::mem::replace(&mut state.errand, next)
        })
    }

    /// Has no program accepted it yet?
    fn is_early(&self) -> bool {
        self.with(|state| state.halves.is_none())
    }

    /// Where in the network it is.
    pub(super) fn find(&self, stream: StreamId) {
        self.with(|state| state.errand.stream = Some(stream));
    }

    /// So many bytes are acknowledged, and these have come.
    fn hear(&self, freed: u64, content: &mut Vec<Bytes>) {
        let woken = self.with(|state| {
            state.unacknowledged = state.unacknowledged.saturating_sub(freed as usize);
            state.is_full &= state.unacknowledged > SEND_BUFFER - WORTH_WAKING;
            let writer = if state.is_full { None } else { state.writer.take() };
            let reader = if content.is_empty() { None } else { state.reader.take() };
            state.unread += content.iter().map(Bytes::len).sum::<usize>();
            state.inbox.extend(content.drain(..));
            [reader, writer]
        });
        woken.into_iter().flatten().for_each(Waker::wake);
    }

    fn with<R>(&self, act: impl FnOnce(&mut State) -> R) -> R {
        act(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl State {
    /// There is an errand now.
    fn call(&mut self) -> IsNew {
        !std::mem::replace(&mut self.is_called, true)
    }
}

fn park(place: &mut Option<Waker>, context: &Context<'_>) {
    if !place.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
        *place = Some(context.waker().clone());
    }
}

/// A connection: the ports, and the far address as a number, which is compared quickly.
type Key = (u16, u16, u128);

/// The buffers of one host: only looked up, never gone through.
#[derive(Debug, Default)]
pub(super) struct Connections(Mutex<FxHashMap<Key, Arc<Buffers>>>);

impl Connections {
    /// A program has a connection now, with what came before it was accepted.
    pub(super) fn open(&self, ends: [SocketAddr; 2]) -> Arc<Buffers> {
        self.with(|all| {
            let early = all.get(&key(ends)).filter(|buffers| buffers.is_early()).cloned();
            let buffers = early.unwrap_or_else(|| Arc::new(Buffers { ends, state: Mutex::default() }));
            buffers.with(|state| state.halves = Some(2));
            all.insert(key(ends), Arc::clone(&buffers));
            buffers
        })
    }

    /// The program has let go of a connection, unless its addresses are another's already.
    pub(super) fn close(&self, buffers: &Arc<Buffers>) {
        let key = key(buffers.ends);
        self.with(|all| {
            if all.get(&key).is_some_and(|other| Arc::ptr_eq(other, buffers)) {
                all.remove(&key);
            }
        });
    }

    /// So many bytes of a connection are acknowledged, and these have come.
    pub(super) fn hear(&self, ends: [SocketAddr; 2], freed: u64, content: &mut Vec<Bytes>) {
        let buffers = self.with(|all| match all.get(&key(ends)) {
            Some(buffers) => Some(Arc::clone(buffers)),
            None if content.is_empty() => None,
            None => {
                let early = Arc::new(Buffers { ends, state: Mutex::default() });
                all.insert(key(ends), Arc::clone(&early));
                Some(early)
            }
        });
        buffers.inspect(|buffers| buffers.hear(freed, content));
    }

    /// The host's stack is about to hear a packet: it may open a connection, or end one.
    pub(super) fn see(&self, packet: &Packet) {
        let Transport::Tcp(segment) = &packet.payload else { return };
        let (peer, local) = endpoints(packet);
        match segment.flags {
            flags if flags.rst => self.end([local, peer], Ending::Reset),
            flags if flags.fin => self.end([local, peer], Ending::Closed),
            flags if flags.syn && !flags.ack => self.begin([local, peer]),
            _ => {}
        }
    }

    /// The host loses its memory.
    pub(super) fn clear(&self) {
        self.with(FxHashMap::clear);
    }

    fn end(&self, ends: [SocketAddr; 2], ending: Ending) {
        let buffers = self.with(|all| all.get(&key(ends)).cloned());
        buffers.inspect(|buffers| buffers.end(ending));
    }

    /// Nothing is left of a connection that nobody accepted: another one begins.
    fn begin(&self, ends: [SocketAddr; 2]) {
        self.with(|all| {
            if all.get(&key(ends)).is_some_and(|buffers| buffers.is_early()) {
                all.remove(&key(ends));
            }
        });
    }

    fn with<R>(&self, act: impl FnOnce(&mut FxHashMap<Key, Arc<Buffers>>) -> R) -> R {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn key([local, peer]: [SocketAddr; 2]) -> Key {
    let ip = match peer.ip() {
        IpAddr::V4(ip) => u128::from(ip.to_ipv6_mapped()),
        IpAddr::V6(ip) => u128::from(ip),
    };
    (local.port(), peer.port(), ip)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;
    use crate::network::reset;

    /// Counts how often somebody is woken.
    #[derive(Default)]
    struct Bell(AtomicUsize);

    impl Wake for Bell {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn ends() -> [SocketAddr; 2] {
        [([10, 0, 0, 1], 1).into(), ([10, 0, 0, 2], 2).into()]
    }

    /// Reads into so much room: how much came, or why nothing did.
    fn read(buffers: &Buffers, context: &Context<'_>, room: usize) -> Poll<Result<usize, ErrorKind>> {
        let mut memory = vec![0; room];
        let mut buf = ReadBuf::new(&mut memory);
        let polled = buffers.poll_read(context, &mut buf);
        polled.map_ok(|_| buf.filled().len()).map_err(|error| error.kind())
    }

    #[test]
    fn a_writer_waits_until_enough_is_acknowledged() {
        let (all, bell) = (Connections::default(), Arc::new(Bell::default()));
        let waker = Waker::from(Arc::clone(&bell));
        let context = Context::from_waker(&waker);
        let buffers = all.open(ends());
        let write = |len: usize| buffers.poll_write(&context, &vec![7; len]).map_err(|error| error.kind());
        assert_eq!(write(SEND_BUFFER - 10), Poll::Ready(Ok((SEND_BUFFER - 10, true))));
        assert_eq!(write(100), Poll::Ready(Ok((10, false))), "what fits; and the errand is known");
        assert_eq!(write(1), Poll::Pending);
        let written: usize = buffers.take_errand().written.iter().map(Bytes::len).sum();
        assert_eq!(written, SEND_BUFFER);
        let rings = || bell.0.load(Ordering::Relaxed);
        all.hear(ends(), 1_460, &mut Vec::new());
        assert_eq!((write(1), rings()), (Poll::Pending, 0), "that is not worth a wake-up");
        all.hear(ends(), WORTH_WAKING as u64, &mut Vec::new());
        assert_eq!((rings(), write(1)), (1, Poll::Ready(Ok((1, true)))));
        buffers.shut();
        assert_eq!(write(1), Poll::Ready(Err(ErrorKind::BrokenPipe)));
        all.see(&reset(ends()[1], ends()[0]));
        assert_eq!(write(1), Poll::Ready(Err(ErrorKind::ConnectionReset)));
    }

    #[test]
    fn a_reader_gets_all_that_came_before_the_end_even_before_it_was_accepted() {
        let (all, bell) = (Connections::default(), Arc::new(Bell::default()));
        let waker = Waker::from(Arc::clone(&bell));
        let context = Context::from_waker(&waker);
        all.hear(ends(), 0, &mut vec![Bytes::from_static(b"early")]);
        let buffers = all.open(ends());
        assert_eq!([4, 9].map(|room| read(&buffers, &context, room)), [4, 1].map(|it| Poll::Ready(Ok(it))));
        assert_eq!(buffers.take_errand().read, 5);
        assert_eq!(read(&buffers, &context, 9), Poll::Pending);
        all.hear(ends(), 0, &mut vec![Bytes::from_static(b"late")]);
        assert_eq!(bell.0.load(Ordering::Relaxed), 1);
        all.see(&reset(ends()[1], ends()[0]));
        let last = [Ok(4), Err(ErrorKind::ConnectionReset)];
        assert_eq!([9, 9].map(|room| read(&buffers, &context, room)), last.map(Poll::Ready));
    }

    #[test]
    fn what_both_halves_let_go_of_is_abandoned_and_another_may_follow() {
        let all = Connections::default();
        let first = all.open(ends());
        all.hear(ends(), 0, &mut vec![Bytes::from_static(b"unread")]);
        assert!(!first.let_go() && first.take_errand().abandoned.is_none());
        assert!(first.let_go());
        assert_eq!(first.take_errand().abandoned, Some(true));
        let second = all.open(ends());
        assert!(!Arc::ptr_eq(&first, &second));
        all.close(&first);
        assert!(
            Arc::ptr_eq(&second, &all.with(|all| Arc::clone(&all[&key(ends())]))),
            "it is not the first's"
        );
        // What came for a connection that nobody accepted is not the next one's.
        all.close(&second);
        all.hear(ends(), 0, &mut vec![Bytes::from_static(b"early")]);
        all.begin(ends());
        assert_eq!(all.open(ends()).take_errand().abandoned, None);
        assert!(all.open(ends()).with(|state| state.inbox.is_empty()));
    }
}
