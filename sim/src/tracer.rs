//! `sim trace`: what happened in a run, one line an event.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::Args;

use sim::defect::Tampered;
use sim::scenario::{Plan, TRACKER};
use sim::trace::{Filter, trace};

use crate::args::Sets;
use crate::command::say;
use crate::find;

/// What to trace.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Exit status: 0 printed, whatever the verdict · 2 bad usage or scenario\n\n\
                  Example: sim trace churn --peer leecher-3 --piece 7 --from '40 s' --until '1 min'")]
pub(crate) struct TraceArgs {
    /// Scenario file, or the name of a file in scenarios/
    #[arg(value_name = "SCENARIO")]
    scenario: String,
    /// Draw from this seed [default: the scenario's, or 1]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    #[command(flatten)]
    sets: Sets,
    /// Only what this peer does and what is done to it; may be repeated
    #[arg(long = "peer", value_name = "NAME")]
    peers: Vec<String>,
    /// Only messages about this piece, and faults and completions; may be repeated
    #[arg(long = "piece", value_name = "N")]
    pieces: Vec<u32>,
    /// From this simulated time on
    #[arg(long, value_name = "TIME", value_parser = time)]
    from: Option<Duration>,
    /// Up to, but not including, this simulated time
    #[arg(long, value_name = "TIME", value_parser = time)]
    until: Option<Duration>,
    /// Packets of the network, too
    #[arg(long)]
    packets: bool,
    /// One JSON object a line, with the names and units that `sim::trace::Entry` documents
    #[arg(long)]
    json: bool,
}

/// Times as scenarios write them.
fn time(text: &str) -> Result<Duration, String> {
    settings::quantity::duration(text)
}

/// Runs the scenario and prints what happens.
pub(crate) fn print(args: &TraceArgs) -> Result<u8> {
    let (_, scenario) = find::load(&args.scenario, &args.sets.sets)?;
    let plan = scenario.expand(args.seed.unwrap_or(scenario.seed));
    let filter = Filter {
        from: args.from.unwrap_or_default(),
        until: args.until.unwrap_or(Duration::MAX),
        peers: known(&plan, &args.peers)?,
        pieces: args.pieces.iter().copied().collect(),
        packets: args.packets,
    };
    if filter.from >= filter.until {
        bail!("--from is not before --until: no event can be between the two");
    }
    let (entries, missed, record) = trace(&plan, &Tampered::nobody(), filter)?;
    let mut out = String::new();
    for entry in &entries {
        if args.json {
            out.push_str(&serde_json::to_string(entry)?);
            out.push('\n');
        } else {
            let _ = writeln!(out, "{}", entry.to_string().trim_end());
        }
    }
    say(&out)?;
    if entries.is_empty() {
        let seconds = record.end.as_secs_f64();
        eprintln!(
            "nothing that was asked for happened in the {seconds:.1} s of this run: ask for other times, peers or pieces"
        );
    }
    if missed > 0 {
        eprintln!("{missed} more events found no room: ask for a shorter time, or for fewer peers");
    }
    Ok(0)
}

/// Peers of the plan; a name that nobody has would show nothing, and not say why.
pub(crate) fn known(plan: &Plan, names: &[String]) -> Result<BTreeSet<String>> {
    for name in names {
        if name != TRACKER && !plan.peers.iter().any(|peer| peer.name == *name) {
            let near = plan.peers.iter().map(|peer| peer.name.as_str());
            let near = settings::quantity::suggestion(name, near);
            let hint = near.map_or_else(String::new, |near| format!("; did you mean {near}?"));
            bail!("{} has no peer {name}{hint}", plan.name);
        }
    }
    Ok(names.iter().cloned().collect())
}
