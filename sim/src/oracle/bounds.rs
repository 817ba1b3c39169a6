//! Bounds: a completion before a hard lower bound means that the simulator cheats.

use super::{Oracle, Violation};
use crate::bound::Supply;
use crate::record::Record;

/// The share by which rounding may put a time below its bound.
const ROUNDING: f64 = 1e-6;

pub(super) fn check(record: &Record) -> Vec<Violation> {
    let swarm = record.swarm();
    let supply = Supply::of(&swarm);
    let completions = record.whole_completions();
    let mut violations = Vec::new();
    let mut judge = |what: String, seconds: f64, bound: f64| {
        if seconds < bound * (1.0 - ROUNDING) {
            let message = format!("{what} at {seconds:.3} s, and {bound:.3} s is the earliest possible time");
            violations.push(Violation { oracle: Oracle::Bounds, message });
        }
    };
    for (k, time) in (1..).zip(&completions) {
        judge(format!("completion {k} came"), time.as_secs_f64(), swarm.kth_completion(k, &supply));
    }
    if let (Some(bound), Some(last)) = (swarm.bound(), completions.last()) {
        judge(format!("the last completion came (bound: {})", bound.term), last.as_secs_f64(), bound.seconds);
    }
    violations
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::record::tests::good;

    #[test]
    fn what_is_faster_than_possible_is_caught() {
        let mut record = good();
        assert_eq!(check(&record), []);
        // 2 MiB through 16 Mbit/s take 1.05 s.
        record.peers[1].completed = Some(Duration::from_secs(1));
        let violations = check(&record);
        assert_eq!(violations.len(), 1, "{violations:?}");
        assert_eq!(
            violations[0].to_string(),
            "bounds: completion 1 came at 1.000 s, and 1.049 s is the earliest possible time"
        );
    }
}
