//! How often a warning of one kind is written, so that a flood of failures is no flood of lines.

use std::collections::BTreeMap;
use std::time::Duration;

use proto::time::Instant;

/// The time within which lines are counted.
const WINDOW: Duration = Duration::from_secs(60);

/// Lines of one kind within a window: enough to see what it is.
const MAX_LINES: u32 = 5;

/// Counts lines by kind. Pure; as many entries as there are kinds in the source.
#[derive(Debug, Default)]
pub(super) struct LogLimit(BTreeMap<&'static str, Window>);

#[derive(Debug)]
struct Window {
    since: Instant,
    lines: u32,
    suppressed: u64,
}

impl LogLimit {
    /// May a line of this kind be written now? If not it is counted for [`LogLimit::summaries`].
    pub(super) fn admits(&mut self, now: Instant, kind: &'static str) -> bool {
        let window = self.0.entry(kind).or_insert(Window { since: now, lines: 0, suppressed: 0 });
        let is_over = now >= window.since + WINDOW && window.suppressed == 0;
        if is_over {
            *window = Window { since: now, lines: 0, suppressed: 0 };
        }
        let admits = window.lines < MAX_LINES;
        window.lines += u32::from(admits);
        window.suppressed += u64::from(!admits);
        admits
    }

    /// Kinds whose window is over, and how many of their lines were not written.
    pub(super) fn summaries(&mut self, now: Instant) -> Vec<(&'static str, u64)> {
        let is_over = |window: &Window| now >= window.since + WINDOW;
        let over = self.0.iter().filter(|(_, window)| is_over(window) && window.suppressed > 0);
        let summaries = over.map(|(kind, window)| (*kind, window.suppressed)).collect();
        self.0.retain(|_, window| !is_over(window));
        summaries
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_one_kind_is_a_few_lines_and_a_summary() {
        let mut limit = LogLimit::default();
        let at = |seconds: u64| Instant::ZERO + Duration::from_secs(seconds);
        let written = (0..1000).filter(|n| limit.admits(at(n / 20), "sending")).count();
        assert_eq!(written, MAX_LINES as usize);
        assert!(limit.admits(at(50), "receiving"), "another kind has its own lines");
        assert_eq!(limit.summaries(at(59)), []);
        assert_eq!(limit.summaries(at(60)), [("sending", 995)]);
        assert_eq!(limit.summaries(at(200)), [], "told once; nothing was left out of the other");
        assert!(limit.admits(at(200), "sending"), "a new minute");
    }

    #[test]
    fn what_was_left_out_is_told_even_if_nobody_asked_for_a_while() {
        let mut limit = LogLimit::default();
        let at = |seconds: u64| Instant::ZERO + Duration::from_secs(seconds);
        assert_eq!((0..9).filter(|_| limit.admits(at(0), "sending")).count(), 5);
        assert!(!limit.admits(at(100), "sending"));
        assert_eq!(limit.summaries(at(100)), [("sending", 5)]);
    }
}
