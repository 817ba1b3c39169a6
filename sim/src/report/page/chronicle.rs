//! What the page shows beyond the record: samples of every link, who unchokes whom, who gave whom how much.
//!
//! A [`Chronicle`] looks on while the run goes on. It keeps at most [`MAX_SAMPLES`] samples: when there are more, two
//! become one, so that a day is kept as well as a minute.

use std::collections::BTreeMap;
use std::time::Duration;

use proto::time::Instant;
use proto::wire::Message;

use crate::run::{HostState, Observe};
use crate::scenario::Plan;
use crate::trace::Names;
use crate::wiretap::{Event, Listen, Way, What};

/// Samples of each link at the most: as many as a wide screen has columns to show them.
const MAX_SAMPLES: usize = 400;

/// Chokes and unchokes that are kept: twenty megabytes in the page.
const MAX_CHOKES: usize = 1_000_000;

/// All links at one time.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sample {
    pub(super) at: Duration,
    /// IP bytes through all peers' uplinks and downlinks so far.
    pub(super) carried: [u64; 2],
    /// The most that waited at each peer's uplink and downlink since the sample before.
    pub(super) waiting: Vec<[u64; 2]>,
}

/// A peer chokes or unchokes another; peers by their place in the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Choke {
    pub(super) at: Duration,
    pub(super) from: u32,
    pub(super) to: u32,
    pub(super) is_choked: bool,
}

/// Looks on for the page.
#[derive(Debug)]
pub struct Chronicle {
    names: Names,
    pub(super) samples: Vec<Sample>,
    /// Looks that make one sample, and how many the last one has.
    looks: [u32; 2],
    pub(super) chokes: Vec<Choke>,
    /// Chokes for which there was no room.
    pub(super) missed: u64,
    /// Bytes of blocks from the first to the second.
    pub(super) given: BTreeMap<(u32, u32), u64>,
}

impl Chronicle {
    /// For one run of `plan`.
    pub fn new(plan: &Plan) -> Self {
        Self {
            names: Names::of(plan),
            samples: Vec::new(),
            looks: [1, 1],
            chokes: Vec::new(),
            missed: 0,
            given: BTreeMap::new(),
        }
    }

    /// Makes one sample of two.
    fn thin(&mut self) {
        let pairs =
            self.samples.chunks(2).filter_map(|pair| pair.iter().cloned().reduce(|one, two| one.and(&two)));
        self.samples = pairs.collect();
        self.looks[0] *= 2;
    }
}

impl Sample {
    fn and(self, later: &Self) -> Self {
        let most = |(a, b): (&[u64; 2], &[u64; 2])| [a[0].max(b[0]), a[1].max(b[1])];
        let waiting = self.waiting.iter().zip(&later.waiting).map(most).collect();
        Self { at: later.at, carried: later.carried, waiting }
    }
}

impl Observe for Chronicle {
    fn observe(&mut self, at: Duration, hosts: &[HostState]) {
        // The tracker's link is not the point.
        let peers = hosts.get(1..).unwrap_or_default();
        // What waits has not left.
        let gone = |peer: &HostState, way: usize| peer.carried[way].saturating_sub(peer.waiting[way]);
        let sum = |way: usize| peers.iter().map(|peer| gone(peer, way)).sum();
        let waiting = peers.iter().map(|peer| peer.waiting).collect();
        let new = Sample { at, carried: [sum(0), sum(1)], waiting };
        let [most, now] = self.looks;
        if now < most
            && let Some(last) = self.samples.pop()
        {
            self.samples.push(last.and(&new));
            self.looks[1] += 1;
            return;
        }
        if self.samples.len() == MAX_SAMPLES {
            self.thin();
        }
        self.samples.push(new);
        self.looks[1] = 1;
    }
}

impl Listen for Chronicle {
    fn hear(&mut self, event: &Event) {
        // The tracker has the first place in the world.
        let peer = |place: usize| place.checked_sub(1).map(|index| index as u32);
        let own = peer(event.line.host);
        let other = || self.names.place(event.line.peer).and_then(peer);
        let is_choked = match &event.what {
            What::Message(Message::Unchoke) => false,
            What::Message(Message::Choke) | What::Closed => true,
            What::Block(block) if event.way == Way::Heard => {
                if let (Some(own), Some(other)) = (own, other()) {
                    *self.given.entry((other, own)).or_default() += u64::from(block.len);
                }
                return;
            }
            What::Block(_) | What::Message(_) | What::Handshake(_) | What::Garbage => return,
        };
        if event.way == Way::Heard {
            return;
        }
        let (Some(from), Some(to)) = (own, other()) else { return };
        if self.chokes.len() < MAX_CHOKES {
            let at = event.at.since(Instant::ZERO);
            self.chokes.push(Choke { at, from, to, is_choked });
        } else {
            self.missed += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_run_is_thinned_and_keeps_its_peaks_and_its_end() {
        let scenario = crate::scenario::Scenario::parse(
            "two.toml",
            "# Two.\nversion = 1\n[torrent]\nsize = \"1 MiB\"\npiece_length = \"64 KiB\"\n\
             [[peers]]\nrole = \"seeder\"\nlink = \"adsl\"\n[[peers]]\nrole = \"leecher\"\nlink = \"adsl\"\n",
            &[],
        );
        let mut chronicle = Chronicle::new(&scenario.expect("valid").expand(1));
        let looks = 5 * MAX_SAMPLES as u64 + 3;
        for look in 1..=looks {
            let waiting = [if look == 77 { 9_000 } else { 0 }, 0];
            let peer = HostState { is_up: true, carried: [look, 2 * look], waiting };
            chronicle.observe(Duration::from_secs(look), &[HostState::default(), peer]);
        }
        let samples = &chronicle.samples;
        assert!((MAX_SAMPLES / 2..=MAX_SAMPLES).contains(&samples.len()), "{}", samples.len());
        let last = samples.last().expect("some");
        assert_eq!((last.at, last.carried), (Duration::from_secs(looks), [looks, 2 * looks]));
        let peak = samples.iter().find(|sample| sample.waiting[0][0] == 9_000).expect("it is kept");
        assert!((77..77 + 8).contains(&peak.at.as_secs()), "{peak:?}");
        assert!(samples.windows(2).all(|pair| pair[0].at < pair[1].at));
    }
}
