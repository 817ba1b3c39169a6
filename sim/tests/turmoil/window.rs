//! Back-pressure for `turmoil`'s streams, which take any number of bytes without ever making a writer wait.
//!
//! Both ends of a stream live in this thread, so a table by direction is enough: a writer waits while 64 KiB
//! are under way, as it does on the other two transports.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use turmoil::net::TcpStream;
use turmoil::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

const WINDOW: usize = 64 * 1024;

type Direction = (SocketAddr, SocketAddr);

thread_local! {
    static DIRECTIONS: RefCell<BTreeMap<Direction, Arc<Mutex<Flight>>>> = const { RefCell::new(BTreeMap::new()) };
}

/// Bytes of one direction of one stream that were written and not read.
#[derive(Debug, Default)]
struct Flight {
    bytes: usize,
    closed: bool,
    writer: Option<Waker>,
}

impl Flight {
    fn of(direction: Direction) -> Arc<Mutex<Self>> {
        DIRECTIONS.with_borrow_mut(|directions| Arc::clone(directions.entry(direction).or_default()))
    }

    fn wake(&mut self) {
        if let Some(writer) = self.writer.take() {
            writer.wake();
        }
    }
}

#[derive(Debug)]
pub struct Reader {
    half: OwnedReadHalf,
    direction: Direction,
    flight: Arc<Mutex<Flight>>,
}

#[derive(Debug)]
pub struct Writer {
    half: OwnedWriteHalf,
    flight: Arc<Mutex<Flight>>,
}

/// Both halves, with a window in each direction.
pub fn split(stream: TcpStream) -> io::Result<(Reader, Writer)> {
    let (local, peer) = (stream.local_addr()?, stream.peer_addr()?);
    let (reader, writer) = stream.into_split();
    let direction = (peer, local);
    let reader = Reader { half: reader, direction, flight: Flight::of(direction) };
    Ok((reader, Writer { half: writer, flight: Flight::of((local, peer)) }))
}

impl AsyncRead for Reader {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.half).poll_read(context, buf);
        let read = buf.filled().len() - before;
        if read > 0 {
            let mut flight = self.flight.lock().unwrap_or_else(PoisonError::into_inner);
            flight.bytes = flight.bytes.saturating_sub(read);
            flight.wake();
        }
        polled
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        DIRECTIONS.with_borrow_mut(|directions| directions.remove(&self.direction));
        let mut flight = self.flight.lock().unwrap_or_else(PoisonError::into_inner);
        flight.closed = true;
        flight.wake();
    }
}

impl AsyncWrite for Writer {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let room = {
            let mut flight = self.flight.lock().unwrap_or_else(PoisonError::into_inner);
            let room = if flight.closed { WINDOW } else { WINDOW.saturating_sub(flight.bytes) };
            if room == 0 {
                flight.writer = Some(context.waker().clone());
                return Poll::Pending;
            }
            room.min(buf.len())
        };
        let polled = Pin::new(&mut self.half).poll_write(context, buf.get(..room).unwrap_or_default());
        if let Poll::Ready(Ok(written)) = &polled {
            self.flight.lock().unwrap_or_else(PoisonError::into_inner).bytes += written;
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.half).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.half).poll_shutdown(context)
    }
}
