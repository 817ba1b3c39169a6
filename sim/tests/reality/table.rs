//! The table of completion times, as `sim/FIDELITY.md` has it.

use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use crate::outcome::Run;

/// Times of both worlds side by side: the k-th completion here with the k-th completion there.
#[derive(Default)]
pub(crate) struct Table {
    rows: Vec<Row>,
}

struct Row {
    scenario: String,
    /// Which completion, from 1.
    number: usize,
    simulated: Times,
    real: Times,
}

/// One completion in several runs, in order.
struct Times(Vec<Duration>);

impl Table {
    /// Enters what was simulated of a scenario, and what happened really.
    pub(crate) fn add(&mut self, scenario: &str, simulated: &[Run], real: &[Run]) {
        let completions = real.iter().map(|run| run.times.len()).max().unwrap_or_default();
        for number in 1..=completions {
            let (simulated, real) = (Times::of(simulated, number), Times::of(real, number));
            self.rows.push(Row { scenario: scenario.to_owned(), number, simulated, real });
        }
    }

    /// The error of a completion time at the median, as a share of the real one.
    pub(crate) fn median_error(&self) -> f64 {
        let errors = self.errors();
        errors[errors.len() / 2]
    }

    /// Every row's, without sign and in order.
    fn errors(&self) -> Vec<f64> {
        let mut errors: Vec<_> = self.rows.iter().map(|row| row.error().abs()).collect();
        errors.sort_by(f64::total_cmp);
        errors
    }
}

impl Row {
    /// How far the simulated time lies above the real one, as a share of that.
    fn error(&self) -> f64 {
        self.simulated.median() / self.real.median() - 1.0
    }
}

impl Times {
    fn of(runs: &[Run], number: usize) -> Self {
        let mut times: Vec<_> = runs.iter().filter_map(|run| run.times.get(number - 1).copied()).collect();
        times.sort_unstable();
        Self(times)
    }

    /// Seconds.
    fn median(&self) -> f64 {
        self.0[self.0.len() / 2].as_secs_f64()
    }
}

impl Display for Times {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let (first, last) = (self.0[0].as_secs_f64(), self.0[self.0.len() - 1].as_secs_f64());
        write!(out, "{:.1} s ({first:.1} to {last:.1})", self.median())
    }
}

impl Display for Table {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        writeln!(out, "| scenario | completion | simulated | real | error |\n|---|---|---|---|---|")?;
        for row in &self.rows {
            let Row { scenario, number, simulated, real } = row;
            let error = row.error() * 100.0;
            writeln!(out, "| {scenario} | {number} | {simulated} | {real} | {error:+.1} % |")?;
        }
        let (median, most) = (self.median_error(), self.errors().pop().unwrap_or_default());
        writeln!(out, "\nThe median error is {:.1} %, the largest {:.1} %.", median * 100.0, most * 100.0)
    }
}
