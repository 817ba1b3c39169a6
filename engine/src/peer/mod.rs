//! One connection: dialled or accepted, greeted, then served by a single task until it ends.
//!
//! The task polls its reader and writer together, so that two peers whose buffers are both full cannot wait
//! for each other. Bytes are read through a large buffer on the stack and written in one piece for many
//! messages; an idle connection holds no buffer.

mod handshake;
mod link;
#[cfg(test)]
mod tests;

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use proto::id::InfoHash;
use proto::rate::{Rate, TorrentKey};
use proto::torrent::Direction;
use proto::wire::{Decoder, Handshake, Message};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tracing::debug;

pub(crate) use self::handshake::HandshakeError;
use self::link::{Catch, INBOUND_BYTES, Orders};
pub(crate) use self::link::{Link, TaskEnd, link};
use crate::clock::{Clock, within};
use crate::environment::Environment;
use crate::throttle::{Flow, Pace, Throttle};
use crate::transport::{Stream, Transport};

/// Room for one read, in bytes. Less would also stop a simulated stack from reopening its window.
const READ_LEN: usize = 64 * 1024;

/// Messages are encoded until this many bytes wait for the socket: four blocks and what is small.
const WRITE_LEN: usize = 64 * 1024;

/// Sent bytes are reported once they are this many or nothing waits for the socket: half a block, so that the
/// core's credit returns in good time but not for every packet.
const SENT_LEN: usize = 8 * 1024;

/// How long the two steps of opening a connection may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerTimeouts {
    /// From dialling to an open stream.
    pub connect: Duration,
    /// From an open stream to the end of the handshake.
    pub handshake: Duration,
}

impl Default for PeerTimeouts {
    /// What libtorrent's users live with: 15 s and 10 s.
    fn default() -> Self {
        Self { connect: Duration::from_secs(15), handshake: Duration::from_secs(10) }
    }
}

/// One connection as its loop sees it.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) link: Link,
    pub(crate) addr: SocketAddr,
    pub(crate) direction: Direction,
    /// The core knows it.
    pub(crate) opened: bool,
}

/// What all connections of a torrent have in common.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    /// Which torrent.
    pub torrent: TorrentKey,
    /// Our side of the handshake.
    pub handshake: Handshake,
    /// Pieces of the torrent, which fix the length of a bitfield; nothing while they are not known.
    pub pieces: Option<u32>,
    /// When to give up.
    pub timeouts: PeerTimeouts,
    /// How fast bytes may go.
    pub throttle: Throttle,
}

impl Terms {
    /// What all of them together may send.
    pub(crate) fn upload_limit(&self) -> Rate {
        self.throttle.upload_limit(self.torrent)
    }
}

/// Dials `addr` and serves the connection until it ends.
pub(crate) async fn dial<T: Transport, C: Clock>(
    environment: Environment<T, C>,
    addr: SocketAddr,
    terms: Terms,
    end: TaskEnd,
) {
    let opened =
        within(&environment.clock, terms.timeouts.connect, environment.transport.connect(addr)).await;
    match opened {
        Some(Ok(stream)) => greet(&environment.clock, stream, terms, end).await,
        Some(Err(error)) => debug!(%addr, %error, "connect failed"),
        None => debug!(%addr, "connect timed out"),
    }
}

/// Greets on a stream that we opened, then serves it until it ends.
async fn greet<C, R, W>(clock: &C, mut stream: Stream<R, W>, terms: Terms, mut end: TaskEnd)
where
    C: Clock,
    R: AsyncRead + Unpin + Send,
    W: AsyncWrite + Unpin + Send,
{
    let mut buffer = BytesMut::new();
    let handshake = handshake::greet(&mut stream, &terms.handshake, &mut buffer);
    match within(clock, terms.timeouts.handshake, handshake).await {
        Some(Ok(opened)) => end.opened(opened),
        ended => return log_failure(stream.peer_addr, ended),
    }
    serve(clock, stream, buffer, terms, end).await;
}

/// Answers on a stream that somebody else opened, then serves it until it ends. `find` knows the torrents: nothing
/// is said before, nor if it knows nothing of this one.
//= BEP 3: a side that serves many torrents may wait for the info hash before it answers.
pub(crate) async fn receive<C, R, W, F>(
    clock: &C,
    mut stream: Stream<R, W>,
    patience: Duration,
    find: impl FnOnce(InfoHash) -> F + Send,
) where
    F: Future<Output = Result<(Terms, TaskEnd), HandshakeError>> + Send,
    C: Clock,
    R: AsyncRead + Unpin + Send,
    W: AsyncWrite + Unpin + Send,
{
    let mut buffer = BytesMut::new();
    let handshake = async {
        let opening = handshake::read_opening(&mut stream.reader, &mut buffer).await?;
        let (terms, mut end) = find(opening.info_hash).await?;
        let opened = handshake::answer(&mut stream, opening, &terms.handshake, &mut buffer).await?;
        end.opened(opened);
        Ok((terms, end))
    };
    match within(clock, patience, handshake).await {
        Some(Ok((terms, end))) => serve(clock, stream, buffer, terms, end).await,
        ended => log_failure(stream.peer_addr, ended),
    }
}

fn log_failure<V>(addr: SocketAddr, ended: Option<Result<V, HandshakeError>>) {
    match ended {
        Some(Ok(_)) => {}
        Some(Err(error)) => debug!(%addr, %error, "handshake failed"),
        None => debug!(%addr, "handshake timed out"),
    }
}

/// Serves a connection whose handshake is done until it ends.
async fn serve<C, R, W>(clock: &C, stream: Stream<R, W>, input: BytesMut, terms: Terms, end: TaskEnd)
where
    C: Clock,
    R: AsyncRead + Unpin + Send,
    W: AsyncWrite + Unpin + Send,
{
    let Stream { reader, writer, peer_addr: addr } = stream;
    let decoder = terms.pieces.map_or_else(Decoder::for_unknown, Decoder::new);
    let (output, batch, catch) = (BytesMut::new(), Vec::new(), Catch::default());
    let pace = Pace::new(terms.throttle, (terms.torrent, end.key()), &addr, clock.clone());
    let mut connection = Connection { reader, writer, decoder, end, input, output, batch, catch, pace };
    let ending = poll_fn(|cx| connection.poll(cx)).await;
    debug!(%addr, ?ending, "connection ended");
}

/// Why a connection's task ended.
#[derive(Debug)]
#[expect(dead_code, reason = "read through Debug, in the log")]
enum Ending {
    Ordered,
    Closed,
    Failed(io::Error),
    Invalid(proto::wire::InvalidMessage),
}

struct Connection<R, W, C: Clock> {
    reader: R,
    writer: W,
    decoder: Decoder,
    end: TaskEnd,
    /// Received, not yet decoded.
    input: BytesMut,
    /// Encoded, not yet written.
    output: BytesMut,
    /// Decoded, not yet delivered; empty between polls.
    batch: Vec<Message>,
    /// Counted, not yet delivered.
    catch: Catch,
    pace: Pace<C>,
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin, C: Clock> Connection<R, W, C> {
    /// Does all that can be done now, in both directions.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Ending> {
        let orders = match self.poll_send(cx) {
            Ok(orders) => orders,
            Err(error) => return Poll::Ready(Ending::Failed(error)),
        };
        if orders.closing {
            return Poll::Ready(Ending::Ordered);
        }
        let ending = self.poll_receive(cx, orders.room);
        // A packet that completes no message is no reason to wake the loop.
        let Catch { sent, stalled, .. } = self.catch;
        if !self.batch.is_empty() || stalled || sent >= SENT_LEN || (sent > 0 && self.output.is_empty()) {
            self.end.deliver(&mut self.batch, std::mem::take(&mut self.catch));
        }
        ending
    }

    /// Encodes and writes until nothing is queued or the socket is full.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> io::Result<Orders> {
        loop {
            let orders = self.end.orders(cx.waker(), &mut self.output, WRITE_LEN);
            if self.output.is_empty() {
                // An idle connection holds no buffer.
                self.output = BytesMut::new();
                return Ok(orders);
            }
            while !self.output.is_empty() {
                let Poll::Ready(granted) = self.pace.poll_take(Flow::Up, self.output.len(), cx) else {
                    return Ok(orders);
                };
                let some = self.output.get(..granted).unwrap_or(&self.output);
                let written = Pin::new(&mut self.writer).poll_write(cx, some);
                self.pace.settle(Flow::Up, granted, &written);
                match written {
                    Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                    Poll::Ready(Ok(len)) => {
                        self.output.advance(len);
                        self.catch.sent += len;
                    }
                    Poll::Ready(Err(error)) => return Err(error),
                    Poll::Pending => return Ok(orders),
                }
            }
            self.output.clear();
        }
    }

    /// Decodes and reads until there is nothing more, or `room` messages or [`INBOUND_BYTES`] are reached.
    fn poll_receive(&mut self, cx: &mut Context<'_>, room: usize) -> Poll<Ending> {
        if room == 0 {
            return Poll::Pending;
        }
        loop {
            while self.batch.len() < room {
                match self.decoder.decode(&mut self.input) {
                    Ok(Some(message)) => self.batch.push(message),
                    Ok(None) => break,
                    Err(error) => return Poll::Ready(Ending::Invalid(error)),
                }
            }
            if self.batch.len() >= room || self.catch.received >= INBOUND_BYTES {
                self.catch.stalled = true;
                return Poll::Pending;
            }
            let granted = ready!(self.pace.poll_take(Flow::Down, READ_LEN, cx));
            let read = read_some(&mut self.reader, cx, &mut self.input, granted);
            self.pace.settle(Flow::Down, granted, &read);
            match ready!(read) {
                Ok(0) => return Poll::Ready(Ending::Closed),
                Ok(len) => self.catch.received += len,
                Err(error) => return Poll::Ready(Ending::Failed(error)),
            }
        }
    }
}

/// Reads once, up to `most` bytes and [`READ_LEN`], and appends what came to `input`.
#[expect(clippy::large_stack_arrays, reason = "uninitialised, and a connection need not hold a buffer")]
fn read_some<R: AsyncRead + Unpin>(
    reader: &mut R,
    cx: &mut Context<'_>,
    input: &mut BytesMut,
    most: usize,
) -> Poll<io::Result<usize>> {
    let mut space = [const { MaybeUninit::<u8>::uninit() }; READ_LEN];
    let (space, _) = space.split_at_mut(most.min(READ_LEN));
    let mut room = ReadBuf::uninit(space);
    ready!(Pin::new(reader).poll_read(cx, &mut room))?;
    input.extend_from_slice(room.filled());
    Poll::Ready(Ok(room.filled().len()))
}
