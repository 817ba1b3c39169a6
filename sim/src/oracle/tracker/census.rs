//! How many seeders and leechers were there at any time, counted once for all.
//!
//! What a peer adds changes at a few times only. The sums over all peers are kept from change to change, so that a
//! reply of the tracker is compared by a search and not by a look at everybody: ten thousand peers announce tens of
//! thousands of times.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::record::{PeerRecord, Presence, Record};
use crate::scenario::{PeerPlan, Plan};

/// What comes or goes so shortly before or after a reply may be in it or not: announces are under way.
const SLACK: Duration = Duration::from_secs(5);

/// The least and the most of seeders, then of leechers, that may be counted.
type Sums = [u32; 4];

/// Everybody's comings and goings.
#[derive(Debug)]
pub(super) struct Census {
    /// The sums from each time on.
    sums: Vec<(Duration, Sums)>,
}

impl Census {
    /// Counts the honest peers of `record`.
    pub(super) fn of(record: &Record) -> Self {
        let mut changes = Vec::new();
        for (plan, peer) in record.plan.peers.iter().zip(&record.peers) {
            let mut before = [0; 4];
            for at in turning_points(peer) {
                let now = counted(&record.plan, plan, peer, at);
                if now != before {
                    changes.push((at, now, before));
                    before = now;
                }
            }
        }
        changes.sort_by_key(|(at, ..)| *at);
        let mut present: Sums = [0; 4];
        let sums = changes.into_iter().map(|(at, new, old)| {
            for (sum, (new, old)) in present.iter_mut().zip(new.into_iter().zip(old)) {
                // What it added before is in the sum.
                *sum = *sum + new - old;
            }
            (at, present)
        });
        Self { sums: sums.collect() }
    }

    /// Seeders and leechers there at this time, give or take who just comes, completes or goes.
    pub(super) fn at(&self, at: Duration) -> [RangeInclusive<u32>; 2] {
        let passed = self.sums.partition_point(|(from, _)| *from <= at);
        let last = passed.checked_sub(1).and_then(|last| self.sums.get(last));
        let [least_seeders, most_seeders, least_leechers, most_leechers] =
            last.map(|(_, sums)| *sums).unwrap_or_default();
        [least_seeders..=most_seeders, least_leechers..=most_leechers]
    }
}

/// The only times at which what a peer adds may change, in order.
fn turning_points(peer: &PeerRecord) -> Vec<Duration> {
    let lives = peer.lives.iter().flat_map(|life| [Some(life.from), life.until]);
    let events = lives.chain([peer.completed]).flatten();
    let near = events.flat_map(|event| [event.saturating_sub(SLACK), event + SLACK]);
    let after = |at| [at, at + Duration::from_nanos(1)];
    let mut points: Vec<_> = near.flat_map(after).chain([Duration::ZERO]).collect();
    points.sort_unstable();
    points.dedup();
    points
}

/// What one peer adds at a time. Who speaks both families of the tracker is a member in each.
fn counted(plan: &Plan, peer_plan: &PeerPlan, peer: &PeerRecord, at: Duration) -> Sums {
    let (before, after) = (at.saturating_sub(SLACK), at + SLACK);
    let overlaps = |life: &Presence| life.from <= after && life.until.is_none_or(|until| until >= before);
    if !peer_plan.role.is_honest() || !peer.lives.iter().any(overlaps) {
        return [0; 4];
    }
    let surely = peer.lives.iter().any(|life| life.from + SLACK <= at && life.covers(after));
    let completes_by = |time| peer.completed.is_some_and(|completed| completed <= time);
    let spoken = plan.tracker.family.list();
    let members = peer_plan.family.list().iter().filter(|family| spoken.contains(family)).count() as u32;
    [
        completes_by(before) && surely,
        completes_by(after),
        !completes_by(after) && surely,
        !completes_by(before),
    ]
    .map(|counts| u32::from(counts) * members)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::record::tests::good;

    fn life() -> impl Strategy<Value = Presence> {
        (0_u64..60, prop::option::of(0_u64..30)).prop_map(|(from, stay)| Presence {
            from: Duration::from_secs(from),
            until: stay.map(|stay| Duration::from_secs(from + stay)),
        })
    }

    proptest! {
        #[test]
        fn it_agrees_with_a_look_at_everybody(
            lives in prop::collection::vec(prop::collection::vec(life(), 0..3), 3),
            completed in prop::collection::vec(prop::option::of(0_u64..60), 3),
            millis in prop::collection::vec(0_u64..100_000, 1..20),
        ) {
            let mut record = good();
            for ((peer, lives), completed) in record.peers.iter_mut().zip(lives).zip(completed) {
                (peer.lives, peer.completed) = (lives, completed.map(Duration::from_secs));
            }
            let census = Census::of(&record);
            // Whole seconds too, at which everything turns.
            for at in millis.iter().flat_map(|&ms| [ms, ms / 1_000 * 1_000]).map(Duration::from_millis) {
                let peers = record.plan.peers.iter().zip(&record.peers);
                let sums = peers.fold([0; 4], |sums: Sums, (plan, peer)| {
                    let more = counted(&record.plan, plan, peer, at);
                    std::array::from_fn(|place| sums[place] + more[place])
                });
                prop_assert_eq!(census.at(at), [sums[0]..=sums[1], sums[2]..=sums[3]], "at {:?}", at);
            }
        }
    }
}
