//! A network with a defect between it and the engine.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Buf;
use engine::clock::Clock;
use engine::transport::{Listener, Stream, Transport, UdpSocket};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::stream::Filter;
use super::{At, SharedDefect};
use crate::world::{SimClock, SimListener, SimReader, SimSocket, SimTransport, SimWriter};

/// Bytes read at once: the simulated stack is read in whole windows.
const WINDOW: usize = 64 * 1024;

/// One host's network stack, seen through a defect.
#[derive(Clone, Debug)]
pub(crate) struct TamperedTransport {
    inner: SimTransport,
    tamper: Tamper,
    lines: Arc<AtomicU64>,
}

#[derive(Clone, Debug)]
struct Tamper {
    defect: SharedDefect,
    clock: SimClock,
}

/// One end of a stream.
#[derive(Clone, Debug)]
struct End {
    tamper: Tamper,
    line: u64,
    peer: SocketAddr,
}

impl End {
    fn at(&self) -> At {
        At { now: self.tamper.clock.now(), line: self.line, peer: self.peer }
    }
}

#[derive(Debug)]
pub(crate) struct TamperedReader {
    inner: SimReader,
    end: End,
    filter: Filter,
}

#[derive(Debug)]
pub(crate) struct TamperedWriter {
    inner: SimWriter,
    end: End,
    filter: Filter,
    /// Bytes of the engine's that were taken in and are not all on their way: it is told once they are.
    taken: usize,
}

#[derive(Debug)]
pub(crate) struct TamperedListener {
    inner: SimListener,
    transport: TamperedTransport,
}

#[derive(Debug)]
pub(crate) struct TamperedSocket {
    inner: SimSocket,
    defect: SharedDefect,
}

impl TamperedTransport {
    /// `inner` through `defect`; `clock` is right whatever the host's clocks say.
    pub(crate) fn new(inner: SimTransport, defect: SharedDefect, clock: SimClock) -> Self {
        Self { inner, tamper: Tamper { defect, clock }, lines: Arc::default() }
    }

    fn wrap(&self, stream: Stream<SimReader, SimWriter>) -> Stream<TamperedReader, TamperedWriter> {
        let Stream { reader, writer, peer_addr } = stream;
        let line = self.lines.fetch_add(1, Ordering::Relaxed);
        let end = End { tamper: self.tamper.clone(), line, peer: peer_addr };
        let reader = TamperedReader { inner: reader, end: end.clone(), filter: Filter::default() };
        let writer = TamperedWriter { inner: writer, end, filter: Filter::default(), taken: 0 };
        Stream { reader, writer, peer_addr }
    }
}

impl Transport for TamperedTransport {
    type Reader = TamperedReader;
    type Writer = TamperedWriter;
    type Listener = TamperedListener;
    type Socket = TamperedSocket;

    async fn connect(&self, addr: SocketAddr) -> io::Result<Stream<TamperedReader, TamperedWriter>> {
        Ok(self.wrap(self.inner.connect(addr).await?))
    }

    async fn listen(&self, addr: SocketAddr) -> io::Result<TamperedListener> {
        Ok(TamperedListener { inner: self.inner.listen(addr).await?, transport: self.clone() })
    }

    async fn bind(&self, addr: SocketAddr) -> io::Result<TamperedSocket> {
        Ok(TamperedSocket { inner: self.inner.bind(addr).await?, defect: self.tamper.defect.clone() })
    }

    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        self.inner.resolve(host, port).await
    }
}

impl AsyncRead for TamperedReader {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { inner, end, filter } = &mut *self;
        if end.tamper.defect.lock().cuts(end.at()) {
            return Poll::Ready(Ok(()));
        }
        while filter.output.is_empty() {
            let mut window = vec![0; WINDOW];
            let mut room = ReadBuf::new(&mut window);
            ready!(Pin::new(&mut *inner).poll_read(context, &mut room))?;
            if room.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            let at = end.at();
            let defect = &end.tamper.defect;
            let rename = |name| defect.lock().meets(at, name);
            filter.push(room.filled(), rename, |message| defect.lock().hears(at, message));
        }
        let fits = filter.output.len().min(buf.remaining());
        buf.put_slice(filter.output.get(..fits).unwrap_or_default());
        filter.output.advance(fits);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for TamperedWriter {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let Self { inner, end, filter, taken } = &mut *self;
        if *taken == 0 {
            let at = end.at();
            filter.push(buf, |name| name, |message| end.tamper.defect.lock().says(at, message));
            *taken = buf.len();
        }
        // The engine hears of what has gone as it goes, and of the last byte when there is nothing left to go.
        let mut gone = 0;
        while !filter.output.is_empty() && gone.min(*taken - 1) == 0 {
            gone = ready!(Pin::new(&mut *inner).poll_write(context, &filter.output))?;
            filter.output.advance(gone);
        }
        let gone = if filter.output.is_empty() { *taken } else { gone.min(*taken - 1) };
        // It tries again with the same bytes, though perhaps with fewer of them.
        let told = buf.len().min(gone);
        *taken -= told;
        Poll::Ready(Ok(told))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

impl Listener for TamperedListener {
    type Reader = TamperedReader;
    type Writer = TamperedWriter;

    async fn accept(&self) -> io::Result<Stream<TamperedReader, TamperedWriter>> {
        Ok(self.transport.wrap(self.inner.accept().await?))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }
}

impl UdpSocket for TamperedSocket {
    async fn recv_batch(&self, max: usize, mut each: impl FnMut(SocketAddr, &[u8]) + Send) -> io::Result<()> {
        let mut heard = false;
        while !heard {
            let received = |from, datagram: &[u8]| {
                for datagram in self.defect.lock().receives(datagram.to_vec()) {
                    heard = true;
                    each(from, &datagram);
                }
            };
            self.inner.recv_batch(max, received).await?;
        }
        Ok(())
    }

    async fn send_to(&self, payload: &[u8], to: SocketAddr) -> io::Result<()> {
        let datagrams = self.defect.lock().sends(payload.to_vec());
        for datagram in datagrams {
            self.inner.send_to(&datagram, to).await?;
        }
        Ok(())
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }
}
