//! The operating system's sockets, through tokio.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};

use socket2::{Domain, SockRef, Socket, Type};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{self, TcpSocket};

use super::{Listener, MAX_DATAGRAM, Stream, Transport, UdpSocket};

/// Streams that wait to be accepted; the kernel may cap it lower.
const ACCEPT_BACKLOG: u32 = 1024;

/// Kernel buffer asked for on each datagram socket, in bytes: a tracker's burst of a few thousand requests.
/// The kernel may grant less.
const DATAGRAM_BUFFER: usize = 4 << 20;

/// Tokio's sockets.
#[derive(Clone, Copy, Debug, Default)]
pub struct OsTransport {
    source: Option<IpAddr>,
}

impl OsTransport {
    /// Streams leave from `source`, so that a host with many addresses dials from the one it listens at.
    /// The unspecified address leaves the choice to the kernel.
    pub fn from_source(source: IpAddr) -> Self {
        Self { source: (!source.is_unspecified()).then_some(source) }
    }
}

impl Transport for OsTransport {
    type Reader = OwnedReadHalf;
    type Writer = OwnedWriteHalf;
    type Listener = OsListener;
    type Socket = OsSocket;

    async fn connect(&self, addr: SocketAddr) -> io::Result<Stream<OwnedReadHalf, OwnedWriteHalf>> {
        let socket = tcp_socket(addr)?;
        if let Some(source) = self.source.filter(|source| source.is_ipv4() == addr.is_ipv4()) {
            socket.bind(SocketAddr::new(source, 0))?;
        }
        open(socket.connect(addr).await?, addr)
    }

    async fn listen(&self, addr: SocketAddr) -> io::Result<OsListener> {
        let socket = tcp_socket(addr)?;
        // A restart must not wait for the old connections' TIME_WAIT. On Windows the option means sharing.
        #[cfg(not(windows))]
        socket.set_reuseaddr(true)?;
        socket.bind(addr)?;
        Ok(OsListener(socket.listen(ACCEPT_BACKLOG)?))
    }

    async fn bind(&self, addr: SocketAddr) -> io::Result<OsSocket> {
        let socket = Socket::new(Domain::for_address(addr), Type::DGRAM, None)?;
        if addr.is_ipv6() {
            // Families do not mix: a tracker binds [::]:6969 beside 0.0.0.0:6969.
            socket.set_only_v6(true)?;
        }
        socket.set_nonblocking(true)?;
        socket.bind(&addr.into())?;
        let socket = net::UdpSocket::from_std(socket.into())?;
        // Best effort: a small buffer loses bursts, which the protocols survive.
        let _ = SockRef::from(&socket).set_recv_buffer_size(DATAGRAM_BUFFER);
        let _ = SockRef::from(&socket).set_send_buffer_size(DATAGRAM_BUFFER);
        Ok(OsSocket(socket))
    }

    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        Ok(net::lookup_host((host, port)).await?.collect())
    }
}

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
pub struct OsSocket(net::UdpSocket);

impl UdpSocket for OsSocket {
    async fn recv_batch(&self, max: usize, mut each: impl FnMut(SocketAddr, &[u8]) + Send) -> io::Result<()> {
        let mut buffer = [0; MAX_DATAGRAM];
        loop {
            self.0.readable().await?;
            let mut taken = 0;
            while taken < max {
                match self.0.try_recv_from(&mut buffer) {
                    Ok((len, from)) => {
                        each(from, buffer.get(..len).unwrap_or_default());
                        taken += 1;
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) if is_loss(&error) => {}
                    Err(error) => return Err(error),
                }
            }
            if taken > 0 {
                return Ok(());
            }
        }
    }

    async fn send_to(&self, payload: &[u8], to: SocketAddr) -> io::Result<()> {
        match self.0.try_send_to(payload, to) {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == ErrorKind::WouldBlock || is_loss(&error) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
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
