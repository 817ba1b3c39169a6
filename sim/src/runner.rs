//! `sim run`: one scenario or a sweep over seeds, its output and its exit status.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use sim::report::Verdict;
use sim::run::Watching;
use sim::scenario::{Plan, Scenario};

use crate::args::{RunArgs, Shard};
use crate::command::{DIFFERENT, UNSAFE, available, program, quoted, say, style, worse};
use crate::find;
use crate::junit;
use crate::merge::sum;
use crate::onlookers::{self, Onlookers};
use crate::progress::Progress;
use crate::results::{Key, Results, Run};
use crate::sweep::{Ending, Runs, sweep};

/// Failures of a sweep that are told at once: the first few tell as much as all.
const MAX_AT_ONCE: usize = 20;

/// Scenarios and seeds.
struct Work {
    runs: Vec<(Arc<Variant>, u64)>,
    /// Where files go, if any are wanted, and whose packets are.
    out: Option<PathBuf>,
    captured: Vec<String>,
    /// Who looks on at each run that is under way and leaves files behind.
    onlookers: Mutex<BTreeMap<usize, Onlookers>>,
}

/// A scenario with what was set.
struct Variant {
    file: PathBuf,
    scenario: Scenario,
}

impl Work {
    /// All that is asked for, as far as it is this shard's and was not done before.
    fn of(args: &RunArgs, done: &BTreeSet<Key>) -> Result<Self> {
        let mut all = Vec::new();
        for name in &args.scenarios {
            let (file, scenario) = find::load(name, &args.sets.sets)?;
            let seed = args.seed.unwrap_or(scenario.seed);
            onlookers::check(&scenario.expand(seed), &args.captured)?;
            let variant = Arc::new(Variant { file, scenario });
            let seeds = args.seeds.clone().unwrap_or(seed..seed.saturating_add(1));
            all.extend(seeds.map(|seed| (Arc::clone(&variant), seed)));
        }
        let Shard { index, of } = args.shard.unwrap_or_default();
        let own = all.into_iter().skip(index as usize - 1).step_by(of as usize);
        let is_new = |(variant, seed): &(Arc<Variant>, u64)| !done.contains(&key(variant, *seed, args));
        let (out, captured) = (args.out.clone(), args.captured.clone());
        Ok(Self { runs: own.filter(is_new).collect(), out, captured, onlookers: Mutex::default() })
    }

    /// The folder of one run, if it leaves files behind.
    fn folder(&self, plan: &Plan) -> Option<PathBuf> {
        let own = |out: &PathBuf| match self.runs.len() {
            1 => out.clone(),
            _ => out.join(format!("{}-{}", plan.name, plan.seed)),
        };
        self.out.as_ref().map(own)
    }
}

fn key(variant: &Variant, seed: u64, args: &RunArgs) -> Key {
    Key { scenario: variant.scenario.name.clone(), set: args.sets.sets.clone(), seed }
}

impl Runs for Work {
    fn count(&self) -> usize {
        self.runs.len()
    }

    fn plan(&self, index: usize) -> (Plan, Watching) {
        // `sweep` asks for those that are there.
        #[expect(clippy::indexing_slicing, reason = "see above")]
        let (variant, seed) = &self.runs[index];
        let plan = variant.scenario.expand(*seed);
        let Some(folder) = self.folder(&plan) else { return (plan, Watching::default()) };
        let onlookers = Onlookers::of(&plan, &self.captured, &folder);
        let watching = onlookers.watching();
        self.onlookers.lock().unwrap_or_else(PoisonError::into_inner).insert(index, onlookers);
        (plan, watching)
    }
}

/// Runs scenarios; returns the exit status of the worst run, those of an earlier attempt included.
pub(crate) fn run(args: &RunArgs) -> Result<u8> {
    if args.scenarios.is_empty() {
        bail!("which scenario shall it be? {}", available());
    }
    let (results, before) = match &args.results {
        None => (None, Vec::new()),
        Some(path) => Results::open(path).map(|(results, runs)| (Some(results), runs))?,
    };
    let done: BTreeSet<_> = before.iter().map(|run| run.key.clone()).collect();
    let asked = Work::of(args, &BTreeSet::new())?.runs.into_iter();
    let asked: BTreeSet<_> = asked.map(|(variant, seed)| key(&variant, seed, args)).collect();
    let before: Vec<_> = before.into_iter().filter(|run| asked.contains(&run.key)).collect();
    let work = Work::of(args, &done)?;
    if !before.is_empty() {
        eprintln!("{} of {} runs were done before", before.len(), asked.len());
    }
    let progress = Progress::of_runs(work.count());
    let printer = Printer {
        args,
        work: &work,
        progress: &progress,
        several: work.count() > 1,
        worst: before.iter().fold(0, |worst, run| worse(worst, run.status)),
        failed: 0,
        runs: before,
        results,
        error: None,
    };
    let printer = std::cell::RefCell::new(printer);
    sweep(
        &work,
        usize::from(args.jobs),
        args.twice,
        &progress,
        |index, ending| printer.borrow_mut().arrived(index, ending),
        |_, told| printer.borrow_mut().print(told),
    );
    let printer = printer.into_inner();
    let runs: Vec<_> = printer.runs.iter().collect();
    if let Some(path) = &args.junit {
        fs::write(path, junit::document(&runs))
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    if args.seeds.is_some() && !args.json {
        say(&format!("{}\n", sum(&runs)))?;
    }
    match printer.error {
        Some(error) => Err(error),
        None => Ok(printer.worst),
    }
}

struct Printer<'a> {
    args: &'a RunArgs,
    work: &'a Work,
    progress: &'a Progress,
    several: bool,
    worst: u8,
    failed: usize,
    /// Every run with a result.
    runs: Vec<Run>,
    results: Option<Results>,
    error: Option<anyhow::Error>,
}

/// What a run has to say when it is its turn.
struct Told {
    out: String,
    err: String,
}

impl Printer<'_> {
    /// A run is over: its result is written down, and what failed is told at once.
    fn arrived(&mut self, index: usize, ending: Ending) -> Option<Told> {
        // The index comes from the work.
        let (variant, seed) = self.work.runs.get(index)?;
        let replay = replay(&variant.file, *seed, self.args);
        let name = &variant.scenario.name;
        let (run, told) = match ending {
            Ending::Done { record, wall, other } => match self.judge(index, *record, wall, other, &replay) {
                Ok((run, told)) => (run, Some(told)),
                Err(error) => {
                    self.error.get_or_insert(error);
                    return None;
                }
            },
            Ending::Failed(error) => {
                self.error.get_or_insert_with(|| error.into());
                return None;
            }
            Ending::Panicked(message) => {
                let told = format!("{name} seed {seed} panicked: {message}\nreplay: {replay}\n");
                let what = format!("panicked: {message}");
                let run = Run::failed(name, *seed, &self.args.sets.sets, UNSAFE, &what);
                (run, (!self.several).then_some(Told { out: String::new(), err: told }))
            }
        };
        let run = run?;
        self.worst = worse(self.worst, run.status);
        self.failed += usize::from(run.status != 0);
        let error = self.results.as_mut().and_then(|results| results.append(&run).err());
        self.error = self.error.take().or(error);
        if run.status != 0 && self.several && self.failed <= MAX_AT_ONCE {
            let complaint = run.first_complaint();
            self.progress
                .suspend(|| eprintln!("FAIL  {name} seed {seed}: {complaint}\n      replay: {replay}"));
        }
        self.runs.push(run);
        self.progress.ended(self.failed);
        told
    }

    fn judge(
        &self,
        index: usize,
        record: sim::record::Record,
        wall: Duration,
        other: Option<String>,
        replay: &str,
    ) -> Result<(Option<Run>, Told)> {
        let verdict = Verdict::of(record);
        let verdict = if self.args.strict { verdict.strictly() } else { verdict };
        let status = if other.is_some() { DIFFERENT } else { verdict.outcome.exit_status() };
        let value = serde_json::to_value(verdict.summary(wall.as_secs_f64()))?;
        let summary = serde_json::to_string(&verdict.summary(wall.as_secs_f64()))?;
        let out = match (self.args.json, &self.args.seeds) {
            (true, _) => format!("{summary}\n"),
            (false, Some(_)) => line(&verdict),
            (false, None) => self.table(&verdict, wall),
        };
        let mut err = String::new();
        if let Some(other) = other {
            let _ = writeln!(err, "two runs of one seed differ: {} and {other}", verdict.record.digest);
        }
        if status != 0 && !self.several {
            let _ = writeln!(err, "replay: {replay}");
        }
        if let Some(folder) = self.work.folder(&verdict.record.plan) {
            write_out(&folder, &verdict.record.plan, &summary)?;
            self.write_page(&folder, index, &verdict, wall)?;
        }
        Ok((Run::of(value, &self.args.sets.sets, status), Told { out, err }))
    }

    /// It is this run's turn.
    fn print(&mut self, told: Option<Told>) {
        let Some(Told { out, err }) = told else { return };
        let mut written = Ok(());
        self.progress.suspend(|| {
            written = say(&out);
            eprint!("{err}");
        });
        self.error = self.error.take().or(written.err());
    }

    fn table(&self, verdict: &Verdict, wall: Duration) -> String {
        let style = style();
        let speed = verdict.record.end.as_secs_f64() / wall.as_secs_f64().max(1e-3);
        let seconds = wall.as_secs_f64();
        let pace = format!("  {seconds:.1} s of wall time, {speed:.1} simulated seconds in each");
        let gap = if self.several { "\n" } else { "" };
        format!("{}{}\n{gap}", verdict.table(style), style.faint(&pace))
    }

    fn write_page(&self, folder: &Path, index: usize, verdict: &Verdict, wall: Duration) -> Result<()> {
        let taken = self.work.onlookers.lock().unwrap_or_else(PoisonError::into_inner).remove(&index);
        let Some(onlookers) = taken else { return Ok(()) };
        let chronicle = onlookers.end()?;
        let chronicle = chronicle.lock().unwrap_or_else(PoisonError::into_inner);
        let path = folder.join("report.html");
        let page = verdict.page(&chronicle, wall.as_secs_f64())?;
        fs::write(&path, page).with_context(|| format!("cannot write {}", path.display()))
    }
}

fn write_out(folder: &Path, plan: &Plan, summary: &str) -> Result<()> {
    let write = |name: &str, text: &str| {
        let path = folder.join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    };
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    write("expanded.toml", &plan.to_toml())?;
    write("summary.json", &format!("{summary}\n"))
}

/// One line for a run of a sweep, and what is wrong with it.
fn line(verdict: &Verdict) -> String {
    let complaints = verdict.complaints().into_iter().map(|complaint| format!("      {complaint}\n"));
    std::iter::once(format!("{}\n", verdict.line(style()))).chain(complaints).collect()
}

/// The one command that runs this again.
fn replay(file: &Path, seed: u64, args: &RunArgs) -> String {
    let mut command = format!("{} {} --seed {seed}", program(), quoted(&file.to_string_lossy()));
    for set in &args.sets.sets {
        let _ = write!(command, " --set {}", quoted(set));
    }
    if args.strict {
        command.push_str(" --strict");
    }
    command
}
