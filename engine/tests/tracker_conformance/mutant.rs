//! A tracker with one defect: our registry behind a function that twists what goes in or what comes out.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use proto::registry::{Datagram, Datagrams, Registry, RegistryConfig, Secret};
use proto::seed::Seed;
use proto::time::Instant;
use tokio::net::UdpSocket;

/// What becomes of a request.
pub(crate) enum Fate {
    /// The registry answers it.
    Serve,
    /// Nobody does.
    Ignore,
    /// It is answered by these bytes.
    Answer(Vec<u8>),
    /// It ends the tracker.
    Die,
}

/// One way to break rules.
pub(crate) struct Defect {
    pub(crate) name: &'static str,
    /// Ids of the rules that must notice.
    pub(crate) breaks: &'static [&'static str],
    pub(crate) request: fn(&mut Scene, &mut Vec<u8>) -> Fate,
    /// With the request as the registry saw it.
    pub(crate) reply: fn(&mut Scene, &[u8], &mut Vec<u8>),
    /// How often each reply is sent, and whether from where it was asked.
    pub(crate) copies: usize,
    pub(crate) from_elsewhere: bool,
}

impl Defect {
    pub(crate) const NONE: Self = Self {
        name: "none",
        breaks: &[],
        request: |_, _| Fate::Serve,
        reply: |_, _, _| {},
        copies: 1,
        from_elsewhere: false,
    };
}

/// What a defect may look at, remember and use.
pub(crate) struct Scene {
    pub(crate) from: SocketAddr,
    /// Requests of each source that a defect has counted.
    pub(crate) seen: BTreeMap<SocketAddr, u32>,
    pub(crate) count: u32,
    pub(crate) spoofed: Vec<u8>,
    registry: Registry,
    out: Datagrams,
}

impl Scene {
    /// What the registry says to `payload`.
    fn ask(&mut self, payload: &[u8]) -> Option<Vec<u8>> {
        self.out.clear();
        let batch = [Datagram { from: self.from, payload }];
        self.registry.handle(Instant::ZERO, Duration::from_secs(1000), batch, &mut self.out);
        self.out.iter().next().map(|(_, reply)| reply.to_vec())
    }

    /// A connection id that is good for the present source.
    pub(crate) fn good_id(&mut self) -> [u8; 8] {
        let connect = [&0x0417_2710_1980_u64.to_be_bytes()[..], &[0; 8]].concat();
        self.ask(&connect).expect("connect is answered")[8..].try_into().expect("8 bytes")
    }
}

/// Starts the tracker in the background; it lives as long as the runtime.
pub(crate) async fn start(defect: &'static Defect) -> SocketAddr {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
    let other = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
    let addr = socket.local_addr().expect("bound");
    tokio::spawn(async move {
        let registry =
            Registry::new(RegistryConfig::default(), Secret([7; 16]), Seed::from_u64(1), Instant::ZERO);
        let (seen, spoofed, out) = (BTreeMap::new(), Vec::new(), Datagrams::default());
        let mut scene = Scene { from: addr, seen, count: 0, spoofed, registry, out };
        let mut buffer = [0; 2048];
        loop {
            let (len, from) = socket.recv_from(&mut buffer).await.expect("the socket works");
            scene.from = from;
            let mut request = buffer[..len].to_vec();
            let reply = match (defect.request)(&mut scene, &mut request) {
                Fate::Serve => scene.ask(&request),
                Fate::Ignore => None,
                Fate::Answer(reply) => Some(reply),
                Fate::Die => return,
            };
            let Some(mut reply) = reply else { continue };
            (defect.reply)(&mut scene, &request, &mut reply);
            let from_where = if defect.from_elsewhere { &other } else { &socket };
            for _ in 0..defect.copies {
                from_where.send_to(&reply, from).await.expect("sent");
            }
        }
    });
    addr
}
