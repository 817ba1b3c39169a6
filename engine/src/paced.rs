//! A stream whose bytes take part in the rate limits.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::clock::Clock;
use crate::throttle::{Flow, Pace};

/// Reads and writes no faster than it may.
#[derive(Debug)]
pub(crate) struct Paced<S, C: Clock> {
    stream: S,
    pace: Pace<C>,
}

impl<S, C: Clock> Paced<S, C> {
    /// `stream`, at this pace.
    pub(crate) const fn new(stream: S, pace: Pace<C>) -> Self {
        Self { stream, pace }
    }
}

// Nothing in it is ever pinned.
impl<S: Unpin, C: Clock> Unpin for Paced<S, C> {}

impl<S: AsyncRead + Unpin, C: Clock> AsyncRead for Paced<S, C> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Self { stream, pace } = self.get_mut();
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        let granted = ready!(pace.poll_take(Flow::Down, buf.remaining(), cx));
        let mut room = ReadBuf::new(buf.initialize_unfilled_to(granted));
        let outcome = Pin::new(stream).poll_read(cx, &mut room);
        let len = room.filled().len();
        let read = outcome.map_ok(|()| len);
        pace.settle(Flow::Down, granted, &read);
        ready!(read)?;
        buf.advance(len);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin, C: Clock> AsyncWrite for Paced<S, C> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let Self { stream, pace } = self.get_mut();
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let granted = ready!(pace.poll_take(Flow::Up, bytes.len(), cx));
        let written = Pin::new(stream).poll_write(cx, bytes.get(..granted).unwrap_or(bytes));
        pace.settle(Flow::Up, granted, &written);
        written
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
