//! Published models to set a run beside, where its scenario is near enough to what they describe.

use crate::bound::reference::{equal_peers_optimum, stable_arrival_rate};
use crate::record::Record;
use crate::scenario::{Departure, Plan, Role};

/// One line, if a model fits.
pub(super) fn of(record: &Record) -> Option<String> {
    equal_peers(record).or_else(|| stability(&record.plan))
}

/// Everybody has the same uplink, comes at once and stays.
fn equal_peers(record: &Record) -> Option<String> {
    let plan = &record.plan;
    let up = plan.link_of(plan.peers.first()?).up;
    let alike = |peer: &crate::scenario::PeerPlan| {
        plan.link_of(peer).up == up && peer.arrival.is_zero() && peer.departure == Departure::Never
    };
    let seeders = plan.peers.iter().filter(|peer| peer.role == Role::Seeder).count();
    if seeders != 1 || !plan.peers.iter().all(alike) {
        return None;
    }
    let peers = u32::try_from(plan.leechers().count()).ok()?;
    let seconds = equal_peers_optimum(plan.torrent.size as f64, record.piece_count(), up as f64, peers);
    Some(format!("{seconds:.1} s at the best with whole pieces (Mundinger, Weber & Weiss 2008)"))
}

/// Leechers keep coming and go on completion: does the seeder keep up with the rarest piece?
fn stability(plan: &Plan) -> Option<String> {
    let arrivals =
        plan.leechers().filter(|(_, peer)| matches!(peer.departure, Departure::AfterCompletion(_)));
    let times: Vec<_> = arrivals.map(|(_, peer)| peer.arrival).collect();
    let span = times.iter().max()?.saturating_sub(*times.iter().min()?);
    if span.is_zero() {
        return None;
    }
    let here = times.len().saturating_sub(1) as f64 / span.as_secs_f64();
    let seeders = plan.peers.iter().filter(|peer| peer.role == Role::Seeder);
    let seed_up: f64 = seeders.map(|peer| plan.link_of(peer).up as f64).sum();
    let stable = stable_arrival_rate(seed_up, f64::from(plan.torrent.piece_length));
    Some(format!("stable up to {stable:.2} arrivals a second (Hajek & Zhu 2010), here {here:.2}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::tests::good;
    use std::time::Duration;

    #[test]
    fn equal_peers_are_compared_with_their_optimum() {
        let mut record = good();
        assert_eq!(of(&record), None, "the seeder of this scenario is faster");
        record.plan.peers[0].link = "adsl".to_owned();
        // 2 MiB at 125 kB/s are 16.8 s; with 2 pieces and 2 leechers, half as much again.
        let line = "25.2 s at the best with whole pieces (Mundinger, Weber & Weiss 2008)";
        assert_eq!(of(&record).as_deref(), Some(line));
    }

    #[test]
    fn arrivals_are_compared_with_what_the_seeder_can_bear() {
        let mut record = good();
        record.plan.peers[1].departure = Departure::AfterCompletion(Duration::ZERO);
        record.plan.peers[2].departure = Departure::AfterCompletion(Duration::ZERO);
        record.plan.peers[2].arrival = Duration::from_secs(4);
        let line = "stable up to 2.38 arrivals a second (Hajek & Zhu 2010), here 0.25";
        assert_eq!(of(&record).as_deref(), Some(line));
    }
}
