//! Downloads from HTTP servers (BEP 19) over the loopback interface: from nobody else, beside peers, and from servers
//! with bad habits, none of which may keep a torrent from completing as long as somebody else has it.

mod server;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU64;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use engine::clock::{Clock, OsClock};
use engine::storage::file::{Access, FileStorage};
use engine::transport::os::OsTransport;
use engine::{Engine, EngineConfig, EngineEvent, Environment, TorrentHandle};
use proto::id::PieceHash;
use proto::metainfo::Metainfo;
use proto::metainfo::create::{Content, Draft};
use proto::seed::Seed;
use proto::torrent::WebSeedState;
use server::{Files, Habit, Seen};
use tempfile::TempDir;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

/// Far more than any of these transfers takes.
const LIMIT: Duration = Duration::from_secs(60);

const LOCALHOST: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

const PIECE_LEN: usize = 32 * 1024;

/// Names that need escaping, odd lengths, a file without bytes.
const FILES: [(&str, usize); 4] =
    [("a b#?.bin", 1_000_003), ("sub/ü.bin", 500_000), ("empty", 0), ("z", 70_001)];

/// Where a web server has them, below its root.
const PATHS: [&str; 4] =
    ["/pub/set/a%20b%23%3F.bin", "/pub/set/sub/%C3%BC.bin", "/pub/set/empty", "/pub/set/z"];

/// The content, as a web server has it.
fn files() -> Files {
    let bytes = |seed: usize, len| {
        (0..len).map(|index| (index % 251) as u8 ^ (index >> 9) as u8 ^ seed as u8).collect()
    };
    let files = FILES.iter().zip(PATHS).enumerate();
    Arc::new(files.map(|(seed, (&(_, len), path))| (path.to_owned(), bytes(seed, len))).collect())
}

fn torrent(web_seeds: Vec<String>) -> Arc<Metainfo> {
    let path = |name: &str| name.split('/').map(str::to_owned).collect();
    let content = FILES.iter().map(|&(name, len)| (path(name), len as u64)).collect();
    let mut draft = Draft::new("set", Content::Multi(content), Some(PIECE_LEN as u32)).expect("valid");
    draft.web_seeds = web_seeds;
    let all = in_order().concat();
    let hashes: Vec<PieceHash> = all.chunks(PIECE_LEN).map(PieceHash::of).collect();
    Arc::new(Metainfo::parse(&draft.finish(&hashes).expect("complete")).expect("our own"))
}

/// What a test ends with itself.
#[derive(Default)]
struct Servers(JoinSet<()>);

impl Servers {
    /// Starts a server; returns its root and what it sees.
    async fn start(&mut self, files: Files, habit: Habit) -> (String, Seen) {
        let seen = Seen::default();
        let (addr, work) = server::serve(OsTransport::default(), LOCALHOST, files, habit, seen.clone())
            .await
            .expect("a port");
        self.0.spawn(work);
        (format!("http://{addr}/pub"), seen)
    }
}

struct Running {
    handle: TorrentHandle,
    root: JoinHandle<()>,
    addr: SocketAddr,
    folder: TempDir,
}

async fn start(metainfo: &Arc<Metainfo>, config: EngineConfig, has: bool) -> Running {
    let folder = tempfile::tempdir().expect("a folder");
    if has {
        lay_out(folder.path());
    }
    let storage =
        FileStorage::open(folder.path(), Arc::clone(metainfo), Access::ReadWrite).expect("a folder");
    let environment = Environment::os_at(&config.listen);
    let seed = Seed::from_u64(u64::from(has));
    let started = Engine::start(environment, Arc::clone(metainfo), storage, config, seed);
    let (mut handle, root) = started.await.expect("started");
    let root = tokio::spawn(root);
    let Some(EngineEvent::Listening(addr)) = handle.next_event().await else { panic!("no address") };
    Running { handle, root, addr, folder }
}

fn lay_out(folder: &Path) {
    for ((name, _), bytes) in FILES.iter().zip(in_order()) {
        let path = folder.join("set").join(name);
        std::fs::create_dir_all(path.parent().expect("below")).expect("made");
        std::fs::write(path, bytes).expect("written");
    }
}

fn in_order() -> Vec<Vec<u8>> {
    let files = files();
    PATHS.iter().map(|path| files[*path].clone()).collect()
}

impl Running {
    /// Waits until everything is in and as it should be; returns what was said of web seeds meanwhile.
    async fn complete(&mut self) -> Vec<String> {
        let mut complaints = Vec::new();
        let complete = async {
            loop {
                match self.handle.next_event().await {
                    Some(EngineEvent::Completed) => return,
                    Some(EngineEvent::WebSeedFailed { error, .. }) => complaints.push(error),
                    Some(_) => {}
                    None => panic!("the engine ended"),
                }
            }
        };
        timeout(LIMIT, complete).await.expect("in time");
        for ((name, _), bytes) in FILES.iter().zip(in_order()) {
            let there = std::fs::read(self.folder.path().join("set").join(name)).unwrap_or_default();
            assert!(there == bytes, "{name} differs");
        }
        complaints
    }

    async fn stop(self) {
        self.handle.stop();
        timeout(LIMIT, self.root).await.expect("in time").expect("no panic");
    }
}

#[tokio::test]
async fn a_web_seed_alone_suffices_over_one_connection() {
    let mut servers = Servers::default();
    let (url, seen) = servers.start(files(), Habit::Honest).await;
    let metainfo = torrent(vec![url]);
    let mut leecher = start(&metainfo, EngineConfig::new(LOCALHOST), false).await;
    assert_eq!(leecher.complete().await, [""; 0]);
    let stats = leecher.handle.stats().await.expect("it runs");
    assert_eq!(stats.web_seeds[0].downloaded, metainfo.geometry().len());
    assert_eq!((seen.connections(), stats.wasted, stats.duplicate), (1, 0, 0));
    let requests = seen.requests();
    assert!((3..6).contains(&requests.len()), "few and long ones: {requests:?}");
    leecher.stop().await;
}

#[tokio::test]
async fn no_bad_habit_keeps_a_torrent_from_completing() {
    let habits = [
        (Habit::Truncates, "the answer ends too early"),
        (Habit::Endless, "the server sends wrong content"),
        (Habit::LongerFile, "the server's file has 1000004 bytes instead of 1000003"),
        (Habit::WrongBytes, "the server sends wrong content"),
        (Habit::AnotherRange, "the server answers with another range than it was asked for"),
        (Habit::HasNothing, "the server answers with status 404"),
        (Habit::Busy, "the server is busy (status 503)"),
        (Habit::RedirectsForEver, "the server redirects without end"),
        (Habit::SpeaksNoHttp, "the server speaks no HTTP: invalid HTTP version parsed"),
    ];
    for (habit, complaint) in habits {
        let mut servers = Servers::default();
        let (bad, _) = servers.start(files(), habit).await;
        let (good, _) = servers.start(files(), Habit::Honest).await;
        let mut leecher = start(&torrent(vec![bad, good]), EngineConfig::new(LOCALHOST), false).await;
        let complaints = leecher.complete().await;
        assert!(complaints.iter().any(|said| said == complaint), "{habit:?}: {complaints:?}");
        let stats = leecher.handle.stats().await.expect("it runs");
        assert_eq!(stats.web_seeds[1].error, None, "{habit:?}: the good one is not blamed");
        leecher.stop().await;
    }
}

#[tokio::test]
async fn servers_without_ranges_and_with_redirects_are_good_enough() {
    for habit in [Habit::IgnoresRanges, Habit::Redirects] {
        let mut servers = Servers::default();
        let (url, _) = servers.start(files(), habit).await;
        let mut leecher = start(&torrent(vec![url]), EngineConfig::new(LOCALHOST), false).await;
        assert_eq!(leecher.complete().await, [""; 0], "{habit:?}");
        leecher.stop().await;
    }
}

#[tokio::test]
async fn what_a_server_lacks_comes_from_a_peer() {
    let mut servers = Servers::default();
    let mut some: BTreeMap<_, _> = (*files()).clone();
    some.remove("/pub/set/sub/%C3%BC.bin");
    let (url, seen) = servers.start(Arc::new(some), Habit::Honest).await;
    let metainfo = torrent(vec![url]);
    let mut config = EngineConfig::new(LOCALHOST);
    // Slow enough that the server has its part in it.
    config.limits.up.global = NonZeroU64::new(1_000_000);
    config.torrent.web_seeds = false;
    let seeder = start(&metainfo, config, true).await;
    let peers = vec![seeder.addr];
    let mut leecher = start(&metainfo, EngineConfig { peers, ..EngineConfig::new(LOCALHOST) }, false).await;
    assert_eq!(leecher.complete().await, ["the server answers with status 404"]);
    let stats = leecher.handle.stats().await.expect("it runs");
    assert!(stats.web_seeds[0].downloaded > 0 && stats.web_seeds[0].state != WebSeedState::GivenUp);
    let from_peers = stats.progress.downloaded - stats.web_seeds[0].downloaded;
    assert!(from_peers >= 400_000, "{from_peers}");
    assert!(seen.requests().len() < 20, "{:?}", seen.requests());
    leecher.stop().await;
    seeder.stop().await;
}

#[tokio::test]
async fn rate_limits_hold_for_web_seeds() {
    let mut servers = Servers::default();
    let (url, _) = servers.start(files(), Habit::Honest).await;
    let mut config = EngineConfig::new(LOCALHOST);
    config.limits.down.global = NonZeroU64::new(1_000_000);
    let clock = OsClock::new();
    let mut leecher = start(&torrent(vec![url]), config, false).await;
    leecher.complete().await;
    let seconds = clock.now().since(proto::time::Instant::ZERO).as_secs_f64();
    assert!((1.4..5.0).contains(&seconds), "1.6 MB at 1 MB/s took {seconds} s");
    leecher.stop().await;
}
