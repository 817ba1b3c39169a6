//! One torrent at one moment, for people and scripts: the core's figures, and what its trackers said last.

use std::time::Duration;

use proto::time::Instant;
use proto::torrent::{Stats, Torrent};
use proto::tracker::Family;

/// A torrent at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TorrentSnapshot {
    /// What the torrent calls itself; not safe to print.
    pub name: String,
    /// Bytes of content.
    pub len: u64,
    /// Pieces of it.
    pub pieces: u32,
    /// When this was so, by the engine's clock.
    pub at: Instant,
    /// Rates, totals, peers, bans.
    pub stats: Stats,
    /// Trackers that were heard of, in the order of their addresses.
    pub trackers: Vec<TrackerSnapshot>,
}

impl TorrentSnapshot {
    /// As it is now.
    pub(crate) fn of(torrent: &Torrent, trackers: &Trackers, now: Instant) -> Self {
        let metainfo = torrent.metainfo();
        let geometry = metainfo.geometry();
        Self {
            name: metainfo.name().to_owned(),
            len: geometry.len(),
            pieces: geometry.pieces(),
            at: now,
            stats: torrent.stats(now),
            trackers: trackers.list(now),
        }
    }

    /// Bytes that are verified, of so many that are wanted; who wants nothing shares what there is.
    pub fn done_of(&self) -> (u64, u64) {
        let Stats { wanted, wanted_left, progress, .. } = &self.stats;
        let (left, all) = if *wanted > 0 { (*wanted_left, *wanted) } else { (progress.left, self.len) };
        (all - left.min(all), all)
    }
}

/// A tracker, asked over one family, as it stood then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackerSnapshot {
    /// Which tracker.
    pub url: String,
    /// The family over which it answered last; nothing if it never did.
    pub family: Option<Family>,
    /// What it said, or why nothing came back.
    pub outcome: Result<Crowd, String>,
    /// Until the next regular announce; nothing if that is not settled. Zero if it is due.
    pub next_announce: Option<Duration>,
}

/// The members of a swarm, as a tracker counts them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crowd {
    /// Peers that have everything.
    pub seeders: u32,
    /// Peers that still download.
    pub leechers: u32,
}

/// What is known of the trackers of a torrent; as long as its list of them, which the announcer limits.
#[derive(Debug, Default)]
pub(crate) struct Trackers(Vec<Heard>);

/// What one tracker said last.
#[derive(Debug)]
struct Heard {
    url: String,
    family: Option<Family>,
    outcome: Result<Crowd, String>,
    next: Option<Instant>,
}

impl Trackers {
    /// A tracker answered.
    pub(crate) fn answered(&mut self, url: &str, family: Family, crowd: Crowd, next: Instant) {
        self.0.retain(|heard| heard.url != url || heard.family.is_some_and(|other| other != family));
        let (url, family) = (url.to_owned(), Some(family));
        self.0.push(Heard { url, family, outcome: Ok(crowd), next: Some(next) });
    }

    /// A tracker cannot be used, over any family.
    pub(crate) fn failed(&mut self, url: &str, error: &str) {
        self.0.retain(|heard| heard.url != url);
        let (url, outcome) = (url.to_owned(), Err(error.to_owned()));
        self.0.push(Heard { url, family: None, outcome, next: None });
    }

    /// All of them.
    pub(crate) fn list(&self, now: Instant) -> Vec<TrackerSnapshot> {
        let shown = |heard: &Heard| TrackerSnapshot {
            url: heard.url.clone(),
            family: heard.family,
            outcome: heard.outcome.clone(),
            next_announce: heard.next.map(|next| next.since(now)),
        };
        let mut list: Vec<_> = self.0.iter().map(shown).collect();
        list.sort_by(|a, b| a.url.cmp(&b.url));
        list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tracker_is_listed_as_it_was_last_heard_of() {
        let at = |secs: u64| Instant::from_micros(secs * 1_000_000);
        let mut trackers = Trackers::default();
        let crowd = Crowd { seeders: 1, leechers: 2 };
        trackers.failed("udp://one", "no");
        trackers.answered("udp://one", Family::V4, crowd, at(100));
        trackers.answered("udp://one", Family::V6, crowd, at(130));
        let list = trackers.list(at(110));
        let next: Vec<_> = list.iter().map(|tracker| tracker.next_announce).collect();
        assert_eq!(next, [Some(Duration::ZERO), Some(Duration::from_secs(20))]);
        trackers.failed("udp://one", "gone");
        let [tracker] = trackers.list(at(110)).try_into().expect("one line for it");
        assert_eq!((tracker.outcome, tracker.next_announce), (Err("gone".to_owned()), None));
    }
}
