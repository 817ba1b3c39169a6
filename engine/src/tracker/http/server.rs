//! A small HTTP server over any transport: accepts, limits, and hands requests to a [`Site`].
//!
//! hyper speaks the protocol: heads, keep-alive, pipelining, bodies that nobody asked for. What it does
//! not do is here: caps on connections, and an end for clients that neither read nor go.

use std::convert::Infallible;
use std::future::Future;
use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinSet;

use super::time::{ClockTimer, Impatient};
use crate::clock::{Clock, within};
use crate::seats::{Seat, Seats};
use crate::transport::{Listener, Stream};

/// A head must be in within this time, counted from the accept or from the answer before: it cuts both
/// who sends a byte now and then and who keeps an idle connection.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);

/// A write that does not move for this long ends the connection.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// A connection ends after this long, so that no client holds a seat for ever by asking slowly.
const MAX_LIFE: Duration = Duration::from_secs(120);

/// What the answer under way has left once a connection's life is over.
const LAST_WORDS: Duration = Duration::from_secs(10);

/// The longest head: request line and headers. The longest target is 6 kB; browsers add 1 kB.
const MAX_HEAD: usize = 8192;

/// Headers of a request; browsers send about twenty.
const MAX_HEADERS: usize = 64;

/// The pause after an accept that failed (no free descriptor, say).
const FAILURE_PAUSE: Duration = Duration::from_millis(100);

/// A body that is known before it is sent.
pub(in crate::tracker) type Answer = Response<Full<Bytes>>;

/// What is served.
pub(in crate::tracker) trait Site: Clone + Send + Sync + 'static {
    /// Answers a request over a connection from `peer`.
    fn answer(&self, peer: IpAddr, request: Request<Incoming>) -> impl Future<Output = Answer> + Send;

    /// Hears of connections, for the counters.
    fn note(&self, event: Event);
}

/// What happens to connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::tracker) enum Event {
    /// One was accepted.
    Opened,
    /// One that was accepted has ended.
    Closed,
    /// One was closed at once, because its source or all together have enough.
    Full,
    /// One was cut: its client was too slow, sent no HTTP, or vanished.
    Cut,
    /// Accepting failed.
    Failed,
}

/// Serves `site` until it is dropped.
pub(in crate::tracker) async fn serve<L, C, S>(listener: L, clock: C, seats: Seats, site: S)
where
    L: Listener,
    L::Reader: AsyncRead + Unpin + Send + 'static,
    L::Writer: AsyncWrite + Unpin + Send + 'static,
    C: Clock,
    S: Site,
{
    let mut connections = JoinSet::new();
    loop {
        let accepted = listener.accept().await;
        while connections.try_join_next().is_some() {}
        match accepted {
            Ok(stream) => match seats.take(stream.peer_addr.ip()) {
                Some(seat) => {
                    let guest = Guest { seats: seats.clone(), _seat: seat, site: site.clone() };
                    connections.spawn(converse(stream, clock.clone(), guest));
                }
                // Closed at once: a client that is told nothing tries another tracker, or later.
                None => site.note(Event::Full),
            },
            Err(error) => {
                tracing::debug!(%error, "cannot accept a connection");
                site.note(Event::Failed);
                clock.sleep_until(clock.now() + FAILURE_PAUSE).await;
            }
        }
    }
}

/// A connection's place, for as long as it lasts.
struct Guest<S: Site> {
    seats: Seats,
    _seat: Seat,
    site: S,
}

impl<S: Site> Drop for Guest<S> {
    fn drop(&mut self) {
        self.site.note(Event::Closed);
    }
}

/// Serves one connection to its end.
async fn converse<R, W, C, S>(stream: Stream<R, W>, clock: C, guest: Guest<S>)
where
    R: AsyncRead + Unpin + Send + 'static,
    W: AsyncWrite + Unpin + Send + 'static,
    C: Clock,
    S: Site,
{
    guest.site.note(Event::Opened);
    let peer = stream.peer_addr.ip().to_canonical();
    let both = tokio::io::join(stream.reader, stream.writer);
    let io = TokioIo::new(Impatient::new(both, clock.clone(), WRITE_TIMEOUT));
    let (site, seats) = (&guest.site, &guest.seats);
    let service = service_fn(move |request| async move {
        let mut answer = site.answer(peer, request).await;
        if seats.are_scarce() {
            answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        Ok::<_, Infallible>(answer)
    });
    let connection = http1::Builder::new()
        .timer(ClockTimer::new(clock.clone()))
        .header_read_timeout(HEAD_TIMEOUT)
        .max_header_size(MAX_HEAD)
        .max_headers(MAX_HEADERS)
        .max_buf_size(2 * MAX_HEAD)
        // The wall clock is the environment's, and no client reads the date.
        .auto_date_header(false)
        .serve_connection(io, service);
    tokio::pin!(connection);
    let mut ended = within(&clock, MAX_LIFE, connection.as_mut()).await;
    if ended.is_none() {
        connection.as_mut().graceful_shutdown();
        ended = within(&clock, LAST_WORDS, connection).await;
    }
    if !matches!(ended, Some(Ok(()))) {
        site.note(Event::Cut);
    }
}
