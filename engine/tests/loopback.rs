//! Whole engines over the loopback interface, in one process: real sockets, real files, real hashes.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU64;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use engine::clock::{Clock, OsClock};
use engine::metadata::find_metadata;
use engine::storage::file::{Access, FileStorage};
use engine::tracker::{self, MemoryStore, TrackerConfig, TrackerHandle};
use engine::transport::os::OsTransport;
use engine::transport::{Stream, Transport};
use engine::{Engine, EngineConfig, EngineEvent, Environment, RateLimits, TorrentHandle, TorrentLimits};
use proto::announce::Reach;
use proto::id::PieceHash;
use proto::metainfo::create::{Content, Draft};
use proto::metainfo::{Magnet, Metainfo};
use proto::rate::Limits;
use proto::seed::Seed;
use proto::time::Instant;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Far more than any of these transfers takes.
const LIMIT: Duration = Duration::from_secs(60);

const LOCALHOST: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
const LOCALHOST_V6: SocketAddr = SocketAddr::new(IpAddr::V6(Ipv6Addr::LOCALHOST), 0);

/// Files of odd lengths, among them an empty one and one smaller than a block.
const FILES: [(&str, usize); 5] =
    [("one.bin", 1_000_003), ("sub/two.bin", 16_384), ("sub/empty", 0), ("three.bin", 7), ("z.bin", 333_333)];

fn content(seed: usize, len: usize) -> Vec<u8> {
    (0..len).map(|index| (index % 251) as u8 ^ (index >> 9) as u8 ^ seed as u8).collect()
}

/// Writes the files below `root` and makes their torrent.
fn make_torrent(root: &Path, trackers: Vec<Vec<String>>) -> Arc<Metainfo> {
    let mut all = Vec::new();
    for (seed, (name, len)) in FILES.iter().enumerate() {
        let path = root.join("set").join(name);
        fs::create_dir_all(path.parent().expect("below the root")).expect("made");
        let bytes = content(seed, *len);
        fs::write(path, &bytes).expect("written");
        all.extend(bytes);
    }
    let path = |name: &str| name.split('/').map(str::to_owned).collect();
    let files = FILES.iter().map(|&(name, len)| (path(name), len as u64)).collect();
    let mut draft = Draft::new("set", Content::Multi(files), Some(32 * 1024)).expect("valid");
    draft.trackers = trackers;
    let hashes: Vec<PieceHash> = all.chunks(32 * 1024).map(PieceHash::of).collect();
    Arc::new(Metainfo::parse(&draft.finish(&hashes).expect("complete")).expect("our own"))
}

struct Running {
    handle: TorrentHandle,
    root: JoinHandle<()>,
    addr: SocketAddr,
    have: u32,
}

/// Starts an engine on the files below `folder`, which dials `peers`.
async fn start(folder: &Path, metainfo: &Arc<Metainfo>, peers: Vec<SocketAddr>, number: u64) -> Running {
    let config = EngineConfig { peers, ..EngineConfig::new(LOCALHOST) };
    start_in(Environment::os_at(&config.listen), folder, metainfo, config, number).await
}

async fn start_in<T: Transport>(
    environment: Environment<T, OsClock>,
    folder: &Path,
    metainfo: &Arc<Metainfo>,
    config: EngineConfig,
    number: u64,
) -> Running {
    let storage = FileStorage::open(folder, Arc::clone(metainfo), Access::ReadWrite).expect("a folder");
    let started = Engine::start(environment, Arc::clone(metainfo), storage, config, Seed::from_u64(number));
    let (mut handle, root) = started.await.expect("started");
    let root = tokio::spawn(root);
    let Some(EngineEvent::Listening(addr)) = handle.next_event().await else { panic!("no address") };
    loop {
        match handle.next_event().await {
            Some(EngineEvent::Listening(_)) => {}
            Some(EngineEvent::Checked { have, .. }) => return Running { handle, root, addr, have },
            other => panic!("not checked: {other:?}"),
        }
    }
}

impl Running {
    async fn wait_for(&mut self, wanted: impl Fn(&EngineEvent) -> bool) {
        let found = timeout(LIMIT, async {
            loop {
                let event = self.handle.next_event().await.expect("the engine runs");
                let bad = matches!(event, EngineEvent::PieceFailed(_) | EngineEvent::StorageFailed { .. });
                assert!(!bad, "{event:?}");
                if wanted(&event) {
                    return;
                }
            }
        });
        found.await.expect("in time");
    }

    async fn stop(self) {
        self.handle.stop();
        timeout(LIMIT, self.root).await.expect("in time").expect("no panic");
    }
}

fn assert_same_files(left: &Path, right: &Path) {
    for (name, _) in FILES {
        let read = |root: &Path| fs::read(root.join("set").join(name)).expect("a file");
        assert!(read(left) == read(right), "{name} differs");
    }
}

fn folders<const N: usize>() -> [TempDir; N] {
    std::array::from_fn(|_| TempDir::new().expect("a temporary folder"))
}

#[tokio::test]
async fn three_leechers_get_every_byte_from_one_seeder_over_our_tracker() {
    let [seeding, first, second, third] = folders();
    let (store, environment) = (MemoryStore::default(), Environment::os(LOCALHOST.ip()));
    let started = tracker::start(environment, TrackerConfig::at(LOCALHOST), store.clone(), Seed::from_u64(9));
    let (tracker, root) = started.await.expect("started");
    let tracker_root = tokio::spawn(root);
    let url = format!("udp://{}", tracker.local_addrs()[0]);
    let metainfo = make_torrent(seeding.path(), vec![vec![url]]);

    let mut seeder = start(seeding.path(), &metainfo, Vec::new(), 0).await;
    assert_eq!(seeder.have, metainfo.geometry().pieces());
    seeder.wait_for(|event| matches!(event, EngineEvent::Announced { seeders: 1, .. })).await;
    let mut leechers = Vec::new();
    for (number, folder) in [&first, &second, &third].into_iter().enumerate() {
        let leecher = start(folder.path(), &metainfo, Vec::new(), 1 + number as u64).await;
        assert_eq!(leecher.have, 0);
        leechers.push(leecher);
    }
    for leecher in &mut leechers {
        leecher.wait_for(|event| *event == EngineEvent::Completed).await;
    }
    let stats = seeder.handle.stats().await.expect("running");
    assert!(stats.progress.uploaded >= metainfo.geometry().len());
    for running in leechers.into_iter().chain([seeder]) {
        running.stop().await;
    }
    for folder in [&first, &second, &third] {
        assert_same_files(seeding.path(), folder.path());
    }
    // All said `stopped` on the way out, and the leechers `completed` before.
    let registry = tracker.stats().registry;
    assert_eq!(registry.members, 0, "{registry:?}");
    tracker.stop();
    timeout(LIMIT, tracker_root).await.expect("in time").expect("no panic");
    assert_eq!(store.completed(metainfo.info_hash()), Some(3));
}

#[tokio::test]
async fn a_restarted_download_goes_on_where_it_was() {
    let [seeding, folder] = folders();
    let metainfo = make_torrent(seeding.path(), Vec::new());
    let seeder = start(seeding.path(), &metainfo, Vec::new(), 0).await;
    let mut leecher = start(folder.path(), &metainfo, vec![seeder.addr], 1).await;
    leecher.wait_for(|event| matches!(event, EngineEvent::PieceVerified(_))).await;
    // The process dies: nothing is said, nothing is saved.
    leecher.root.abort();
    let _ = leecher.root.await;
    let again = start(folder.path(), &metainfo, Vec::new(), 2).await;
    assert!(again.have >= 1, "the verified piece was lost");
    let had = again.have;
    again.stop().await;
    let mut again = start(folder.path(), &metainfo, vec![seeder.addr], 3).await;
    assert_eq!(again.have, had);
    if had < metainfo.geometry().pieces() {
        again.wait_for(|event| *event == EngineEvent::Completed).await;
    }
    let stats = again.handle.stats().await.expect("running");
    assert_eq!(stats.progress.left, 0);
    again.stop().await;
    assert_same_files(seeding.path(), folder.path());
    seeder.stop().await;
}

#[tokio::test]
async fn an_address_in_use_is_named() {
    let [folder] = folders();
    let metainfo = make_torrent(folder.path(), Vec::new());
    let first = start(folder.path(), &metainfo, Vec::new(), 0).await;
    let storage = FileStorage::open(folder.path(), Arc::clone(&metainfo), Access::ReadOnly).expect("there");
    let environment = Environment::os(first.addr.ip());
    let config = EngineConfig::new(first.addr);
    let second = Engine::start(environment, metainfo, storage, config, Seed::from_u64(1)).await;
    let error = second.map(|_| ()).expect_err("the address is taken").to_string();
    assert!(error.contains(&first.addr.to_string()), "{error}");
    first.stop().await;
}

/// The system's sockets, and a name that stands for two addresses.
#[derive(Clone)]
struct Named(OsTransport, Arc<[SocketAddr]>);

impl Transport for Named {
    type Reader = <OsTransport as Transport>::Reader;
    type Writer = <OsTransport as Transport>::Writer;
    type Listener = <OsTransport as Transport>::Listener;
    type Socket = <OsTransport as Transport>::Socket;

    async fn connect(&self, addr: SocketAddr) -> io::Result<Stream<Self::Reader, Self::Writer>> {
        self.0.connect(addr).await
    }

    async fn listen(&self, addr: SocketAddr) -> io::Result<Self::Listener> {
        self.0.listen(addr).await
    }

    async fn bind(&self, addr: SocketAddr) -> io::Result<Self::Socket> {
        self.0.bind(addr).await
    }

    async fn resolve(&self, _: &str, _: u16) -> io::Result<Vec<SocketAddr>> {
        Ok(self.1.to_vec())
    }
}

#[tokio::test]
async fn a_peer_of_both_families_joins_those_of_either() {
    let folders: [TempDir; 4] = folders();
    let tracking = TrackerConfig { bind: vec![LOCALHOST, LOCALHOST_V6], ..TrackerConfig::at(LOCALHOST) };
    let environment = Environment::os(LOCALHOST.ip());
    let started = tracker::start(environment, tracking, MemoryStore::default(), Seed::from_u64(9));
    let (tracker, root) = started.await.expect("started");
    let tracker_root = tokio::spawn(root);
    let addrs: Arc<[SocketAddr]> = tracker.local_addrs().into();
    let url = "udp://tracker.example:6969".to_owned();
    let metainfo = make_torrent(folders[0].path(), vec![vec![url]]);

    // The seeder and the third leecher speak one family each; who speaks both must carry every byte across.
    let listen =
        [vec![LOCALHOST], vec![LOCALHOST, LOCALHOST_V6], vec![LOCALHOST_V6], vec![LOCALHOST_V6, LOCALHOST]];
    let mut peers = Vec::new();
    for (number, (listen, folder)) in listen.into_iter().zip(&folders).enumerate() {
        let transport = Named(Environment::os_at(&listen).transport, Arc::clone(&addrs));
        let environment = Environment { transport, clock: OsClock::new() };
        let config = EngineConfig { listen, ..EngineConfig::new(LOCALHOST) };
        let mut peer = start_in(environment, folder.path(), &metainfo, config, number as u64).await;
        peer.wait_for(|event| matches!(event, EngineEvent::Announced { .. })).await;
        peers.push(peer);
    }
    for peer in &mut peers[1..] {
        peer.wait_for(|event| *event == EngineEvent::Completed).await;
    }
    let stats = peers[1].handle.stats().await.expect("running");
    let mut ids: Vec<_> = stats.peers.iter().map(|peer| peer.id.0).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), stats.peers.len(), "one connection to each peer: {stats:?}");
    assert!(stats.duplicate + stats.wasted <= metainfo.geometry().len() / 20, "{stats:?}");
    assert_eq!(tracker.stats().registry.members, 6, "who speaks both is a member in both");
    for peer in peers {
        peer.stop().await;
    }
    for folder in &folders[1..] {
        assert_same_files(folders[0].path(), folder.path());
    }
    // All have left in both families, and each completion was counted once.
    let registry = tracker.stats().registry;
    assert_eq!((registry.members, registry.completed), (0, 3), "{registry:?}");
    tracker.stop();
    timeout(LIMIT, tracker_root).await.expect("in time").expect("no panic");
}

#[tokio::test]
async fn a_magnet_link_that_names_one_peer_is_enough() {
    let (here, there) = (TempDir::new().expect("a folder"), TempDir::new().expect("a folder"));
    let metainfo = make_torrent(here.path(), Vec::new());
    let seeder = start(here.path(), &metainfo, Vec::new(), 1).await;
    let mut magnet = Magnet::of(&metainfo);
    magnet.peers = vec![(seeder.addr.ip().to_string(), seeder.addr.port())];
    let magnet: Magnet = magnet.to_string().parse().expect("our own");
    let config = EngineConfig::new(LOCALHOST);
    let environment = Environment::os_at(&config.listen);
    let search = find_metadata(environment, &magnet, &config, Seed::from_u64(2), |_| {});
    let found = timeout(LIMIT, search).await.expect("in time").expect("there is one");
    assert_eq!(found.metainfo.info(), metainfo.info());
    let mut leecher = start(there.path(), &Arc::new(found.metainfo), found.peers, 2).await;
    leecher.wait_for(|event| *event == EngineEvent::Completed).await;
    leecher.stop().await;
    seeder.stop().await;
}

#[tokio::test]
async fn a_rate_limit_holds_on_real_sockets_and_can_be_lifted() {
    const RATE: u64 = 200_000;
    let [seeding, folder] = folders();
    let metainfo = make_torrent(seeding.path(), Vec::new());
    let limits = Limits { torrent: NonZeroU64::new(RATE), ..Limits::default() };
    let limits = RateLimits { up: limits, ..RateLimits::default() };
    let config = EngineConfig { limits, ..EngineConfig::new(LOCALHOST) };
    let environment = Environment::os_at(&config.listen);
    let seeder = start_in(environment, seeding.path(), &metainfo, config, 0).await;
    let clock = OsClock::new();
    let mut leecher = start(folder.path(), &metainfo, vec![seeder.addr], 1).await;
    clock.sleep_until(clock.now() + Duration::from_secs(4)).await;

    let received = leecher.handle.stats().await.expect("running").progress.downloaded;
    // Read after the bytes: a slow machine makes the rate smaller, never larger.
    let elapsed = clock.now().since(Instant::ZERO).as_secs_f64();
    let rate = (received * 1500 / 1460) as f64 / elapsed;
    assert!(rate < RATE as f64 * 1.05, "{rate} of {RATE} bytes a second");
    assert!(rate > RATE as f64 * 0.25, "{rate} of {RATE} bytes a second");

    seeder.handle.set_limits(Some(TorrentLimits::default()));
    leecher.wait_for(|event| *event == EngineEvent::Completed).await;
    leecher.stop().await;
    seeder.stop().await;
    assert_same_files(seeding.path(), folder.path());
}

#[tokio::test]
async fn announcing_to_all_finds_a_peer_that_only_a_tracker_behind_another_knows() {
    let [seeding, folder] = folders();
    let (mut trackers, mut roots, mut urls) = (Vec::new(), Vec::new(), Vec::new());
    for seed in [8, 9] {
        let environment = Environment::os(LOCALHOST.ip());
        let config = TrackerConfig::at(LOCALHOST);
        let started = tracker::start(environment, config, MemoryStore::default(), Seed::from_u64(seed));
        let (tracker, root) = started.await.expect("started");
        urls.push(vec![format!("udp://{}/announce", tracker.local_addrs()[0])]);
        roots.push(tokio::spawn(root));
        trackers.push(tracker);
    }
    // The seeder uses the second one only, which is the leecher's second tier, and the first one answers.
    let known_to_one = make_torrent(seeding.path(), vec![urls[1].clone()]);
    let metainfo = make_torrent(seeding.path(), urls);
    assert_eq!(metainfo.info_hash(), known_to_one.info_hash());
    let mut seeder = start(seeding.path(), &known_to_one, Vec::new(), 0).await;
    seeder.wait_for(|event| matches!(event, EngineEvent::Announced { .. })).await;

    let mut config = EngineConfig::new(LOCALHOST);
    config.torrent.reach = Reach::EachTracker;
    let environment = Environment::os_at(&config.listen);
    let mut leecher = start_in(environment, folder.path(), &metainfo, config, 1).await;
    leecher.wait_for(|event| *event == EngineEvent::Completed).await;
    for peer in [leecher, seeder] {
        peer.stop().await;
    }
    assert_same_files(seeding.path(), folder.path());
    let told = |tracker: &TrackerHandle| {
        let registry = tracker.stats().registry;
        (registry.completed, registry.members)
    };
    assert_eq!(trackers.iter().map(told).collect::<Vec<_>>(), [(1, 0), (1, 0)], "each heard it all");
    for (tracker, root) in trackers.iter().zip(roots) {
        tracker.stop();
        timeout(LIMIT, root).await.expect("in time").expect("no panic");
    }
}
