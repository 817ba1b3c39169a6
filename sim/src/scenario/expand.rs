//! From a scenario and a seed to a plan.
//!
//! Every draw has a key of its own (seed, what it is for, whose it is), not a place in a shared stream: a
//! scenario with one peer more, or without a fault, leaves all other peers as they were. That is what makes
//! two runs comparable.

use std::time::Duration;

use proto::seed::{Random, Seed};
use xxhash_rust::xxh3::xxh3_64;

use super::{
    Arrival, Departure, Fault, FaultPlan, Group, MAX_FAULTS, PeerPlan, Plan, Scenario, TRACKER, Target, nat,
};

/// The seed of one draw: of `what`, for the one called `whose`.
pub(crate) fn keyed(seed: u64, what: &str, whose: &str) -> Seed {
    let mut key = seed.to_le_bytes().to_vec();
    key.extend_from_slice(what.as_bytes());
    key.push(0);
    key.extend_from_slice(whose.as_bytes());
    Seed::from_u64(xxh3_64(&key))
}

impl Scenario {
    /// Draws the plan of one seed.
    pub fn expand(&self, seed: u64) -> Plan {
        let mut places = nat::Places::new(&self.nats);
        let peers = self.groups.iter().flat_map(|group| expand_group(seed, group, &mut places));
        let peers: Vec<_> = peers.collect();
        let mut faults: Vec<_> = self
            .faults
            .iter()
            .enumerate()
            .flat_map(|(number, fault)| self.expand_fault(seed, number, fault, &peers))
            .take(MAX_FAULTS)
            .collect();
        faults.sort_by_key(|fault: &FaultPlan| (fault.at, fault.target));
        let in_use =
            |name: &String| *name == self.tracker.link || peers.iter().any(|peer| peer.link == *name);
        Plan {
            name: self.name.clone(),
            claim: self.claim.clone(),
            seed,
            torrent: self.torrent,
            tracker: self.tracker.clone(),
            links: self.links.iter().filter(|(name, _)| in_use(name)).map(|(k, v)| (k.clone(), *v)).collect(),
            nats: self.nats.clone(),
            peers,
            faults,
            run: self.run,
            expect: self.expect,
        }
    }

    fn expand_fault(&self, seed: u64, number: usize, fault: &Fault, peers: &[PeerPlan]) -> Vec<FaultPlan> {
        let one = |target| FaultPlan { at: fault.at, kind: fault.kind, target };
        if fault.target == TRACKER {
            return vec![one(Target::Tracker)];
        }
        let group = self.groups.iter().find(|group| group.name == fault.target);
        let named = |peer: &PeerPlan| match group {
            Some(group) => (0..group.count).any(|index| group.peer_name(index) == peer.name),
            None => peer.name == fault.target,
        };
        let mut hit: Vec<_> = (0..peers.len()).filter(|&index| named(&peers[index])).collect();
        if let Some(count) = fault.count {
            keyed(seed, "fault", &format!("{} {number}", fault.target)).rng().shuffle(&mut hit);
            hit.truncate(count as usize);
            hit.sort_unstable();
        }
        hit.into_iter().map(|index| one(Target::Peer(index))).collect()
    }
}

fn expand_group(seed: u64, group: &Group, places: &mut nat::Places<'_>) -> Vec<PeerPlan> {
    let mut poisson = Duration::ZERO;
    let peer = |index| {
        let name = group.peer_name(index);
        let arrival = match group.arrival {
            Arrival::At(at) => at,
            Arrival::Uniform(span) => {
                let micros = span.as_micros() as u64;
                Duration::from_micros(keyed(seed, "arrival", &name).rng().below(micros))
            }
            Arrival::Poisson(mean) => {
                poisson += exponential(&mut keyed(seed, "arrival", &name).rng(), mean);
                poisson
            }
        };
        let departure = match group.departure {
            Departure::Exponential(mean) => {
                Departure::AfterArrival(exponential(&mut keyed(seed, "departure", &name).rng(), mean))
            }
            fixed @ (Departure::Never | Departure::AfterCompletion(_) | Departure::AfterArrival(_)) => fixed,
        };
        let Group { role, link, nat, family, clock, policy, select, start, super_seed, .. } = group;
        let (role, link, nat, family, clock, policy) =
            (*role, link.clone(), nat.as_ref().and_then(|name| places.next(name)), *family, *clock, *policy);
        let (select, start, super_seed, twin_of) = (*select, *start, *super_seed, group.twin_of.clone());
        PeerPlan {
            name,
            role,
            link,
            nat,
            clock,
            family,
            policy,
            twin_of,
            select,
            arrival,
            departure,
            start,
            super_seed,
        }
    };
    (0..group.count).map(peer).collect()
}

/// An exponential time with this mean, to the microsecond.
fn exponential(random: &mut Random, mean: Duration) -> Duration {
    // 53 random bits, the middle of each step: never 0, so the logarithm is finite. libm, because the
    // platform's logarithms differ in the last bit.
    let uniform = ((random.next_u64() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
    let micros = -libm::log(uniform) * mean.as_micros() as f64;
    // At most 37 means, so it fits; negative it cannot be.
    #[expect(clippy::cast_sign_loss, reason = "minus the logarithm of a number below one")]
    Duration::from_micros(micros as u64)
}
