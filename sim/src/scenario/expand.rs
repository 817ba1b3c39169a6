//! From a scenario and a seed to a plan.
//!
//! Every draw has a key of its own (seed, what it is for, whose it is), not a place in a shared stream: a
//! scenario with one peer more, or without a fault, leaves all other peers as they were. That is what makes
//! two runs comparable.

use std::time::Duration;

use proto::seed::{Random, Seed};
use xxhash_rust::xxh3::xxh3_64;

use super::{
    Arrival, Departure, Fault, FaultPlan, Group, IT, MAX_FAULTS, NetFault, NetFaultKind, NetFaultPlan,
    PeerPlan, Plan, Scenario, TRACKER, Target, Trigger, nat,
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
        let faults = self.faults.iter().enumerate();
        let faults = faults.flat_map(|(number, fault)| self.expand_fault(seed, number, fault, &peers));
        let mut faults: Vec<_> = faults.take(MAX_FAULTS).collect();
        faults.sort_by_key(|fault: &FaultPlan| (fault.at, fault.target));
        let net = self.net_faults.iter().enumerate();
        let net = net.flat_map(|(number, fault)| self.expand_net_fault(seed, number, fault, &peers));
        let mut net_faults: Vec<_> = net.take(MAX_FAULTS).collect();
        net_faults.sort_by_key(|fault| fault.at);
        let becomes = |name: &String| {
            net_faults.iter().any(|fault| matches!(&fault.kind, NetFaultKind::Degrade(link) if link == name))
        };
        let in_use = |name: &String| {
            *name == self.tracker.link || becomes(name) || peers.iter().any(|peer| peer.link == *name)
        };
        let links = self.links.iter().filter(|(name, _)| in_use(name));
        let links = links.map(|(name, link)| (name.clone(), *link)).collect();
        Plan {
            name: self.name.clone(),
            claim: self.claim.clone(),
            seed,
            torrent: self.torrent,
            tracker: self.tracker.clone(),
            links,
            regions: self.regions.clone(),
            nats: self.nats.clone(),
            peers,
            faults,
            net_faults,
            run: self.run,
            expect: self.expect,
        }
    }

    fn expand_fault(&self, seed: u64, number: usize, fault: &Fault, peers: &[PeerPlan]) -> Vec<FaultPlan> {
        let when = fault.moment.when;
        let one = |at, target| {
            let when = if fault.target == IT { when.map(|when| when.only(target)) } else { when };
            FaultPlan { at, when, kind: fault.kind, target }
        };
        let all = self.targets(&fault.target, when, peers);
        let times = fault.moment.times(self.run.time_limit).enumerate();
        let each = times.flat_map(|(time, at)| {
            let key = occurrence(&fault.target, number, time);
            let hit = draw(seed, &key, all.clone(), fault.count);
            hit.into_iter().map(move |target| one(at, target))
        });
        each.take(MAX_FAULTS).collect()
    }

    fn expand_net_fault(
        &self,
        seed: u64,
        number: usize,
        fault: &NetFault,
        peers: &[PeerPlan],
    ) -> Vec<NetFaultPlan> {
        let all = |names: &[String]| -> Vec<Target> {
            let each = |name: &String| self.targets(name, fault.moment.when, peers);
            let mut all: Vec<_> = names.iter().flat_map(each).collect();
            all.sort_unstable();
            all.dedup();
            all
        };
        let kind = fault.kind.map(all);
        let targets = all(&fault.targets);
        let times = fault.moment.times(self.run.time_limit).enumerate();
        let when = fault.moment.when;
        let one =
            |at, when, targets| NetFaultPlan { at, when, lasts: fault.lasts, kind: kind.clone(), targets };
        let each = times.flat_map(|(time, at)| {
            let key = occurrence(&format!("network {}", fault.targets.join(" ")), number, time);
            let targets = draw(seed, &key, targets.clone(), fault.count);
            match when.filter(|_| fault.targets == [IT]) {
                Some(when) => targets.into_iter().map(|it| one(at, Some(when.only(it)), vec![it])).collect(),
                None => vec![one(at, when, targets)],
            }
        });
        each.collect()
    }

    /// Everybody whom this name stands for.
    fn targets(&self, name: &str, when: Option<Trigger>, peers: &[PeerPlan]) -> Vec<Target> {
        match (name, when) {
            (TRACKER, _) => return vec![Target::Tracker],
            (IT, Some(when)) => return when.who().collect(),
            _ => {}
        }
        let group = self.groups.iter().find(|group| group.name == name);
        let named = |peer: &PeerPlan| match group {
            Some(group) => (0..group.count).any(|index| group.peer_name(index) == peer.name),
            None => peer.name == name,
        };
        let hit = peers.iter().enumerate().filter(|(_, peer)| named(peer));
        hit.map(|(index, _)| Target::Peer(index)).collect()
    }
}

/// What one occurrence of a fault is called in draws.
fn occurrence(target: &str, number: usize, time: usize) -> String {
    if time == 0 { format!("{target} {number}") } else { format!("{target} {number} {time}") }
}

/// So many of these, or all of them.
fn draw(seed: u64, key: &str, mut targets: Vec<Target>, count: Option<u32>) -> Vec<Target> {
    if let Some(count) = count {
        keyed(seed, "fault", key).rng().shuffle(&mut targets);
        targets.truncate(count as usize);
        targets.sort_unstable();
    }
    targets
}

fn expand_group(seed: u64, group: &Group, places: &mut nat::Places<'_>) -> Vec<PeerPlan> {
    let mut poisson = Duration::ZERO;
    let peer = |index| {
        let name = group.peer_name(index);
        let arrival = match &group.arrival {
            Arrival::At(at) => *at,
            Arrival::Trace(times) => times.get(index as usize).copied().unwrap_or_default(),
            Arrival::Uniform(span) => {
                let micros = span.as_micros() as u64;
                Duration::from_micros(keyed(seed, "arrival", &name).rng().below(micros))
            }
            Arrival::Poisson(mean) => {
                poisson += exponential(&mut keyed(seed, "arrival", &name).rng(), *mean);
                poisson
            }
        };
        let departure = match group.departure {
            Departure::Exponential(mean) => {
                Departure::AfterArrival(exponential(&mut keyed(seed, "departure", &name).rng(), mean))
            }
            Departure::Drawn(spread) => Departure::AfterArrival(whole(
                spread.unlimited(keyed(seed, "departure", &name).rng().next_u64()),
            )),
            fixed @ (Departure::Never
            | Departure::AfterCompletion(_)
            | Departure::AfterArrival(_)
            | Departure::Ratio(_)
            | Departure::Holding(_)) => fixed,
        };
        let latency =
            group.latency.map(|spread| whole(spread.at(keyed(seed, "latency", &name).rng().next_u64())));
        let region = group.region.clone();
        let Group { role, link, nat, family, clock, policy, select, start, super_seed, .. } = group;
        let (role, link, nat, family, clock, policy) =
            (*role, link.clone(), nat.as_ref().and_then(|name| places.next(name)), *family, *clock, *policy);
        let (select, start, super_seed, twin_of) = (*select, *start, *super_seed, group.twin_of.clone());
        PeerPlan {
            name,
            role,
            link,
            latency,
            region,
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

/// A time in whole microseconds, which is what a scenario can say; and no more than a thousand years.
fn whole(time: Duration) -> Duration {
    Duration::from_micros(time.as_micros().min(u128::from(u64::MAX / 1_000)) as u64)
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
