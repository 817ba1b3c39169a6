//! A disk that cannot keep up with the network: what waits for it stays within limits, and every byte arrives once.
//! The disk here stands still until the test opens it, so nothing depends on anybody's speed. (Reads that wait are
//! limited for each peer by the core, whose tests show it.)

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use engine::storage::Storage;
use engine::storage::memory::MemoryStorage;
use engine::{Engine, EngineConfig, EngineEvent, Environment, TorrentHandle};
use proto::id::PieceHash;
use proto::metainfo::Metainfo;
use proto::metainfo::create::{Content, Draft};
use proto::piece::{BLOCK_LEN, Block, PieceIndex};
use proto::seed::Seed;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

/// Far more than any of this takes.
const LIMIT: Duration = Duration::from_secs(120);

/// After so long without a byte the transfer has paused; loopback takes some milliseconds.
const CALM: Duration = Duration::from_millis(1500);

const PIECE: u32 = 256 * 1024;

/// More than may wait for a disk.
const LEN: usize = 40 << 20;

/// What may wait to be written (the core's `MAX_WRITING`), and four blocks more from each peer.
const MAX_WAITING: u64 = (2048 + 4) * BLOCK_LEN as u64;

/// What is done at once, whatever waits (the driver's `PARALLEL_JOBS`).
const MAX_AT_ONCE: usize = 16;

/// A disk behind a gate.
#[derive(Clone)]
struct Gated {
    content: Arc<MemoryStorage>,
    gate: Arc<Semaphore>,
    /// Writes under way, and the most there ever were.
    under_way: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

impl Gated {
    fn closed(content: MemoryStorage) -> Self {
        let (under_way, most) = (Arc::default(), Arc::default());
        Self { content: Arc::new(content), gate: Arc::new(Semaphore::new(0)), under_way, most }
    }

    fn open(&self) {
        self.gate.add_permits(1);
    }
}

impl Storage for Gated {
    async fn read(&self, block: Block) -> io::Result<Bytes> {
        self.content.read(block).await
    }

    async fn write(&self, block: Block, data: Bytes) -> io::Result<()> {
        let under_way = self.under_way.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(under_way, Ordering::SeqCst);
        drop(self.gate.acquire().await.expect("never closed"));
        self.under_way.fetch_sub(1, Ordering::SeqCst);
        self.content.write(block, data).await
    }

    async fn hash(&self, piece: PieceIndex) -> io::Result<PieceHash> {
        self.content.hash(piece).await
    }

    async fn flush(&self) -> io::Result<()> {
        Ok(())
    }
}

fn torrent() -> (Vec<u8>, Arc<Metainfo>) {
    let mut content = vec![0; LEN];
    Seed::from_u64(7).rng().fill(&mut content);
    let draft = Draft::new("content", Content::Single(LEN as u64), Some(PIECE)).expect("valid");
    let hashes: Vec<_> = content.chunks(PIECE as usize).map(PieceHash::of).collect();
    let metainfo = Metainfo::parse(&draft.finish(&hashes).expect("complete")).expect("our own");
    (content, Arc::new(metainfo))
}

/// An engine over `storage` which dials `peers`, and where it listens.
async fn start(
    metainfo: &Arc<Metainfo>,
    storage: impl Storage,
    peers: Vec<SocketAddr>,
    number: u64,
) -> (TorrentHandle, JoinHandle<()>, SocketAddr) {
    let localhost = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
    let config = EngineConfig { peers, ..EngineConfig::new(localhost) };
    let environment = Environment::os_at(&config.listen);
    let started = Engine::start(environment, Arc::clone(metainfo), storage, config, Seed::from_u64(number));
    let (mut handle, root) = started.await.expect("started");
    let root = tokio::spawn(root);
    loop {
        match handle.next_event().await {
            Some(EngineEvent::Listening(addr)) => return (handle, root, addr),
            Some(_) => {}
            None => panic!("it ended"),
        }
    }
}

/// What has been received once nothing more comes.
async fn received_at_last(handle: &TorrentHandle) -> u64 {
    let mut received = 0;
    loop {
        sleep(CALM).await;
        let now = handle.stats().await.expect("it runs").progress.downloaded;
        if now > 0 && now == received {
            return received;
        }
        received = now;
    }
}

async fn completed(handle: &mut TorrentHandle) {
    loop {
        match handle.next_event().await {
            Some(EngineEvent::Completed) => return,
            Some(EngineEvent::PieceFailed(piece)) => panic!("{piece:?} came in damaged"),
            Some(_) => {}
            None => panic!("it ended"),
        }
    }
}

#[tokio::test]
async fn a_download_waits_for_its_disk_within_limits_and_completes() {
    let (content, metainfo) = torrent();
    let memory = || MemoryStorage::with_content(metainfo.geometry(), content.clone());
    let (_seeder, _, addr) = start(&metainfo, memory(), Vec::new(), 1).await;
    let disk = Gated::closed(MemoryStorage::empty(metainfo.geometry()));
    let (mut leecher, _, _) = start(&metainfo, disk.clone(), vec![addr], 2).await;

    let received = timeout(LIMIT, received_at_last(&leecher)).await.expect("in time");
    assert!(received > MAX_WAITING / 2, "{received} bytes: it paused too early");
    assert!(received <= MAX_WAITING, "{received} bytes wait to be written");
    assert_eq!(disk.most.load(Ordering::SeqCst), MAX_AT_ONCE);

    disk.open();
    timeout(LIMIT, completed(&mut leecher)).await.expect("in time");
    assert!(disk.content.content() == content);
    let stats = leecher.stats().await.expect("it runs");
    assert_eq!(stats.progress.downloaded, LEN as u64, "nothing was fetched twice: {stats:?}");
}
