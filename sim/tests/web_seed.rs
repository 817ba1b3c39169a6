//! A web seed (BEP 19) in the emulated network: the file server of the loopback tests and the engine, the same code on
//! both sides, timers by the hosts' clocks, the same packets in every run.

#[path = "../../engine/tests/web_seeds/server.rs"]
#[expect(dead_code, reason = "the loopback tests use more of it")]
mod server;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use engine::clock::Clock;
use engine::storage::memory::MemoryStorage;
use engine::{Engine, EngineConfig, EngineEvent, Environment};
use proto::id::PieceHash;
use proto::metainfo::Metainfo;
use proto::metainfo::create::{Content, Draft};
use proto::seed::Seed;
use proto::time::Instant;
use server::{Habit, Seen, serve};
use sim::network::LinkProfile;
use sim::world::{HostSpec, SimClock, SimTransport, World, WorldSettings};

type Host = Environment<SimTransport, SimClock>;
type Log = Arc<Mutex<Vec<String>>>;

const LEN: usize = 3_000_000;

fn addr(last: u8) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, last)), 80)
}

fn content() -> Vec<u8> {
    (0..LEN).map(|index| (index % 251) as u8 ^ (index >> 9) as u8).collect()
}

async fn web_server(host: Host, habit: Habit) {
    let files = Arc::new(BTreeMap::from([("/file".to_owned(), content())]));
    let at = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 80));
    let (_, work) = serve(host.transport, at, files, habit, Seen::default()).await.expect("it listens");
    work.await;
}

async fn peer(host: Host, urls: Vec<String>, log: Log) {
    let mut draft = Draft::new("file", Content::Single(LEN as u64), Some(65_536)).expect("valid");
    draft.web_seeds = urls;
    let hashes: Vec<_> = content().chunks(65_536).map(PieceHash::of).collect();
    let metainfo = Arc::new(Metainfo::parse(&draft.finish(&hashes).expect("complete")).expect("ours"));
    let config = EngineConfig::new(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 6881)));
    let storage = MemoryStorage::empty(metainfo.geometry());
    let started = Engine::start(host.clone(), metainfo, storage, config, Seed::from_u64(1));
    let (mut handle, root) = started.await.expect("it starts");
    let watch = async {
        while let Some(event) = handle.next_event().await {
            let seconds = host.clock.now().since(Instant::ZERO).as_secs();
            if let EngineEvent::WebSeedFailed { url, error } = event {
                log.lock().expect("not poisoned").push(format!("{seconds} s: {url}: {error}"));
            } else if event == EngineEvent::Completed {
                log.lock().expect("not poisoned").push(format!("{seconds} s: complete"));
            }
        }
    };
    tokio::join!(root, watch);
}

/// A server for each habit, at 10.0.0.1 and so on; what the peer saw, and the digest of all packets.
fn run(habits: &[Habit]) -> (Vec<String>, String) {
    let latency = Duration::from_millis(25);
    let link = LinkProfile { up: 250_000, down: 1_000_000, latency, queue: 50_000, loss: 0.0 };
    let spec = |last: u8| HostSpec { name: format!("host-{last}"), addrs: vec![addr(last).ip()], link };
    let specs: Vec<_> = (1..=habits.len() as u8 + 1).map(spec).collect();
    let settings = WorldSettings { seed: Seed::from_u64(1), tick: Duration::from_millis(1), mtu: 1_500 };
    let mut world = World::new(settings, &specs).expect("a runtime");
    let log = Log::default();
    for (index, &habit) in habits.iter().enumerate() {
        let id = world.host(index).expect("it is there");
        world.start(id, web_server(world.environment(id), habit));
    }
    let urls = (1..).zip(habits).map(|(last, _)| format!("http://{}/file", addr(last))).collect();
    let id = world.host(habits.len()).expect("it is there");
    world.start(id, peer(world.environment(id), urls, Arc::clone(&log)));
    world.run_until(Instant::from_micros(60_000_000));
    let seen = log.lock().expect("not poisoned").clone();
    (seen, world.digest())
}

#[test]
fn a_web_seed_alone_fills_its_uplink_and_a_liar_beside_it_is_found_out() {
    let (seen, digest) = run(&[Habit::Honest]);
    assert_eq!(seen, ["12 s: complete"], "3 MB over 250 kB/s");
    assert_eq!(run(&[Habit::Honest]), (seen, digest), "the same packets again");
    let (seen, _) = run(&[Habit::WrongBytes, Habit::Honest]);
    assert!(seen[0].ends_with(": the server sends wrong content"), "{seen:?}");
    assert!(seen.last().is_some_and(|last| last.ends_with("complete")), "{seen:?}");
    let (seen, _) = run(&[Habit::WrongBytes]);
    assert!(seen.iter().all(|seen| !seen.ends_with("complete")), "nobody else has it: {seen:?}");
}
