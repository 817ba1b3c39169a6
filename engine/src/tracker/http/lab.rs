//! For tests: a [`Site`] that is served over streams in memory, on tokio's clock, which may be paused.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use proto::registry::{Registry, RegistryConfig, Secret};
use proto::seed::Seed;
use proto::time::Instant;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::{Mutex, mpsc};
use tokio::time::timeout;

use super::{Site, serve};
use crate::clock::OsClock;
use crate::seats::Seats;
use crate::transport::{Listener, Stream};

/// A listener whose streams are made by the test.
struct Doorbell(Mutex<mpsc::UnboundedReceiver<(DuplexStream, SocketAddr)>>);

impl Listener for Doorbell {
    type Reader = tokio::io::ReadHalf<DuplexStream>;
    type Writer = tokio::io::WriteHalf<DuplexStream>;

    async fn accept(&self) -> std::io::Result<Stream<Self::Reader, Self::Writer>> {
        let Some((stream, peer_addr)) = self.0.lock().await.recv().await else {
            std::future::pending().await
        };
        let (reader, writer) = tokio::io::split(stream);
        Ok(Stream { reader, writer, peer_addr })
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        Ok(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 80))
    }
}

/// The way to a site.
pub(in crate::tracker) struct Street {
    pub(in crate::tracker) clock: OsClock,
    door: mpsc::UnboundedSender<(DuplexStream, SocketAddr)>,
}

impl Street {
    /// Serves a site.
    pub(in crate::tracker) fn to<S: Site>(seats: Seats, site: impl FnOnce(OsClock) -> S) -> Self {
        let clock = OsClock::new();
        let (door, bell) = mpsc::unbounded_channel();
        tokio::spawn(serve(Doorbell(Mutex::new(bell)), clock, seats, site(clock)));
        Self { clock, door }
    }

    /// A connection from `ip` whose pipe holds `window` bytes.
    pub(in crate::tracker) fn connect(&self, ip: &str, window: usize) -> DuplexStream {
        let (ours, theirs) = tokio::io::duplex(window);
        self.door.send((theirs, SocketAddr::new(ip.parse().expect("an address"), 4711))).expect("served");
        ours
    }

    /// Everything that comes back for `request` until the server closes.
    pub(in crate::tracker) async fn exchange(&self, ip: &str, request: &[u8]) -> String {
        let mut stream = self.connect(ip, 1 << 16);
        // The server may have closed already.
        let _ = stream.write_all(request).await;
        text(&mut stream).await
    }
}

/// What arrives until the end of the stream, with everything escaped that is not printable.
pub(in crate::tracker) async fn text(stream: &mut DuplexStream) -> String {
    let mut bytes = Vec::new();
    let read = timeout(Duration::from_secs(600), stream.read_to_end(&mut bytes));
    read.await.expect("it ends").expect("readable");
    bytes.escape_ascii().to_string()
}

/// An empty registry.
pub(in crate::tracker) fn registry() -> Registry {
    Registry::new(RegistryConfig::default(), Secret([0; 16]), Seed::from_u64(1), Instant::ZERO)
}
