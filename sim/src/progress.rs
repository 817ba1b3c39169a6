//! Progress on standard error: bars on a terminal, a line now and then elsewhere.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use sim::run::Glimpse;

/// Wall time between two lines where there is no terminal.
const BETWEEN_LINES: Duration = Duration::from_secs(10);

/// Wall time; simulated time never depends on it.
#[expect(clippy::disallowed_methods, reason = "how fast the simulation runs is about the real clock")]
pub(crate) fn wall() -> Instant {
    Instant::now()
}

/// The progress of all runs of a command.
pub(crate) struct Progress {
    bars: MultiProgress,
    terminal: bool,
}

impl Progress {
    pub(crate) fn new() -> Self {
        let terminal = std::io::stderr().is_terminal();
        let target = if terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        Self { bars: MultiProgress::with_draw_target(target), terminal }
    }

    /// The progress of one run.
    pub(crate) fn of(&self, label: String) -> RunProgress {
        let style = "{prefix:.bold}  {wide_bar:.cyan/dim}  {msg}";
        let style = ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = self.bars.add(ProgressBar::new(1).with_style(style.progress_chars("█▉▊▋▌▍▎▏░")));
        bar.set_prefix(label.clone());
        bar.set_message("preparing");
        RunProgress { bar, label, started: wall(), spoken: Duration::ZERO, plain: !self.terminal }
    }

    /// Runs `print` with the bars out of the way.
    pub(crate) fn suspend(&self, print: impl FnOnce()) {
        self.bars.suspend(print);
    }
}

/// The progress of one run.
pub(crate) struct RunProgress {
    bar: ProgressBar,
    label: String,
    started: Instant,
    spoken: Duration,
    plain: bool,
}

impl RunProgress {
    /// Shows how far the run is.
    pub(crate) fn show(&mut self, glimpse: Glimpse) {
        let wall = self.started.elapsed();
        let simulated = glimpse.now.as_secs_f64();
        let speed = simulated / wall.as_secs_f64().max(1e-3);
        let Glimpse { completed, leechers, .. } = glimpse;
        let message = format!("{simulated:.0} s, {completed} of {leechers} complete, {speed:.1} x real time");
        if self.plain {
            if wall.saturating_sub(self.spoken) >= BETWEEN_LINES {
                self.spoken = wall;
                eprintln!("{}: {message}", self.label);
            }
            return;
        }
        self.bar.set_length(glimpse.all_pieces);
        self.bar.set_position(glimpse.pieces);
        self.bar.set_message(message);
    }

    /// Takes the bar away.
    pub(crate) fn finish(self) {
        self.bar.finish_and_clear();
    }
}
