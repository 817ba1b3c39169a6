//! A random small swarm from a seed: sizes at which something is odd, and now and then something that goes wrong.

use proto::seed::{Random, Seed};
use proto::torrent::policy::Policies;

use super::plan::{FaultKind, FaultPlan, Habit, PeerPlan, Plan};

/// The stream of a plan's draws; machines have those of their numbers.
const PLAN_STREAM: u64 = 1 << 40;

/// Bytes of all copies together, about: what a run costs is mostly theirs.
const VOLUME: u64 = 3 << 20;

/// Pieces at the most: enough for a picker to choose from.
const MAX_PIECES: u64 = 40;

/// When the last fault begins, in milliseconds.
const LAST_FAULT: u64 = 60_000;

/// A source of choices.
struct Dice(Random);

impl Dice {
    fn within(&mut self, low: u64, high: u64) -> u64 {
        low + self.0.below(high - low + 1)
    }

    fn percent(&mut self, chance: u64) -> bool {
        self.0.below(100) < chance
    }

    fn one<T: Clone>(&mut self, of: &[T]) -> Option<T> {
        of.get(self.0.index(of.len())).cloned()
    }

    /// A number of any size in the range: as likely small as large.
    fn scale(&mut self, low: u64, high: u64) -> u64 {
        let doublings = (high / low).ilog2();
        let base = low << self.0.below(u64::from(doublings) + 1);
        self.within(base, (2 * base).min(high))
    }

    /// Some of the pieces.
    fn pieces(&mut self, pieces: u32, percent: u64) -> Vec<u32> {
        (0..pieces).filter(|_| self.percent(percent)).collect()
    }
}

impl Plan {
    /// The swarm of this seed.
    pub fn draw(seed: u64) -> Self {
        let mut dice = Dice(Seed::from_u64(seed).child(PLAN_STREAM).rng());
        let count = if dice.percent(70) { dice.within(2, 8) } else { dice.within(8, 20) };
        // Most have whole blocks, some end within one, some are tiny.
        let lengths = [16 << 10, 32 << 10, 64 << 10, 128 << 10, 40_000, 16_385, 1 << 10, 5000];
        let piece_length = dice.one(&lengths).unwrap_or(1 << 14);
        let most = (VOLUME / count).max(2 * u64::from(piece_length));
        let pieces = dice.within(1, (most / u64::from(piece_length)).clamp(2, MAX_PIECES));
        let size = pieces * u64::from(piece_length);
        let odd = if dice.percent(60) { dice.0.below(u64::from(piece_length)) } else { 0 };
        let latency = dice.within(1, 80);
        let mut plan = Self {
            seed,
            size: size - odd,
            piece_length,
            private: dice.percent(10),
            latency: [latency, latency + dice.within(0, 150)],
            loss: if dice.percent(30) { dice.within(1, 12) } else { 0 },
            peers_in_reply: if dice.percent(25) { dice.within(1, 4) as u32 } else { 50 },
            interval: dice.one(&[60_000, 120_000, 1_800_000]).unwrap_or(120_000),
            at_least: if dice.percent(8) { 300_000 } else { 0 },
            peers: Vec::new(),
            faults: Vec::new(),
        };
        let span = if dice.percent(50) { dice.within(1, 30_000) } else { 0 };
        plan.peers = (0..count as u32).map(|number| peer(&mut dice, number, plan.pieces(), span)).collect();
        if dice.percent(55) {
            let faults = dice.within(1, 4);
            plan.faults = (0..faults).filter_map(|_| fault(&mut dice, &plan)).collect();
        }
        plan
    }
}

/// The first one has everything and the second one nothing, and both are honest.
fn peer(dice: &mut Dice, number: u32, pieces: u32, span: u64) -> PeerPlan {
    let policies = Policies::shipped();
    let (is_first, is_second) = (number == 0, number == 1);
    let liar = number > 1 && dice.percent(12);
    let complete = is_first || (!is_second && dice.percent(12));
    let skips = !complete && dice.percent(8);
    let has = !complete && dice.percent(15);
    let plain = dice.percent(75);
    let chokers: Vec<_> = policies.chokers().iter().map(|choker| choker.name.to_owned()).collect();
    let pickers: Vec<_> = policies.pickers().iter().map(|picker| picker.name.to_owned()).collect();
    let mut policy = |names: &[String], usual: usize| {
        let drawn = if dice.percent(75) { names.get(usual).cloned() } else { dice.one(names) };
        drawn.unwrap_or_default()
    };
    let (picker, choker, seed_choker) = (policy(&pickers, 0), policy(&chokers, 0), policy(&chokers, 1));
    PeerPlan {
        number,
        habit: if liar { dice.one(&Habit::LIARS).unwrap_or(Habit::Honest) } else { Habit::Honest },
        complete,
        has: if has { dice.pieces(pieces, 40) } else { Vec::new() },
        skips: if skips { dice.pieces(pieces, 50) } else { Vec::new() },
        arrives: if is_first { 0 } else { dice.0.below(span + 1) },
        up: dice.scale(10_000, 1 << 21),
        down: dice.scale(40_000, 1 << 22),
        open: is_first || dice.percent(88),
        v6: dice.percent(20),
        fast: plain || dice.percent(50),
        extended: plain || dice.percent(50),
        pex: dice.percent(85),
        super_seeds: complete && dice.percent(15),
        disk: if dice.percent(40) { dice.scale(1, 400) } else { 0 },
        late: if dice.percent(20) { dice.scale(1, 1500) } else { 0 },
        picker,
        choker,
        seed_choker,
        upload_slots: if dice.percent(80) { 50 } else { dice.within(1, 4) as usize },
        optimistic_slots: if dice.percent(85) { 1 } else { dice.within(0, 3) as usize },
        max_peers: if dice.percent(85) { 50 } else { dice.within(3, 8) as usize },
    }
}

fn fault(dice: &mut Dice, plan: &Plan) -> Option<FaultPlan> {
    let peer = dice.one(&plan.peers)?;
    let (at, span) = (dice.scale(1, LAST_FAULT), dice.scale(10, 40_000));
    let kind = match dice.0.below(15) {
        0 | 1 => FaultKind::Crash(span),
        2 => FaultKind::PowerCut(span),
        3 => FaultKind::Vanish,
        4 => FaultKind::Stop,
        5 | 6 => FaultKind::Cut,
        7 => FaultKind::Dark(span),
        8 => FaultKind::DiskFull(span),
        9 => FaultKind::Rot(dice.pieces(plan.pieces(), 20)),
        10 => FaultKind::Choose(dice.pieces(plan.pieces(), 40)),
        11 => FaultKind::Slots(dice.within(1, 3) as usize),
        12 => FaultKind::Part,
        13 => FaultKind::TrackerDown(span),
        _ => FaultKind::TrackerForgets,
    };
    Some(FaultPlan { at, peer: peer.number, kind })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thousand_seeds_draw_everything_there_is() {
        let plans: Vec<_> = (0..1000).map(Plan::draw).collect();
        let peers = || plans.iter().flat_map(|plan| &plan.peers);
        for liar in Habit::LIARS {
            assert!(peers().any(|peer| peer.habit == liar), "{liar:?}");
        }
        assert!(peers().any(|peer| peer.super_seeds) && peers().any(|peer| !peer.skips.is_empty()));
        assert!(peers().any(|peer| !peer.fast && peer.extended) && peers().any(|peer| peer.late > 0));
        assert!(plans.iter().any(|plan| plan.size < 1 << 10) && plans.iter().any(|plan| plan.pieces() > 30));
        let faults = plans.iter().flat_map(|plan| &plan.faults);
        let kinds: std::collections::BTreeSet<_> =
            faults.map(|fault| format!("{:?}", fault.kind).split('(').next().map(str::to_owned)).collect();
        assert_eq!(kinds.len(), 13, "{kinds:?}");
        assert_eq!(Plan::draw(7), Plan::draw(7));
    }
}
