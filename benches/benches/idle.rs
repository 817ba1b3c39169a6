//! What an idle torrent costs in a process with many: tasks, memory, and processor time while nothing happens.
//!
//! Seeding torrents that a tracker of ours knows and nobody asks for; content in memory, one piece each, which is not
//! counted. How many may be said on the command line.

use std::alloc::System;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use cap::Cap;
use engine::storage::memory::MemoryStorage;
use engine::tracker::{self, MemoryStore, TrackerConfig};
use engine::{Engine, EngineConfig, EngineEvent, EngineHandle, Environment, TorrentHandle, TorrentOptions};
use proto::id::PieceHash;
use proto::metainfo::Metainfo;
use proto::metainfo::create::{Content, Draft};
use proto::seed::Seed;
use tokio::runtime::Handle;

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

const LOCALHOST: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// One piece of one block.
const LEN: usize = 16 * 1024;

/// Nothing is asked of the process for this long.
const REST: Duration = Duration::from_secs(10);

/// Linux counts a process's time in hundredths of a second.
const TICK_MS: u64 = 10;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let count = std::env::args().skip(1).find_map(|word| word.parse().ok()).unwrap_or(1000);
    let started = tracker::start(
        Environment::os(LOCALHOST.ip()),
        TrackerConfig::at(LOCALHOST),
        MemoryStore::default(),
        Seed::from_u64(1),
    );
    let (tracker, root) = started.await.expect("a tracker");
    tokio::spawn(root);
    let url = format!("udp://{}", tracker.local_addrs()[0]);
    let config = EngineConfig::new(LOCALHOST);
    let opened = Engine::open(Environment::os_at(&config.listen), config, Seed::from_u64(2)).await;
    let (engine, root) = opened.expect("an engine");
    tokio::spawn(root);
    // The first one brings what comes once: buffers, a thread for hashing.
    let mut handles = vec![add(&engine, 0, &url).await];
    let before = (alive(), ALLOCATOR.allocated(), resident());
    for number in 1..=count {
        handles.push(add(&engine, number, &url).await);
    }
    let per = |after: usize, before: usize| after.saturating_sub(before) as f64 / count as f64;
    let content = LEN as f64;
    println!("| torrents | tasks each | heap each, KiB | resident each, KiB | processor time in {REST:?} |");
    println!("|---|---|---|---|---|");
    let tasks = per(alive(), before.0);
    let (heap, resident) = (per(ALLOCATOR.allocated(), before.1), per(resident(), before.2));
    let busy = processor_ms();
    tokio::time::sleep(REST).await;
    println!(
        "| {count} | {tasks:.2} | {:.1} | {:.1} | {} ms |",
        (heap - content) / 1024.0,
        (resident - content) / 1024.0,
        processor_ms() - busy,
    );
}

/// Adds a torrent and waits until the tracker knows it.
async fn add(engine: &EngineHandle, number: usize, url: &str) -> TorrentHandle {
    let content: Vec<u8> = (0..LEN).map(|index| (index + number) as u8).collect();
    let mut draft = Draft::new(&format!("torrent {number}"), Content::Single(LEN as u64), Some(LEN as u32))
        .expect("valid");
    draft.trackers = vec![vec![url.to_owned()]];
    let torrent = draft.finish(&[PieceHash::of(&content)]).expect("complete");
    let metainfo = Arc::new(Metainfo::parse(&torrent).expect("our own"));
    let storage = MemoryStorage::with_content(metainfo.geometry(), content);
    let mut handle = engine.add(metainfo, storage, TorrentOptions::default()).await.expect("added");
    while !matches!(handle.next_event().await, Some(EngineEvent::Announced { .. })) {}
    handle
}

fn alive() -> usize {
    Handle::current().metrics().num_alive_tasks()
}

/// Bytes of this process in memory; 0 on other systems than Linux.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<usize>().ok()).unwrap_or(0) * 1024
}

/// Time of all threads, in user and kernel mode; 0 on other systems than Linux.
fn processor_ms() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    after_name.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum::<u64>()
        * TICK_MS
}
