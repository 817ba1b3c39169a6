//! Tests of the tracker over loopback sockets.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use proto::id::{InfoHash, PeerId};
use proto::seed::Seed;
use proto::torrent::{AnnounceEvent, Progress};
use proto::tracker::{
    AnnounceRequest, ConnectionId, Family, Reply, Request, ScrapeEntry, ScrapeRequest, TransactionId,
};
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::*;
use crate::clock::OsClock;
use crate::environment::Environment;
use crate::transport::os::OsTransport;

const HASH: InfoHash = InfoHash([3; 20]);
const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

fn environment() -> Environment<OsTransport, OsClock> {
    Environment::os(LOOPBACK.ip())
}

async fn started(store: impl Store) -> (TrackerHandle, JoinHandle<()>) {
    let config = TrackerConfig::at(LOOPBACK);
    let (handle, root) = start(environment(), config, store, Seed::from_u64(1)).await.expect("starts");
    (handle, tokio::spawn(root))
}

async fn stopped(handle: &TrackerHandle, root: JoinHandle<()>) {
    handle.stop();
    timeout(Duration::from_secs(1), root).await.expect("stops within a second").expect("no panic");
}

/// A client at a port of its own.
struct Client(UdpSocket);

impl Client {
    async fn of(handle: &TrackerHandle) -> Self {
        let socket = UdpSocket::bind(LOOPBACK).await.expect("binds");
        socket.connect(handle.local_addrs()[0]).await.expect("connects");
        Self(socket)
    }

    async fn ask(&self, request: Request<'_>) -> Reply {
        let mut bytes = Vec::new();
        request.encode(&mut bytes);
        self.0.send(&bytes).await.expect("sends");
        let mut buffer = [0; 2048];
        let len = timeout(Duration::from_secs(5), self.0.recv(&mut buffer)).await.expect("an answer");
        Reply::decode(&buffer[..len.expect("receives")], Family::V4).expect("a reply")
    }

    async fn connect(&self) -> ConnectionId {
        let reply = self.ask(Request::Connect { transaction: TransactionId(1) }).await;
        let Reply::Connect { connection, .. } = reply else { panic!("{reply:?}") };
        connection
    }

    async fn announce(&self, connection: ConnectionId, event: AnnounceEvent, left: u64) -> Reply {
        let request = AnnounceRequest {
            connection,
            transaction: TransactionId(2),
            info_hash: HASH,
            peer_id: PeerId([1; 20]),
            progress: Progress { uploaded: 0, downloaded: 0, left },
            event: Some(event),
            key: 0,
            num_want: None,
            port: 6881,
            options: &[],
        };
        self.ask(Request::Announce(request)).await
    }

    async fn download(&self) {
        let connection = self.connect().await;
        self.announce(connection, AnnounceEvent::Started, 5).await;
        self.announce(connection, AnnounceEvent::Completed, 0).await;
        self.announce(connection, AnnounceEvent::Stopped, 0).await;
    }

    async fn scrape(&self) -> ScrapeEntry {
        let connection = self.connect().await;
        let hashes = &[HASH.0];
        let reply = self
            .ask(Request::Scrape(ScrapeRequest { connection, transaction: TransactionId(3), hashes }))
            .await;
        let Reply::Scrape { swarms, .. } = reply else { panic!("{reply:?}") };
        swarms[0]
    }
}

#[tokio::test]
async fn a_tracker_serves_counts_and_remembers() {
    let store = MemoryStore::default();
    let (handle, root) = started(store.clone()).await;
    let client = Client::of(&handle).await;
    client.download().await;
    let id_of_before = client.connect().await;
    assert_eq!(handle.stats().registry.announces, 3);
    stopped(&handle, root).await;
    assert_eq!(store.completed(HASH), Some(1), "a stop flushes");

    let config = TrackerConfig::at(handle.local_addrs()[0]);
    let (handle, root) = start(environment(), config, store, Seed::from_u64(2)).await.expect("starts again");
    let root = tokio::spawn(root);
    let reply = client.announce(id_of_before, AnnounceEvent::Started, 5).await;
    assert!(matches!(reply, Reply::Announce { .. }), "an id of before the restart is still good: {reply:?}");
    assert_eq!(client.scrape().await, ScrapeEntry { seeders: 0, completed: 1, leechers: 1 });
    stopped(&handle, root).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_answer_from_the_address_that_was_asked() {
    let v6 = "[::1]:0".parse().expect("an address");
    let config = TrackerConfig { bind: vec![LOOPBACK, v6], workers: 3, ..TrackerConfig::at(LOOPBACK) };
    let (handle, root) =
        start(environment(), config, MemoryStore::default(), Seed::from_u64(1)).await.expect("starts");
    let root = tokio::spawn(root);
    assert_eq!(handle.local_addrs().len(), 2);
    for addr in handle.local_addrs() {
        for _ in 0..20 {
            // A connected socket hears nobody else.
            let client = UdpSocket::bind(SocketAddr::new(addr.ip(), 0)).await.expect("binds");
            client.connect(addr).await.expect("connects");
            Client(client).download().await;
        }
    }
    let stats = handle.stats();
    assert_eq!((stats.registry.announces, stats.unsent, stats.socket_failures), (120, 0, 0));
    assert_eq!(Client::of(&handle).await.scrape().await.completed, 40, "one registry behind all of them");
    stopped(&handle, root).await;
    for workers in [0, MAX_WORKERS + 1] {
        let config = TrackerConfig { workers, ..TrackerConfig::at(LOOPBACK) };
        let refused = start(environment(), config, MemoryStore::default(), Seed::from_u64(1)).await;
        assert!(matches!(refused.map(|_| ()), Err(TrackerError::Workers(count)) if count == workers));
    }
}

#[tokio::test]
async fn a_flood_over_one_family_does_not_starve_the_other() {
    let v6 = "[::1]:0".parse().expect("an address");
    let config = TrackerConfig { bind: vec![LOOPBACK, v6], ..TrackerConfig::at(LOOPBACK) };
    let (handle, root) =
        start(environment(), config, MemoryStore::default(), Seed::from_u64(1)).await.expect("starts");
    let root = tokio::spawn(root);
    let &[flooded, quiet] = handle.local_addrs() else { panic!("two addresses") };
    let flooding = Arc::new(AtomicBool::new(true));
    let flood = std::thread::spawn({
        let flooding = Arc::clone(&flooding);
        move || {
            let socket = std::net::UdpSocket::bind(LOOPBACK).expect("binds");
            while flooding.load(Ordering::Relaxed) {
                let _ = socket.send_to(&[7; 98], flooded);
            }
        }
    });
    timeout(Duration::from_secs(30), async {
        while handle.stats().registry.malformed < 10_000 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await
    .expect("the flood arrives");
    for _ in 0..10 {
        let client = UdpSocket::bind(v6).await.expect("binds");
        client.connect(quiet).await.expect("connects");
        Client(client).download().await;
    }
    flooding.store(false, Ordering::Relaxed);
    flood.join().expect("no panic");
    assert_eq!(handle.stats().registry.announces, 30);
    stopped(&handle, root).await;
}

#[tokio::test]
async fn garbage_does_not_stop_it() {
    let (handle, root) = started(MemoryStore::default()).await;
    let client = Client::of(&handle).await;
    for garbage in [&[][..], &[0; 15], &[0xff; 98], &[7; 2000]] {
        client.0.send(garbage).await.expect("sends");
    }
    client.download().await;
    assert_eq!(handle.stats().registry.malformed, 4);
    stopped(&handle, root).await;
}

#[tokio::test]
async fn a_failing_store_is_tried_again_while_it_serves() {
    let store = MemoryStore::default();
    let (handle, root) = started(store.clone()).await;
    store.fail_with(Some(StoreError::Full));
    Client::of(&handle).await.download().await;
    timeout(Duration::from_secs(10), async {
        while handle.stats().store_failures == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .expect("the failure is counted");
    assert_eq!(Client::of(&handle).await.scrape().await.completed, 1);
    store.fail_with(None);
    stopped(&handle, root).await;
    assert_eq!(store.completed(HASH), Some(1));
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let (handle, root) = started(MemoryStore::default()).await;
    let addr = handle.local_addrs()[0];
    let second =
        start(environment(), TrackerConfig::at(addr), MemoryStore::default(), Seed::from_u64(1)).await;
    assert!(matches!(second.map(|_| ()), Err(TrackerError::Bind { addr: named, .. }) if named == addr));
    stopped(&handle, root).await;
    let none = TrackerConfig { bind: Vec::new(), ..TrackerConfig::at(addr) };
    let none = start(environment(), none, MemoryStore::default(), Seed::from_u64(1)).await;
    assert!(matches!(none.map(|_| ()), Err(TrackerError::Sockets(0))));
}
