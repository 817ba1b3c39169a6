//! The trackers of a torrent in their tiers, and the order in which they are tried (BEP 12).

use std::net::SocketAddr;

use super::{AnnounceError, CONNECTION_LIFE, MAX_TRACKERS, Reach};
use crate::seed::Random;
use crate::time::Instant;
use crate::tracker::{ConnectionId, Family, TrackerUrl};

/// One tracker and what we know of it.
#[derive(Debug)]
pub(super) struct Tracker {
    /// As written in the torrent; it names the tracker in reports.
    pub(super) text: String,
    /// The same in parts.
    pub(super) url: TrackerUrl,
    /// The failure that was reported last, until the tracker answers.
    pub(super) reported: Option<AnnounceError>,
    number: usize,
    ways: [Way; 2],
}

/// How a tracker is reached over one family. Connection ids are bound to our source address, so each family
/// needs its own.
#[derive(Debug, Default)]
pub(super) struct Way {
    /// Addresses not yet found dead; the first is in use.
    pub(super) addrs: Vec<SocketAddr>,
    /// The last connection id (UDP).
    pub(super) connection: Option<Connection>,
    /// What the tracker wants to hear again (HTTP, BEP 3).
    pub(super) tracker_id: Option<Vec<u8>>,
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
    /// How it is reached over `family`.
    pub(super) const fn way(&mut self, family: Family) -> &mut Way {
        let [v4, v6] = &mut self.ways;
        match family {
            Family::V4 => v4,
            Family::V6 => v6,
        }
    }
}

impl Way {
    /// The connection id, if BEP 15 still allows its use.
    pub(super) fn connection_at(&self, now: Instant) -> Option<ConnectionId> {
        self.connection.filter(|connection| now - connection.since < CONNECTION_LIFE).map(|c| c.id)
    }
}

/// All trackers. They are known by numbers, which promotion does not change.
#[derive(Debug)]
pub(super) struct Tiers(Vec<Vec<Tracker>>);

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
        (Self(tiers), wrong)
    }

    /// The same trackers in lists of which each is followed for itself; one list at least.
    pub(super) fn split(self, reach: Reach) -> Vec<Self> {
        let lists: Vec<Self> = match reach {
            Reach::OneTracker => return vec![self],
            Reach::EachTier => self.0.into_iter().map(|tier| Self(vec![tier])).collect(),
            Reach::EachTracker => {
                self.0.into_iter().flatten().map(|tracker| Self(vec![vec![tracker]])).collect()
            }
        };
        if lists.is_empty() { vec![Self(Vec::new())] } else { lists }
    }

    /// The first tracker of the first tier.
    pub(super) fn first(&self) -> Option<usize> {
        self.0.iter().flatten().next().map(|tracker| tracker.number)
    }

    /// The next one: the whole tier before the next.
    pub(super) fn after(&self, number: usize) -> Option<usize> {
        let mut numbers = self.0.iter().flatten().map(|tracker| tracker.number);
        numbers.find(|&other| other == number)?;
        numbers.next()
    }

    /// The tracker with this number.
    pub(super) fn tracker(&mut self, number: usize) -> Option<&mut Tracker> {
        self.0.iter_mut().flatten().find(|tracker| tracker.number == number)
    }

    /// Puts a tracker in front of its tier, for it answered (BEP 12).
    pub(super) fn promote(&mut self, number: usize) {
        for tier in &mut self.0 {
            if let Some(index) = tier.iter().position(|tracker| tracker.number == number)
                && let Some(ahead) = tier.get_mut(..=index)
            {
                ahead.rotate_right(1);
            }
        }
    }
}

impl Tracker {
    fn new(text: &str, url: TrackerUrl, number: usize) -> Self {
        Self { text: text.to_owned(), url, reported: None, number, ways: Default::default() }
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
        let numbers = std::iter::successors(tiers.first(), |&number| tiers.after(number));
        let numbers: Vec<_> = numbers.collect();
        numbers.into_iter().filter_map(|number| Some(tiers.tracker(number)?.text.clone())).collect()
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
        tiers.promote(if before[2] == "udp://c:1" { 2 } else { 1 });
        assert_eq!(order(&mut tiers), [before[0].clone(), before[2].clone(), before[1].clone()]);
    }

    #[test]
    fn wrong_urls_come_back_and_the_list_is_bounded() {
        let urls = vec![vec!["wss://x/".to_owned()], vec!["udp://a:1".to_owned(); 100]];
        let (mut tiers, wrong) = Tiers::new(&urls, &mut Seed::from_u64(5).rng());
        assert_eq!(wrong.len(), 1);
        assert_eq!(order(&mut tiers).len(), MAX_TRACKERS - 1);
    }
}
