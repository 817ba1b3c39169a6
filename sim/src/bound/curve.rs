//! What a swarm can have uploaded by a time: a rate that changes in steps, and its integral.

use super::Swarm;

/// A rate that is constant between steps.
#[derive(Clone, Debug, PartialEq)]
pub struct Supply {
    /// Where each stretch begins, in seconds; what had come in by then, in bytes; the rate from then on.
    stretches: Vec<(f64, f64, f64)>,
}

impl Supply {
    /// B4a: `C(t) = u_S t + sum over k of u_(k) max(0, t - max(tau_k, a_(k)))`, where
    /// `tau_k = sum over n = 0..k-1 of p / (u_S + U_n)` is the earliest time at which k peers can hold a whole
    /// piece, and `a_(k)` the k-th arrival.
    ///
    /// By induction no k-th first piece comes before `tau_k`: until then at most k - 1 peers upload, at best the
    /// fastest, and k pieces have to move.
    pub fn of(swarm: &Swarm) -> Self {
        let mut arrivals: Vec<_> = swarm.leechers.iter().map(|leecher| leecher.arrival).collect();
        arrivals.sort_by(f64::total_cmp);
        let (mut rate, mut tau) = (swarm.seed_up, 0.0);
        let steps = swarm.uploads().into_iter().zip(arrivals).map(|(up, arrival)| {
            tau += swarm.piece / rate;
            rate += up;
            (arrival.max(tau), up)
        });
        Self::from_steps(swarm.seed_up, steps.collect())
    }

    /// A rate that begins with `start` and changes by so much at each `(time, change)`.
    pub(super) fn from_steps(start: f64, mut steps: Vec<(f64, f64)>) -> Self {
        steps.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut stretches = vec![(0.0, 0.0, start)];
        let (mut at, mut bytes, mut rate) = (0.0, 0.0, start);
        for (time, change) in steps {
            bytes += (time - at) * rate;
            at = time;
            rate += change;
            stretches.push((at, bytes, rate));
        }
        Self { stretches }
    }

    /// The earliest time by which `bytes` can have come; infinite if never.
    pub fn time_of(&self, bytes: f64) -> f64 {
        // The last stretch that begins with less than `bytes` is the one in which they come in.
        let after = self.stretches.partition_point(|(_, before, _)| *before < bytes);
        match after.checked_sub(1).and_then(|index| self.stretches.get(index)) {
            None => 0.0,
            Some((from, before, rate)) if *rate > 0.0 => from + (bytes - before) / rate,
            Some(_) => f64::INFINITY,
        }
    }
}
