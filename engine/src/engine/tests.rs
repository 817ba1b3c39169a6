//! Many torrents in one process, over loopback sockets and storages in memory.

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
use crate::transport::os::OsTransport;

const LOCALHOST: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

/// A torrent of 100,000 bytes, a different one for each number.
fn torrent(number: usize) -> (Arc<Metainfo>, Vec<u8>) {
    let content: Vec<u8> = (0..100_000).map(|index| (index % 251 + number) as u8).collect();
    let name = format!("torrent {number}");
    let draft = Draft::new(&name, Content::Single(content.len() as u64), Some(32 * 1024)).expect("valid");
    let hashes: Vec<PieceHash> = content.chunks(32 * 1024).map(PieceHash::of).collect();
    (Arc::new(Metainfo::parse(&draft.finish(&hashes).expect("complete")).expect("our own")), content)
}

struct Running {
    engine: EngineHandle,
    root: JoinHandle<()>,
}

impl Running {
    async fn open(seed: u64) -> Self {
        let config = EngineConfig::new(LOCALHOST);
        let environment: Environment<OsTransport, OsClock> = Environment::os_at(&config.listen);
        let (engine, root) = Engine::open(environment, config, Seed::from_u64(seed)).await.expect("opened");
        Self { engine, root: tokio::spawn(root) }
    }

    fn addr(&self) -> SocketAddr {
        self.engine.local_addrs()[0]
    }

    async fn seed(&self, number: usize) -> TorrentHandle {
        let (metainfo, content) = torrent(number);
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
    assert!(answer(running.addr(), torrent(3).0.info_hash()).await.is_empty());
    running.end().await;
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
