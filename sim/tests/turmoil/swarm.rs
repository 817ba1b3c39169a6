//! Our tracker and our peers inside `turmoil`, and a seeder that crashes and comes back.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use engine::storage::memory::MemoryStorage;
use engine::tracker::{self, MemoryStore, TrackerConfig};
use engine::{Engine, EngineConfig, EngineEvent};
use proto::id::PieceHash;
use proto::metainfo::Metainfo;
use proto::metainfo::create::{Content, Draft};
use proto::seed::Seed;
use turmoil::Sim;

use super::transport::environment;

const LEECHERS: u64 = 4;
const PIECE_LEN: usize = 64 * 1024;

const LEN: usize = 4 << 20;

/// The seeder crashes once its peers have so many pieces, all together: before it has given each piece away.
const VERIFIED_AT_CRASH: usize = 20;

/// What the peers have reached.
#[derive(Debug, Default)]
struct Reached {
    verified: usize,
    completed: Vec<u64>,
}

type Log = Arc<Mutex<Reached>>;

fn content() -> Vec<u8> {
    (0..LEN).map(|index| (index % 253) as u8 ^ (index >> 8) as u8).collect()
}

fn metainfo() -> Arc<Metainfo> {
    let mut draft = Draft::new("swarm", Content::Single(LEN as u64), Some(PIECE_LEN as u32)).expect("valid");
    draft.trackers = vec![vec!["udp://tracker:6969".to_owned()]];
    let hashes: Vec<PieceHash> = content().chunks(PIECE_LEN).map(PieceHash::of).collect();
    Arc::new(Metainfo::parse(&draft.finish(&hashes).expect("complete")).expect("our own"))
}

fn any(port: u16) -> SocketAddr {
    SocketAddr::from(([0, 0, 0, 0], port))
}

async fn tracker_host() -> turmoil::Result {
    let store = MemoryStore::default();
    let config = TrackerConfig::at(any(6969));
    let (_handle, root) = tracker::start(environment(), config, store, Seed::from_u64(0)).await?;
    root.await;
    Ok(())
}

async fn peer_host(number: u64, held: Vec<u8>, log: Log) -> turmoil::Result {
    let metainfo = metainfo();
    let storage = MemoryStorage::with_content(metainfo.geometry(), held);
    let config = EngineConfig::new(any(6881));
    let seed = Seed::from_u64(number);
    let (mut handle, root) = Engine::start(environment(), metainfo, storage, config, seed).await?;
    let mut root = std::pin::pin!(root);
    loop {
        tokio::select! { biased;
            () = &mut root => return Ok(()),
            event = handle.next_event() => {
                let mut log = log.lock().expect("not poisoned");
                log.verified += usize::from(matches!(event, Some(EngineEvent::PieceVerified(_))));
                if event == Some(EngineEvent::Completed) {
                    log.completed.push(number);
                }
            }
        }
    }
}

fn swarm(log: &Log) -> Sim<'static> {
    let mut sim = turmoil::Builder::new()
        .rng_seed(1)
        .tick_duration(Duration::from_millis(1))
        .min_message_latency(Duration::from_millis(20))
        .max_message_latency(Duration::from_millis(20))
        .simulation_duration(Duration::from_secs(600))
        .tcp_capacity(1 << 16)
        .udp_capacity(1 << 16)
        .build();
    sim.host("tracker", tracker_host);
    let seeder = Arc::clone(log);
    sim.host("seeder", move || peer_host(1, content(), Arc::clone(&seeder)));
    for number in 2..2 + LEECHERS {
        let log = Arc::clone(log);
        sim.host(format!("leecher-{number}"), move || peer_host(number, Vec::new(), Arc::clone(&log)));
    }
    sim
}

/// Steps until `done`, for `limit` simulated seconds at the most.
fn step_until(sim: &mut Sim<'_>, limit: u64, done: impl Fn() -> bool) -> turmoil::Result {
    let end = sim.elapsed() + Duration::from_secs(limit);
    while !done() && sim.elapsed() < end {
        sim.step()?;
    }
    Ok(())
}

#[test]
fn a_swarm_survives_the_crash_and_restart_of_its_seeder() -> turmoil::Result {
    let log = Log::default();
    let mut sim = swarm(&log);
    let completed = || log.lock().expect("not poisoned").completed.len() as u64;
    step_until(&mut sim, 30, || log.lock().expect("not poisoned").verified >= VERIFIED_AT_CRASH)?;
    sim.crash("seeder");
    step_until(&mut sim, 30, || false)?;
    assert_eq!(completed(), 0, "the seeder left in the middle, so nobody can be complete");
    sim.bounce("seeder");
    step_until(&mut sim, 400, || completed() == LEECHERS)?;
    assert_eq!(completed(), LEECHERS, "complete after the restart: {log:?}");
    Ok(())
}
