//! Fills a tracker with a known world, and counts what it holds.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use serde::Serialize;

use crate::client::{Client, now};
use crate::world::{Peer, World};

/// How long a tracker may take for its first answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Torrents of one scrape: BEP 15 allows about 74, some trackers fewer.
const SCRAPED: usize = 64;

/// Where the scrapes come from.
const SCRAPER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 9);

/// What a filled tracker holds.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Filled {
    /// Announces that were let in.
    pub accepted: usize,
    /// Seconds that took.
    pub seconds: f64,
    /// What a scrape of every torrent adds up to.
    pub held: Held,
}

/// Sums over all torrents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Held {
    /// Seeders and leechers.
    pub peers: u64,
    /// Finished downloads.
    pub completed: u64,
}

/// Announces every peer, those that complete a second time.
pub fn fill(tracker: SocketAddr, world: &World) -> anyhow::Result<Filled> {
    let start = now();
    let mut accepted = 0;
    for (source, numbers) in world.sources() {
        let peers: Vec<_> = numbers.map(|number| world.peer(number)).collect();
        let client = Client::connect(source, tracker, PATIENCE)?;
        // A tracker counts the end of a download of which it knew.
        let before: Vec<_> = peers.iter().filter_map(Peer::before_completed).collect();
        client.announce(&before)?;
        accepted += client.announce(&peers)?;
    }
    Ok(Filled { accepted, seconds: start.elapsed().as_secs_f64(), held: held(tracker, world)? })
}

/// Scrapes every torrent.
pub fn held(tracker: SocketAddr, world: &World) -> anyhow::Result<Held> {
    let hashes: Vec<_> = (0..world.torrents).map(|number| world.info_hash(number).0).collect();
    let client = Client::connect(SCRAPER, tracker, PATIENCE)?;
    let mut held = Held::default();
    for entry in client.scrape(&hashes, SCRAPED)? {
        held.peers += u64::from(entry.seeders) + u64::from(entry.leechers);
        held.completed += u64::from(entry.completed);
    }
    Ok(held)
}
