//! Figures from a record: percentiles, utilisation, fairness, overhead.

use std::time::Duration;

use serde::Serialize;

use crate::record::{PeerRecord, Presence, Record};
use crate::scenario::Role;

/// Percentiles by the nearest rank: each is a time that was measured. Seconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Percentiles {
    /// Half of the peers were done.
    pub p50: f64,
    /// Nine in ten were.
    pub p90: f64,
    /// All but one in a hundred were.
    pub p99: f64,
    /// All were.
    pub last: f64,
}

impl Percentiles {
    /// Of `times` in any order; nothing if there are none.
    pub fn of(mut times: Vec<Duration>) -> Option<Self> {
        times.sort_unstable();
        let rank = |percent: usize| {
            let rank = (times.len() * percent).div_ceil(100).checked_sub(1)?;
            times.get(rank).map(Duration::as_secs_f64)
        };
        Some(Self { p50: rank(50)?, p90: rank(90)?, p99: rank(99)?, last: rank(100)? })
    }
}

/// Payload that the seeders sent, in copies of the content.
pub(super) fn seed_copies(record: &Record) -> f64 {
    let peers = record.plan.peers.iter().zip(&record.peers);
    let seeders = peers.filter(|(plan, _)| plan.role == Role::Seeder);
    let sent: u64 = seeders.map(|(_, peer)| peer.uploaded).sum();
    share(sent as f64, record.plan.torrent.size as f64)
}

/// The most leechers that were there at once and not complete.
pub(super) fn population(record: &Record) -> usize {
    let mut changes: Vec<_> = record
        .leechers()
        .flat_map(|(_, peer)| peer.lives.iter().flat_map(move |life| changes_of(peer, life)))
        .collect();
    // Who goes makes room before who comes.
    changes.sort_unstable();
    let crowds = changes.iter().scan(0_isize, |there, (_, change)| {
        *there += change;
        Some(*there)
    });
    crowds.max().unwrap_or(0).unsigned_abs()
}

/// It comes, and may go or complete.
fn changes_of(peer: &PeerRecord, life: &Presence) -> impl Iterator<Item = (Duration, isize)> {
    let until = [life.until, peer.completed].into_iter().flatten().min();
    let goes = until.map(|until| (until.max(life.from), -1));
    std::iter::once((life.from, 1)).chain(goes)
}

/// How much of the links was used between each peer's coming and its going, or the last completion.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Utilisation {
    /// Share of all peers' uplinks.
    pub up: f64,
    /// Share of the leechers' downlinks.
    pub down: f64,
}

impl Utilisation {
    /// Of the links of `record`, up to its end.
    pub fn of(record: &Record) -> Self {
        let (mut used, mut could) = ((0.0, 0.0), (0.0, 0.0));
        let peers = record.plan.peers.iter().zip(&record.peers);
        for (plan, peer) in peers.filter(|(plan, _)| plan.role.is_honest()) {
            let until = peer.gone.as_ref().map_or(record.end, |gone| gone.at);
            let seconds = until.saturating_sub(plan.arrival).as_secs_f64();
            let link = record.plan.link_of(plan);
            used.0 += peer.up_bytes as f64;
            could.0 += link.up as f64 * seconds;
            if plan.role == Role::Leecher {
                used.1 += peer.down_bytes as f64;
                could.1 += link.down as f64 * seconds;
            }
        }
        Self { up: share(used.0, could.0), down: share(used.1, could.1) }
    }
}

/// Jain's index of the leechers' share ratios: 1 if all gave alike in proportion to what they took, 1/n if
/// one gave everything.
pub(super) fn jain(record: &Record) -> f64 {
    let takers = record.leechers().filter(|(_, peer)| peer.downloaded > 0);
    let ratios: Vec<_> = takers.map(|(_, peer)| peer.uploaded as f64 / peer.downloaded as f64).collect();
    let sum: f64 = ratios.iter().sum();
    let squares: f64 = ratios.iter().map(|ratio| ratio * ratio).sum();
    share(sum * sum, ratios.len() as f64 * squares)
}

/// Bytes that the leechers wanted and got: whole pieces.
pub(super) fn useful_bytes(record: &Record) -> u64 {
    let torrent = record.plan.torrent;
    let piece_length = u64::from(torrent.piece_length);
    let held = record.leechers().flat_map(|(_, peer)| {
        peer.pieces.iter().enumerate().filter(|(_, at)| at.is_some()).map(|(piece, _)| piece as u64)
    });
    held.map(|piece| piece_length.min(torrent.size.saturating_sub(piece * piece_length))).sum()
}

/// `part / whole`, or 0 if there is no whole.
pub(super) fn share(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::tests::good;

    #[test]
    fn percentiles_are_measured_times() {
        let times = (1..=10).map(Duration::from_secs).rev().collect();
        let want = Percentiles { p50: 5.0, p90: 9.0, p99: 10.0, last: 10.0 };
        assert_eq!(Percentiles::of(times), Some(want));
        assert_eq!(Percentiles::of(Vec::new()), None);
    }

    #[test]
    fn jain_is_one_for_equals_and_falls_with_free_riders() {
        let mut record = good();
        assert!((jain(&record) - 1.0).abs() < 1e-12);
        record.peers[2].uploaded = 0;
        assert!((jain(&record) - 0.5).abs() < 1e-12);
    }

    #[test]
    fn a_population_is_of_those_who_are_there_and_lack_something() {
        let mut record = good();
        assert_eq!(population(&record), 2);
        // The second comes when the first is complete; another life of the first is complete from its start.
        record.peers[2].lives[0].from = Duration::from_secs(10);
        record.peers[1].lives.push(Presence { from: Duration::from_secs(11), until: None });
        assert_eq!(population(&record), 1);
        record.peers.iter_mut().for_each(|peer| peer.lives.clear());
        assert_eq!(population(&record), 0);
    }

    #[test]
    fn utilisation_counts_the_time_of_presence() {
        let record = good();
        let utilisation = Utilisation::of(&record);
        // Two adsl links of 2 MB/s down for 13 s carried 2.3 MB each.
        assert!((utilisation.down - 2.3 / 26.0).abs() < 1e-9, "{utilisation:?}");
        assert_eq!(useful_bytes(&record), 2 * (2 << 20));
    }
}
