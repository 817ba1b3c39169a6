//! `sim shrink`: a failing scenario made small, as a file of its own.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;

use sim::report::Verdict;
use sim::run::run;
use sim::scenario::Plan;
use sim::shrink::{Failure, Shrunk, Step, shrink};

use crate::args::Sets;
use crate::command::say;
use crate::find;
use crate::progress::Progress;

/// What to shrink.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Exit status: 0 a smaller scenario that fails in the same way was written · 2 bad usage, or nothing \
                        fails\n\nExample: sim shrink churn --seed 17 --into churn-17.toml"
)]
pub(crate) struct ShrinkArgs {
    /// Scenario file, or the name of a file in scenarios/
    #[arg(value_name = "SCENARIO")]
    scenario: String,
    /// Draw from this seed [default: the scenario's, or 1]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    #[command(flatten)]
    sets: Sets,
    /// Write the small scenario there [default: standard output]
    #[arg(long, value_name = "FILE")]
    into: Option<PathBuf>,
    /// Runs at the most
    #[arg(long, value_name = "N", default_value_t = 500)]
    runs: usize,
}

/// Shrinks, and says what is left.
pub(crate) fn print(args: &ShrinkArgs) -> Result<u8> {
    let (_, scenario) = find::load(&args.scenario, &args.sets.sets)?;
    let plan = scenario.expand(args.seed.unwrap_or(scenario.seed));
    let mut error = None;
    let mut judge = |plan: &Plan| match run(plan, &mut |_| ()) {
        Ok(record) => {
            let verdict = Verdict::of(record);
            Failure::of(&verdict).map(|failure| (failure, verdict.record.plan))
        }
        Err(other) => {
            error.get_or_insert(other);
            None
        }
    };
    eprintln!("at first: {}", size(&plan));
    let progress = Progress::of_shrinking(args.runs);
    let mut tell = |step: Step<'_>| {
        progress.ran(step.runs, &size(step.plan));
        if let Some(what) = step.done {
            progress.suspend(|| eprintln!("run {}: {what}: {}", step.runs[0], size(step.plan)));
        }
    };
    let shrunk = shrink(&plan, args.runs, &mut judge, &mut tell);
    progress.clear();
    if let Some(error) = error {
        return Err(error.into());
    }
    let Some(shrunk) = shrunk else {
        bail!("{} with seed {} passes: there is nothing to shrink", plan.name, plan.seed);
    };
    match &args.into {
        Some(path) => fs::write(path, shrunk.plan.to_toml())
            .with_context(|| format!("cannot write {}", path.display()))?,
        None => say(&shrunk.plan.to_toml())?,
    }
    eprint!("{}", conclusion(&shrunk));
    Ok(0)
}

fn size(plan: &Plan) -> String {
    let pieces = plan.torrent.size.div_ceil(u64::from(plan.torrent.piece_length));
    let faults = plan.faults.len() + plan.net_faults.len();
    let counts = [(plan.peers.len() as u64, "peer"), (faults as u64, "fault"), (pieces, "piece")];
    let counted = |(count, what)| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    format!("{}, {}", counts.map(counted).join(", "), settings::quantity::duration_text(plan.run.time_limit))
}

fn conclusion(shrunk: &Shrunk) -> String {
    let mut out = format!("still fails: {}; {}\n", shrunk.failure.name(), size(&shrunk.plan));
    for (fault, is_necessary) in &shrunk.faults {
        let word = if *is_necessary { "necessary" } else { "not needed by itself" };
        let _ = writeln!(out, "  {word}: {}", fault.text(&shrunk.plan));
    }
    if !shrunk.is_minimal {
        out.push_str("the runs were used up before everything was tried: --runs allows more\n");
    }
    out
}
