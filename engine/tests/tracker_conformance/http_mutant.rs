//! An HTTP tracker with one defect: our registry and codec behind a function that twists what goes in or
//! what comes out.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use proto::registry::{Announce, Registry, RegistryConfig, Secret};
use proto::seed::Seed;
use proto::time::Instant;
use proto::tracker::Family;
use proto::tracker::http::{HttpAnnounced, HttpRequest, put_announce, put_failure, put_scrape};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What becomes of a request.
pub(crate) enum Fate {
    /// The registry answers it.
    Serve,
    /// It is answered by these bytes.
    Answer(Vec<u8>),
    /// It ends the tracker.
    Die,
}

/// One way to break rules.
pub(crate) struct HttpDefect {
    pub(crate) name: &'static str,
    /// Ids of the rules that must notice.
    pub(crate) breaks: &'static [&'static str],
    /// May change the target.
    pub(crate) request: fn(&mut Scene, &mut String) -> Fate,
    /// May change the body, with the target as the registry saw it.
    pub(crate) reply: fn(&mut Scene, &str, &mut Vec<u8>),
    pub(crate) manners: Manners,
}

/// How it treats connections.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manners {
    Good,
    /// Takes what comes first for the whole request.
    ReadsOnce,
    /// Keeps the connection and hears nothing more.
    Deaf,
    /// Speaks HTTP/1.1 only.
    New,
    /// Ends at a head that is no request.
    Frail,
}

impl HttpDefect {
    pub(crate) const NONE: Self = Self {
        name: "none",
        breaks: &[],
        request: |_, _| Fate::Serve,
        reply: |_, _, _| {},
        manners: Manners::Good,
    };
}

/// What a defect may remember and use.
pub(crate) struct Scene {
    pub(crate) count: u32,
    pub(crate) memory: Vec<u8>,
    registry: Registry,
}

impl Scene {
    /// What a sound tracker says to `target`.
    pub(crate) fn ask(&mut self, target: &str) -> Vec<u8> {
        let mut body = Vec::new();
        match HttpRequest::parse(target.as_bytes()) {
            Err(error) => put_failure(&mut body, &error.to_string()),
            Ok(HttpRequest::Scrape(hashes)) => {
                let counts = |hash| self.registry.scrape(hash).map(|counts| (hash, counts));
                put_scrape(&mut body, hashes.into_iter().filter_map(counts).collect::<Vec<_>>());
            }
            Ok(HttpRequest::Announce(announce)) => {
                let request = Announce {
                    info_hash: announce.info_hash,
                    addr: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), announce.port),
                    left: announce.progress.left,
                    event: announce.event,
                    num_want: announce.num_want,
                    passkey: None,
                };
                let mut peers = Vec::new();
                match self.registry.announce(Instant::ZERO, &request, &mut peers) {
                    Err(refusal) => put_failure(&mut body, &refusal.to_string()),
                    Ok(outcome) => {
                        let reply = HttpAnnounced {
                            interval: outcome.interval,
                            min_interval: outcome.min_interval,
                            counts: outcome.counts,
                            family: Family::V4,
                            peers: &peers,
                            is_compact: announce.is_compact,
                        };
                        put_announce(&mut body, &reply);
                    }
                }
            }
        }
        body
    }
}

/// Starts the tracker in the background; it lives as long as the runtime.
pub(crate) async fn start(defect: &'static HttpDefect) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
    let addr = listener.local_addr().expect("bound");
    let (dead, mut death) = tokio::sync::mpsc::channel::<()>(1);
    tokio::spawn(async move {
        let registry =
            Registry::new(RegistryConfig::default(), Secret([7; 16]), Seed::from_u64(1), Instant::ZERO);
        let scene = Arc::new(Mutex::new(Scene { count: 0, memory: Vec::new(), registry }));
        loop {
            let stream = tokio::select! {
                accepted = listener.accept() => accepted.expect("accepts").0,
                _ = death.recv() => return,
            };
            let (scene, dead) = (Arc::clone(&scene), dead.clone());
            tokio::spawn(async move {
                if converse(stream, defect, &scene).await.is_none() {
                    let _ = dead.try_send(());
                }
            });
        }
    });
    addr
}

/// Serves one connection; nothing if that ends the tracker.
async fn converse(mut stream: TcpStream, defect: &HttpDefect, scene: &Mutex<Scene>) -> Option<()> {
    let mut head = Vec::with_capacity(4096);
    while !head.windows(4).any(|window| window == b"\r\n\r\n") {
        match stream.read_buf(&mut head).await {
            Ok(1..) if defect.manners == Manners::ReadsOnce => break,
            Ok(1..) => {}
            Ok(0) | Err(_) if defect.manners == Manners::Frail => return None,
            Ok(0) | Err(_) => return Some(()),
        }
    }
    let text = String::from_utf8_lossy(&head).into_owned();
    let mut words = text.split_whitespace();
    let (Some("GET"), Some(target)) = (words.next(), words.next()) else { return Some(()) };
    let mut target = target.to_owned();
    if defect.manners == Manners::New && words.next() != Some("HTTP/1.1") {
        return Some(());
    }
    let body = {
        let mut scene = scene.lock().expect("no panic");
        let mut body = match (defect.request)(&mut scene, &mut target) {
            Fate::Serve => scene.ask(&target),
            Fate::Answer(body) => body,
            Fate::Die => return None,
        };
        (defect.reply)(&mut scene, &target, &mut body);
        body
    };
    let reply = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes();
    // Whoever hangs up hears nothing.
    let _ = stream.write_all(&[reply, body].concat()).await;
    if defect.manners == Manners::Deaf {
        tokio::time::sleep(Duration::from_secs(60)).await;
    }
    Some(())
}
