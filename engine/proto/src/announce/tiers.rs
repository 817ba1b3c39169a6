//! The trackers of a torrent in their tiers, and the order in which they are tried (BEP 12).

use std::net::SocketAddr;

use super::{AnnounceError, CONNECTION_LIFE, MAX_TRACKERS};
use crate::seed::Random;
use crate::time::Instant;
use crate::tracker::{ConnectionId, TrackerUrl};

/// One tracker and what we know of it.
#[derive(Debug)]
pub(super) struct Tracker {
    /// As written in the torrent; it names the tracker in reports.
    pub(super) text: String,
    /// The same in parts.
    pub(super) url: TrackerUrl,
    /// Addresses not yet found dead; the first is in use.
    pub(super) addrs: Vec<SocketAddr>,
    /// The last connection id.
    pub(super) connection: Option<Connection>,
    /// The failure that was reported last, until the tracker answers.
    pub(super) reported: Option<AnnounceError>,
    number: usize,
}

/// A connection id and its age.
#[derive(Clone, Copy, Debug)]
pub(super) struct Connection {
    /// The id.
    pub(super) id: ConnectionId,
    /// When it arrived.
    pub(super) since: Instant,
    /// An announce with it was answered.
    pub(super) proven: bool,
}

impl Tracker {
    /// The connection id, if BEP 15 still allows its use.
    pub(super) fn connection_at(&self, now: Instant) -> Option<ConnectionId> {
        self.connection.filter(|connection| now - connection.since < CONNECTION_LIFE).map(|c| c.id)
    }
}

/// All trackers, and the one whose turn it is.
#[derive(Debug)]
pub(super) struct Tiers {
    trackers: Vec<Vec<Tracker>>,
    tier: usize,
    index: usize,
}

impl Tiers {
    /// Reads the URLs; the wrong ones come back with the reason.
    ///
    //= BEP 12: URLs within each tier will be processed in a randomly chosen order; the list will be
    //= shuffled when first read, and then parsed in order.
    pub(super) fn new(urls: &[Vec<String>], random: &mut Random) -> (Self, Vec<(String, AnnounceError)>) {
        let mut tiers: Vec<Vec<Tracker>> = Vec::new();
        let mut wrong = Vec::new();
        let all = urls.iter().enumerate().flat_map(|(tier, urls)| urls.iter().map(move |url| (tier, url)));
        for (number, (tier, text)) in all.take(MAX_TRACKERS).enumerate() {
            tiers.resize_with(tier + 1, Vec::new);
            match (text.parse::<TrackerUrl>(), tiers.last_mut()) {
                (Ok(url), Some(tier)) => tier.push(Tracker::new(text, url, number)),
                (Ok(_), None) => {}
                (Err(error), _) => wrong.push((text.clone(), error.into())),
            }
        }
        tiers.retain(|tier| !tier.is_empty());
        for tier in &mut tiers {
            random.shuffle(tier);
        }
        (Self { trackers: tiers, tier: 0, index: 0 }, wrong)
    }

    /// The tracker whose turn it is; nothing once all have been tried.
    pub(super) fn current(&mut self) -> Option<&mut Tracker> {
        self.trackers.get_mut(self.tier)?.get_mut(self.index)
    }

    /// Its number, which promotion does not change.
    pub(super) fn current_number(&mut self) -> Option<usize> {
        self.current().map(|tracker| tracker.number)
    }

    /// On to the next tracker: the whole tier before the next.
    pub(super) fn advance(&mut self) {
        self.index += 1;
        if self.trackers.get(self.tier).is_some_and(|tier| self.index >= tier.len()) {
            self.tier += 1;
            self.index = 0;
        }
    }

    /// Back to the first tracker of the first tier.
    pub(super) fn rewind(&mut self) {
        self.tier = 0;
        self.index = 0;
    }

    /// Puts the present tracker in front of its tier, for it answered (BEP 12).
    pub(super) fn promote(&mut self) {
        if let Some(tier) = self.trackers.get_mut(self.tier).filter(|tier| self.index < tier.len()) {
            let winner = tier.remove(self.index);
            tier.insert(0, winner);
            self.index = 0;
        }
    }

    /// Makes the tracker with this number the present one.
    pub(super) fn select(&mut self, number: usize) {
        for (tier, trackers) in self.trackers.iter().enumerate() {
            if let Some(index) = trackers.iter().position(|tracker| tracker.number == number) {
                (self.tier, self.index) = (tier, index);
            }
        }
    }
}

impl Tracker {
    fn new(text: &str, url: TrackerUrl, number: usize) -> Self {
        Self { text: text.to_owned(), url, addrs: Vec::new(), connection: None, reported: None, number }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::Seed;

    fn tiers(urls: &[&[&str]]) -> Tiers {
        let urls: Vec<Vec<String>> =
            urls.iter().map(|tier| tier.iter().map(ToString::to_string).collect()).collect();
        Tiers::new(&urls, &mut Seed::from_u64(5).rng()).0
    }

    fn order(tiers: &mut Tiers) -> Vec<String> {
        tiers.rewind();
        std::iter::from_fn(|| {
            let text = tiers.current().map(|tracker| tracker.text.clone());
            tiers.advance();
            text
        })
        .collect()
    }

    #[test]
    fn a_whole_tier_comes_before_the_next() {
        let mut tiers = tiers(&[&["udp://a:1", "udp://b:1", "udp://c:1"], &[], &["udp://d:1"]]);
        let order = order(&mut tiers);
        assert_eq!(order.len(), 4);
        assert_eq!(order[3], "udp://d:1");
    }

    #[test]
    fn the_one_that_answers_leads_its_own_tier() {
        let mut tiers = tiers(&[&["udp://a:1"], &["udp://b:1", "udp://c:1"]]);
        let before = order(&mut tiers);
        tiers.select(if before[2] == "udp://c:1" { 2 } else { 1 });
        tiers.promote();
        assert_eq!(tiers.current().map(|tracker| tracker.text.clone()), Some(before[2].clone()));
        assert_eq!(order(&mut tiers), [before[0].clone(), before[2].clone(), before[1].clone()]);
    }

    #[test]
    fn wrong_urls_come_back_and_the_list_is_bounded() {
        let urls = vec![vec!["http://x/".to_owned()], vec!["udp://a:1".to_owned(); 100]];
        let (mut tiers, wrong) = Tiers::new(&urls, &mut Seed::from_u64(5).rng());
        assert_eq!(wrong.len(), 1);
        assert_eq!(order(&mut tiers).len(), MAX_TRACKERS - 1);
    }
}
