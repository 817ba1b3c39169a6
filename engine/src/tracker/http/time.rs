//! Time limits on a connection by the environment's clock: hyper's timer, and writes that do not move.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::rt::{Sleep, Timer};
use proto::time::Instant;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::clock::Clock;

type Alarm = Pin<Box<dyn Future<Output = ()> + Send>>;

fn alarm<C: Clock>(clock: &C, at: Instant) -> Alarm {
    let clock = clock.clone();
    Box::pin(async move { clock.sleep_until(at).await })
}

/// hyper's timer over our clock. hyper speaks `std`'s instants, of which only differences mean anything
/// here.
pub(super) struct ClockTimer<C> {
    clock: C,
    origin: std::time::Instant,
}

impl<C: Clock> ClockTimer<C> {
    #[expect(clippy::disallowed_methods, reason = "an origin: std's type has no other constructor")]
    pub(super) fn new(clock: C) -> Self {
        Self { clock, origin: std::time::Instant::now() }
    }
}

impl<C: Clock> Timer for ClockTimer<C> {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        Box::pin(Nap(Mutex::new(alarm(&self.clock, self.clock.now() + duration))))
    }

    fn sleep_until(&self, deadline: std::time::Instant) -> Pin<Box<dyn Sleep>> {
        let at = Instant::ZERO + deadline.saturating_duration_since(self.origin);
        Box::pin(Nap(Mutex::new(alarm(&self.clock, at))))
    }

    fn now(&self) -> std::time::Instant {
        self.origin + self.clock.now().since(Instant::ZERO)
    }
}

/// hyper wants a future that is `Sync`; the lock is never contended.
struct Nap(Mutex<Alarm>);

impl Future for Nap {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.0.get_mut().unwrap_or_else(PoisonError::into_inner).as_mut().poll(cx)
    }
}

impl Sleep for Nap {}

/// A stream whose writes fail once they have not moved for a while: the other end does not read.
pub(super) struct Impatient<S> {
    stream: S,
    set_alarm: Box<dyn Fn() -> Alarm + Send>,
    stalled: Option<Alarm>,
}

impl<S> Impatient<S> {
    pub(super) fn new<C: Clock>(stream: S, clock: C, patience: Duration) -> Self {
        let set_alarm = Box::new(move || alarm(&clock, clock.now() + patience));
        Self { stream, set_alarm, stalled: None }
    }

    /// Passes `polled` on; while it is pending, an alarm runs that turns it into an error.
    fn watch<T>(&mut self, cx: &mut Context<'_>, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.stalled = None;
            return polled;
        }
        let stalled = self.stalled.get_or_insert_with(&self.set_alarm);
        ready!(stalled.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the other end does not read")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Impatient<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Impatient<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.stream).poll_write(cx, bytes);
        this.watch(cx, polled)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.stream).poll_flush(cx);
        this.watch(cx, polled)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.stream).poll_shutdown(cx);
        this.watch(cx, polled)
    }
}
