//! `sim merge`: the results of a sweep's shards as one, and what came of the whole.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;

use crate::args::seeds;
use crate::command::{DIFFERENT, say, worse};
use crate::junit;
use crate::results::{Key, Run, read};

/// Failures and gaps that are listed; of more there is a number.
const MAX_TOLD: usize = 20;

/// Exit status: seeds are missing.
const INCOMPLETE: u8 = 2;

/// What to merge.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Exit status: that of the worst run; 5 if one run is there twice with different digests, 2 if a seed of \
                  --seeds is missing\n\nExample: sim merge shard-*.jsonl --into all.jsonl --seeds 1..1001"
)]
pub(crate) struct MergeArgs {
    /// Files that `sim --results` wrote
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Write all runs there, sorted, each once
    #[arg(long, value_name = "FILE")]
    into: Option<PathBuf>,
    #[arg(long, value_name = "FILE", help = "Write all runs there as JUnit XML")]
    junit: Option<PathBuf>,
    /// Every scenario must have been run with every seed from A up to, but not including, B
    #[arg(long, value_name = "A..B", value_parser = seeds)]
    seeds: Option<Range<u64>>,
}

/// Merges; the exit status is that of the whole sweep.
pub(crate) fn merge(args: &MergeArgs) -> Result<u8> {
    let mut runs: BTreeMap<Key, Run> = BTreeMap::new();
    let (mut status, mut clashes) = (0, Vec::new());
    for file in &args.files {
        for run in read(file)? {
            match runs.get(&run.key) {
                Some(other) if other.value["digest"] != run.value["digest"] => {
                    status = worse(status, DIFFERENT);
                    clashes.push(format!("{} has two digests, in {} and before it", run.key, file.display()));
                }
                Some(_) => {}
                None => {
                    runs.insert(run.key.clone(), run);
                }
            }
        }
    }
    let gaps = args.seeds.clone().map_or_else(Vec::new, |seeds| gaps(&runs, seeds));
    if let Some(into) = &args.into {
        let mut lines: Vec<_> = runs.values().map(|run| run.value.to_string()).collect();
        // The last line ends, too.
        lines.push(String::new());
        fs::write(into, lines.join("\n")).with_context(|| format!("cannot write {}", into.display()))?;
    }
    if let Some(path) = &args.junit {
        let runs: Vec<_> = runs.values().collect();
        fs::write(path, junit::document(&runs))
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    let failed: Vec<_> = runs.values().filter(|run| run.status != 0).collect();
    status = failed.iter().fold(status, |status, run| worse(status, run.status));
    let complaint = |run: &&Run| format!("FAIL  {}  {}", run.key, run.first_complaint());
    tell(&failed.iter().map(complaint).collect::<Vec<_>>())?;
    tell(&clashes)?;
    if !gaps.is_empty() {
        status = worse(status, INCOMPLETE);
        tell(&gaps.iter().map(|key| format!("missing  {key}")).collect::<Vec<_>>())?;
    }
    for (variant, runs) in by_variant(&runs) {
        say(&format!("{variant}: {}\n", sum(&runs)))?;
    }
    Ok(status)
}

/// Prints the first of `lines`, and how many more there are.
fn tell(lines: &[String]) -> Result<()> {
    let more = lines.len().saturating_sub(MAX_TOLD);
    for line in lines.iter().take(MAX_TOLD) {
        say(&format!("{line}\n"))?;
    }
    if more > 0 { say(&format!("      and {more} more\n")) } else { Ok(()) }
}

/// Runs of one scenario with the same settings.
fn by_variant(runs: &BTreeMap<Key, Run>) -> BTreeMap<String, Vec<&Run>> {
    let mut variants: BTreeMap<String, Vec<&Run>> = BTreeMap::new();
    for run in runs.values() {
        variants.entry(run.key.variant()).or_default().push(run);
    }
    variants
}

fn gaps(runs: &BTreeMap<Key, Run>, seeds: Range<u64>) -> Vec<Key> {
    let variants: BTreeMap<_, _> = runs.keys().map(|key| (key.variant(), key)).collect();
    let all = variants.into_values().flat_map(|key| seeds.clone().map(|seed| Key { seed, ..key.clone() }));
    all.filter(|key| !runs.contains_key(key)).collect()
}

/// What came of some runs, in one line.
pub(crate) fn sum(runs: &[&Run]) -> String {
    let passed = runs.iter().filter(|run| run.status == 0).count();
    let mut efficiencies: Vec<_> = runs.iter().filter_map(|run| run.value["efficiency"].as_f64()).collect();
    efficiencies.sort_by(f64::total_cmp);
    let at = |part: usize| efficiencies.get(efficiencies.len() * part / 2).or(efficiencies.last());
    let [least, median, most] = [0, 1, 2].map(|part| at(part).copied().unwrap_or(0.0));
    format!("{passed} of {} runs passed; efficiency {least:.3} to {most:.3}, median {median:.3}", runs.len())
}
