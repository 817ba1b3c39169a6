//! Progress on standard error: bars on a terminal, a line now and then elsewhere.

use std::io::IsTerminal;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use indicatif::{HumanDuration, MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

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
    sweep: Option<Sweep>,
}

/// How far a sweep is.
struct Sweep {
    bar: ProgressBar,
    started: Instant,
    /// Runs that are over, and the time of the last word about it in milliseconds.
    ended: AtomicU64,
    spoken: AtomicU64,
}

impl Progress {
    pub(crate) fn new() -> Self {
        let terminal = std::io::stderr().is_terminal();
        let target = if terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        Self { bars: MultiProgress::with_draw_target(target), terminal, sweep: None }
    }

    /// The progress of a sweep, if there is more than one run.
    pub(crate) fn of_runs(runs: usize) -> Self {
        let mut progress = Self::new();
        if runs > 1 {
            progress.count("{pos} of {len} runs  {wide_bar:.green/dim}  {msg}", runs);
        }
        progress
    }

    /// The progress of shrinking with so many runs at the most; it may need far fewer.
    pub(crate) fn of_shrinking(runs: usize) -> Self {
        let mut progress = Self::new();
        progress.count("{pos} runs of {len} at the most  {wide_bar:.green/dim}  {msg}", runs);
        progress
    }

    fn count(&mut self, style: &str, runs: usize) {
        let style = ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = ProgressBar::new(runs as u64).with_style(style.progress_chars("█▉▊▋▌▍▎▏░"));
        let bar = self.bars.add(bar);
        let (ended, spoken) = (AtomicU64::new(0), AtomicU64::new(0));
        self.sweep = Some(Sweep { bar, started: wall(), ended, spoken });
    }

    /// So many runs were made of so many, and this is what is left.
    pub(crate) fn ran(&self, [made, most]: [usize; 2], left: &str) {
        let Some(sweep) = &self.sweep else { return };
        let each = sweep.started.elapsed().as_secs_f64() / made.max(1) as f64;
        sweep.bar.set_length(most as u64);
        sweep.bar.set_position(made as u64);
        let message = format!("{left}; {each:.1} s a run");
        sweep.bar.set_message(message.clone());
        self.say_now_and_then(sweep, || format!("{made} runs of {most} at the most: {message}"));
    }

    /// Takes all bars away.
    pub(crate) fn clear(&self) {
        if let Some(sweep) = &self.sweep {
            sweep.bar.finish_and_clear();
        }
    }

    /// Where there is no terminal, a line is said now and then.
    fn say_now_and_then(&self, sweep: &Sweep, line: impl FnOnce() -> String) {
        let now = sweep.started.elapsed().as_millis() as u64;
        let last = sweep.spoken.load(Ordering::Relaxed);
        if !self.terminal && now.saturating_sub(last) >= BETWEEN_LINES.as_millis() as u64 {
            sweep.spoken.store(now, Ordering::Relaxed);
            eprintln!("{}", line());
        }
    }

    /// One more run is over; so many have failed by now.
    pub(crate) fn ended(&self, failed: usize) {
        let Some(sweep) = &self.sweep else { return };
        let ended = sweep.ended.fetch_add(1, Ordering::Relaxed) + 1;
        let (runs, passed) = (sweep.bar.length().unwrap_or_default(), sweep.started.elapsed());
        let left = passed.mul_f64(runs.saturating_sub(ended) as f64 / ended as f64);
        let left = HumanDuration(left);
        let message = format!("{failed} failed, about {left} left");
        sweep.bar.set_position(ended);
        sweep.bar.set_message(message.clone());
        if ended < runs {
            self.say_now_and_then(sweep, || format!("{ended} of {runs} runs: {message}"));
        }
    }

    /// The progress of one run.
    pub(crate) fn of(&self, label: String) -> RunProgress {
        let style = "{prefix:.bold}  {wide_bar:.cyan/dim}  {msg}";
        let style = ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = self.bars.add(ProgressBar::new(1).with_style(style.progress_chars("█▉▊▋▌▍▎▏░")));
        bar.set_prefix(label.clone());
        bar.set_message("preparing");
        let plain = !self.terminal && self.sweep.is_none();
        RunProgress { bar, label, started: wall(), spoken: Duration::ZERO, plain }
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
