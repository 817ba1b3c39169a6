//! Expectations against what was measured, each with how often it was put to the test.

use serde::Serialize;

use super::text::percent;
use super::{Verdict, justice};
use crate::scenario::quantity::duration_text;
use crate::scenario::{Completed, Expect, Population, Role};

/// One expectation and what was measured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was expected.
    pub name: &'static str,
    /// How much of it.
    pub expected: String,
    /// What was measured.
    pub measured: String,
    /// How often it was put to the test: peers, bytes or messages that it is about.
    pub occasions: u64,
    /// Is it met?
    pub met: bool,
}

impl Verdict {
    pub(super) fn check(&self, expect: &Expect) -> Vec<Check> {
        let mut checks = vec![self.check_completed(expect.completed)];
        checks.extend(self.check_times(expect).into_iter().flatten());
        checks.extend(self.check_bytes(expect).into_iter().flatten());
        checks.extend(expect.population.map(|expected| self.check_population(expected)));
        checks.extend(self.check_known(expect.known));
        checks.extend(self.check_tracker(expect));
        checks.extend(justice::checks(&expect.justice, self.justice));
        checks
    }

    /// Those who left before they were complete are not counted either way.
    fn check_completed(&self, expected: Completed) -> Check {
        let stayed = self.peers - self.record.left_early();
        let (expected, met) = match expected {
            Completed::All => ("all who stay".to_owned(), self.completed == stayed),
            Completed::AtLeast(least) => {
                (format!(">= {}", percent(least)), self.completed as f64 >= least * stayed as f64)
            }
        };
        let measured = format!("{} of {stayed}", self.completed);
        Check { name: "completed", expected, measured, occasions: stayed as u64, met }
    }

    fn check_times(&self, expect: &Expect) -> [Option<Check>; 2] {
        let completed = self.completed as u64;
        let efficiency = expect.efficiency.map(|least| Check {
            name: "efficiency",
            expected: format!(">= {least}"),
            measured: format!("{:.3}", self.efficiency),
            occasions: if self.bound.is_some() { completed } else { 0 },
            met: self.efficiency >= least,
        });
        let last = self.completion.map(|completion| completion.last);
        let time = expect.time.map(|most| Check {
            name: "time",
            expected: format!("<= {}", duration_text(most)),
            measured: last.map_or_else(|| "nobody completed".to_owned(), |last| format!("{last:.1} s")),
            occasions: completed,
            met: last.is_some_and(|last| last <= most.as_secs_f64()),
        });
        [efficiency, time]
    }

    /// What is expected of bytes was put to the test by peers that got some, or seeders that were there to give.
    fn check_bytes(&self, expect: &Expect) -> [Option<Check>; 3] {
        let takers = self.record.leechers().filter(|(_, peer)| peer.downloaded > 0).count() as u64;
        let peers = self.record.plan.peers.iter().zip(&self.record.peers);
        let seeders = peers.filter(|(plan, peer)| plan.role == Role::Seeder && !peer.lives.is_empty());
        let share = |name, most: Option<f64>, measured: f64| {
            most.map(|most| Check {
                name,
                expected: format!("<= {}", percent(most)),
                measured: percent(measured),
                occasions: takers,
                met: measured <= most,
            })
        };
        let copies = expect.seed_copies.map(|most| Check {
            name: "seed copies",
            expected: format!("<= {most}"),
            measured: format!("{:.2}", self.seed_copies),
            occasions: seeders.count() as u64,
            met: self.seed_copies <= most,
        });
        let duplicates = share("duplicates", expect.duplicates, self.duplicates);
        [duplicates, share("overhead", expect.overhead, self.overhead), copies]
    }

    /// It was put to the test by whoever came.
    fn check_population(&self, expected: Population) -> Check {
        let came = self.record.leechers().filter(|(_, peer)| !peer.lives.is_empty()).count();
        let met = match expected {
            Population::AtMost(most) => self.population <= most as usize,
            Population::AtLeast(least) => self.population >= least as usize,
        };
        let (expected, measured) = (expected.to_string(), self.population.to_string());
        Check { name: "population", expected, measured, occasions: came as u64, met }
    }

    /// Who was never asked, because it crashed or had no engine, is not counted.
    fn check_known(&self, most: Option<f64>) -> Option<Check> {
        let books: Vec<_> = self.record.peers.iter().filter_map(|peer| peer.known).collect();
        let fullest = books.iter().copied().max().unwrap_or(0);
        most.map(|most| Check {
            name: "known",
            expected: format!("<= {most} addresses"),
            measured: fullest.to_string(),
            occasions: books.len() as u64,
            met: fullest as f64 <= most,
        })
    }

    /// An expectation that was not put to the test is not met.
    fn check_tracker(&self, expect: &Expect) -> impl Iterator<Item = Check> {
        let of = &self.tracker;
        let measured = [
            (of.answered_share(), of.announces),
            (of.useful_share(), of.named),
            (of.counts_share(), of.told),
            (of.punctual_share(), of.regular),
            (of.counted_share(), of.downloads),
        ];
        let named = expect.tracker.shares().into_iter().zip(measured);
        named.filter_map(|((name, least), (measured, occasions))| {
            let least = least?;
            Some(Check {
                name,
                expected: format!(">= {}", percent(least)),
                measured: measured.map_or_else(|| "no occasion".to_owned(), percent),
                occasions,
                met: measured.is_some_and(|measured| measured >= least),
            })
        })
    }
}
