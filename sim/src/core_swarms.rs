//! `sim core`: random small swarms of the pure machines, by seeds.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use clap::Args;
use serde_json::json;

use sim::core::{self, Outcome, Plan, Shrunk};
use sim::defect::Tampered;
use sim::shrink::Failure;

use crate::args::{Shard, seeds, shard};
use crate::command::{program, quoted, say, worse};
use crate::progress::{Progress, wall};
use crate::results::{Key, Results, Run};
use crate::sweep::in_parallel;

/// What runs are called in results, where scenarios have their names.
const NAME: &str = "core";

/// Failures that are shrunk and told with all that led to them; of more the seed is told, and then their number.
const TOLD_IN_FULL: usize = 2;

/// Failures of which the seed is told.
const TOLD: usize = 20;

/// What to run.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Exit status: 0 all is well · 2 bad usage or plan · 3 a safety oracle fired · 4 somebody who could have \
                        completed did not\n\nExample: sim core --seeds 1..10001 --jobs 2"
)]
pub(crate) struct CoreArgs {
    /// A plan, as a failure prints it, in place of seeds
    #[arg(value_name = "PLAN", conflicts_with_all = ["seed", "seeds"])]
    plan: Option<PathBuf>,
    /// Run the swarm of this seed alone
    #[arg(long, value_name = "N", conflicts_with = "seeds")]
    seed: Option<u64>,
    /// Run every seed from A up to, but not including, B
    #[arg(long, value_name = "A..B", value_parser = seeds, default_value = "1..1001")]
    seeds: Range<u64>,
    /// Run so many at the same time, one thread each
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: u16,
    /// Of all seeds only every Nth, from the Ith on: the shards 1/N to N/N are the whole
    #[arg(long, value_name = "I/N", value_parser = shard)]
    shard: Option<Shard>,
    /// Append a JSON object for each run to this file, at once; runs that are in it already are left out
    #[arg(long, value_name = "FILE")]
    results: Option<PathBuf>,
    /// Write one JSON object per run to standard output, and nothing else
    #[arg(long)]
    json: bool,
    /// Runs for making a failing swarm smaller, at the most; 0 leaves it as it was drawn
    #[arg(long, value_name = "N", default_value_t = 400)]
    shrink: usize,
    /// Events that are printed of a failure, up to its end
    #[arg(long, value_name = "N", default_value_t = 40)]
    last: usize,
}

/// Runs them; the exit status is that of the worst.
pub(crate) fn run(args: &CoreArgs) -> Result<u8> {
    if let Some(path) = &args.plan {
        let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let plan = Plan::parse(&text).map_err(|error| anyhow!("{}: {error}", path.display()))?;
        return alone(args, &plan, &quoted(&path.to_string_lossy()));
    }
    match args.seed {
        Some(seed) => alone(args, &Plan::draw(seed), &format!("--seed {seed}")),
        None => sweep(args),
    }
}

/// One run, told in full.
fn alone(args: &CoreArgs, plan: &Plan, name: &str) -> Result<u8> {
    let started = wall();
    let outcome = core::run(plan, &Tampered::nobody(), args.last)?;
    if args.json {
        say(&format!("{}\n", summary(plan, &outcome, started.elapsed())))?;
    } else {
        say(&format!("{}\n", line(plan, &outcome)))?;
    }
    if !outcome.violations.is_empty() {
        eprint!("{}", explain(args, plan, &outcome, name)?);
    }
    Ok(outcome.exit_status())
}

fn line(plan: &Plan, outcome: &Outcome) -> String {
    let Outcome { completed, leechers, messages, end, digest, .. } = outcome;
    let (peers, pieces, seconds) = (plan.peers.len(), plan.pieces(), end.as_secs_f64());
    format!(
        "seed {}: {peers} peers, {pieces} pieces, {} faults; {completed} of {leechers} complete, {messages} messages in \
         {seconds:.1} s; digest {digest}",
        plan.seed,
        plan.faults.len()
    )
}

fn summary(plan: &Plan, outcome: &Outcome, wall: Duration) -> serde_json::Value {
    let violations: Vec<_> = outcome.violations.iter().map(ToString::to_string).collect();
    json!({
        "scenario": NAME, "seed": plan.seed, "digest": outcome.digest, "violations": violations,
        "peers": plan.peers.len(), "pieces": plan.pieces(), "faults": plan.faults.len(),
        "completed": outcome.completed, "leechers": outcome.leechers, "messages": outcome.messages,
        "seconds": outcome.end.as_secs_f64(), "wall_seconds": wall.as_secs_f64(),
    })
}

fn sweep(args: &CoreArgs) -> Result<u8> {
    let Shard { index, of } = args.shard.unwrap_or_default();
    let own: BTreeSet<_> = args.seeds.clone().skip(index as usize - 1).step_by(of as usize).collect();
    let (mut results, before) = match &args.results {
        None => (None, Vec::new()),
        Some(path) => Results::open(path).map(|(results, runs)| (Some(results), runs))?,
    };
    let is_own = |key: &Key| key.scenario == NAME && own.contains(&key.seed);
    let before: Vec<_> = before.into_iter().filter(|run| is_own(&run.key)).collect();
    let done: BTreeSet<_> = before.iter().map(|run| run.key.seed).collect();
    if !done.is_empty() {
        eprintln!("{} of {} runs were done before", done.len(), own.len());
    }
    let left: Vec<_> = own.difference(&done).copied().collect();
    let mut status = before.iter().fold(0, |worst, run| worse(worst, run.status));
    let mut failed = before.iter().filter(|run| run.status != 0).count();
    let progress = Progress::of_runs(left.len());
    let (started, mut error) = (wall(), None);
    let work = |index: usize| {
        let plan = Plan::draw(left.get(index).copied().unwrap_or_default());
        let started = wall();
        let outcome = core::run(&plan, &Tampered::nobody(), 0);
        (plan, outcome, started.elapsed())
    };
    let arrived = |_, (plan, outcome, took): (Plan, Result<Outcome, _>, Duration)| -> Result<String> {
        let outcome = outcome?;
        let own_status = outcome.exit_status();
        status = worse(status, own_status);
        failed += usize::from(own_status != 0);
        let value = summary(&plan, &outcome, took);
        if let (Some(results), Some(run)) = (&mut results, Run::of(value.clone(), &[], own_status)) {
            results.append(&run)?;
        }
        if own_status != 0 && failed <= TOLD {
            let name = format!("--seed {}", plan.seed);
            let told = if failed <= TOLD_IN_FULL {
                explain(args, &plan, &outcome, &name)?
            } else {
                brief(&outcome, &name)
            };
            progress.suspend(|| eprint!("{told}"));
        }
        progress.ended(failed);
        Ok(if args.json { format!("{value}\n") } else { String::new() })
    };
    let each = |_, told: Result<String>| {
        let said = told.and_then(|told| say(&told));
        error = error.take().or(said.err());
    };
    in_parallel(left.len(), usize::from(args.jobs), work, arrived, each);
    if let Some(error) = error {
        return Err(error);
    }
    if !args.json {
        let (passed, seconds) = (own.len() - failed, started.elapsed().as_secs_f64());
        say(&format!(
            "{passed} of {} swarms are well; {} were run in {seconds:.1} s\n",
            own.len(),
            left.len()
        ))?;
    }
    Ok(status)
}

/// What failed, and how to see it again.
fn brief(outcome: &Outcome, name: &str) -> String {
    let mut out = String::new();
    for violation in &outcome.violations {
        let _ = writeln!(out, "FAIL  {name}  {violation}");
    }
    let _ = writeln!(out, "      replay: {} core {name}", program());
    out
}

/// The same with the plan, made as small as it can be, and what happened last in it.
fn explain(args: &CoreArgs, plan: &Plan, outcome: &Outcome, name: &str) -> Result<String> {
    let mut out = brief(outcome, name);
    let _ = writeln!(out, "\n# What was drawn\n{}", plan.to_toml());
    let shrunk = shrink(args, plan);
    let plan = shrunk.as_ref().map_or(plan, |shrunk| &shrunk.plan);
    if let Some(Shrunk { plan, failure, runs }) = &shrunk {
        let what = format!("# What is left of it after {runs} runs and still fails: {}", failure.name());
        let _ = writeln!(out, "{what}\n# Written to a file, `sim core FILE` runs it.\n{}", plan.to_toml());
    }
    let last = core::run(plan, &Tampered::nobody(), args.last)?;
    let _ = writeln!(out, "# What happened last in that");
    for entry in &last.last {
        let _ = writeln!(out, "{entry}");
    }
    for violation in &last.violations {
        let _ = writeln!(out, "{violation}");
    }
    Ok(out)
}

fn shrink(args: &CoreArgs, plan: &Plan) -> Option<Shrunk> {
    if args.shrink == 0 {
        return None;
    }
    // A machine that panics does so in every run, and has said so.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| ()));
    let mut judge = |plan: &Plan| {
        let outcome = core::run(plan, &Tampered::nobody(), 0).ok()?;
        Failure::of_violations(&outcome.violations)
    };
    let shrunk = core::shrink(plan, args.shrink, &mut judge);
    std::panic::set_hook(hook);
    shrunk
}
