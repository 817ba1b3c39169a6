//! The engine's transport over the simulated socket stack.

use std::cell::RefCell;
use std::io::{self, Error, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use engine::transport::{Listener, MAX_DATAGRAM, Stream, Transport, UdpSocket};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use turmoil_net::NetstatState;
use turmoil_net::shim::tokio::net::{TcpListener, TcpStream, UdpSocket as StackSocket, tcp};

use super::buffers::{Buffers, Ending};
use super::host::{Host, OnHost, Owned};
use crate::network::inbox::charge;
use crate::wiretap::Ear;

/// The stack announces a reopened window only after a read of at least half its receive buffer.
const WINDOW: usize = 64 * 1024;

thread_local! {
    /// Where the stack's bytes land before they go to the reader.
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; WINDOW]);
}

/// What an operating system says to a datagram that does not fit into one packet (`EMSGSIZE`).
const MESSAGE_TOO_LONG: i32 = 90;

/// How long closing connections of a former listener may hold its port. Operating systems let a new
/// listener pass them (`SO_REUSEADDR`); the stack cannot, so the newtype waits until they are gone.
const LINGER: Duration = Duration::from_secs(30);

/// How often it looks.
const LINGER_POLL: Duration = Duration::from_millis(10);

/// One host's network stack.
#[derive(Clone, Debug)]
pub struct SimTransport(pub(super) Arc<Host>);

/// The receiving half of a stream.
#[derive(Debug)]
pub struct SimReader {
    half: Owned<tcp::OwnedReadHalf>,
    /// Where its bytes are; those that stay inside their host the stack has.
    end: Option<End>,
    /// What a small read left behind: the stack is read in whole windows, or it would stall for ever.
    rest: Vec<u8>,
    taken: usize,
    ear: Option<Ear>,
}

/// The sending half of a stream.
#[derive(Debug)]
pub struct SimWriter {
    half: Owned<tcp::OwnedWriteHalf>,
    /// Where its bytes go; those that stay inside their host the stack takes.
    end: Option<End>,
    ear: Option<Ear>,
}

/// A half's hold on the buffers of its connection.
#[derive(Debug)]
struct End {
    host: Arc<Host>,
    buffers: Arc<Buffers>,
}

/// Accepts streams.
#[derive(Debug)]
pub struct SimListener(Owned<TcpListener>);

/// Sends and receives datagrams.
#[derive(Debug)]
pub struct SimSocket(Owned<StackSocket>);

impl Transport for SimTransport {
    type Reader = SimReader;
    type Writer = SimWriter;
    type Listener = SimListener;
    type Socket = SimSocket;

    async fn connect(&self, addr: SocketAddr) -> io::Result<Stream<SimReader, SimWriter>> {
        self.0.pulse.stir();
        let stream = OnHost::new(&self.0, TcpStream::connect(addr)).await?;
        Ok(self.split(stream, addr))
    }

    async fn listen(&self, addr: SocketAddr) -> io::Result<SimListener> {
        let mut patience = LINGER;
        loop {
            match OnHost::new(&self.0, TcpListener::bind(addr)).await {
                Ok(listener) => return Ok(SimListener(Owned::new(&self.0, listener))),
                Err(error) if error.kind() != ErrorKind::AddrInUse => return Err(error),
                Err(error) if patience.is_zero() || self.has_listener(addr) => return Err(error),
                Err(_) => tokio::time::sleep(LINGER_POLL).await,
            }
            patience = patience.saturating_sub(LINGER_POLL);
        }
    }

    async fn bind(&self, addr: SocketAddr) -> io::Result<SimSocket> {
        let socket = OnHost::new(&self.0, StackSocket::bind(addr)).await?;
        Ok(SimSocket(Owned::new(&self.0, socket)))
    }

    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let literal = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().ok();
        if literal.is_none() && self.0.is_lost.load(Ordering::Relaxed) {
            return Err(Error::other("temporary failure in name resolution"));
        }
        let known = literal.map(|ip| vec![ip]).or_else(|| self.0.names.get(host).cloned());
        let ips = known.ok_or_else(|| Error::new(ErrorKind::NotFound, format!("no host is named {host}")))?;
        Ok(ips.into_iter().map(|ip| SocketAddr::new(ip, port)).collect())
    }
}

impl SimTransport {
    fn has_listener(&self, addr: SocketAddr) -> bool {
        let same = |local: SocketAddr| local.port() == addr.port() && local.is_ipv4() == addr.is_ipv4();
        let mut entries = self.0.netstat().into_iter();
        entries.any(|entry| entry.state == Some(NetstatState::Listen) && same(entry.local))
    }

    fn split(&self, stream: TcpStream, peer_addr: SocketAddr) -> Stream<SimReader, SimWriter> {
        self.0.enter();
        let local = stream.local_addr().ok().filter(|_| !self.0.is_own(peer_addr.ip()));
        let [heard_at, said_at] = local.map_or([None, None], |local| {
            End::open(&self.0, [local, peer_addr], stream.try_read(&mut [0])).map(Some)
        });
        let (reader, writer) = stream.into_split();
        let half = Owned::new(&self.0, reader);
        let ears = self.0.wiretap.get().map(|tap| tap.attach(self.0.index, peer_addr));
        let (said, heard) = ears.map_or((None, None), |[said, heard]| (Some(said), Some(heard)));
        let reader = SimReader { half, end: heard_at, rest: Vec::new(), taken: 0, ear: heard };
        let writer = SimWriter { half: Owned::new(&self.0, writer), end: said_at, ear: said };
        Stream { reader, writer, peer_addr }
    }
}

impl SimReader {
    /// Reads a window's worth from the stack into `window`; returns how much there was.
    fn poll_stack(&mut self, context: &mut Context<'_>, window: &mut [u8]) -> Poll<io::Result<usize>> {
        ready!(self.half.host().gate.poll_opened(context));
        let mut buf = ReadBuf::new(window);
        let polled = self.half.with(|half| Pin::new(half).poll_read(context, &mut buf));
        let read = buf.filled().len();
        if read >= WINDOW / 2 {
            self.half.host().pulse.stir();
        }
        polled.unwrap_or(Poll::Pending).map_ok(|()| read)
    }
}

impl AsyncRead for SimReader {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(self.poll_bytes(context, buf))?;
        if let Some(ear) = &mut self.ear {
            ear.bytes(buf.filled().get(before..).unwrap_or_default(), false);
        }
        Poll::Ready(Ok(()))
    }
}

impl SimReader {
    fn poll_bytes(&mut self, context: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if let Some(end) = &self.end {
            ready!(end.host.gate.poll_opened(context));
            return end.poll_read(context, buf);
        }
        if self.taken == self.rest.len() {
            // The stack wants initialised memory; clearing 64 KiB for every read would cost more than the read.
            return SCRATCH.with_borrow_mut(|window| {
                let read = ready!(self.poll_stack(context, window))?;
                let fits = read.min(buf.remaining());
                buf.put_slice(window.get(..fits).unwrap_or_default());
                self.rest.clear();
                self.rest.extend_from_slice(window.get(fits..read).unwrap_or_default());
                self.taken = 0;
                Poll::Ready(Ok(()))
            });
        }
        let rest = self.rest.get(self.taken..).unwrap_or_default();
        let taken = rest.len().min(buf.remaining());
        buf.put_slice(rest.get(..taken).unwrap_or_default());
        self.taken += taken;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for SimWriter {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = self.poll_bytes(context, buf);
        match (&mut self.ear, &polled) {
            (None, _) | (_, Poll::Ready(Err(_))) => {}
            (Some(ear), Poll::Pending) => ear.blocked(),
            (Some(ear), &Poll::Ready(Ok(len))) => {
                ear.bytes(buf.get(..len).unwrap_or_default(), len < buf.len());
            }
        }
        polled
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.half.host().pulse.stir();
        self.end.iter().for_each(|end| end.buffers.shut());
        self.half.with(|half| Pin::new(half).poll_shutdown(context)).unwrap_or(Poll::Pending)
    }
}

impl SimWriter {
    fn poll_bytes(&mut self, context: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.half.host().gate.poll_opened(context));
        if let Some(end) = &self.end {
            return end.poll_write(context, buf);
        }
        let polled = self.half.with(|half| Pin::new(half).poll_write(context, buf));
        self.half.host().pulse.stir();
        polled.unwrap_or(Poll::Pending)
    }
}

impl End {
    /// Both holds on a new connection, of which the stack has heard so much: nothing, if it is not over.
    fn open(host: &Arc<Host>, ends: [SocketAddr; 2], heard: io::Result<usize>) -> [Self; 2] {
        let buffers = host.connections.open(ends);
        match heard {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => buffers.end(Ending::Reset),
            Ok(_) => buffers.end(Ending::Closed),
        }
        [(); 2].map(|()| Self { host: Arc::clone(host), buffers: Arc::clone(&buffers) })
    }

    fn poll_read(&self, context: &Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let (is_new, is_awaited) = ready!(self.buffers.poll_read(context, buf))?;
        self.call(is_new);
        if is_awaited {
            self.host.pulse.raise();
        }
        Poll::Ready(Ok(()))
    }

    fn poll_write(&self, context: &Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let (taken, is_new) = ready!(self.buffers.poll_write(context, bytes))?;
        self.call(is_new);
        self.host.pulse.raise();
        Poll::Ready(Ok(taken))
    }

    fn call(&self, is_new: bool) {
        if is_new {
            self.host.pulse.call(self.host.index, &self.buffers);
        }
    }
}

impl Drop for End {
    fn drop(&mut self) {
        self.call(self.buffers.let_go());
    }
}

impl Listener for SimListener {
    type Reader = SimReader;
    type Writer = SimWriter;

    async fn accept(&self) -> io::Result<Stream<SimReader, SimWriter>> {
        let host = self.0.host();
        let accepted = std::future::poll_fn(|context| {
            ready!(host.gate.poll_opened(context));
            self.0.with_ref(|listener| listener.poll_accept(context)).unwrap_or(Poll::Pending)
        });
        let (stream, peer_addr) = accepted.await?;
        Ok(SimTransport(Arc::clone(host)).split(stream, peer_addr))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.with_ref(TcpListener::local_addr).unwrap_or_else(|| Err(closed()))
    }
}

impl UdpSocket for SimSocket {
    async fn recv_batch(&self, max: usize, mut each: impl FnMut(SocketAddr, &[u8]) + Send) -> io::Result<()> {
        let mut buffer = [0; MAX_DATAGRAM];
        self.0.host().service.done().await;
        let mut waiting = self.wait(&mut buffer).await?;
        self.take(waiting.0);
        for _ in 1..max.max(1) {
            let (len, from) = waiting;
            self.hear(from, buffer.get(..len).unwrap_or_default(), &mut each);
            match self.0.with_ref(|socket| socket.try_recv_from(&mut buffer)) {
                Some(Ok(next)) => {
                    self.take(next.0);
                    waiting = next;
                }
                Some(Err(_)) | None => return Ok(()),
            }
        }
        let (len, from) = waiting;
        self.hear(from, buffer.get(..len).unwrap_or_default(), &mut each);
        Ok(())
    }

    async fn send_to(&self, payload: &[u8], to: SocketAddr) -> io::Result<()> {
        if payload.len() > self.0.host().most_in_a_datagram(to) {
            return Err(Error::from_raw_os_error(MESSAGE_TOO_LONG));
        }
        self.0.host().service.charge(1);
        self.0.host().pulse.stir();
        self.0.host().asking.get().into_iter().for_each(|asking| asking.said(to, payload));
        match self.0.with_ref(|socket| socket.try_send_to(payload, to)) {
            Some(Ok(_)) | None => Ok(()),
            Some(Err(error)) if error.kind() == ErrorKind::WouldBlock => Ok(()),
            Some(Err(error)) => Err(error),
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.with_ref(StackSocket::local_addr).unwrap_or_else(|| Err(closed()))
    }
}

impl SimSocket {
    fn hear(&self, from: SocketAddr, payload: &[u8], each: &mut impl FnMut(SocketAddr, &[u8])) {
        self.0.host().asking.get().into_iter().for_each(|asking| asking.heard(from, payload));
        each(from, payload);
    }

    /// A datagram with so many bytes of payload was read: that takes time and makes room.
    fn take(&self, payload: usize) {
        let host = self.0.host();
        host.service.charge(1);
        host.taken.fetch_add(charge(payload), Ordering::Relaxed);
    }

    /// The next datagram.
    async fn wait(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let mut future = Box::pin(async {
            match self.0.with_ref(|socket| socket.recv_from(buffer)) {
                Some(received) => received.await,
                None => Err(closed()),
            }
        });
        // The host must be current at every poll, not only when the future is made.
        std::future::poll_fn(|context| {
            ready!(self.0.host().gate.poll_opened(context));
            self.0.host().enter();
            future.as_mut().poll(context)
        })
        .await
    }
}

fn closed() -> Error {
    Error::from(ErrorKind::NotConnected)
}
