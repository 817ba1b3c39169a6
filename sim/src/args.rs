//! The command line, as clap sees it.

use std::ops::Range;
use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand};

use crate::core_swarms::CoreArgs;
use crate::differ::DiffArgs;
use crate::merge::MergeArgs;
use crate::shrinker::ShrinkArgs;
use crate::tracer::TraceArgs;

/// Runs one or more scenarios of the real tracker and the real peers in an emulated network.
///
/// The same scenario and the same seed give the same digest, on any machine.
#[derive(Debug, Parser)]
#[command(
    name = "sim",
    version,
    args_conflicts_with_subcommands = true,
    max_term_width = 100,
    after_help = "Exit status: 0 all expectations met · 1 an expectation missed (or vacuous, with --strict) · 2 bad usage or scenario ·\n\
                  3 a safety oracle fired · 4 somebody who could have completed did not · 5 two runs differ\n\n\
                  Example: sim scenarios/flash_crowd.toml --set peers.leecher.count=20"
)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) run: RunArgs,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run scenarios (the same as without a command)
    Run(RunArgs),
    /// Run a scenario as it is and with something changed, over several seeds, and say what the change does
    Compare(CompareArgs),
    /// Join the results of a sweep's shards, and say what came of the whole
    Merge(MergeArgs),
    /// Say where two runs part: the first second, and the first event in it that only one of them has
    Diff(DiffArgs),
    /// Run random small swarms of the pure machines in memory, thousands a minute
    Core(CoreArgs),
    /// Make a failing scenario as small as it can be and still fail in the same way
    Shrink(ShrinkArgs),
    /// Print what happens in a run, one line an event
    Trace(TraceArgs),
    /// Read scenarios and say what they would run, without running them
    #[command(
        after_help = "Exit status: 0 all of them can be run · 2 the first that cannot is shown with its line"
    )]
    Check {
        /// Scenario files, or names of files in scenarios/
        #[arg(value_name = "SCENARIO", required = true)]
        scenarios: Vec<String>,
        #[command(flatten)]
        sets: Sets,
    },
    /// Print the JSON schema of scenario files, for editors
    Schema,
    /// List the scenarios of a folder with what each claims, and the command that runs those that take minutes
    #[command(
        after_help = "Exit status: 0 listed, those that are refused as well · 2 the folder cannot be read"
    )]
    List {
        /// The folder
        #[arg(default_value = "scenarios")]
        folder: PathBuf,
        /// Print one JSON object a scenario: file, name, claim, long, seconds, extends; or file and refused
        #[arg(long)]
        json: bool,
    },
}

/// Values replaced in every scenario.
#[derive(Clone, Debug, Default, ClapArgs)]
pub(crate) struct Sets {
    /// Replace a value, e.g. torrent.size="4 MiB" or peers.leecher.count=20
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) sets: Vec<String>,
}

/// What to compare.
#[derive(Clone, Debug, ClapArgs)]
#[command(
    after_help = "Exit status: 0 compared · 2 bad usage, scenario or results · 3 a safety oracle fired in some run\n\n\
                  Example: sim compare flash_crowd --both peers.leecher.count=20 --set torrent.picker=sequential"
)]
pub(crate) struct CompareArgs {
    /// A scenario; or two files of results, each a JSON object a line as `sim --json` writes them
    #[arg(value_name = "SCENARIO|RESULTS", required = true, num_args = 1..=2)]
    pub(crate) what: Vec<String>,
    /// What B changes, e.g. torrent.picker=sequential; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) sets: Vec<String>,
    /// Replace a value in A and B alike, e.g. to make both smaller
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) both: Vec<String>,
    /// Run every seed from A up to, but not including, B
    #[arg(long, value_name = "A..B", value_parser = seeds, default_value = "1..9")]
    pub(crate) seeds: Range<u64>,
    /// Run so many at the same time, one thread each
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) jobs: u16,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// How to run.
#[derive(Clone, Debug, ClapArgs)]
pub(crate) struct RunArgs {
    /// Scenario files, or names of files in scenarios/
    #[arg(value_name = "SCENARIO")]
    pub(crate) scenarios: Vec<String>,
    /// Draw from this seed [default: the scenario's, or 1]
    #[arg(long, value_name = "N", conflicts_with = "seeds")]
    pub(crate) seed: Option<u64>,
    /// Run every seed from A up to, but not including, B
    #[arg(long, value_name = "A..B", value_parser = seeds)]
    pub(crate) seeds: Option<Range<u64>>,
    /// Run so many at the same time, one thread each
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) jobs: u16,
    /// Of all runs only every Nth, from the Ith on: the shards 1/N to N/N are the whole
    #[arg(long, value_name = "I/N", value_parser = shard)]
    pub(crate) shard: Option<Shard>,
    /// Append a JSON object for each run to this file, at once; runs that are in it already are left out
    #[arg(long, value_name = "FILE")]
    pub(crate) results: Option<PathBuf>,
    #[arg(long, value_name = "FILE", help = "Write all results there as JUnit XML in the end")]
    pub(crate) junit: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) sets: Sets,
    /// Run each twice and compare the digests
    #[arg(long)]
    pub(crate) twice: bool,
    /// What was never put to the test counts as missed: an expectation, a planned fault, an oracle with work to do
    #[arg(long)]
    pub(crate) strict: bool,
    /// Write one JSON object per run to standard output, and nothing else
    #[arg(long)]
    pub(crate) json: bool,
    /// Write report.html, summary.json and expanded.toml there; with several runs, into a folder for each
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Write the packets of this peer, group or `tracker` there, too, as NAME.pcapng for Wireshark; may be repeated
    #[arg(long = "pcap", value_name = "NAME", requires = "out")]
    pub(crate) captured: Vec<String>,
}

/// A share of a sweep: the first is 1 of N.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shard {
    pub(crate) index: u32,
    pub(crate) of: u32,
}

impl Default for Shard {
    fn default() -> Self {
        Self { index: 1, of: 1 }
    }
}

pub(crate) fn shard(text: &str) -> Result<Shard, String> {
    let numbers = text.split_once('/').and_then(|(index, of)| Some((index.parse().ok()?, of.parse().ok()?)));
    match numbers {
        Some((index, of)) if (1..=of).contains(&index) => Ok(Shard { index, of }),
        Some(_) | None => Err("write for example 1/8 for the first of eight".to_owned()),
    }
}

/// Seeds of one command at the most.
const MAX_SEEDS: u64 = 1_000_000;

pub(crate) fn seeds(text: &str) -> Result<Range<u64>, String> {
    let (from, to) = text.split_once("..").ok_or("write for example 1..101")?;
    let number = |text: &str| text.parse().map_err(|_| format!("`{text}` is not a seed"));
    let range: Range<u64> = number(from)?..number(to)?;
    match range.end.checked_sub(range.start) {
        Some(1..=MAX_SEEDS) => Ok(range),
        Some(0) | None => Err("no seed lies in this range".to_owned()),
        Some(_) => Err(format!("more than {MAX_SEEDS} seeds")),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_help_texts() {
        // No terminal's width must show in a snapshot.
        let mut command = Args::command().term_width(100);
        insta::assert_snapshot!("help", command.render_long_help());
        let check = command.find_subcommand_mut("check").expect("it exists");
        insta::assert_snapshot!("help_check", check.clone().term_width(100).render_help());
    }

    #[test]
    fn the_commands_are_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn a_scenario_needs_no_command() {
        let args = Args::parse_from(["sim", "scenarios/flash_crowd.toml", "--seed", "2"]);
        assert!(args.command.is_none());
        assert_eq!((args.run.scenarios.len(), args.run.seed), (1, Some(2)));
        let args = Args::parse_from(["sim", "run", "a.toml", "b.toml", "--seeds", "3..5"]);
        assert!(matches!(args.command, Some(Command::Run(run)) if run.seeds == Some(3..5)));
    }

    #[test]
    fn shards_are_counted_from_one() {
        assert_eq!(shard("2/8"), Ok(Shard { index: 2, of: 8 }));
        assert!(["0/8", "9/8", "1", "a/b", "1/0"].iter().all(|text| shard(text).is_err()));
    }

    #[test]
    fn senseless_seeds_are_refused() {
        assert_eq!(seeds("1..4"), Ok(1..4));
        assert!(
            seeds("4..4").is_err() && seeds("5..4").is_err() && seeds("1").is_err() && seeds("a..b").is_err()
        );
    }
}
