//! What the engine needs of a network: TCP streams, a listener, UDP sockets and names.
//!
//! Three implementations pass the same conformance suite: tokio's sockets ([`os`]), `turmoil`'s and
//! `turmoil-net`'s.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};

use proto::registry::Datagrams;
use tokio::io::{AsyncRead, AsyncWrite};

pub mod conformance;
pub mod os;

/// A network stack, as one host sees it. Cheap to clone.
pub trait Transport: Clone + Send + Sync + 'static {
    /// The receiving half of a stream.
    type Reader: AsyncRead + Unpin + Send + 'static;
    /// The sending half of a stream; dropping it ends the stream.
    type Writer: AsyncWrite + Unpin + Send + 'static;
    /// A socket that accepts streams.
    type Listener: Listener<Reader = Self::Reader, Writer = Self::Writer>;
    /// A datagram socket.
    type Socket: UdpSocket;

    /// Opens a stream. Dropping the future abandons the attempt.
    fn connect(
        &self,
        addr: SocketAddr,
    ) -> impl Future<Output = io::Result<Stream<Self::Reader, Self::Writer>>> + Send;

    /// Accepts streams at `addr`; port 0 takes any free one.
    fn listen(&self, addr: SocketAddr) -> impl Future<Output = io::Result<Self::Listener>> + Send;

    /// Binds a datagram socket to `addr`; port 0 takes any free one.
    fn bind(&self, addr: SocketAddr) -> impl Future<Output = io::Result<Self::Socket>> + Send;

    /// Binds up to `count` datagram sockets that share `addr`, for as many workers; the stack spreads the
    /// sources over them. At least one: what a stack that cannot share an address gives.
    fn bind_shared(
        &self,
        addr: SocketAddr,
        count: usize,
    ) -> impl Future<Output = io::Result<Vec<Self::Socket>>> + Send {
        let _ = count;
        async move { Ok(vec![self.bind(addr).await?]) }
    }

    /// Binds a datagram socket in a multicast group, at the interface that has the address `interface`; the
    /// unspecified one leaves the choice to the stack. `Unsupported` where there is no multicast.
    fn join(
        &self,
        group: SocketAddr,
        interface: IpAddr,
    ) -> impl Future<Output = io::Result<Self::Socket>> + Send {
        let _ = (group, interface);
        async { Err(io::ErrorKind::Unsupported.into()) }
    }

    /// The addresses of `host`, which may be a literal.
    fn resolve(&self, host: &str, port: u16) -> impl Future<Output = io::Result<Vec<SocketAddr>>> + Send;
}

/// An open stream in its two halves.
#[derive(Debug)]
pub struct Stream<R, W> {
    /// Receives; read with at least 64 KiB of room, or a simulated stack never reopens its window.
    pub reader: R,
    /// Sends.
    pub writer: W,
    /// The address at the other end.
    pub peer_addr: SocketAddr,
}

/// Accepts streams.
pub trait Listener: Send + Sync + 'static {
    /// The receiving half of a stream.
    type Reader;
    /// The sending half of a stream.
    type Writer;

    /// The next stream.
    fn accept(&self) -> impl Future<Output = io::Result<Stream<Self::Reader, Self::Writer>>> + Send;

    /// Where it listens.
    fn local_addr(&self) -> io::Result<SocketAddr>;
}

/// Sends and receives datagrams.
pub trait UdpSocket: Send + Sync + 'static {
    /// Waits for a datagram, then takes up to `max` that are there; each goes to `each(from, payload)`.
    ///
    /// Longer datagrams than [`MAX_DATAGRAM`] are cut.
    fn recv_batch(
        &self,
        max: usize,
        each: impl FnMut(SocketAddr, &[u8]) + Send,
    ) -> impl Future<Output = io::Result<()>> + Send;

    /// Sends a datagram. A full socket buffer or an unreachable peer loses it, as a network may.
    fn send_to(&self, payload: &[u8], to: SocketAddr) -> impl Future<Output = io::Result<()>> + Send;

    /// Sends the datagrams of `batch` in order and gives back how many were not taken: a full buffer or a
    /// forbidden or unreachable address loses that datagram, and only that one.
    fn send_batch(&self, batch: &Datagrams) -> impl Future<Output = usize> + Send {
        async {
            let mut lost = 0;
            for (to, payload) in batch.iter() {
                lost += usize::from(self.send_to(payload, to).await.is_err());
            }
            lost
        }
    }

    /// Where it is bound.
    fn local_addr(&self) -> io::Result<SocketAddr>;
}

/// The longest datagram that is received whole, in bytes.
pub const MAX_DATAGRAM: usize = 2048;
