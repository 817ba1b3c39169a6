//! The operating system's sockets, through tokio.
//!
//! Datagrams go in batches: `mmsg` where the system has calls for them, `single` elsewhere.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};

use proto::registry::Datagrams;
use socket2::{Domain, SockRef, Socket, Type};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{self, TcpSocket};

use super::{Listener, Stream, Transport, UdpSocket};

mod inherited;
#[cfg(target_os = "linux")]
mod mmsg;
mod multicast;
mod single;
#[cfg(test)]
mod tests;

#[cfg(target_os = "linux")]
use mmsg as batch;
#[cfg(not(target_os = "linux"))]
use single as batch;

pub use inherited::Inherited;

/// Streams that wait to be accepted; the kernel may cap it lower.
const ACCEPT_BACKLOG: u32 = 1024;

/// Kernel buffers asked for on each datagram socket unless said otherwise, in bytes: a tracker's burst of a few
/// thousand requests, which it answers within 20 ms. The kernel may grant less.
pub const DATAGRAM_BUFFER: usize = 4 << 20;

/// Tokio's sockets.
#[derive(Clone, Debug)]
pub struct OsTransport {
    sources: [Option<IpAddr>; 2],
    datagram_buffer: usize,
    inherited: Inherited,
}

impl Default for OsTransport {
    fn default() -> Self {
        Self { sources: [None, None], datagram_buffer: DATAGRAM_BUFFER, inherited: Inherited::default() }
    }
}

impl OsTransport {
    /// Streams leave from `source`, so that a host with many addresses dials from the one it listens at.
    /// The unspecified address leaves the choice to the kernel.
    pub fn from_source(source: IpAddr) -> Self {
        Self::from_sources(&[source])
    }

    /// The same for both families; of more than one address in a family the first counts.
    pub fn from_sources(sources: &[IpAddr]) -> Self {
        let named = |is_ipv4| {
            let mut sources = sources.iter().filter(|source| !source.is_unspecified());
            sources.find(|source| source.is_ipv4() == is_ipv4).copied()
        };
        Self { sources: [named(true), named(false)], ..Self::default() }
    }

    /// Asks for kernel buffers of `bytes`, each way, on every datagram socket.
    #[must_use]
    pub fn with_datagram_buffer(self, bytes: usize) -> Self {
        Self { datagram_buffer: bytes, ..self }
    }

    /// Where one of `inherited` listens already, it is taken instead of a new socket.
    #[must_use]
    pub fn with_inherited(self, inherited: Inherited) -> Self {
        Self { inherited, ..self }
    }

    fn datagrams(&self, addr: SocketAddr, sharing: Sharing) -> io::Result<OsSocket> {
        let socket = Socket::new(Domain::for_address(addr), Type::DGRAM, None)?;
        if addr.is_ipv6() {
            // Families do not mix: a tracker binds [::]:6969 beside 0.0.0.0:6969.
            socket.set_only_v6(true)?;
        }
        #[cfg(target_os = "linux")]
        socket.set_reuse_port(sharing == Sharing::Shared)?;
        #[cfg(not(target_os = "linux"))]
        let _ = sharing;
        socket.bind(&addr.into())?;
        self.opened(socket)
    }

    /// A bound socket as we use it.
    fn opened(&self, socket: Socket) -> io::Result<OsSocket> {
        socket.set_nonblocking(true)?;
        // Best effort: a small buffer loses bursts, which the protocols survive.
        let _ = socket.set_recv_buffer_size(self.datagram_buffer);
        let _ = socket.set_send_buffer_size(self.datagram_buffer);
        let socket = net::UdpSocket::from_std(socket.into())?;
        let local_addr = socket.local_addr()?;
        Ok(OsSocket { socket, local_addr })
    }
}

impl Transport for OsTransport {
    type Reader = OwnedReadHalf;
    type Writer = OwnedWriteHalf;
    type Listener = OsListener;
    type Socket = OsSocket;

    async fn connect(&self, addr: SocketAddr) -> io::Result<Stream<OwnedReadHalf, OwnedWriteHalf>> {
        let socket = tcp_socket(addr)?;
        let [v4, v6] = self.sources;
        if let Some(source) = if addr.is_ipv4() { v4 } else { v6 } {
            socket.bind(SocketAddr::new(source, 0))?;
        }
        open(socket.connect(addr).await?, addr)
    }

    async fn listen(&self, addr: SocketAddr) -> io::Result<OsListener> {
        if let Some(listener) = self.inherited.take_listener(addr) {
            listener.set_nonblocking(true)?;
            return Ok(OsListener(net::TcpListener::from_std(listener)?));
        }
        let socket = tcp_socket(addr)?;
        // A restart must not wait for the old connections' TIME_WAIT. On Windows the option means sharing.
        #[cfg(not(windows))]
        socket.set_reuseaddr(true)?;
        if addr.is_ipv6() {
            // Families do not mix: a peer listens at [::]:6881 beside 0.0.0.0:6881.
            SockRef::from(&socket).set_only_v6(true)?;
        }
        socket.bind(addr)?;
        Ok(OsListener(socket.listen(ACCEPT_BACKLOG)?))
    }

    async fn bind(&self, addr: SocketAddr) -> io::Result<OsSocket> {
        self.datagrams(addr, Sharing::Alone)
    }

    async fn bind_shared(&self, addr: SocketAddr, count: usize) -> io::Result<Vec<OsSocket>> {
        let inherited = self.inherited.take_datagrams(addr);
        if !inherited.is_empty() {
            return inherited.into_iter().map(|socket| self.opened(socket.into())).collect();
        }
        let first = self.datagrams(addr, Sharing::Alone)?;
        if count <= 1 || !CAN_SHARE {
            return Ok(vec![first]);
        }
        // Sockets that share an address share it with another process's too. The first one, alone, has shown
        // that nobody else is there, and has found the port if any would do.
        let addr = first.local_addr()?;
        drop(first);
        (0..count).map(|_| self.datagrams(addr, Sharing::Shared)).collect()
    }

    async fn join(&self, group: SocketAddr, interface: IpAddr) -> io::Result<OsSocket> {
        self.opened(multicast::join(group, interface)?)
    }

    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        Ok(net::lookup_host((host, port)).await?.collect())
    }
}

/// Whether a datagram socket lets others of this process bind its address.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sharing {
    Alone,
    Shared,
}

/// Does the system spread datagrams over the sockets of one address? (BSDs give all to one of them.)
const CAN_SHARE: bool = cfg!(target_os = "linux");

fn tcp_socket(addr: SocketAddr) -> io::Result<TcpSocket> {
    if addr.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }
}

fn open(stream: net::TcpStream, peer_addr: SocketAddr) -> io::Result<Stream<OwnedReadHalf, OwnedWriteHalf>> {
    // Messages are gathered before they are written, so Nagle's delay only costs.
    stream.set_nodelay(true)?;
    let (reader, writer) = stream.into_split();
    Ok(Stream { reader, writer, peer_addr })
}

/// A TCP listener.
#[derive(Debug)]
pub struct OsListener(net::TcpListener);

impl Listener for OsListener {
    type Reader = OwnedReadHalf;
    type Writer = OwnedWriteHalf;

    async fn accept(&self) -> io::Result<Stream<OwnedReadHalf, OwnedWriteHalf>> {
        let (stream, peer_addr) = self.0.accept().await?;
        open(stream, peer_addr)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

/// A UDP socket.
#[derive(Debug)]
pub struct OsSocket {
    socket: net::UdpSocket,
    local_addr: SocketAddr,
}

impl UdpSocket for OsSocket {
    async fn recv_batch(&self, max: usize, mut each: impl FnMut(SocketAddr, &[u8]) + Send) -> io::Result<()> {
        loop {
            self.socket.readable().await?;
            let mut taken = 0;
            let received = batch::recv(&self.socket, self.local_addr, max, &mut |from, payload: &[u8]| {
                taken += 1;
                each(from, payload);
            });
            match received {
                // An error that came after datagrams comes again if it lasts.
                _ if taken > 0 => return Ok(()),
                Err(error) if error.kind() != ErrorKind::WouldBlock && !is_loss(&error) => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
    }

    async fn send_to(&self, payload: &[u8], to: SocketAddr) -> io::Result<()> {
        match single::send_to(&self.socket, payload, to) {
            Err(error) if error.kind() != ErrorKind::WouldBlock && !is_loss(&error) => Err(error),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    async fn send_batch(&self, batch: &Datagrams) -> usize {
        batch::send(&self.socket, batch)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.local_addr)
    }
}

/// Is this what a network does to a datagram, rather than a fault of the socket? An ICMP answer to an
/// earlier datagram also surfaces here (always on Windows).
fn is_loss(error: &io::Error) -> bool {
    [
        ErrorKind::ConnectionRefused,
        ErrorKind::ConnectionReset,
        ErrorKind::HostUnreachable,
        ErrorKind::NetworkUnreachable,
        ErrorKind::PermissionDenied,
        ErrorKind::Interrupted,
    ]
    .contains(&error.kind())
}
