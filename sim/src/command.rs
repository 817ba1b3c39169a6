//! What the commands do.

use std::fmt::Write as _;
use std::fs;
use std::io::{ErrorKind, IsTerminal, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use sim::report::{Style, Verdict};
use sim::run::imagine;
use sim::scenario::{Plan, Scenario};

use crate::args::{RunArgs, Sets};
use crate::find;
use crate::progress::Progress;
use crate::sweep::{Ending, sweep};

/// Exit status: a safety oracle fired.
pub(crate) const UNSAFE: u8 = 3;
/// Exit status: two runs of one seed differ.
pub(crate) const DIFFERENT: u8 = 5;

/// Runs scenarios; returns the exit status of the worst run.
pub(crate) fn run(args: &RunArgs) -> Result<u8> {
    if args.scenarios.is_empty() {
        bail!("which scenario shall it be? {}", available());
    }
    let mut plans = Vec::new();
    let mut files = Vec::new();
    for name in &args.scenarios {
        let (path, scenario) = find::load(name, &args.sets.sets)?;
        let seed = args.seed.unwrap_or(scenario.seed);
        for seed in args.seeds.clone().unwrap_or(seed..seed.saturating_add(1)) {
            plans.push(scenario.expand(seed));
            files.push(path.clone());
        }
    }
    let progress = Progress::new();
    let mut printer = Printer {
        args,
        progress: &progress,
        several: plans.len() > 1,
        worst: 0,
        passed: 0,
        efficiencies: Vec::new(),
        error: None,
    };
    sweep(&plans, usize::from(args.jobs), args.twice, &progress, |index, ending| {
        if let (Some(plan), Some(file)) = (plans.get(index), files.get(index)) {
            printer.print(plan, file, ending);
        }
    });
    if args.seeds.is_some() && !args.json {
        say(&format!("{}\n", printer.summary(plans.len())))?;
    }
    match printer.error {
        Some(error) => Err(error),
        None => Ok(printer.worst),
    }
}

struct Printer<'a> {
    args: &'a RunArgs,
    progress: &'a Progress,
    several: bool,
    worst: u8,
    passed: usize,
    efficiencies: Vec<f64>,
    error: Option<anyhow::Error>,
}

impl Printer<'_> {
    fn print(&mut self, plan: &Plan, file: &Path, ending: Ending) {
        let replay = replay(file, plan, self.args);
        let (status, outcome) = match ending {
            Ending::Done { record, wall, other } => {
                let verdict = Verdict::of(*record);
                let verdict = if self.args.strict { verdict.strictly() } else { verdict };
                let status = if other.is_some() { DIFFERENT } else { verdict.outcome.exit_status() };
                self.efficiencies.push(verdict.efficiency);
                self.passed += usize::from(status == 0);
                (status, self.report(&verdict, wall, other.as_deref(), &replay, status))
            }
            Ending::Failed(error) => (2, Err(error.into())),
            Ending::Panicked(message) => {
                self.progress.suspend(|| {
                    eprintln!("{} seed {} panicked: {message}\nreplay: {replay}", plan.name, plan.seed);
                });
                (UNSAFE, Ok(()))
            }
        };
        self.worst = worse(self.worst, status);
        self.error = self.error.take().or(outcome.err());
    }

    /// The last line of a sweep.
    fn summary(&mut self, runs: usize) -> String {
        self.efficiencies.sort_by(f64::total_cmp);
        let at = |part: usize| {
            self.efficiencies.get(self.efficiencies.len() * part / 2).or(self.efficiencies.last())
        };
        let [least, median, most] = [0, 1, 2].map(|part| at(part).copied().unwrap_or(0.0));
        let passed = self.passed;
        format!("{passed} of {runs} runs passed; efficiency {least:.3} to {most:.3}, median {median:.3}")
    }

    fn report(
        &self,
        verdict: &Verdict,
        wall: Duration,
        other: Option<&str>,
        replay: &str,
        status: u8,
    ) -> Result<()> {
        let summary = serde_json::to_string(&verdict.summary(wall.as_secs_f64()))?;
        let text = match (self.args.json, &self.args.seeds) {
            (true, _) => format!("{summary}\n"),
            (false, Some(_)) => line(verdict),
            (false, None) => self.table(verdict, wall),
        };
        let mut failure = String::new();
        if let Some(other) = other {
            let _ = writeln!(failure, "two runs of one seed differ: {} and {other}", verdict.record.digest);
        }
        if status != 0 {
            let _ = writeln!(failure, "replay: {replay}");
        }
        let mut written = Ok(());
        self.progress.suspend(|| {
            written = say(&text);
            eprint!("{failure}");
        });
        written?;
        match &self.args.out {
            Some(folder) => self.write_out(folder, verdict, &summary),
            None => Ok(()),
        }
    }

    fn table(&self, verdict: &Verdict, wall: Duration) -> String {
        let style = style();
        let speed = verdict.record.end.as_secs_f64() / wall.as_secs_f64().max(1e-3);
        let seconds = wall.as_secs_f64();
        let pace = format!("  {seconds:.1} s of wall time, {speed:.1} simulated seconds in each");
        let gap = if self.several { "\n" } else { "" };
        format!("{}{}\n{gap}", verdict.table(style), style.faint(&pace))
    }

    fn write_out(&self, folder: &Path, verdict: &Verdict, summary: &str) -> Result<()> {
        let plan = &verdict.record.plan;
        let own = format!("{}-{}", plan.name, plan.seed);
        let folder = if self.several { folder.join(own) } else { folder.to_owned() };
        let write = |name: &str, text: &str| {
            let path = folder.join(name);
            fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
        };
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        write("expanded.toml", &plan.to_toml())?;
        write("summary.json", &format!("{summary}\n"))
    }
}

/// One line for a run of a sweep, and what is wrong with it.
fn line(verdict: &Verdict) -> String {
    let complaints = verdict.complaints().into_iter().map(|complaint| format!("      {complaint}\n"));
    std::iter::once(format!("{}\n", verdict.line(style()))).chain(complaints).collect()
}

/// Colours on terminals, unless the user asks for none (no-color.org).
fn style() -> Style {
    let coloured = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    if coloured { Style::Coloured } else { Style::Plain }
}

/// The worse of two exit statuses: safety before determinism before liveness before expectations.
fn worse(a: u8, b: u8) -> u8 {
    const ORDER: [u8; 6] = [UNSAFE, DIFFERENT, 4, 2, 1, 0];
    let rank = |status| ORDER.iter().position(|&other| other == status);
    if rank(b) < rank(a) { b } else { a }
}

/// The one command that runs this again.
fn replay(file: &Path, plan: &Plan, args: &RunArgs) -> String {
    let program = std::env::args().next().unwrap_or_else(|| "sim".to_owned());
    let mut command =
        format!("{} {} --seed {}", quoted(&program), quoted(&file.to_string_lossy()), plan.seed);
    for set in &args.sets.sets {
        let _ = write!(command, " --set {}", quoted(set));
    }
    if args.strict {
        command.push_str(" --strict");
    }
    command
}

/// `word` as a shell reads it back.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,".contains(c);
    if word.chars().all(plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', "'\\''")) }
}

/// Writes to standard output. Whoever has closed it wants no more, which is no failure.
pub(crate) fn say(text: &str) -> Result<()> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error).context("cannot write the output"),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Reads scenarios and says what they would run.
pub(crate) fn check(names: &[String], sets: &Sets) -> Result<u8> {
    for name in names {
        let (path, scenario) = find::load(name, &sets.sets)?;
        say(&format!("{}: {}\n", path.display(), describe(&scenario)))?;
    }
    Ok(0)
}

fn describe(scenario: &Scenario) -> String {
    let plan = scenario.expand(scenario.seed);
    let imagined = imagine(&plan, plan.run.time_limit);
    let leechers = plan.leechers().count();
    let (seeders, faults) = (plan.peers.len() - leechers, plan.faults.len());
    let bound = imagined.swarm().bound();
    let bound = bound.map_or_else(String::new, |bound| {
        format!("; at least {:.1} s, set by {}", bound.seconds, bound.term)
    });
    let counts = [
        (seeders, "seeder"),
        (leechers, "leecher"),
        (imagined.piece_count() as usize, "piece"),
        (faults, "fault"),
    ];
    let counted =
        |(count, what): (usize, &str)| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    format!("fine; {}{bound}", counts.map(counted).join(", "))
}

/// Lists the scenarios of a folder.
pub(crate) fn list(folder: &Path) -> Result<u8> {
    let files = find::in_folder(folder)?;
    let width = files.iter().map(|path| stem(path).chars().count()).max().unwrap_or(0);
    for path in &files {
        let claim = match find::load(&path.to_string_lossy(), &[]) {
            Ok((_, scenario)) if scenario.run.long => format!("(long) {}", scenario.claim),
            Ok((_, scenario)) => scenario.claim,
            Err(error) => format!("refused: {}", error.to_string().lines().next().unwrap_or_default()),
        };
        say(&format!("{:<width$}  {claim}\n", stem(path)))?;
    }
    Ok(0)
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// What could have been named.
fn available() -> String {
    let files: Vec<PathBuf> = find::in_folder(Path::new("scenarios")).unwrap_or_default();
    match files.first() {
        Some(first) => {
            let names: Vec<_> = files.iter().map(|path| stem(path)).collect();
            format!("For example: sim {}\n(known: {})", first.display(), names.join(", "))
        }
        None => "Name a file: sim PATH/TO/SCENARIO.toml".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_run_decides() {
        assert_eq!([0, 1, 4, 5, 3].into_iter().fold(0, worse), 3);
        assert_eq!([1, 5, 0].into_iter().fold(0, worse), 5);
        assert_eq!([1, 0, 4].into_iter().fold(0, worse), 4);
    }

    #[test]
    fn words_survive_the_shell() {
        assert_eq!(quoted("scenarios/a-1.toml"), "scenarios/a-1.toml");
        assert_eq!(quoted("torrent.size=4 MiB"), "'torrent.size=4 MiB'");
        assert_eq!(quoted("it's"), "'it'\\''s'");
    }
}
