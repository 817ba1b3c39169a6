//! `sim compare`: runs both variants of a scenario, or reads what was run before, and says what the difference does.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::Value;
use sim::compare::Comparison;
use sim::report::Verdict;
use sim::scenario::Plan;

use crate::args::CompareArgs;
use crate::command::{UNSAFE, say};
use crate::find;
use crate::progress::Progress;
use crate::sweep::{Ending, sweep};

/// Compares; the exit status is 0 unless an oracle of safety fired in a run.
pub(crate) fn compare(args: &CompareArgs) -> Result<u8> {
    let (comparison, status) = match &args.what[..] {
        [scenario] => run_both(scenario, args)?,
        [a, b] if args.sets.is_empty() => {
            (Comparison::of((a.as_str(), &results(a)?), (b.as_str(), &results(b)?))?, 0)
        }
        _ => bail!("name one scenario and what to --set, or two files of results"),
    };
    if args.json {
        say(&format!("{}\n", serde_json::to_string(&comparison)?))?;
    } else {
        say(&comparison.table())?;
    }
    Ok(status)
}

/// Each line of a file is a run, as `sim --json` writes it.
fn results(file: &str) -> Result<Vec<Value>> {
    let text = fs::read_to_string(Path::new(file)).with_context(|| format!("cannot read {file}"))?;
    let read = |(number, line): (usize, &str)| {
        serde_json::from_str(line)
            .with_context(|| format!("{file}:{}: no JSON object of `sim --json`", number + 1))
    };
    text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()).map(read).collect()
}

fn run_both(name: &str, args: &CompareArgs) -> Result<(Comparison, u8)> {
    if args.sets.is_empty() {
        bail!("what shall B change? For example: sim compare {name} --set torrent.picker=sequential");
    }
    let mut plans: Vec<Plan> = Vec::new();
    for sets in [args.both.clone(), [args.both.clone(), args.sets.clone()].concat()] {
        let (_, scenario) = find::load(name, &sets)?;
        plans.extend(args.seeds.clone().map(|seed| scenario.expand(seed)));
    }
    let (mut a, mut b, mut status, mut failure) = (Vec::new(), Vec::new(), 0, None);
    let progress = Progress::new();
    let runs = plans.len() / 2;
    sweep(
        &plans,
        usize::from(args.jobs),
        false,
        &progress,
        |_, ending| ending,
        |index, ending| {
            let side = if index < runs { &mut a } else { &mut b };
            match summary(ending) {
                Ok((summary, is_safe)) => {
                    side.push(summary);
                    status = if is_safe { status } else { UNSAFE };
                }
                Err(error) => failure = failure.take().or(Some(error)),
            }
        },
    );
    match failure {
        Some(error) => Err(error),
        None => Ok((Comparison::of(("as it is", &a), (&args.sets.join(", "), &b))?, status)),
    }
}

fn summary(ending: Ending) -> Result<(Value, bool)> {
    match ending {
        Ending::Done { record, wall, .. } => {
            let verdict = Verdict::of(*record);
            let is_safe = verdict.outcome.exit_status() != UNSAFE;
            Ok((serde_json::to_value(verdict.summary(wall.as_secs_f64()))?, is_safe))
        }
        Ending::Failed(error) => Err(error.into()),
        Ending::Panicked(message) => bail!("a run panicked: {message}"),
    }
}
