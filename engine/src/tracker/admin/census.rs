//! Which torrents have the most peers: all are looked at, a slice at a time, between requests.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::time::Duration;

use proto::id::InfoHash;
use proto::time::Instant;
use proto::tracker::ScrapeEntry;

use super::{TopTorrent, Torrents};
use crate::clock::Clock;
use crate::tracker::handle::Shared;

/// Torrents that are told of at the most, whatever is asked for.
const MAX_TOP: usize = 100;

/// Torrents that are looked at while requests wait: a few memory accesses each, a fifth of a millisecond.
const SLICE: usize = 1024;

/// The pause between two slices, in which requests are served.
const PAUSE: Duration = Duration::from_millis(1);

/// A census is good for this long; asking more often costs nothing.
const FRESH: Duration = Duration::from_secs(10);

/// The last census.
#[derive(Debug, Default)]
pub(super) struct Census(Option<(Instant, Vec<TopTorrent>)>);

impl Census {
    /// The `limit` largest torrents, counted anew if the last census is old.
    pub(super) async fn top<C: Clock>(&mut self, shared: &Shared, clock: &C, limit: usize) -> Torrents {
        let is_fresh = |at: Instant| clock.now().since(at) < FRESH;
        let (at, top) = match self.0.take().filter(|(at, _)| is_fresh(*at)) {
            Some(last) => last,
            None => (clock.now(), count(shared, clock).await),
        };
        let torrents = top.iter().take(limit).cloned().collect();
        self.0 = Some((at, top));
        Torrents { age_s: clock.now().since(at).as_secs(), torrents }
    }
}

async fn count<C: Clock>(shared: &Shared, clock: &C) -> Vec<TopTorrent> {
    let mut top = BTreeSet::new();
    for from in (0..).step_by(SLICE) {
        let mut seen = 0;
        for (info_hash, counts) in shared.lock().registry.torrents(from, SLICE) {
            seen += 1;
            enter(&mut top, info_hash, counts);
        }
        if seen < SLICE {
            break;
        }
        clock.sleep_until(clock.now() + PAUSE).await;
    }
    let told = |(_, Reverse(info_hash), [seeders, leechers, completed]): &Entry| TopTorrent {
        info_hash: info_hash.to_string(),
        seeders: *seeders,
        leechers: *leechers,
        completed: *completed,
    };
    top.iter().rev().map(told).collect()
}

/// Peers; then the info hash, for an order; then what is told.
type Entry = (u64, Reverse<InfoHash>, [u32; 3]);

/// Enters a torrent among the largest; the smallest of too many goes.
fn enter(top: &mut BTreeSet<Entry>, info_hash: InfoHash, counts: ScrapeEntry) {
    let ScrapeEntry { seeders, completed, leechers } = counts;
    let peers = u64::from(seeders) + u64::from(leechers);
    let is_large = top.len() < MAX_TOP || top.first().is_some_and(|(least, ..)| peers > *least);
    if peers > 0 && is_large {
        top.insert((peers, Reverse(info_hash), [seeders, leechers, completed]));
        if top.len() > MAX_TOP {
            top.pop_first();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_are_kept_and_torrents_without_peers_are_none() {
        let mut top = BTreeSet::new();
        for peers in (0..=250_u8).rev().chain([0]) {
            let counts = ScrapeEntry {
                seeders: u32::from(peers / 2),
                completed: 1,
                leechers: u32::from(peers.div_ceil(2)),
            };
            enter(&mut top, InfoHash([peers; 20]), counts);
        }
        assert_eq!(top.len(), MAX_TOP);
        assert_eq!(top.first().map(|(peers, ..)| *peers), Some(151));
        assert_eq!(top.last().map(|(peers, ..)| *peers), Some(250));
    }
}
