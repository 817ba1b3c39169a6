//! Many torrents in one process, over loopback sockets and storages in memory.

use std::num::NonZeroU64;
use std::time::Duration;

use bytes::BytesMut;
use proto::id::{PeerId, PieceHash};
use proto::metainfo::create::{Content, Draft};
use proto::wire::Handshake;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use super::*;
use crate::clock::OsClock;
use crate::storage::memory::MemoryStorage;
use crate::tracker::{self, MemoryStore, TrackerConfig};
use crate::transport::os::OsTransport;

const LOCALHOST: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

/// A torrent of 100,000 bytes, a different one for each number.
fn torrent(number: usize) -> (Arc<Metainfo>, Vec<u8>) {
    torrent_at(number, Vec::new())
}

/// The same with trackers.
fn torrent_at(number: usize, trackers: Vec<String>) -> (Arc<Metainfo>, Vec<u8>) {
    let content: Vec<u8> = (0..100_000).map(|index| (index % 251 + number) as u8).collect();
    let name = format!("torrent {number}");
    let mut draft = Draft::new(&name, Content::Single(content.len() as u64), Some(32 * 1024)).expect("valid");
    draft.trackers = vec![trackers];
    let hashes: Vec<PieceHash> = content.chunks(32 * 1024).map(PieceHash::of).collect();
    (Arc::new(Metainfo::parse(&draft.finish(&hashes).expect("complete")).expect("our own")), content)
}

struct Running {
    engine: EngineHandle,
    root: JoinHandle<()>,
}

impl Running {
    async fn open(seed: u64) -> Self {
        Self::open_with(seed, SharedLimits::default()).await
    }

    async fn open_with(seed: u64, shared: SharedLimits) -> Self {
        let config = EngineConfig { shared, ..EngineConfig::new(LOCALHOST) };
        let environment: Environment<OsTransport, OsClock> = Environment::os_at(&config.listen);
        let (engine, root) = Engine::open(environment, config, Seed::from_u64(seed)).await.expect("opened");
        Self { engine, root: tokio::spawn(root) }
    }

    fn addr(&self) -> SocketAddr {
        self.engine.local_addrs()[0]
    }

    async fn seed(&self, number: usize) -> TorrentHandle {
        self.seed_this(torrent(number)).await
    }

    async fn seed_this(&self, (metainfo, content): (Arc<Metainfo>, Vec<u8>)) -> TorrentHandle {
        let storage = MemoryStorage::with_content(metainfo.geometry(), content);
        self.engine.add(metainfo, storage, TorrentOptions::default()).await.expect("added")
    }

    async fn fetch(&self, number: usize, from: SocketAddr) -> TorrentHandle {
        let (metainfo, _) = torrent(number);
        let storage = MemoryStorage::empty(metainfo.geometry());
        let options = TorrentOptions { peers: vec![from], ..TorrentOptions::default() };
        self.engine.add(metainfo, storage, options).await.expect("added")
    }

    async fn end(self) {
        self.engine.stop();
        self.root.await.expect("no panic");
    }
}

async fn wait_for(handle: &mut TorrentHandle, wanted: &EngineEvent) {
    while handle.next_event().await.expect("running") != *wanted {}
}

#[tokio::test]
async fn two_engines_share_many_torrents_over_one_port_each() {
    let (seeder, leecher) = (Running::open(1).await, Running::open(2).await);
    let mut fetched = Vec::new();
    for number in 0..10 {
        seeder.seed(number).await;
        fetched.push(leecher.fetch(number, seeder.addr()).await);
    }
    for handle in &mut fetched {
        wait_for(handle, &EngineEvent::Completed).await;
    }
    leecher.end().await;
    seeder.end().await;
}

#[tokio::test]
async fn a_torrent_leaves_and_comes_back_while_the_others_go_on() {
    let (seeder, leecher) = (Running::open(1).await, Running::open(2).await);
    let mut first = seeder.seed(1).await;
    let (metainfo, _) = torrent(1);
    let storage = MemoryStorage::empty(metainfo.geometry());
    let again = seeder.engine.add(metainfo, storage, TorrentOptions::default()).await;
    assert!(matches!(again, Err(AddError::Duplicate(_))), "{again:?}");
    seeder.seed(2).await;
    first.stop();
    while first.next_event().await.is_some() {}
    let mut second = leecher.fetch(2, seeder.addr()).await;
    wait_for(&mut second, &EngineEvent::Completed).await;
    seeder.seed(1).await;
    let mut first = leecher.fetch(1, seeder.addr()).await;
    wait_for(&mut first, &EngineEvent::Completed).await;
    seeder.engine.stop();
    let (metainfo, _) = torrent(3);
    seeder.root.await.expect("no panic");
    let storage = MemoryStorage::empty(metainfo.geometry());
    let late = seeder.engine.add(metainfo, storage, TorrentOptions::default()).await;
    assert!(matches!(late, Err(AddError::Stopped)), "{late:?}");
    leecher.end().await;
}

#[tokio::test]
async fn a_torrent_that_leaves_tells_its_tracker_and_closes_its_connections() {
    let environment: Environment<OsTransport, OsClock> = Environment::os(LOCALHOST.ip());
    let (config, store) = (TrackerConfig::at(LOCALHOST), MemoryStore::default());
    let started = tracker::start(environment, config, store, Seed::from_u64(9)).await;
    let (tracker, tracker_root) = started.expect("started");
    let tracker_root = tokio::spawn(tracker_root);
    let url = format!("udp://{}", tracker.local_addrs()[0]);
    let seeders = async |handle: &mut TorrentHandle| loop {
        if let EngineEvent::Announced { seeders, .. } = handle.next_event().await.expect("running") {
            return seeders;
        }
    };
    let (running, other) = (Running::open(1).await, Running::open(2).await);
    let both = [1, 2].map(|number| torrent_at(number, vec![url.clone()]));
    let [mut leaving, mut staying] =
        [running.seed_this(both[0].clone()).await, running.seed_this(both[1].clone()).await];
    assert_eq!((seeders(&mut leaving).await, seeders(&mut staying).await), (1, 1));
    let mut guests = [knock(running.addr(), 1, 7).await, knock(running.addr(), 2, 8).await];
    until_connected(&running.engine, 2).await;
    leaving.stop();
    while leaving.next_event().await.is_some() {}
    let mut heard = Vec::new();
    guests[0].read_to_end(&mut heard).await.expect("closed in order");
    until_connected(&running.engine, 1).await;
    assert_eq!(running.engine.counts().torrents, 1);
    // Who comes now counts itself.
    let [mut first, mut second] =
        [other.seed_this(both[0].clone()).await, other.seed_this(both[1].clone()).await];
    assert_eq!((seeders(&mut first).await, seeders(&mut second).await), (1, 2));
    for running in [running, other] {
        running.end().await;
    }
    tracker.stop();
    tracker_root.await.expect("no panic");
}

#[tokio::test]
async fn one_rate_limit_holds_for_all_torrents_together() {
    const TORRENTS: usize = 4;
    let (seeder, leecher) = (Running::open(1).await, Running::open(2).await);
    let mut limits = RateLimits::default();
    limits.down.global = NonZeroU64::new(200_000);
    leecher.engine.set_limits(limits);
    let (clock, mut fetched) = (OsClock::new(), Vec::new());
    let began = clock.now();
    for number in 0..TORRENTS {
        seeder.seed(number).await;
        fetched.push(leecher.fetch(number, seeder.addr()).await);
    }
    for handle in &mut fetched {
        wait_for(handle, &EngineEvent::Completed).await;
    }
    // 400,000 bytes; with the limit for each of them it would take a quarter of that.
    let took = clock.now().since(began);
    assert!(took > Duration::from_millis(1500) && took < Duration::from_secs(20), "{took:?}");
    leecher.end().await;
    seeder.end().await;
}

/// What an engine says to a handshake for this torrent.
async fn answer(addr: SocketAddr, info_hash: InfoHash) -> BytesMut {
    let mut stream = TcpStream::connect(addr).await.expect("it listens");
    let hello = Handshake { reserved: [0; 8], info_hash, peer_id: PeerId([7; 20]) };
    stream.write_all(&hello.encode()[..48]).await.expect("sent");
    let mut answer = BytesMut::new();
    while answer.len() < 68 && stream.read_buf(&mut answer).await.is_ok_and(|len| len > 0) {}
    answer
}

#[tokio::test]
//= BEP 3: "If both sides don't send the same value, they sever the connection."
async fn a_handshake_is_answered_once_its_torrent_is_known_and_a_foreign_one_never() {
    let running = Running::open(1).await;
    for number in 0..3 {
        running.seed(number).await;
    }
    for number in 0..3 {
        let (metainfo, _) = torrent(number);
        let answer = answer(running.addr(), metainfo.info_hash()).await;
        assert_eq!(answer.get(28..48), Some(metainfo.info_hash().0.as_slice()));
    }
    assert_eq!(running.engine.counts().foreign, 0);
    assert!(answer(running.addr(), torrent(3).0.info_hash()).await.is_empty());
    assert_eq!(running.engine.counts().foreign, 1);
    running.end().await;
}

/// Waits until an engine holds so many connections.
async fn until_connected(engine: &EngineHandle, connections: usize) {
    let reached = async {
        while engine.counts().connections != connections {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let reached = tokio::time::timeout(Duration::from_secs(20), reached).await;
    assert!(reached.is_ok(), "{:?}", engine.counts());
}

/// A peer that wants to fetch something, and says so.
async fn knock(addr: SocketAddr, number: usize, name: u8) -> TcpStream {
    let mut stream = TcpStream::connect(addr).await.expect("it listens");
    let info_hash = torrent(number).0.info_hash();
    let hello = Handshake { reserved: [0; 8], info_hash, peer_id: PeerId([name; 20]) };
    // Interested (BEP 3).
    stream.write_all(&[&hello.encode()[..], &[0, 0, 0, 1, 2]].concat()).await.expect("sent");
    stream
}

#[tokio::test]
async fn connections_are_shared_and_a_latecomer_gets_its_part() {
    let shared = SharedLimits { connections: 4, ..SharedLimits::default() };
    let running = Running::open_with(1, shared).await;
    let first = running.seed(1).await;
    let mut streams = Vec::new();
    for name in 0..4 {
        streams.push(knock(running.addr(), 1, name).await);
    }
    until_connected(&running.engine, 4).await;
    // Its torrent has all there are and cannot ask for more.
    let mut refused = knock(running.addr(), 1, 9).await;
    assert_eq!(refused.read(&mut [0; 1]).await.ok().filter(|&len| len > 0), None);
    assert_eq!(running.engine.counts().without_place, 1);
    let second = running.seed(2).await;
    for name in 10..12 {
        streams.push(knock(running.addr(), 2, name).await);
        let mut hello = [0; 68];
        streams.last_mut().expect("there").read_exact(&mut hello).await.expect("let in");
    }
    settle().await;
    let peers = async |handle: &TorrentHandle| handle.stats().await.expect("running").peers.len();
    assert_eq!((peers(&first).await, peers(&second).await), (2, 2));
    assert_eq!(running.engine.counts().connections, 4);
    // A torrent that leaves gives its places back.
    second.stop();
    until_connected(&running.engine, 2).await;
    running.end().await;
}

#[tokio::test]
async fn a_dial_waits_for_its_place_and_a_whole_process_can_do_with_one() {
    let one = SharedLimits { connections: 1, half_open: 1, upload_slots: 1 };
    let (seeder, leecher) = (Running::open(1).await, Running::open_with(2, one).await);
    let mut fetched = Vec::new();
    for number in 0..3 {
        seeder.seed(number).await;
        fetched.push(leecher.fetch(number, seeder.addr()).await);
    }
    // The seeder closes a connection over which all has gone, and the next torrent has its turn.
    for handle in &mut fetched {
        let completed = wait_for(handle, &EngineEvent::Completed);
        tokio::time::timeout(Duration::from_secs(30), completed).await.expect("in time");
    }
    assert!(leecher.engine.counts().connections <= 1);
    leecher.end().await;
    seeder.end().await;
}

#[tokio::test]
async fn upload_slots_are_shared_by_those_who_have_takers() {
    let shared = SharedLimits { upload_slots: 2, ..SharedLimits::default() };
    let running = Running::open_with(1, shared).await;
    let handles = [running.seed(1).await, running.seed(2).await, running.seed(3).await];
    let mut streams = Vec::new();
    for name in 0..4 {
        streams.push(knock(running.addr(), 1, name).await);
        until_connected(&running.engine, usize::from(name) + 1).await;
    }
    for name in 4..8 {
        streams.push(knock(running.addr(), 2, name).await);
    }
    until_connected(&running.engine, 8).await;
    let mut seen = Vec::new();
    for _ in 0..150 {
        let mut served = [0; 3];
        for (count, handle) in served.iter_mut().zip(&handles) {
            let stats = handle.stats().await.expect("running");
            *count = stats.peers.iter().filter(|peer| !peer.am_choking).count();
        }
        assert!(served.iter().sum::<usize>() <= 2, "{served:?}");
        seen.push(served);
        if served == [1, 1, 0] {
            return running.end().await;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    panic!("never shared: {seen:?}");
}

/// Lets every task run until it waits.
async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn an_idle_torrent_costs_one_task() {
    const COUNT: usize = 1000;
    let alive = || Handle::current().metrics().num_alive_tasks();
    let running = Running::open(1).await;
    running.seed(0).await;
    settle().await;
    let before = alive();
    for number in 1..=COUNT {
        running.seed(number).await;
    }
    settle().await;
    assert_eq!(alive() - before, COUNT);
    running.end().await;
    assert_eq!(alive(), 0);
}
