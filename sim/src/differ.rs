//! `sim diff`: runs two variants of a scenario, or reads what was run before, and says where they part.

use std::fs;

use anyhow::{Context, Result, anyhow, bail};
use clap::Args;
use serde_json::Value;

use sim::defect::Tampered;
use sim::diff::{Parting, first_entry, first_second, part};
use sim::scenario::Plan;
use sim::trace::Entry;

use crate::command::{DIFFERENT, say};
use crate::find;

/// What to compare.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Exit status: 0 they do the same · 2 bad usage or scenario · 5 they differ\n\n\
                        Example: sim diff churn --set torrent.picker=sequential\n\
                        Example: sim diff old/summary.json new/summary.json")]
pub(crate) struct DiffArgs {
    /// A scenario, to run it in two ways; or two scenarios; or two files, of results (`sim --json`, summary.json) or
    /// of events (`sim trace --json`)
    #[arg(value_name = "SCENARIO|FILE", required = true, num_args = 1..=2)]
    what: Vec<String>,
    /// What B changes; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    sets: Vec<String>,
    /// Replace a value in A and B alike
    #[arg(long, value_name = "KEY=VALUE")]
    both: Vec<String>,
    /// Draw from this seed [default: the scenario's, or 1]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// The seed of B [default: that of A]
    #[arg(long, value_name = "N")]
    against: Option<u64>,
    /// Print one JSON object, or null
    #[arg(long)]
    json: bool,
}

/// Compares; the exit status says whether there is a difference.
pub(crate) fn diff(args: &DiffArgs) -> Result<u8> {
    let is_scenario = |name: &String| !matches!(extension(name), "json" | "jsonl");
    let parting = match &args.what[..] {
        [one] if is_scenario(one) => run_both(one, one, args)?,
        [a, b] if is_scenario(a) && is_scenario(b) => run_both(a, b, args)?,
        [a, b] if !is_scenario(a) && !is_scenario(b) => return read_both(a, b, args.json),
        _ => bail!("name one scenario or two, or two files of results or events"),
    };
    let text = if args.json {
        format!("{}\n", serde_json::to_string(&parting)?)
    } else {
        parting.as_ref().map_or_else(|| "they do the same\n".to_owned(), Parting::text)
    };
    say(&text)?;
    Ok(if parting.is_some() { DIFFERENT } else { 0 })
}

fn extension(name: &str) -> &str {
    name.rsplit_once('.').map_or("", |(_, extension)| extension)
}

fn run_both(a: &str, b: &str, args: &DiffArgs) -> Result<Option<Parting>> {
    let plan = |name: &str, sets: &[String], seed: Option<u64>| -> Result<Plan> {
        let (_, scenario) = find::load(name, sets)?;
        Ok(scenario.expand(seed.unwrap_or(scenario.seed)))
    };
    let of_b = [args.both.clone(), args.sets.clone()].concat();
    let (a, b) = (plan(a, &args.both, args.seed)?, plan(b, &of_b, args.against.or(args.seed))?);
    Ok(part((&a, &Tampered::nobody()), (&b, &Tampered::nobody()))?)
}

fn read_both(a: &str, b: &str, json: bool) -> Result<u8> {
    let (left, right) = (lines(a)?, lines(b)?);
    let is_trace = |lines: &[Value]| lines.first().is_some_and(|line| line.get("micros").is_some());
    let text = if is_trace(&left) || is_trace(&right) {
        traces(&entries(a, left)?, &entries(b, right)?, json)?
    } else {
        results(&left, &right, json).with_context(|| format!("{a} and {b}"))?
    };
    match text {
        None => say(if json { "null\n" } else { "they do the same\n" }).map(|()| 0),
        Some(text) => say(&text).map(|()| DIFFERENT),
    }
}

fn lines(file: &str) -> Result<Vec<Value>> {
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {file}"))?;
    let read = |(number, line): (usize, &str)| {
        serde_json::from_str(line).with_context(|| format!("{file}:{}: no JSON object", number + 1))
    };
    text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()).map(read).collect()
}

fn entries(file: &str, lines: Vec<Value>) -> Result<Vec<Entry>> {
    let read =
        |line| serde_json::from_value(line).with_context(|| format!("{file} has no events of `sim trace`"));
    lines.into_iter().map(read).collect()
}

fn traces(a: &[Entry], b: &[Entry], json: bool) -> Result<Option<String>> {
    let Some((a, b)) = first_entry(a, b) else { return Ok(None) };
    let micros = a.or(b).map_or(0, |entry| entry.micros);
    let (a, b) = (a.cloned(), b.cloned());
    let parting = Parting { second: (micros / 1_000_000) as usize, a, b };
    Ok(Some(if json { format!("{}\n", serde_json::to_string(&parting)?) } else { parting.text() }))
}

/// Pairs runs of one scenario and seed; two files of one run each are a pair in any case.
fn results(a: &[Value], b: &[Value], json: bool) -> Result<Option<String>> {
    let key = |run: &Value| Some((run.get("scenario")?.clone(), run.get("seed")?.clone()));
    let is_pair = |a: &Value, b: &Value| key(a) == key(b);
    let pairs: Vec<_> = match (a, b) {
        ([a], [b]) => vec![(a, b)],
        _ => a.iter().filter_map(|a| Some((a, b.iter().find(|b| is_pair(a, b))?))).collect(),
    };
    if pairs.is_empty() {
        bail!("have no scenario and seed in common");
    }
    for (a, b) in pairs {
        let Some(second) = first_second(&seconds(a)?, &seconds(b)?) else { continue };
        if json {
            return Ok(Some(format!("{}\n", serde_json::json!({ "second": second, "a": null, "b": null }))));
        }
        let name = |run: &Value| {
            let name = run["scenario"].as_str().unwrap_or_default();
            format!("{name} --seed {}", run["seed"])
        };
        let window = format!("--from '{second} s' --until '{} s' --packets --json", second + 1);
        return Ok(Some(format!(
            "{} and {} part in second {second} of simulated time\n\
             for the first event, trace it on both sides and compare the files:\n  \
             sim trace {} {window} >a.jsonl\n  sim trace {} {window} >b.jsonl\n  sim diff a.jsonl b.jsonl\n",
            name(a),
            name(b),
            name(a),
            name(b)
        )));
    }
    Ok(None)
}

/// The digests of a run's seconds, eight hexadecimal digits each.
fn seconds(run: &Value) -> Result<Vec<u32>> {
    let digits = run.get("seconds").and_then(Value::as_str);
    let digits =
        digits.ok_or_else(|| anyhow!("a run without digests of its seconds: written by an older `sim`"))?;
    let digests = digits.as_bytes().chunks(8).map(|digits| {
        let digits = std::str::from_utf8(digits).unwrap_or_default();
        u32::from_str_radix(digits, 16).with_context(|| format!("`{digits}` is no digest"))
    });
    digests.collect()
}
