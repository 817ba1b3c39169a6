//! The engine's transport over `turmoil`'s own network: the third implementation, which keeps the trait honest.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use engine::clock::Clock;
use engine::environment::Environment;
use engine::transport::{Listener, MAX_DATAGRAM, Stream, Transport, UdpSocket};
use proto::time::Instant;
use turmoil::net::{TcpListener, TcpStream, UdpSocket as TurmoilSocket};

use super::window::{self, Reader, Writer};

#[derive(Clone, Copy, Debug)]
pub struct TurmoilTransport;

pub struct TurmoilListener(TcpListener);

pub struct TurmoilDatagrams(TurmoilSocket);

/// Simulated time of the host that asks.
#[derive(Clone, Copy, Debug)]
pub struct TurmoilClock;

pub fn environment() -> Environment<TurmoilTransport, TurmoilClock> {
    Environment { transport: TurmoilTransport, clock: TurmoilClock }
}

impl Transport for TurmoilTransport {
    type Reader = Reader;
    type Writer = Writer;
    type Listener = TurmoilListener;
    type Socket = TurmoilDatagrams;

    async fn connect(&self, addr: SocketAddr) -> io::Result<Stream<Reader, Writer>> {
        split(TcpStream::connect(addr).await?, addr)
    }

    async fn listen(&self, addr: SocketAddr) -> io::Result<TurmoilListener> {
        TcpListener::bind(any(addr)).await.map(TurmoilListener)
    }

    async fn bind(&self, addr: SocketAddr) -> io::Result<TurmoilDatagrams> {
        TurmoilSocket::bind(any(addr)).await.map(TurmoilDatagrams)
    }

    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let ip = host.parse::<IpAddr>().unwrap_or_else(|_| turmoil::lookup(host));
        Ok(vec![SocketAddr::new(ip, port)])
    }
}

/// `turmoil` binds to the unspecified address only; a host has one address anyway.
fn any(addr: SocketAddr) -> SocketAddr {
    SocketAddr::from(([0, 0, 0, 0], addr.port()))
}

fn split(stream: TcpStream, peer_addr: SocketAddr) -> io::Result<Stream<Reader, Writer>> {
    let (reader, writer) = window::split(stream)?;
    Ok(Stream { reader, writer, peer_addr })
}

impl Listener for TurmoilListener {
    type Reader = Reader;
    type Writer = Writer;

    async fn accept(&self) -> io::Result<Stream<Reader, Writer>> {
        let (stream, peer_addr) = self.0.accept().await?;
        split(stream, peer_addr)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

impl UdpSocket for TurmoilDatagrams {
    async fn recv_batch(&self, max: usize, mut each: impl FnMut(SocketAddr, &[u8]) + Send) -> io::Result<()> {
        let mut buffer = [0; MAX_DATAGRAM];
        let (len, from) = self.0.recv_from(&mut buffer).await?;
        each(from, buffer.get(..len).unwrap_or_default());
        for _ in 1..max {
            let Ok((len, from)) = self.0.try_recv_from(&mut buffer) else { break };
            each(from, buffer.get(..len).unwrap_or_default());
        }
        Ok(())
    }

    async fn send_to(&self, payload: &[u8], to: SocketAddr) -> io::Result<()> {
        match self.0.send_to(payload, to).await {
            Err(error) if error.kind() != ErrorKind::ConnectionRefused => Err(error),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

impl Clock for TurmoilClock {
    fn now(&self) -> Instant {
        let elapsed = turmoil::sim_elapsed().unwrap_or_default();
        Instant::from_micros(elapsed.as_micros() as u64)
    }

    fn wall(&self) -> Duration {
        turmoil::since_epoch().unwrap_or_default()
    }

    async fn sleep_until(&self, deadline: Instant) {
        tokio::time::sleep(deadline - self.now()).await;
    }
}
