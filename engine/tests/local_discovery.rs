//! Local discovery (BEP 14) by real multicast on the loopback interface: no tracker, no `--peer`.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use engine::storage::file::{Access, FileStorage};
use engine::transport::os::OsTransport;
use engine::transport::{Transport, UdpSocket};
use engine::{Engine, EngineConfig, EngineEvent, Environment, TorrentHandle, TorrentOptions};
use proto::id::PieceHash;
use proto::lsd::{self, Announcement};
use proto::metainfo::Metainfo;
use proto::metainfo::create::{Content, Draft};
use proto::seed::Seed;
use proto::torrent::TorrentConfig;
use proto::tracker::Family;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Far more than it takes: each torrent is announced a second after it began.
const LIMIT: Duration = Duration::from_secs(30);

const LOCALHOST: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

const PIECE: usize = 32 * 1024;

/// Writes a file below `folder` and makes its torrent, which no other run of this test has.
fn make_torrent(folder: &Path, private: bool) -> Arc<Metainfo> {
    let name = if private { "private" } else { "public" };
    let bytes = format!("{name} of {}", std::process::id()).into_bytes().repeat(10_000);
    fs::write(folder.join(name), &bytes).expect("written");
    let mut draft = Draft::new(name, Content::Single(bytes.len() as u64), Some(PIECE as u32)).expect("valid");
    draft.private = private;
    let hashes: Vec<PieceHash> = bytes.chunks(PIECE).map(PieceHash::of).collect();
    Arc::new(Metainfo::parse(&draft.finish(&hashes).expect("complete")).expect("our own"))
}

/// An engine that has or wants these torrents, in `folder`.
async fn run(folder: &Path, torrents: &[Arc<Metainfo>], seed: u64) -> (Vec<TorrentHandle>, JoinHandle<()>) {
    let config = EngineConfig::new(LOCALHOST);
    let environment = Environment::os_at(&config.listen);
    let (engine, root) = Engine::open(environment, config, Seed::from_u64(seed)).await.expect("opened");
    let root = tokio::spawn(root);
    let mut handles = Vec::new();
    for metainfo in torrents {
        let storage = FileStorage::open(folder, Arc::clone(metainfo), Access::ReadWrite).expect("a folder");
        let torrent = TorrentConfig { lsd: true, ..TorrentConfig::default() };
        let options = TorrentOptions { torrent, ..TorrentOptions::default() };
        handles.push(engine.add(Arc::clone(metainfo), storage, options).await.expect("added"));
    }
    (handles, root)
}

#[tokio::test]
async fn neighbours_find_each_other_and_a_private_torrent_is_not_announced() {
    let [here, there] = [(); 2].map(|()| TempDir::new().expect("a folder"));
    let torrents = [make_torrent(here.path(), false), make_torrent(here.path(), true)];
    let group = lsd::group(Family::V4);
    let listener =
        OsTransport::default().join(group, LOCALHOST.ip()).await.expect("the system has multicast");

    let (seeding, seeder) = run(here.path(), &torrents, 1).await;
    let (mut leeching, leecher) = run(there.path(), &torrents, 2).await;
    let download = &mut leeching[0];
    let complete = async { while download.next_event().await.expect("it runs") != EngineEvent::Completed {} };
    timeout(LIMIT, complete).await.expect("in time");
    let read = |folder: &TempDir| fs::read(folder.path().join("public")).expect("a file");
    assert!(read(&here) == read(&there), "the content is the same");
    let stats = leeching[1].stats().await.expect("running");
    assert_eq!((stats.known, stats.peers.len()), (1, 0), "the private one knows its own address only");

    // Both have announced by now, or nobody would have been found.
    let mut heard = Vec::new();
    let each = |_, payload: &[u8]| heard.extend(Announcement::decode(payload));
    timeout(LIMIT, listener.recv_batch(64, each)).await.expect("in time").expect("received");
    let hashes: Vec<_> = heard.iter().flat_map(|said| said.hashes.clone()).collect();
    assert!(hashes.contains(&torrents[0].info_hash()), "{heard:?}");
    assert!(!hashes.contains(&torrents[1].info_hash()), "{heard:?}");

    for handle in seeding.into_iter().chain(leeching) {
        handle.stop();
    }
    for root in [seeder, leecher] {
        timeout(LIMIT, root).await.expect("in time").expect("no panic");
    }
}
